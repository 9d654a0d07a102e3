package trace

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// chunkRefs is how many references are decoded at a time: small enough for the
// second-level cache, so that who asked finds them there.
const chunkRefs = 4096

// blockDecoder takes a raw block apart, a chunk of references or an event at a
// time. It keeps the raw block and reuses its own buffers.
type blockDecoder struct {
	seq    uint64 // number of the next record
	thread uint32 // current thread
	refs   int    // references not yet decoded
	events int    // events not yet decoded
	run    uint64 // references before the next event
	hasIPs bool
	cols   [numColumns][]byte
	ipCol  []byte
	buf    []Ref // the last maxBack references, then the chunk
	kept   int   // references of this block in front of the chunk, at most maxBack
	end    int   // where the last chunk ended in buf
	vpn    uint64
	ip     uint64
	ips    []uint64
	ev     Event
}

// open starts a raw block after checking its checksum and every length in it.
func (d *blockDecoder) open(raw []byte) error {
	if len(raw) < blockHeaderBytes {
		return fmt.Errorf("%w: block of %d bytes is shorter than its header", ErrCorrupt, len(raw))
	}
	le := binary.LittleEndian
	if n := le.Uint32(raw[4:]); uint64(n) != uint64(len(raw)) {
		return fmt.Errorf("%w: block says %d bytes and has %d", ErrCorrupt, n, len(raw))
	}
	if sum := crc32.Checksum(raw[4:], castagnoli); sum != le.Uint32(raw) {
		return fmt.Errorf("%w: block checksum is %#08x, computed %#08x", ErrCorrupt, le.Uint32(raw), sum)
	}
	d.seq, d.thread = le.Uint64(raw[8:]), le.Uint32(raw[24:])
	refs, events := le.Uint32(raw[16:]), le.Uint32(raw[20:])
	if uint64(refs)+uint64(events) > maxBlockRecords {
		return fmt.Errorf("%w: block of %d records, the limit is %d", ErrCorrupt, uint64(refs)+uint64(events), maxBlockRecords)
	}
	if raw[28]&^flagIPs != 0 || raw[29]|raw[30]|raw[31] != 0 {
		return fmt.Errorf("%w: block flags %#x", ErrVersion, le.Uint32(raw[28:]))
	}
	d.refs, d.events, d.hasIPs = int(refs), int(events), raw[28] != 0
	rest := raw[blockHeaderBytes:]
	for i := range numColumns + 1 {
		n := le.Uint32(raw[32+4*i:])
		if uint64(n) > uint64(len(rest)) {
			return fmt.Errorf("%w: column %d of %d bytes runs over the block", ErrCorrupt, i, n)
		}
		if i < numColumns {
			d.cols[i] = rest[:n]
		} else {
			d.ipCol = rest[:n]
		}
		rest = rest[n:]
	}
	for _, i := range []int{colPages, colMeta, colOffLow, colOffHigh} {
		if len(d.cols[i]) != d.refs {
			return fmt.Errorf("%w: column %d has %d bytes for %d references", ErrCorrupt, i, len(d.cols[i]), d.refs)
		}
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes after the last column", ErrCorrupt, len(rest))
	}
	if d.buf == nil {
		d.buf = make([]Ref, maxBack+chunkRefs)
	}
	d.kept, d.end, d.vpn, d.ip = 0, 0, 0, 0
	return d.nextRun()
}

// nextRun reads how many references come before the next event.
func (d *blockDecoder) nextRun() error {
	if d.events == 0 {
		d.run = uint64(d.refs)
		return nil
	}
	n, w := binary.Uvarint(d.cols[colRuns])
	if w <= 0 || n > uint64(d.refs) {
		return fmt.Errorf("%w: run of references before an event", ErrCorrupt)
	}
	d.cols[colRuns], d.run = d.cols[colRuns][w:], n
	return nil
}

// next fills the batch; false at the end of the block.
func (d *blockDecoder) next(b *Batch) (bool, error) {
	b.Seq = d.seq
	switch {
	case d.run > 0:
		n := int(min(d.run, chunkRefs))
		if err := d.decodeRefs(n); err != nil {
			return false, err
		}
		b.Thread, b.Event, b.IPs = d.thread, nil, nil
		b.Refs = d.buf[d.kept : d.kept+n]
		if d.hasIPs {
			b.IPs = d.ips[:n]
		}
		d.seq += uint64(n)
		d.run -= uint64(n)
		d.refs -= n
		return true, nil
	case d.events > 0:
		if err := d.decodeEvent(); err != nil {
			return false, err
		}
		b.Thread, b.Event, b.Refs, b.IPs = d.thread, &d.ev, nil, nil
		d.seq++
		d.events--
		return true, d.nextRun()
	}
	return false, nil
}

// decodeRefs decodes n references behind the last ones, which it moves to the
// front: back-references reach at most maxBack.
func (d *blockDecoder) decodeRefs(n int) error {
	done := len(d.cols[colPages]) - d.refs // references of the block decoded before
	if done > 0 {
		d.shift(done)
	}
	base := d.kept
	out := d.buf[:base+n]
	pages := d.cols[colPages][done : done+n]
	metas := d.cols[colMeta][done : done+n]
	low := d.cols[colOffLow][done : done+n]
	high := d.cols[colOffHigh][done : done+n]
	counts, vpn := d.cols[colCounts], d.vpn
	for i, token := range pages {
		r := &out[base+i]
		off := uint16(low[i]) | uint16(high[i])<<8
		if token < 128 {
			j := base + i - int(token)
			if j < 0 || token == 0 {
				return d.corrupt(i, "back-reference before the block")
			}
			from := &out[j]
			vpn = from.VPN
			off += from.Offset
		} else {
			delta, w := d.delta(token - 128)
			if !w {
				return d.corrupt(i, "page delta")
			}
			vpn += uint64(unzigzag(delta))
		}
		m := metas[i]
		if vpn > maxVPN || m&^metaMask != 0 || m&3 == 0 {
			return d.corrupt(i, "page or kind out of range")
		}
		r.VPN, r.First, r.Offset = vpn, Access(m&3), off&0xfff
		one := uint32(m>>5) & 1
		r.Reads, r.Writes, r.Execs = one&uint32(m>>2), one&uint32(m>>3), one&uint32(m>>4)
		if one == 0 {
			if counts = decodeCounts(r, m, counts); counts == nil {
				return d.corrupt(i, "counts")
			}
		}
	}
	d.cols[colCounts], d.vpn, d.end = counts, vpn, base+n
	return d.decodeIPs(n)
}

// shift moves the last references to the front of the buffer.
func (d *blockDecoder) shift(done int) {
	keep := min(done, maxBack)
	d.kept = keep
	copy(d.buf[:keep], d.buf[d.end-keep:d.end])
}

// delta takes n little-endian bytes from the delta column.
func (d *blockDecoder) delta(n byte) (uint64, bool) {
	c := d.cols[colDeltas]
	if n > 8 || int(n) > len(c) {
		return 0, false
	}
	var v uint64
	for i := int(n) - 1; i >= 0; i-- {
		v = v<<8 | uint64(c[i])
	}
	d.cols[colDeltas] = c[n:]
	return v, true
}

// decodeCounts reads the counts that the meta byte announces. It returns the
// rest of the column, nil when a count is damaged or too large.
func decodeCounts(r *Ref, m byte, c []byte) []byte {
	for k, dst := range [3]*uint32{&r.Reads, &r.Writes, &r.Execs} {
		if m&(metaReads<<k) == 0 {
			continue
		}
		if len(c) > 0 && c[0] < 0x80 {
			*dst, c = uint32(c[0]), c[1:]
			continue
		}
		v, w := binary.Uvarint(c)
		if w <= 0 || v > 1<<32-1 {
			return nil
		}
		*dst, c = uint32(v), c[w:]
	}
	if c == nil {
		return []byte{}
	}
	return c
}

func (d *blockDecoder) decodeIPs(n int) error {
	if !d.hasIPs {
		return nil
	}
	if d.ips == nil {
		d.ips = make([]uint64, chunkRefs)
	}
	for i := range n {
		v, w := binary.Uvarint(d.ipCol)
		if w <= 0 {
			return d.corrupt(i, "instruction pointer")
		}
		d.ipCol = d.ipCol[w:]
		d.ip += uint64(unzigzag(v))
		d.ips[i] = d.ip
	}
	return nil
}

// corrupt says what is wrong with record i of the chunk.
func (d *blockDecoder) corrupt(i int, what string) error {
	return fmt.Errorf("record %d: %w: %s", d.seq+uint64(i), ErrCorrupt, what)
}

// decodeEvent decodes the next event into d.ev.
func (d *blockDecoder) decodeEvent() error {
	c := d.cols[colEvents]
	if len(c) == 0 {
		return d.corrupt(0, "event is missing")
	}
	kind := Kind(c[0])
	if kind == 0 || kind == KindRef {
		return d.corrupt(0, "kind of an event")
	}
	if kind >= numKinds {
		return fmt.Errorf("record %d: %w: record kind %d, this program knows 1 to %d", d.seq, ErrVersion, kind, numKinds-1)
	}
	c = c[1:]
	spec := &Specs[kind]
	d.ev = Event{Kind: kind}
	for i := range spec.Fields {
		v, w := binary.Uvarint(c)
		if w <= 0 {
			return d.corrupt(0, spec.Name+": "+spec.Fields[i].Name)
		}
		d.ev.Args[i], c = v, c[w:]
	}
	if spec.Text != "" {
		n, w := binary.Uvarint(c)
		if w <= 0 || n > maxTextBytes || n > uint64(len(c)-w) {
			return d.corrupt(0, spec.Name+": "+spec.Text)
		}
		d.ev.Text, c = string(c[w:w+int(n)]), c[w+int(n):]
	}
	d.cols[colEvents] = c
	if kind == KindSched {
		d.thread = uint32(d.ev.Args[0])
	}
	d.ev.Thread = d.thread
	return nil
}

package trace

import (
	"encoding/binary"
	"fmt"
	"math"
)

// chunkRefs is the most references of a batch: few enough for the second-level
// cache, so that who asked finds them there.
const chunkRefs = 4096

// blockDecoder takes a raw block apart. It keeps the raw block and reuses its
// own buffers. References are decoded a batch at a time (next), or all at once
// before the first batch is asked for (ahead); both give the same batches and
// the same errors.
type blockDecoder struct {
	seq        uint64 // number of the next record
	thread     uint32 // current thread
	refs       int    // references not yet handed out
	events     int    // events not yet handed out
	run        uint64 // references before the next event
	flags      byte
	eventsOnly bool // references are passed over
	cols       [numColumns][]byte

	packed  bool                // the column of tokens is still packed
	packer  *packer             // nil: there was no packed block yet
	tokens  []byte              // unpacked
	word    func(*Ref) uint64   // of a symbol; nil: no words
	symbols []decSymbol         // by place
	offsets [numContexts]uint16 // of the last reference to pages with this hash
	defined int                 // symbols defined in the block
	vpn     uint64              // page of the symbol defined last
	ip      uint64

	isAhead bool
	buf     []Ref // references decoded
	words   []uint64
	ips     []uint64
	out     int // of buf, handed out (ahead only)
	bad     badRef
	sums    []Sum // of the batches decoded, only with words
	batch   int   // of sums, handed out
	ev      Event
}

// badRef is the first reference that could not be decoded.
type badRef struct {
	at   int // position in buf; len(buf) when all could
	what string
}

// open starts a raw block after checking every length in it.
func (d *blockDecoder) open(raw []byte) error {
	if len(raw) < blockHeaderBytes {
		return fmt.Errorf("%w: block of %d bytes is shorter than its header", ErrCorrupt, len(raw))
	}
	le := binary.LittleEndian
	d.seq, d.thread = le.Uint64(raw), le.Uint32(raw[16:])
	refs, events := le.Uint32(raw[8:]), le.Uint32(raw[12:])
	if uint64(refs)+uint64(events) > maxBlockRecords {
		return fmt.Errorf("%w: block of %d records, the limit is %d", ErrCorrupt, uint64(refs)+uint64(events), maxBlockRecords)
	}
	if raw[20]&^flagMask != 0 || raw[21]|raw[22]|raw[23] != 0 {
		return fmt.Errorf("%w: block flags %#x", ErrVersion, le.Uint32(raw[20:]))
	}
	d.refs, d.events, d.flags = int(refs), int(events), raw[20]
	d.packed = d.flags&flagPacked != 0
	rest := raw[blockHeaderBytes:]
	for i := range d.cols {
		n := le.Uint32(raw[24+4*i:])
		if uint64(n) > uint64(len(rest)) {
			return fmt.Errorf("%w: column %d of %d bytes runs over the block", ErrCorrupt, i, n)
		}
		d.cols[i], rest = rest[:n], rest[n:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes after the last column", ErrCorrupt, len(rest))
	}
	if err := d.checkLengths(); err != nil {
		return err
	}
	clear(d.offsets[:])
	d.forget()
	d.isAhead, d.eventsOnly, d.out = false, false, 0
	return d.nextRun()
}

// checkLengths holds the columns of fixed width against the references.
func (d *blockDecoder) checkLengths() error {
	offsets := 0
	if d.flags&flagOffsets != 0 {
		offsets = 2 * d.refs
	}
	if n := len(d.cols[colTokens]); !d.packed && (n < d.refs || n > 2*d.refs) {
		return fmt.Errorf("%w: %d bytes of tokens for %d references", ErrCorrupt, n, d.refs)
	}
	if n := len(d.cols[colOffsets]) + len(d.cols[colFetchOffs]); n != offsets || len(d.cols[colOffsets])&1 != 0 {
		return fmt.Errorf("%w: %d bytes of offsets for %d references", ErrCorrupt, n, d.refs)
	}
	if d.flags&flagIPs == 0 && len(d.cols[colIPs]) != 0 {
		return fmt.Errorf("%w: instruction pointers in a block that has none", ErrCorrupt)
	}
	return nil
}

// nextRun reads how many references come before the next event.
func (d *blockDecoder) nextRun() error {
	if d.events == 0 {
		d.run = uint64(d.refs)
		return nil
	}
	n, w := binary.Uvarint(d.cols[colRuns])
	if w <= 0 || n > uint64(d.refs) {
		return d.corrupt(0, "run of references before an event")
	}
	d.cols[colRuns], d.run = d.cols[colRuns][w:], n
	return nil
}

// ahead decodes every reference of the block now, batch by batch as next hands
// them out, since each has a sum.
func (d *blockDecoder) ahead() {
	d.isAhead = true
	d.room(d.refs)
	runs, run, left, events := d.cols[colRuns], d.run, uint64(d.refs), d.events
	for left > 0 && d.bad.at == len(d.buf) {
		for run == 0 { // as nextRun, which finds what is wrong
			run = left
			if events--; events > 0 {
				n, w := binary.Uvarint(runs)
				if w <= 0 || n > left {
					return
				}
				runs, run = runs[w:], n
			}
		}
		n := min(run, chunkRefs)
		d.decode(int(n))
		run, left = run-n, left-n
	}
}

// room makes room for n references, of which none is decoded.
func (d *blockDecoder) room(n int) {
	if cap(d.buf) < n {
		d.buf = make([]Ref, roomy(n))
	}
	if d.flags&flagIPs != 0 && cap(d.ips) < n {
		d.ips = make([]uint64, roomy(n))
	}
	if d.word != nil && cap(d.words) < n {
		d.words = make([]uint64, roomy(n))
	}
	d.buf, d.ips, d.words, d.sums = d.buf[:0], d.ips[:0], d.words[:0], d.sums[:0]
	d.out, d.batch, d.bad = 0, 0, badRef{}
}

// next fills the batch; false at the end of the block.
func (d *blockDecoder) next(b *Batch) (bool, error) {
	if d.eventsOnly {
		d.seq += d.run
		d.refs -= int(d.run)
		d.run = 0
	}
	b.Seq = d.seq
	switch {
	case d.run > 0:
		return true, d.nextRefs(b, int(min(d.run, chunkRefs)))
	case d.events > 0:
		if err := d.decodeEvent(); err != nil {
			return false, err
		}
		b.Thread, b.Event, b.Refs, b.IPs, b.Words = d.thread, &d.ev, nil, nil, nil
		d.seq++
		d.events--
		b.Holds = d.holds()
		return true, d.nextRun()
	}
	return false, d.leftOver()
}

// leftOver says whether something in the block was not used up.
func (d *blockDecoder) leftOver() error {
	if d.eventsOnly {
		return nil
	}
	for i := range d.cols {
		if len(d.cols[i]) != 0 {
			return d.corrupt(0, fmt.Sprintf("%d bytes left over in column %d", len(d.cols[i]), i))
		}
	}
	return nil
}

// nextRefs hands out n references.
func (d *blockDecoder) nextRefs(b *Batch, n int) error {
	if !d.isAhead {
		d.room(n)
		d.decode(n)
	}
	if d.bad.at < d.out+n {
		return d.corrupt(d.bad.at-d.out, d.bad.what)
	}
	b.Thread, b.Event, b.IPs, b.Words = d.thread, nil, nil, nil
	b.Refs = d.buf[d.out : d.out+n]
	if d.word != nil {
		b.Words, b.Sum = d.words[d.out:d.out+n], d.sums[d.batch]
		d.batch++
	}
	if d.flags&flagIPs != 0 {
		b.IPs = d.ips[d.out : d.out+n]
	}
	d.out += n
	d.seq += uint64(n)
	d.run -= uint64(n)
	d.refs -= n
	b.Holds = d.holds()
	return nil
}

// holds says that what was handed out stays while the next batch is: it is of the
// same block, all of which has been decoded.
func (d *blockDecoder) holds() bool { return d.isAhead && d.refs+d.events > 0 }

// decode decodes the next n references into buf behind those that are there, or
// says in bad which of them it could not: the first one, whichever column is to
// blame, so that it does not matter how many are decoded at a time.
func (d *blockDecoder) decode(n int) {
	from := len(d.buf)
	d.buf = d.buf[:from+n]
	out := d.buf[from:]
	var words []uint64
	if d.word != nil {
		d.words = d.words[:from+n]
		words = d.words[from:]
	}
	good, what := 0, "packed tokens"
	if !d.packed || d.unpack() {
		good, what = d.decodeTokens(out, words)
	}
	if d.flags&flagOffsets != 0 {
		if i := d.decodeOffsets(out[:good]); i < good {
			good, what = i, "offset"
		}
	}
	if d.flags&flagIPs != 0 {
		d.ips = d.ips[:from+n]
		if i := d.decodeIPs(d.ips[from : from+good]); i < good {
			good, what = i, "instruction pointer"
		}
	}
	d.bad = badRef{from + good, what}
}

// unpack unpacks the tokens of the block, of which none is decoded yet; false where
// they are damaged.
func (d *blockDecoder) unpack() (ok bool) {
	if d.packer == nil {
		d.packer = new(packer)
	}
	d.packed = false
	d.tokens, ok = d.packer.unpack(d.tokens[:0], d.cols[colTokens], d.refs)
	d.cols[colTokens] = d.tokens
	return ok
}

// roomy is the length to give a buffer that must hold n, so that it need not
// grow again for every block that is a little larger.
func roomy(n int) int { return n + n/16 }

// decodeOffsets fills in the offsets; it returns how many there were. Data and
// fetches alternate without a pattern, so which column comes next is computed
// and not branched on.
func (d *blockDecoder) decodeOffsets(out []Ref) int {
	cols := [2][]byte{d.cols[colOffsets], d.cols[colFetchOffs]}
	var at [2]int
	i := 0
	for ; i < len(out); i++ {
		r := &out[i]
		which := (r.First + 1) >> 2 // 1 for a fetch, 0 for data
		p := at[which&1]
		c := cols[which&1]
		if p+1 >= len(c) {
			break
		}
		at[which&1] = p + 2
		last := &d.offsets[offsetContext(r.VPN)]
		*last = (*last + uint16(c[p]) + uint16(c[p+1])<<8) & 0xfff
		r.Offset = *last
	}
	d.cols[colOffsets], d.cols[colFetchOffs] = cols[0][at[0]:], cols[1][at[1]:]
	return i
}

// decodeIPs decodes instruction pointers; it returns how many there were.
func (d *blockDecoder) decodeIPs(out []uint64) int {
	for i := range out {
		v, w := binary.Uvarint(d.cols[colIPs])
		if w <= 0 {
			return i
		}
		d.cols[colIPs] = d.cols[colIPs][w:]
		d.ip += uint64(unzigzag(v))
		out[i] = d.ip
	}
	return len(out)
}

// corrupt says what is wrong with record i from here.
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
		if d.ev.Args[0] > math.MaxUint32 {
			return d.corrupt(0, "thread of a sched")
		}
		d.thread = uint32(d.ev.Args[0])
	}
	d.ev.Thread = d.thread
	return nil
}

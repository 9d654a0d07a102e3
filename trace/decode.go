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

	symbols []decSymbol         // at most numSymbols, by number
	offsets [numContexts]uint16 // of the last reference to pages with this hash
	defined int                 // symbols defined in the block
	vpn     uint64              // page of the symbol defined last
	ip      uint64

	isAhead bool
	buf     []Ref // references decoded
	ips     []uint64
	out     int // of buf, handed out (ahead only)
	bad     badRef
	ev      Event
}

// badRef is the first reference that could not be decoded.
type badRef struct {
	at   int // position in buf; len(buf) when all could
	what string
}

// decSymbol is an entry of the decoder's table.
type decSymbol struct {
	ref Ref  // Offset is 0, and the counts of an open symbol
	has byte // counts of an open symbol, 0 of any other: bits 0, 1, 2 = reads, writes, fetches
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
	d.symbols, d.defined, d.vpn, d.ip = d.symbols[:0], 0, 0, 0
	d.isAhead, d.eventsOnly, d.out = false, false, 0
	return d.nextRun()
}

// checkLengths holds the columns of fixed width against the references.
func (d *blockDecoder) checkLengths() error {
	offsets := 0
	if d.flags&flagOffsets != 0 {
		offsets = 2 * d.refs
	}
	if n := len(d.cols[colTokens]); n < d.refs || n > 2*d.refs {
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

// ahead decodes every reference of the block now.
func (d *blockDecoder) ahead() {
	d.isAhead = true
	d.decode(d.refs)
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
		b.Thread, b.Event, b.Refs, b.IPs = d.thread, &d.ev, nil, nil
		d.seq++
		d.events--
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
		d.out = 0
		d.decode(n)
	}
	if d.bad.at < d.out+n {
		return d.corrupt(d.bad.at-d.out, d.bad.what)
	}
	b.Thread, b.Event, b.IPs = d.thread, nil, nil
	b.Refs = d.buf[d.out : d.out+n]
	if d.flags&flagIPs != 0 {
		b.IPs = d.ips[d.out : d.out+n]
	}
	d.out += n
	d.seq += uint64(n)
	d.run -= uint64(n)
	d.refs -= n
	return nil
}

// decode decodes the next n references into buf, or says in bad which of them
// it could not: the first one, whichever column is to blame, so that it does
// not matter how many are decoded at a time.
func (d *blockDecoder) decode(n int) {
	if cap(d.buf) < n {
		d.buf = make([]Ref, roomy(n))
	}
	d.buf = d.buf[:n]
	good, what := d.decodeTokens(d.buf)
	if d.flags&flagOffsets != 0 {
		if i := d.decodeOffsets(d.buf[:good]); i < good {
			good, what = i, "offset"
		}
	}
	if d.flags&flagIPs != 0 {
		if i := d.decodeIPs(good); i < good {
			good, what = i, "instruction pointer"
		}
	}
	d.bad = badRef{good, what}
}

// roomy is the length to give a buffer that must hold n, so that it need not
// grow again for every block that is a little larger.
func roomy(n int) int { return n + n/4 }

// decodeTokens decodes all but the offsets. It returns how many references are
// good and what is wrong with the one after them.
func (d *blockDecoder) decodeTokens(out []Ref) (int, string) {
	tokens, counts := d.cols[colTokens], d.cols[colCounts]
	at := 0
	for i := 0; i < len(out); i++ {
		if at >= len(tokens) {
			return i, "token is missing"
		}
		if n := decodePlain(out[i:], tokens[at:], d.symbols[:min(len(d.symbols), numWide)]); n > 0 {
			i, at = i+n-1, at+n
			continue
		}
		n := int(tokens[at])
		at++
		if n >= numWide {
			if n == tokenDefine {
				if n = d.define(); n < 0 {
					return i, "definition of a symbol"
				}
			} else {
				if at >= len(tokens) {
					return i, "token is missing"
				}
				n = numWide + (n-numWide)<<8 + int(tokens[at])
				at++
			}
		}
		if n >= len(d.symbols) {
			return i, "symbol without definition"
		}
		s := &d.symbols[n]
		out[i] = s.ref
		if s.has != 0 {
			w := decodeCounts(&out[i], s.has, counts)
			if w < 0 {
				return i, "counts"
			}
			counts = counts[w:]
		}
	}
	d.cols[colTokens], d.cols[colCounts] = tokens[at:], counts
	return len(out), ""
}

// decodePlain decodes references from the first on as long as their tokens are
// one byte and their symbols, which are those of one byte, have all counts: most
// are, and this loop is where the time goes. It returns how many there were.
func decodePlain(out []Ref, tokens []byte, symbols []decSymbol) int {
	n := min(len(out), len(tokens))
	out, tokens = out[:n], tokens[:n]
	for i, t := range tokens {
		if int(t) >= len(symbols) {
			return i
		}
		s := &symbols[t]
		if s.has != 0 {
			return i
		}
		out[i] = s.ref
	}
	return n
}

// define reads the next definition and returns its number, or -1 when it is
// damaged.
func (d *blockDecoder) define() int {
	c := d.cols[colSymbols]
	if len(c) < 1 || c[0]&^metaMask != 0 || c[0]&3 == 0 {
		return -1
	}
	m := c[0]
	s := decSymbol{ref: Ref{First: Access(m & 3)}}
	if m&(metaReads<<(s.ref.First-1)) == 0 {
		return -1 // a first access that is not counted
	}
	has := m / metaReads & 7
	if c = c[1:]; m&metaOpen != 0 {
		s.has = has
	} else if w := decodeCounts(&s.ref, has, c); w < 0 {
		return -1
	} else {
		c = c[w:]
	}
	delta, w := binary.Uvarint(d.cols[colPages])
	d.vpn += uint64(unzigzag(delta))
	if w <= 0 || d.vpn > maxVPN {
		return -1
	}
	s.ref.VPN = d.vpn
	d.cols[colSymbols], d.cols[colPages] = c, d.cols[colPages][w:]
	n := d.defined % numSymbols
	d.defined++
	if n == len(d.symbols) {
		d.symbols = append(d.symbols, s)
	} else {
		d.symbols[n] = s
	}
	return n
}

// decodeCounts reads the counts that are there and returns how many bytes they
// take, or -1 when one is damaged, zero or too large.
func decodeCounts(r *Ref, has byte, c []byte) int {
	at := 0
	if has&1 != 0 {
		r.Reads, at = decodeCount(c, at)
	}
	if has&2 != 0 {
		r.Writes, at = decodeCount(c, at)
	}
	if has&4 != 0 {
		r.Execs, at = decodeCount(c, at)
	}
	return at
}

// decodeCount reads the count at c[at:] and returns it with the place after it,
// -1 when it is damaged, zero or too large, or at was -1.
func decodeCount(c []byte, at int) (uint32, int) {
	if uint(at) < uint(len(c)) && c[at]-1 < 0x7f { // one byte: nearly all
		return uint32(c[at]), at + 1
	}
	return longCount(c, at)
}

func longCount(c []byte, at int) (uint32, int) {
	if at < 0 {
		return 0, -1
	}
	v, w := binary.Uvarint(c[at:])
	if w <= 0 || v == 0 || v > 1<<32-1 {
		return 0, -1
	}
	return uint32(v), at + w
}

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

// decodeIPs decodes n instruction pointers; it returns how many there were.
func (d *blockDecoder) decodeIPs(n int) int {
	if cap(d.ips) < n {
		d.ips = make([]uint64, roomy(n))
	}
	d.ips = d.ips[:n]
	for i := range n {
		v, w := binary.Uvarint(d.cols[colIPs])
		if w <= 0 {
			return i
		}
		d.cols[colIPs] = d.cols[colIPs][w:]
		d.ip += uint64(unzigzag(v))
		d.ips[i] = d.ip
	}
	return n
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

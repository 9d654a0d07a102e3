package trace

import "encoding/binary"

// A raw block: a fixed header and columns. doc.go draws it.
const (
	blockHeaderBytes = 24 + 4*numColumns
	targetRawBytes   = 1 << 20 // a block is closed at about this size
	targetRefs       = 1 << 18 // or with so many references, whichever comes first
	maxRawBytes      = 8 << 20 // a reader takes no larger block
	maxBlockRecords  = 1 << 20
	maxTextBytes     = 1 << 20 // longest string of an event
	maxVPN           = 1<<52 - 1
)

// Blocks of packed tokens are as large as a reader takes them: at its end what was
// learnt of the tokens is lost.
const (
	packedRawBytes = 4 << 20
	packedRecords  = maxBlockRecords - refsAtOnce
	refsAtOnce     = 1 << 10 // that are encoded before the size of the block is looked at
)

// The columns of a raw block, in order.
const (
	colRuns      = iota // references before each event
	colTokens           // of each reference: its symbol, one byte or two
	colSymbols          // definitions of symbols
	colPages            // page deltas of the definitions
	colCounts           // counts of references whose symbol leaves them open
	colOffsets          // offsets of data references, two bytes each
	colFetchOffs        // offsets of instruction fetches, two bytes each
	colEvents           // events
	colIPs              // instruction pointers
	numColumns
)

// Symbols: pages with first access and counts, numbered as they are defined. A
// reference is the token of its symbol: one byte for the first numWide numbers,
// two for the others, tokenDefine for the symbol that is defined next.
const (
	numWide     = 192
	tokenDefine = 255
	numSymbols  = numWide + (tokenDefine-numWide)<<8
)

// Bits of the meta byte of a definition: the low two are First.
const (
	metaReads  = 1 << 2
	metaWrites = 1 << 3
	metaExecs  = 1 << 4
	metaOpen   = 1 << 5 // counts stand with each reference, in colCounts
	metaMask   = 3 | metaReads | metaWrites | metaExecs | metaOpen
)

// Block flags.
const (
	flagIPs     = 1 // instruction pointers are recorded
	flagOffsets = 2 // offsets in the page are recorded
	flagPacked  = 4 // tokens are packed
	flagMask    = flagIPs | flagOffsets | flagPacked
)

// The largest count that the encoder makes part of a symbol. Small counts
// repeat, large ones only crowd the table; in a reduced trace every count is the
// sum of a few accesses that were dropped, and hardly repeats (BenchmarkLayouts).
const (
	fixedCount        = 8
	fixedCountReduced = 1
	fixedCountPacked  = 1<<keyCount - 1
)

// symbol is an entry of the encoder's table.
type symbol struct {
	ref  Ref // Offset is 0; of an open symbol each count that is there is 1
	open bool
}

// blockEncoder collects records and makes raw blocks of them.
type blockEncoder struct {
	cols      [numColumns][]byte
	thread0   uint32 // thread when the block began
	flags     byte
	noOffsets bool
	anyOffset uint16  // the bits of all offset differences of the block
	fixed     uint32  // largest count in a symbol
	packer    *packer // nil: tokens are not packed
	run       uint64  // references since the last event
	nrefs     int
	events    int
	lastIP    uint64
	memo      [1 << 12]memo // by key
	symbols   [numSymbols]symbol
	next      [numSymbols]uint16  // the symbol after it in its chain
	chains    [1 << 13]uint16     // by hash: the first symbol, or noSymbol
	defined   int                 // symbols defined in the block
	prevVPN   uint64              // page of the symbol defined last
	offsets   [numContexts]uint16 // of the last reference to pages with this hash
}

func (b *blockEncoder) reset(thread uint32) {
	for i := range b.cols {
		b.cols[i] = b.cols[i][:0]
	}
	b.thread0, b.flags, b.anyOffset = thread, 0, 0
	b.run, b.nrefs, b.events, b.lastIP, b.prevVPN, b.defined = 0, 0, 0, 0, 0, 0
	for i := range b.chains {
		b.chains[i] = noSymbol
	}
	clear(b.offsets[:])
	clear(b.memo[:])
}

func (b *blockEncoder) empty() bool { return b.nrefs == 0 && b.events == 0 }

// full says that the block should be closed.
func (b *blockEncoder) full() bool {
	n := blockHeaderBytes
	for i := range b.cols {
		n += len(b.cols[i])
	}
	if b.packer != nil {
		return n >= packedRawBytes || b.nrefs+b.events >= packedRecords
	}
	return n >= targetRawBytes || b.nrefs >= targetRefs || b.events >= targetRefs
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// refs appends references up to the first that is not valid, which the error is
// about. ips is as long as refs for all references of a block, or nil for all.
func (b *blockEncoder) refs(refs []Ref, ips []uint64) (n int, accesses uint64, err error) {
	fixed := b.fixed
	for n = range refs {
		r := &refs[n]
		// b.key(r), by hand: this is the hot path of a recording.
		counts := uint64(r.Reads) | uint64(r.Writes)<<keyCount | uint64(r.Execs)<<(2*keyCount)
		if max(r.Reads, r.Writes, r.Execs) > fixed {
			counts = openCounts(r)
		}
		key := r.VPN<<keyPage | uint64(r.First)<<keyFirst | counts
		m := &b.memo[memoAt(key)]
		if m.key != key || r.VPN >= 1<<(64-keyPage) || r.First > Exec || r.Offset > 0xfff {
			if err = checkRef(r); err != nil {
				return n, accesses, err
			}
			var ip uint64
			if ips != nil {
				ip = ips[n]
			}
			b.ref(r, ip, ips != nil)
		} else {
			b.token(int(m.symbol))
			if counts&keyOpen != 0 {
				b.counts(colCounts, r)
			}
			if !b.noOffsets {
				b.offset(r)
			}
			b.nrefs++
			b.run++
			if ips != nil {
				b.ip(ips[n])
			}
		}
		accesses += r.Accesses()
	}
	return len(refs), accesses, nil
}

// ref appends a reference. Preconditions: valid (see checkRef); ip is given for
// all references of a block or for none.
func (b *blockEncoder) ref(r *Ref, ip uint64, withIP bool) {
	s := symbol{ref: *r}
	s.ref.Offset = 0
	if max(r.Reads, r.Writes, r.Execs) > b.fixed {
		s.open = true
		s.ref.Reads, s.ref.Writes, s.ref.Execs = min(r.Reads, 1), min(r.Writes, 1), min(r.Execs, 1)
	}
	n := b.symbol(&s)
	if key := s.key(); key != 0 {
		b.memo[memoAt(key)] = memo{key, n}
	}
	if s.open {
		b.counts(colCounts, r)
	}
	if !b.noOffsets {
		b.offset(r)
	}
	if withIP {
		b.ip(ip)
	}
	b.nrefs++
	b.run++
}

func (b *blockEncoder) ip(ip uint64) {
	b.flags |= flagIPs
	b.cols[colIPs] = binary.AppendUvarint(b.cols[colIPs], zigzag(int64(ip-b.lastIP)))
	b.lastIP = ip
}

// memo remembers the symbol of a reference, so that one that comes again need
// not be looked up: nearly all of them.
type memo struct {
	key    uint64 // see symbol.key; 0 for none
	symbol uint16
}

const (
	keyCount = 7 // bits of each count
	keyOpen  = 1 << (3 * keyCount)
	keyFirst = 3*keyCount + 1
	keyPage  = 3*keyCount + 3
)

func memoAt(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 52 }

// openCounts are the counts in the key of an open symbol.
func openCounts(r *Ref) uint64 {
	return keyOpen | uint64(min(r.Reads, 1)) | uint64(min(r.Writes, 1))<<keyCount | uint64(min(r.Execs, 1))<<(2*keyCount)
}

// key is a number for the symbol, another for each, and 0 for one that has none.
// Its counts are below 1<<keyCount.
func (s *symbol) key() uint64 {
	r := &s.ref
	if r.VPN >= 1<<(64-keyPage) {
		return 0
	}
	key := r.VPN<<keyPage | uint64(r.First)<<keyFirst | uint64(r.Reads) | uint64(r.Writes)<<keyCount | uint64(r.Execs)<<(2*keyCount)
	if s.open {
		key |= keyOpen
	}
	return key
}

// noSymbol ends a chain.
const noSymbol = 1<<16 - 1

// chain is where the chain of a symbol begins.
func (b *blockEncoder) chain(s *symbol) *uint16 {
	r := &s.ref
	h := r.VPN<<16 ^ uint64(r.Reads)<<12 ^ uint64(r.Writes)<<8 ^ uint64(r.Execs)<<4 ^ uint64(r.First)
	return &b.chains[h*0x9e3779b97f4a7c15>>51]
}

// symbol appends the token of the symbol, with its definition if it is not in
// the table, and returns its number.
func (b *blockEncoder) symbol(s *symbol) uint16 {
	head := b.chain(s)
	for n := *head; n != noSymbol; n = b.next[n] {
		if b.symbols[n] == *s {
			b.token(int(n))
			return n
		}
	}
	n := b.defined % numSymbols
	if b.defined >= numSymbols { // the table is full: the oldest goes
		at := b.chain(&b.symbols[n])
		for *at != uint16(n) {
			at = &b.next[*at]
		}
		*at = b.next[n]
		if m := &b.memo[memoAt(b.symbols[n].key())]; m.symbol == uint16(n) {
			m.key = 0
		}
	}
	b.symbols[n] = *s
	b.next[n], *head = *head, uint16(n)
	b.defined++
	b.define(s)
	return uint16(n)
}

func (b *blockEncoder) token(n int) { b.cols[colTokens] = appendToken(b.cols[colTokens], n) }

func appendToken(dst []byte, n int) []byte {
	if n < numWide {
		return append(dst, byte(n))
	}
	n -= numWide
	return append(dst, byte(numWide+n>>8), byte(n))
}

func (b *blockEncoder) define(s *symbol) {
	b.cols[colTokens] = append(b.cols[colTokens], tokenDefine)
	m := byte(s.ref.First)
	for k, count := range [3]uint32{s.ref.Reads, s.ref.Writes, s.ref.Execs} {
		if count != 0 {
			m |= metaReads << k
		}
	}
	if s.open {
		m |= metaOpen
	}
	b.cols[colSymbols] = append(b.cols[colSymbols], m)
	if !s.open {
		b.counts(colSymbols, &s.ref)
	}
	b.cols[colPages] = binary.AppendUvarint(b.cols[colPages], zigzag(int64(s.ref.VPN-b.prevVPN)))
	b.prevVPN = s.ref.VPN
}

// counts appends the counts of r that are there.
func (b *blockEncoder) counts(col int, r *Ref) {
	for _, n := range [3]uint32{r.Reads, r.Writes, r.Execs} {
		if n != 0 {
			b.cols[col] = binary.AppendUvarint(b.cols[col], uint64(n))
		}
	}
}

// numContexts is how many hashes of pages have an offset to predict the next
// one from.
const numContexts = 1 << 12

func offsetContext(vpn uint64) uint64 { return vpn * 0x9e3779b97f4a7c15 >> 52 }

// offset appends the offset of r against that of the last reference to its page
// (to be exact: to a page with its hash).
func (b *blockEncoder) offset(r *Ref) {
	col := colOffsets
	if r.First == Exec {
		col = colFetchOffs
	}
	last := &b.offsets[offsetContext(r.VPN)]
	d := (r.Offset - *last) & 0xfff
	*last = r.Offset
	b.anyOffset |= d
	b.cols[col] = append(b.cols[col], byte(d), byte(d>>8))
}

// event appends an event.
func (b *blockEncoder) event(e *Event) {
	b.cols[colRuns] = binary.AppendUvarint(b.cols[colRuns], b.run)
	b.run = 0
	b.events++
	spec := &Specs[e.Kind]
	c := append(b.cols[colEvents], byte(e.Kind))
	for i := range spec.Fields {
		c = binary.AppendUvarint(c, e.Args[i])
	}
	if spec.Text != "" {
		c = binary.AppendUvarint(c, uint64(len(e.Text)))
		c = append(c, e.Text...)
	}
	b.cols[colEvents] = c
}

// finish appends the raw block to dst. seq is the number of its first record.
// Offsets that are all 0, as of a trace that was written without and reduced
// later, are left out.
func (b *blockEncoder) finish(dst []byte, seq uint64) []byte {
	if b.anyOffset != 0 {
		b.flags |= flagOffsets
	} else {
		b.cols[colOffsets], b.cols[colFetchOffs] = b.cols[colOffsets][:0], b.cols[colFetchOffs][:0]
	}
	if b.packer != nil && b.nrefs > 0 {
		b.flags |= flagPacked
		b.cols[colTokens] = b.packer.pack(b.cols[colTokens])
	}
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, seq)
	dst = le.AppendUint32(dst, uint32(b.nrefs))
	dst = le.AppendUint32(dst, uint32(b.events))
	dst = le.AppendUint32(dst, b.thread0)
	dst = append(dst, b.flags, 0, 0, 0)
	for i := range b.cols {
		dst = le.AppendUint32(dst, uint32(len(b.cols[i])))
	}
	for i := range b.cols {
		dst = append(dst, b.cols[i]...)
	}
	return dst
}

package trace

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// A raw block: a fixed header and columns. doc.go draws it.
const (
	blockHeaderBytes = 68
	numColumns       = 8
	maxBack          = 127     // farthest back-reference of the page column
	targetRawBytes   = 1 << 20 // a block is closed at about this size
	maxRawBytes      = 8 << 20 // a reader takes no larger block
	maxBlockRecords  = 1 << 21
	maxTextBytes     = 1 << 20 // longest string of an event
	maxVPN           = 1<<52 - 1
)

// The columns of a raw block, in order.
const (
	colRuns    = iota // references before each event
	colPages          // one token per reference, see pageToken
	colDeltas         // page deltas of the tokens that announce one
	colMeta           // one byte per reference, see the meta bits
	colCounts         // counts that are not 1
	colOffLow         // low 8 bits of the offset against its prediction
	colOffHigh        // high 4 bits of the same
	colEvents         // events; instruction pointers come after them
)

// Bits of the meta column: the low two are First.
const (
	metaReads  = 1 << 2
	metaWrites = 1 << 3
	metaExecs  = 1 << 4
	metaOnes   = 1 << 5 // every count that is there is 1: nothing in colCounts
	metaMask   = 3 | metaReads | metaWrites | metaExecs | metaOnes
)

const flagIPs = 1 // block flag: instruction pointers are recorded

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blockEncoder collects records and makes raw blocks of them.
type blockEncoder struct {
	cols    [numColumns][]byte
	ips     []byte
	thread0 uint32 // thread when the block began
	hasIPs  bool
	run     uint64 // references since the last event
	refs    int
	events  int
	lastIP  uint64
	history [1 << 12]pageUse // by hash of the page: where it was used last
	recent  [maxBack + 1]Ref // the last references, by index modulo
	prevVPN uint64
	stats   blockStats
}

type pageUse struct {
	vpn uint64
	at  int // 1 + index of the reference, 0 = never
}

// blockStats is what the index tells of a block.
type blockStats struct {
	refs, records, accesses uint64
	firstNS, lastNS         uint64
	threads                 map[uint32]struct{}
}

func (b *blockEncoder) reset(thread uint32) {
	for i := range b.cols {
		b.cols[i] = b.cols[i][:0]
	}
	b.ips = b.ips[:0]
	b.thread0, b.hasIPs = thread, false
	b.run, b.refs, b.events, b.lastIP, b.prevVPN = 0, 0, 0, 0, 0
	clear(b.history[:])
	b.stats = blockStats{threads: map[uint32]struct{}{thread: {}}}
}

func (b *blockEncoder) empty() bool { return b.refs == 0 && b.events == 0 }

// size is about how large the raw block is now.
func (b *blockEncoder) size() int {
	n := blockHeaderBytes + len(b.ips)
	for i := range b.cols {
		n += len(b.cols[i])
	}
	return n
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// ref appends a reference. Preconditions: valid (see checkRef); ip is given for
// all references of a block or for none.
func (b *blockEncoder) ref(r *Ref, ip uint64, withIP bool) {
	i := b.refs
	pred := b.page(r.VPN, i)
	b.meta(r)
	off := (r.Offset - pred) & 0xfff
	b.cols[colOffLow] = append(b.cols[colOffLow], byte(off))
	b.cols[colOffHigh] = append(b.cols[colOffHigh], byte(off>>8))
	if withIP {
		b.hasIPs = true
		b.ips = binary.AppendUvarint(b.ips, zigzag(int64(ip-b.lastIP)))
		b.lastIP = ip
	}
	b.recent[i%len(b.recent)] = *r
	b.refs++
	b.run++
	b.stats.accesses += r.Accesses()
}

// page appends the page token and returns the prediction of the offset. A token
// below 128 says how far back (1 to 127) the same page was referenced last; 128
// + n announces n bytes of zigzag delta to the page before.
func (b *blockEncoder) page(vpn uint64, i int) uint16 {
	use := &b.history[vpn*0x9e3779b97f4a7c15>>52]
	back := i + 1 - use.at
	found := use.at != 0 && use.vpn == vpn && back <= maxBack
	use.vpn, use.at = vpn, i+1
	delta := zigzag(int64(vpn - b.prevVPN))
	b.prevVPN = vpn
	if found {
		b.cols[colPages] = append(b.cols[colPages], byte(back))
		return b.recent[(i-back)%len(b.recent)].Offset
	}
	n := (bits.Len64(delta) + 7) / 8
	b.cols[colPages] = append(b.cols[colPages], byte(128+n))
	for ; delta != 0; delta >>= 8 {
		b.cols[colDeltas] = append(b.cols[colDeltas], byte(delta))
	}
	return 0
}

func (b *blockEncoder) meta(r *Ref) {
	m := byte(r.First) | metaOnes
	for _, c := range [3]struct {
		n   uint32
		bit byte
	}{{r.Reads, metaReads}, {r.Writes, metaWrites}, {r.Execs, metaExecs}} {
		if c.n != 0 {
			m |= c.bit
		}
		if c.n > 1 {
			m &^= metaOnes
		}
	}
	b.cols[colMeta] = append(b.cols[colMeta], m)
	if m&metaOnes != 0 {
		return
	}
	for _, n := range [3]uint32{r.Reads, r.Writes, r.Execs} {
		if n != 0 {
			b.cols[colCounts] = binary.AppendUvarint(b.cols[colCounts], uint64(n))
		}
	}
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
	switch e.Kind {
	case KindSched:
		b.stats.threads[uint32(e.Args[0])] = struct{}{}
	case KindTime:
		if b.stats.firstNS == 0 {
			b.stats.firstNS = e.Args[0]
		}
		b.stats.lastNS = e.Args[0]
	}
}

// finish makes the raw block in dst. seq is the number of its first record.
func (b *blockEncoder) finish(dst []byte, seq uint64) []byte {
	b.stats.refs, b.stats.records = uint64(b.refs), uint64(b.refs+b.events)
	var h [blockHeaderBytes]byte
	le := binary.LittleEndian
	le.PutUint64(h[8:], seq)
	le.PutUint32(h[16:], uint32(b.refs))
	le.PutUint32(h[20:], uint32(b.events))
	le.PutUint32(h[24:], b.thread0)
	if b.hasIPs {
		h[28] = flagIPs
	}
	for i := range b.cols {
		le.PutUint32(h[32+4*i:], uint32(len(b.cols[i])))
	}
	le.PutUint32(h[64:], uint32(len(b.ips)))
	start := len(dst)
	dst = append(dst, h[:]...)
	for i := range b.cols {
		dst = append(dst, b.cols[i]...)
	}
	dst = append(dst, b.ips...)
	seal(dst[start:])
	return dst
}

// seal sets length and checksum of a raw block.
func seal(raw []byte) {
	if len(raw) < blockHeaderBytes {
		return
	}
	binary.LittleEndian.PutUint32(raw[4:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(raw, crc32.Checksum(raw[4:], castagnoli))
}

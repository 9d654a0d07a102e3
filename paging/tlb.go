package paging

import (
	"slices"
	"sync/atomic"
)

// A translation lookaside buffer of one CPU: a first level each for
// instructions and data and a second level for both, set-associative with true
// LRU inside a set, tagged by ASID.
//
// A hit means that the access needs nothing else: the entry is there, it
// permits the access, and a write finds the dirty bit already set. An entry
// that is there but does not permit the access, or whose dirty bit a write has
// yet to set, is a check: the walker has to look at the page table (Intel SDM
// volume 3, section 4.10.2: processors do not cache "not present", and set the
// dirty flag before they write through a cached translation).
//
// A walk fills the second level and the first level of its kind; a second
// level hit fills the first level. The levels are neither inclusive nor
// exclusive: each evicts by itself. Flushes clear both.
//
// A tlb is used by one goroutine at a time: its CPU's lock guards it.

// TLBConfig is the geometry of the TLB of one CPU.
type TLBConfig struct {
	L1I, L1D, L2 TLBGeometry
	Large        LargeTLB // zero = the default's
}

// TLBGeometry is the size of one level. Ways must divide Entries; the number
// of sets need not be a power of two.
type TLBGeometry struct {
	Entries int
	Ways    int
}

// tlbEntry is what a TLB holds of a translation.
type tlbEntry struct {
	pfn   uint32
	flags tlbFlags
}

type tlbFlags uint8

const (
	tlbWrite          = tlbFlags(pteW) // writable
	tlbDirty          = tlbFlags(pteD) // the dirty bit is set in the page table
	tlbExec  tlbFlags = 1 << 2         // executable
)

// tlbHit is the answer to a lookup.
type tlbHit uint8

const (
	tlbMiss  tlbHit = iota // not there: walk
	tlbCheck               // there, but the page table has to be looked at
	tlbFound               // there and good for the access
)

// need is what an access wants of an entry.
var tlbNeed = [4]tlbFlags{Read: 0, Write: tlbWrite | tlbDirty, Exec: tlbExec}

// A word is what a level knows of a translation but its frame:
// vpn<<16 | flags<<8 | ASID. 0 is an empty way (ASID 0 is never given out). A
// Ref has the same layout, so that one comparison tells that an entry is there
// and permits the access.
const (
	wordVPNAt   = 16
	wordFlagsAt = 8
	wordFlags   = 0xff << wordFlagsAt
	wordASID    = 0xff
)

func wordKey(asid uint16, vpn uint64) uint64 { return vpn<<wordVPNAt | uint64(asid) }

func mkWord(key uint64, f tlbFlags) uint64 { return key | uint64(f)<<wordFlagsAt }

// tlbLevel is one level: sets of ways in no order. The least recently used way
// of a set is the one with the lowest stamp, where empty ways have 0, or the one
// that its order has last. A stamp is cheap to set, an order to ask.
type tlbLevel struct {
	words  []uint64
	stamps []uint64   // tlb.clock at the last use
	orders []lruOrder // of the sets; nil: there are stamps
	pfns   []uint32
	ways   int
	sets   uint64
	mask   uint64 // sets-1 where sets is a power of two, else 0
}

// newTLBLevel makes a level of words and stamps, which are its own from then on,
// or of words and orders if stamps is nil.
func newTLBLevel(g TLBGeometry, words, stamps []uint64) tlbLevel {
	l := tlbLevel{words: words, stamps: stamps, pfns: make([]uint32, g.Entries), ways: g.Ways, sets: uint64(g.Entries / g.Ways)}
	if l.sets&(l.sets-1) == 0 {
		l.mask = l.sets - 1
	}
	if stamps == nil {
		l.orders = make([]lruOrder, l.sets)
		for i := range l.orders {
			l.orders[i] = newLRUOrder(l.ways)
		}
	}
	return l
}

// masked says that the last bits of a page number are that of its set.
func (l *tlbLevel) masked() bool { return l.mask != 0 || l.sets == 1 }

// set is the number of the set of a page.
func (l *tlbLevel) set(vpn uint64) uint64 {
	if l.masked() {
		return vpn & l.mask
	}
	return vpn % l.sets
}

// base is the index of the first way of the set of a page.
func (l *tlbLevel) base(vpn uint64) int { return int(l.set(vpn)) * l.ways }

// find returns the index of an entry, or -1.
func (l *tlbLevel) find(key uint64) int {
	b := l.base(key >> wordVPNAt)
	for i, w := range l.words[b : b+l.ways] {
		if w&^wordFlags == key {
			return b + i
		}
	}
	return -1
}

// wayBits are the bits of a way in one word with its stamp.
const wayBits = 8

// oldest returns the index of the way of a set that is to be filled next.
func (l *tlbLevel) oldest(vpn uint64) int {
	s := l.set(vpn)
	b := int(s) * l.ways
	if l.orders != nil {
		return b + l.orders[s].last(l.ways)
	}
	set := l.stamps[b : b+l.ways]
	if len(set) > 1<<wayBits {
		return b + slices.Index(set, slices.Min(set))
	}
	lowest := set[0] << wayBits
	for i, s := range set { // no branch to be guessed
		lowest = min(lowest, s<<wayBits|uint64(i))
	}
	return b + int(lowest&(1<<wayBits-1))
}

// renew returns the index of the way that is to be filled next, and notes that it
// is used now.
func (l *tlbLevel) renew(vpn, now uint64) int {
	if l.orders == nil {
		i := l.oldest(vpn)
		l.stamps[i] = now
		return i
	}
	s := l.set(vpn)
	way := l.orders[s].last(l.ways)
	l.orders[s] = l.orders[s].turn(l.ways)
	return int(s)*l.ways + way
}

// use notes that a page, which is in a way, is used now.
func (l *tlbLevel) use(i int, vpn, now uint64) {
	if l.orders == nil {
		l.stamps[i] = now
		return
	}
	s := l.set(vpn)
	l.orders[s] = l.orders[s].first(i - int(s)*l.ways)
}

// put fills a way; its turn to go stays.
func (l *tlbLevel) put(i int, key uint64, e tlbEntry) {
	l.words[i], l.pfns[i] = mkWord(key, e.flags), e.pfn
}

// entry is what a way holds.
func (l *tlbLevel) entry(i int) tlbEntry {
	return tlbEntry{l.pfns[i], tlbFlags(l.words[i] >> wordFlagsAt)}
}

// clear empties a way, which is the next to be filled. Precondition: it is full.
func (l *tlbLevel) clear(i int) {
	s := l.set(l.words[i] >> wordVPNAt)
	l.words[i] = 0
	if l.orders == nil {
		l.stamps[i] = 0
		return
	}
	l.orders[s] = l.orders[s].moveLast(i-int(s)*l.ways, l.ways)
}

// remove takes a page out. It may be there twice: see missed.
func (l *tlbLevel) remove(key uint64) {
	b := l.base(key >> wordVPNAt)
	for i, w := range l.words[b : b+l.ways] {
		if w&^wordFlags == key {
			l.clear(b + i)
		}
	}
}

// removeIf takes every entry out whose key is chosen.
func (l *tlbLevel) removeIf(chosen func(key uint64) bool) {
	for i, w := range l.words {
		if w != 0 && chosen(w&^wordFlags) {
			l.clear(i)
		}
	}
}

// tlbHints is how many hints there are for each side.
const tlbHints = 512

// tlb is the TLB of one CPU.
type tlb struct {
	l1    [2]tlbLevel // data, instructions
	l2    tlbLevel
	clock uint64 // lookups and fills so far, the stamp of the last
	stats TLBStats

	// What hits looks at: the words and stamps of both first levels one behind
	// the other, and where among them a page was last. A hint may be wrong, but
	// it never leads to the other side.
	words, stamps []uint64
	hints         [2 * tlbHints]uint32

	large    [2]largeTLB
	anyLarge bool // a large page was ever there
	fetched  bool // something was ever in the first level of instructions
	fits     bool // translateWords is for it
}

// newTLB makes a TLB for page tables whose tables are indexed by so many bits.
func newTLB(c TLBConfig, bits uint) *tlb {
	d, i := c.L1D.Entries, c.L1I.Entries
	t := &tlb{words: make([]uint64, d+i), stamps: make([]uint64, d+i)}
	t.l1[0] = newTLBLevel(c.L1D, t.words[:d], t.stamps[:d])
	t.l1[1] = newTLBLevel(c.L1I, t.words[d:], t.stamps[d:])
	var stamps []uint64
	if c.L2.Ways > orderWays {
		stamps = make([]uint64, c.L2.Entries)
	}
	t.l2 = newTLBLevel(c.L2, make([]uint64, c.L2.Entries), stamps)
	t.large = newLargeTLB(c.large(), bits, &t.l2)
	d1, i1 := &t.l1[0], &t.l1[1]
	t.fits = wideWords && d1.ways == 4 && i1.ways%4 == 0 && t.l2.ways == 12 && d1.masked() && i1.masked() && t.l2.masked()
	for h := range tlbHints {
		t.hints[tlbHints+h] = uint32(d)
	}
	return t
}

// side is 1 for instruction fetches, 0 for data.
func side(a Access) int {
	if a == Exec {
		return 1
	}
	return 0
}

// hint notes which way of the first level of a side a page is in.
func (t *tlb) hint(s int, vpn uint64, way int) {
	t.hints[uint64(s)*tlbHints+vpn%tlbHints] = uint32(s*len(t.l1[0].words) + way)
	t.fetched = t.fetched || s != 0
}

// hits performs references for as long as each is a hit in the first level, where
// the hint says, and returns how many. It does not count lookups.
func (t *tlb) hits(asid uint16, refs []Ref, stop *atomic.Bool) int {
	words, clock := t.words, t.clock
	stamps := t.stamps[:len(words)]
	for i, r := range refs {
		w := uint64(r)
		at := t.hints[w>>wordVPNAt%tlbHints|w&refFetch*(tlbHints/refFetch)]
		if int(at) >= len(words) || words[at]&(w|^uint64(wordFlags)) != w&^wordASID|uint64(asid) || stop.Load() {
			t.clock = clock
			return i
		}
		clock++
		stamps[at] = clock
	}
	t.clock = clock
	return len(refs)
}

// lookup looks a page up for an access, counting it. Precondition: asid != 0.
func (t *tlb) lookup(asid uint16, vpn uint64, a Access) tlbHit {
	s := side(a)
	l1 := &t.l1[s]
	t.stats.lookups[s]++
	t.clock++
	key := wordKey(asid, vpn)
	i := l1.find(key)
	if i < 0 {
		if t.anyLarge {
			if hit, ok := t.lookupLarge(asid, vpn, a); ok {
				return hit
			}
		}
		t.stats.l1Misses[s]++
		j := t.l2.find(key)
		if j < 0 {
			t.stats.misses[s]++
			return tlbMiss
		}
		t.l2.use(j, vpn, t.clock)
		i = l1.oldest(vpn)
		l1.put(i, key, t.l2.entry(j))
	}
	l1.stamps[i] = t.clock
	t.hint(s, vpn, i)
	if need := tlbNeed[a]; l1.entry(i).flags&need != need {
		t.stats.checks++
		return tlbCheck
	}
	return tlbFound
}

// missed counts a lookup of a page whose entry is empty. Nothing is cached of it
// but what a flush has yet to reach, on its way from another CPU; then the page may
// be in a set twice until it does.
func (t *tlb) missed(a Access) {
	s := side(a)
	t.clock++
	t.stats.lookups[s]++
	t.stats.l1Misses[s]++
	t.stats.misses[s]++
}

// fill puts a translation that has missed into the second level and the first
// level of the access's kind after a walk; an entry in the other first level is
// brought up to date. Precondition: the last lookup of the page was a miss.
func (t *tlb) fill(asid uint16, vpn uint64, a Access, e tlbEntry) {
	t.enter(asid, vpn, a, e, t.l2.renew(vpn, t.clock+1), t.l1[side(a)].oldest(vpn))
}

// insert is fill for a page that may be there already.
func (t *tlb) insert(asid uint16, vpn uint64, a Access, e tlbEntry) {
	key := wordKey(asid, vpn)
	at := func(l *tlbLevel) int {
		if i := l.find(key); i >= 0 {
			return i
		}
		return l.oldest(vpn)
	}
	in2 := at(&t.l2)
	t.l2.use(in2, vpn, t.clock+1)
	t.enter(asid, vpn, a, e, in2, at(&t.l1[side(a)]))
}

// enter puts a translation into these ways, of which that of the second level is
// the latest already.
func (t *tlb) enter(asid uint16, vpn uint64, a Access, e tlbEntry, in2, in1 int) {
	t.clock++
	key, s := wordKey(asid, vpn), side(a)
	t.l2.put(in2, key, e)
	t.l1[s].put(in1, key, e)
	t.l1[s].stamps[in1] = t.clock
	t.hint(s, vpn, in1)
	other := &t.l1[1-s]
	if i := other.find(key); i >= 0 {
		other.put(i, key, e)
	}
}

func (t *tlb) levels() [3]*tlbLevel { return [3]*tlbLevel{&t.l1[0], &t.l1[1], &t.l2} }

// allLevels are levels and those of large pages.
func (t *tlb) allLevels() []*tlbLevel {
	g, l := &t.large[1], &t.large[0]
	return []*tlbLevel{&t.l1[0], &t.l1[1], &t.l2, &l.l1[0], &l.l1[1], &g.l1[0], &g.l1[1], g.l2}
}

// flushRange forgets the pages [start, end) of one address space.
func (t *tlb) flushRange(asid uint16, start, end uint64) {
	if t.anyLarge {
		t.flushLarge(asid, start, end)
	}
	if end-start == 1 {
		t.flushPage(wordKey(asid, start))
		return
	}
	for _, l := range t.levels() {
		if end-start <= 64 {
			for vpn := start; vpn < end; vpn++ {
				l.remove(wordKey(asid, vpn))
			}
			continue
		}
		l.removeIf(func(key uint64) bool {
			return key&wordASID == uint64(asid) && key>>wordVPNAt >= start && key>>wordVPNAt < end
		})
	}
}

// flushPage forgets a page.
func (t *tlb) flushPage(key uint64) {
	if t.fetched {
		t.l1[1].remove(key)
	}
	if t.has(key) {
		t.l1[0].remove(key)
		t.l2.remove(key)
	}
}

// flushASID forgets one address space.
func (t *tlb) flushASID(asid uint16) {
	gone := func(key uint64) bool { return key&wordASIDs == uint64(asid) }
	for _, l := range t.levels() {
		l.removeIf(gone)
	}
	if t.anyLarge {
		for _, l := range t.allLevels()[3:] {
			l.removeIf(gone)
		}
	}
}

// each calls f for every entry of every level; the recount of Check uses it.
func (t *tlb) each(f func(asid uint16, class tlbClass, vpn uint64, e tlbEntry)) {
	for _, l := range t.allLevels() {
		for i, w := range l.words {
			if w == 0 {
				continue
			}
			class, vpn := tlbClass(w&wordASID>>wordClassAt), w>>wordVPNAt
			if class != tlbSmall {
				vpn <<= t.large[class-tlbLarge].shift
			}
			f(uint16(w&wordASIDs), class, vpn, l.entry(i))
		}
	}
}

// TLBStats counts lookups and misses of TLBs. Index 0 of the arrays is data, 1
// instructions.
type TLBStats struct {
	lookups, l1Misses, misses [2]uint64
	checks                    uint64
}

// Lookups is the number of accesses that asked the TLB.
func (s TLBStats) Lookups() uint64 { return s.lookups[0] + s.lookups[1] }

// L1Misses is the number of accesses that missed in the first level.
func (s TLBStats) L1Misses() uint64 { return s.l1Misses[0] + s.l1Misses[1] }

// Misses is the number of accesses that missed in all levels.
func (s TLBStats) Misses() uint64 { return s.misses[0] + s.misses[1] }

// DataMisses are the misses of reads and writes.
func (s TLBStats) DataMisses() uint64 { return s.misses[0] }

// ExecMisses are the misses of instruction fetches.
func (s TLBStats) ExecMisses() uint64 { return s.misses[1] }

// Walks is the number of page-table walks: misses, and hits for which the page
// table had to be looked at (a first write, a refused access).
func (s TLBStats) Walks() uint64 { return s.Misses() + s.checks }

func (s *TLBStats) add(o *TLBStats) {
	for i := range s.lookups {
		s.lookups[i] += o.lookups[i]
		s.l1Misses[i] += o.l1Misses[i]
		s.misses[i] += o.misses[i]
	}
	s.checks += o.checks
}

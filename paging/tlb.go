package paging

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
	tlbWrite tlbFlags = 1 << iota // writable
	tlbDirty                      // the dirty bit is set in the page table
	tlbExec                       // executable
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

// tlbLevel is one level: sets of ways, most recently used first. A tag is
// vpn<<16|asid, and 0 is an empty way (ASID 0 is never given out).
type tlbLevel struct {
	tags    []uint64
	entries []tlbEntry
	ways    int
	sets    uint64
	mask    uint64 // sets-1 where sets is a power of two, else 0
}

func newTLBLevel(g TLBGeometry) tlbLevel {
	l := tlbLevel{tags: make([]uint64, g.Entries), entries: make([]tlbEntry, g.Entries), ways: g.Ways, sets: uint64(g.Entries / g.Ways)}
	if l.sets&(l.sets-1) == 0 {
		l.mask = l.sets - 1
	}
	return l
}

// base is the index of the first way of the set of a page.
func (l *tlbLevel) base(vpn uint64) int {
	if l.mask != 0 || l.sets == 1 {
		return int(vpn&l.mask) * l.ways
	}
	return int(vpn%l.sets) * l.ways
}

// find returns the index of the entry after moving it to the front of its set,
// or -1.
func (l *tlbLevel) find(tag uint64) int {
	b := l.base(tag >> 16)
	set := l.tags[b : b+l.ways]
	if set[0] == tag {
		return b
	}
	for i := 1; i < len(set); i++ {
		if set[i] == tag {
			e := l.entries[b+i]
			copy(set[1:i+1], set[:i])
			copy(l.entries[b+1:b+i+1], l.entries[b:b+i])
			set[0], l.entries[b] = tag, e
			return b
		}
	}
	return -1
}

// insert puts the entry in front of its set; the least recently used one goes.
func (l *tlbLevel) insert(tag uint64, e tlbEntry) {
	if i := l.find(tag); i >= 0 {
		l.entries[i] = e
		return
	}
	b := l.base(tag >> 16)
	last := b + l.ways
	copy(l.tags[b+1:last], l.tags[b:last-1])
	copy(l.entries[b+1:last], l.entries[b:last-1])
	l.tags[b], l.entries[b] = tag, e
}

// refresh brings an entry up to date, if it is there; its turn to go stays.
func (l *tlbLevel) refresh(tag uint64, e tlbEntry) {
	b := l.base(tag >> 16)
	for i, t := range l.tags[b : b+l.ways] {
		if t == tag {
			l.entries[b+i] = e
			return
		}
	}
}

// remove takes one entry out and closes the gap.
func (l *tlbLevel) remove(tag uint64) {
	i := l.find(tag)
	if i < 0 {
		return
	}
	last := i + l.ways
	copy(l.tags[i:last-1], l.tags[i+1:last])
	copy(l.entries[i:last-1], l.entries[i+1:last])
	l.tags[last-1] = 0
}

// removeIf takes every entry out whose tag is chosen.
func (l *tlbLevel) removeIf(chosen func(tag uint64) bool) {
	for b := 0; b < len(l.tags); b += l.ways {
		n := b
		for i := b; i < b+l.ways; i++ {
			if t := l.tags[i]; t != 0 && !chosen(t) {
				l.tags[n], l.entries[n] = t, l.entries[i]
				n++
			}
		}
		clear(l.tags[n : b+l.ways])
	}
}

// tlb is the TLB of one CPU.
type tlb struct {
	l1    [2]tlbLevel // data, instructions
	l2    tlbLevel
	stats TLBStats
}

func newTLB(c TLBConfig) *tlb {
	return &tlb{l1: [2]tlbLevel{newTLBLevel(c.L1D), newTLBLevel(c.L1I)}, l2: newTLBLevel(c.L2)}
}

// side is 1 for instruction fetches, 0 for data.
func side(a Access) int {
	if a == Exec {
		return 1
	}
	return 0
}

// lookup looks a page up for an access, counting it. Precondition: asid != 0.
func (t *tlb) lookup(asid uint16, vpn uint64, a Access) tlbHit {
	s := side(a)
	l1 := &t.l1[s]
	t.stats.lookups[s]++
	tag := vpn<<16 | uint64(asid)
	i := l1.find(tag)
	if i < 0 {
		t.stats.l1Misses[s]++
		j := t.l2.find(tag)
		if j < 0 {
			t.stats.misses[s]++
			return tlbMiss
		}
		l1.insert(tag, t.l2.entries[j])
		i = l1.base(vpn)
	}
	if need := tlbNeed[a]; l1.entries[i].flags&need != need {
		t.stats.checks++
		return tlbCheck
	}
	return tlbFound
}

// insert fills the second level and the first level of the access's kind after
// a walk; an entry in the other first level is brought up to date.
func (t *tlb) insert(asid uint16, vpn uint64, a Access, e tlbEntry) {
	tag := vpn<<16 | uint64(asid)
	t.l2.insert(tag, e)
	t.l1[side(a)].insert(tag, e)
	t.l1[1-side(a)].refresh(tag, e)
}

func (t *tlb) levels() [3]*tlbLevel { return [3]*tlbLevel{&t.l1[0], &t.l1[1], &t.l2} }

// flushRange forgets the pages [start, end) of one address space.
func (t *tlb) flushRange(asid uint16, start, end uint64) {
	for _, l := range t.levels() {
		if end-start <= 64 {
			for vpn := start; vpn < end; vpn++ {
				l.remove(vpn<<16 | uint64(asid))
			}
			continue
		}
		l.removeIf(func(tag uint64) bool {
			return uint16(tag) == asid && tag>>16 >= start && tag>>16 < end
		})
	}
}

// flushASID forgets one address space.
func (t *tlb) flushASID(asid uint16) {
	for _, l := range t.levels() {
		l.removeIf(func(tag uint64) bool { return uint16(tag) == asid })
	}
}

// each calls f for every entry of every level; the recount of Check uses it.
func (t *tlb) each(f func(asid uint16, vpn uint64, e tlbEntry)) {
	for _, l := range t.levels() {
		for i, tag := range l.tags {
			if tag != 0 {
				f(uint16(tag), tag>>16, l.entries[i])
			}
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

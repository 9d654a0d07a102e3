package paging

// Entries of large pages in a TLB. As in processors since Haswell the first levels
// have ways of their own for 2 MiB pages (4 MiB with 2 levels of tables) and for
// 1 GiB pages, while the second level holds pages of 4 KiB and 2 MiB side by side,
// and those of 1 GiB apart (Intel 64 and IA-32 Architectures Optimization
// Reference Manual, tables of TLB parameters of Haswell and Skylake).

// tlbClass is a size of page.
type tlbClass uint8

const (
	tlbSmall tlbClass = iota
	tlbLarge
	tlbGiant
)

// String is the level of the table whose entries map pages of the size.
func (c tlbClass) String() string { return name([]string{"PTE", "PMD", "PUD"}, int(c)) }

// A word tells the size of its page by bits that ASIDs leave free; its page number
// counts pages of that size.
const (
	wordClassAt = 6
	wordASIDs   = 1<<wordClassAt - 1
)

// LargeTLB is the geometry for large pages.
type LargeTLB struct {
	L1I, L1D TLBGeometry // of 2 MiB pages
	L1Giant  TLBGeometry // of 1 GiB pages, for instructions and data each
	L2Giant  TLBGeometry
}

// defaultLargeTLB is that of Skylake.
var defaultLargeTLB = LargeTLB{L1I: TLBGeometry{8, 8}, L1D: TLBGeometry{32, 4}, L1Giant: TLBGeometry{4, 4}, L2Giant: TLBGeometry{16, 4}}

// largeTLB is the part of a TLB for one size of large pages.
type largeTLB struct {
	shift uint // log2 of the 4 KiB pages in one
	class tlbClass
	l1    [2]tlbLevel
	l2    *tlbLevel
}

func newLargeTLB(c LargeTLB, bits uint, shared *tlbLevel) [2]largeTLB {
	level := func(g TLBGeometry) tlbLevel {
		return newTLBLevel(g, make([]uint64, g.Entries), make([]uint64, g.Entries))
	}
	giant := level(c.L2Giant)
	return [2]largeTLB{
		{shift: bits, class: tlbLarge, l1: [2]tlbLevel{level(c.L1D), level(c.L1I)}, l2: shared},
		{shift: 2 * bits, class: tlbGiant, l1: [2]tlbLevel{level(c.L1Giant), level(c.L1Giant)}, l2: &giant},
	}
}

// key is the word of a page without flags.
func (l *largeTLB) key(asid uint16, vpn uint64) uint64 {
	return wordKey(asid, vpn>>l.shift) | uint64(l.class)<<wordClassAt
}

// touch notes a use of an entry of a level.
func (t *tlb) touch(l *tlbLevel, i int, key uint64) { l.use(i, key>>wordVPNAt, t.clock) }

// lookupLarge is lookup among the large pages; ok is false when none is there.
func (t *tlb) lookupLarge(asid uint16, vpn uint64, a Access) (hit tlbHit, ok bool) {
	s := side(a)
	for c := range t.large {
		l := &t.large[c]
		key := l.key(asid, vpn)
		l1 := &l.l1[s]
		i := l1.find(key)
		if i < 0 {
			j := l.l2.find(key)
			if j < 0 {
				continue
			}
			t.stats.l1Misses[s]++
			t.touch(l.l2, j, key)
			i = l1.oldest(key >> wordVPNAt)
			l1.put(i, key, l.l2.entry(j))
		}
		l1.stamps[i] = t.clock
		if need := tlbNeed[a]; l1.entry(i).flags&need != need {
			t.stats.checks++
			return tlbCheck, true
		}
		return tlbFound, true
	}
	return tlbMiss, false
}

// insertLarge puts the translation of a large page in, in place of what is known of
// it.
func (t *tlb) insertLarge(class tlbClass, asid uint16, vpn uint64, a Access, e tlbEntry) {
	t.anyLarge = true
	t.clock++
	l := &t.large[class-tlbLarge]
	key := l.key(asid, vpn)
	put := func(level *tlbLevel) {
		i := level.find(key)
		if i < 0 {
			i = level.oldest(key >> wordVPNAt)
		}
		level.put(i, key, e)
		t.touch(level, i, key)
	}
	put(l.l2)
	put(&l.l1[side(a)])
	if other := &l.l1[1-side(a)]; other.find(key) >= 0 {
		other.put(other.find(key), key, e)
	}
}

// flushLarge forgets the large pages that lie in [start, end), or reach into it.
func (t *tlb) flushLarge(asid uint16, start, end uint64) {
	for c := range t.large {
		l := &t.large[c]
		first, last := start>>l.shift, (end-1)>>l.shift
		chosen := func(key uint64) bool {
			at := key >> wordVPNAt
			return key&wordASID == l.key(asid, 0)&wordASID && at >= first && at <= last
		}
		l.l1[0].removeIf(chosen)
		l.l1[1].removeIf(chosen)
		l.l2.removeIf(chosen)
	}
}

package paging

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
)

// small is a TLB that can be followed by hand: L1 of 2 sets of 2 ways for data
// and for instructions, L2 of 3 sets of 2 ways.
var small = TLBConfig{L1I: TLBGeometry{4, 2}, L1D: TLBGeometry{4, 2}, L2: TLBGeometry{6, 2}}

const writable = tlbWrite | tlbDirty | tlbExec

// look looks up and, after a miss, walks.
func (t *tlb) look(asid uint16, vpn uint64, a Access) tlbHit {
	hit := t.lookup(asid, vpn, a)
	if hit == tlbMiss {
		t.insert(asid, vpn, a, tlbEntry{pfn: uint32(vpn) + 100, flags: writable})
	}
	return hit
}

// Solved by hand: pages 0, 2, 4, 6 share set 0 of the L1 (2 sets), pages 0, 3, 6
// set 0 of the L2 (3 sets).
func TestTLBSetsAndLRU(t *testing.T) {
	tl := newTLB(small, 9)
	for i, s := range []struct {
		vpn  uint64
		want tlbHit
		l1   uint64 // L1 misses so far
	}{
		{0, tlbMiss, 1},
		{2, tlbMiss, 2},
		{0, tlbFound, 2}, // L1 set 0: 0 2
		{4, tlbMiss, 3},  // L1 set 0: 4 0, 2 goes; L2: set 0: 0, set 1: 4, set 2: 2
		{2, tlbFound, 4}, // from the L2; L1 set 0: 2 4
		{0, tlbFound, 5}, // from the L2; L1 set 0: 0 2
		{3, tlbMiss, 6},  // L1 set 1: 3; L2 set 0: 3 0
		{6, tlbMiss, 7},  // L1 set 0: 6 0; L2 set 0: 6 3, 0 goes (its hit was in the L1)
		{0, tlbFound, 7}, // still in the L1: not inclusive; L1 set 0: 0 6
		{4, tlbFound, 8}, // from the L2; L1 set 0: 4 0
		{6, tlbFound, 9}, // from the L2; L1 set 0: 6 4; L2 set 0: 6 3
		{0, tlbMiss, 10}, // gone everywhere
	} {
		if got := tl.look(1, s.vpn, Read); got != s.want || tl.stats.L1Misses() != s.l1 {
			t.Fatalf("step %d, page %d: %d with %d L1 misses, want %d with %d", i, s.vpn, got, tl.stats.L1Misses(), s.want, s.l1)
		}
	}
	if s := tl.stats; s.Lookups() != 12 || s.Misses() != 6 || s.Walks() != 6 {
		t.Errorf("%d lookups, %d misses, %d walks; want 12, 6, 6", s.Lookups(), s.Misses(), s.Walks())
	}
}

// Instructions and data have first levels of their own and share the second.
func TestTLBSides(t *testing.T) {
	tl := newTLB(small, 9)
	tl.look(1, 7, Read)
	if got := tl.look(1, 7, Exec); got != tlbFound {
		t.Errorf("a fetch after a read: %d, want a hit in the second level", got)
	}
	s := tl.stats
	if s.L1Misses() != 2 || s.Misses() != 1 || s.ExecMisses() != 0 || s.DataMisses() != 1 {
		t.Errorf("%+v", s)
	}
}

// What an entry does not permit is a check of the page table, not a miss (Intel
// SDM volume 3, 4.10.2.3, and 4.8 for the dirty flag).
func TestTLBChecks(t *testing.T) {
	tl := newTLB(small, 9)
	for _, c := range []struct {
		flags tlbFlags
		a     Access
		want  tlbHit
	}{
		{0, Read, tlbFound}, {0, Write, tlbCheck}, {0, Exec, tlbCheck},
		{tlbWrite, Write, tlbCheck}, // the dirty bit is not set yet
		{tlbWrite | tlbDirty, Write, tlbFound},
		{tlbDirty, Write, tlbCheck},
		{tlbExec, Exec, tlbFound},
	} {
		tl.insert(1, 9, Read, tlbEntry{1, c.flags})
		if got := tl.lookup(1, 9, c.a); got != c.want {
			t.Errorf("flags %#x, %v: %d, want %d", c.flags, c.a, got, c.want)
		}
	}
	if s := tl.stats; s.Misses() != 0 || s.Walks() != 4 {
		t.Errorf("%d misses, %d walks; want 0, 4", s.Misses(), s.Walks())
	}
}

func TestTLBFlush(t *testing.T) {
	fill := func() *tlb {
		tl := newTLB(TLBConfig{L1I: TLBGeometry{64, 4}, L1D: TLBGeometry{64, 4}, L2: TLBGeometry{512, 4}}, 9)
		for vpn := range uint64(40) {
			tl.look(1, vpn, Read)
			tl.look(2, vpn, Exec)
		}
		return tl
	}
	has := func(tl *tlb, asid uint16) (pages []uint64) {
		seen := map[uint64]bool{}
		tl.each(func(a uint16, _ tlbClass, vpn uint64, _ tlbEntry) {
			if a == asid && !seen[vpn] {
				seen[vpn] = true
				pages = append(pages, vpn)
			}
		})
		return pages
	}
	for _, c := range []struct {
		what         string
		flush        func(*tlb)
		left1, left2 int
	}{
		{"one page", func(tl *tlb) { tl.flushRange(1, 3, 4) }, 39, 40},
		{"33 pages", func(tl *tlb) { tl.flushRange(1, 2, 35) }, 7, 40},
		{"a range wider than the TLB is searched, not walked", func(tl *tlb) { tl.flushRange(2, 1, 1<<30) }, 40, 1},
		{"an address space", func(tl *tlb) { tl.flushASID(1) }, 0, 40},
		{"what is not there", func(tl *tlb) { tl.flushRange(1, 100, 120) }, 40, 40},
	} {
		tl := fill()
		c.flush(tl)
		if a, b := len(has(tl, 1)), len(has(tl, 2)); a != c.left1 || b != c.left2 {
			t.Errorf("%s: %d and %d pages are left, want %d and %d", c.what, a, b, c.left1, c.left2)
		}
	}
}

// slowTLB is the same by other means: every level is a map from set to a list,
// oldest last.
type slowTLB struct {
	config TLBConfig
	levels [3]map[uint64][]slowEntry // L1D, L1I, L2
	misses [3]int
}

type slowEntry struct {
	asid uint16
	vpn  uint64
	e    tlbEntry
}

func (s *slowTLB) geometry(level int) TLBGeometry {
	return [3]TLBGeometry{s.config.L1D, s.config.L1I, s.config.L2}[level]
}

func (s *slowTLB) set(level int, vpn uint64) uint64 {
	g := s.geometry(level)
	return vpn % uint64(g.Entries/g.Ways)
}

func (s *slowTLB) position(level int, asid uint16, vpn uint64) int {
	return slices.IndexFunc(s.levels[level][s.set(level, vpn)], func(e slowEntry) bool { return e.asid == asid && e.vpn == vpn })
}

// use puts an entry in front, evicting the last.
func (s *slowTLB) use(level int, n slowEntry) {
	set := s.set(level, n.vpn)
	l := s.levels[level][set]
	if i := s.position(level, n.asid, n.vpn); i >= 0 {
		l = slices.Delete(l, i, i+1)
	}
	l = slices.Insert(l, 0, n)
	s.levels[level][set] = l[:min(len(l), s.geometry(level).Ways)]
}

func (s *slowTLB) lookup(asid uint16, vpn uint64, a Access) tlbHit {
	l1 := 0
	if a == Exec {
		l1 = 1
	}
	for _, level := range []int{l1, 2} {
		i := s.position(level, asid, vpn)
		if i < 0 {
			s.misses[level]++
			continue
		}
		e := s.levels[level][s.set(level, vpn)][i]
		s.use(level, e)
		if level == 2 {
			s.use(l1, e)
		}
		ok := true
		switch a {
		case Write:
			ok = e.e.flags&tlbWrite != 0 && e.e.flags&tlbDirty != 0
		case Exec:
			ok = e.e.flags&tlbExec != 0
		}
		if ok {
			return tlbFound
		}
		return tlbCheck
	}
	return tlbMiss
}

func (s *slowTLB) insert(asid uint16, vpn uint64, a Access, e tlbEntry) {
	l1, other := 0, 1
	if a == Exec {
		l1, other = 1, 0
	}
	s.use(2, slowEntry{asid, vpn, e})
	s.use(l1, slowEntry{asid, vpn, e})
	if i := s.position(other, asid, vpn); i >= 0 {
		s.levels[other][s.set(other, vpn)][i].e = e
	}
}

func (s *slowTLB) flush(gone func(slowEntry) bool) {
	for _, level := range s.levels {
		for set, l := range level {
			level[set] = slices.DeleteFunc(l, gone)
		}
	}
}

// turn is how many ways of its set were used after a way.
func (l *tlbLevel) turn(way int) (n int) {
	b := way - way%l.ways
	if l.orders != nil {
		for l.orders[b/l.ways]>>(4*n)&15 != lruOrder(way-b) {
			n++
		}
		return n
	}
	for _, stamp := range l.stamps[b : b+l.ways] {
		if stamp > l.stamps[way] {
			n++
		}
	}
	return n
}

// Random operations on the TLB and on its slow twin give the same answers, the
// same counts and, at the end, the same entries.
func TestTLBAgainstTwin(t *testing.T) {
	for seed, config := range []TLBConfig{small, DefaultTLB(), {L1I: TLBGeometry{12, 4}, L1D: TLBGeometry{5, 1}, L2: TLBGeometry{48, 48}}, {L1I: TLBGeometry{4, 4}, L1D: TLBGeometry{4, 4}, L2: TLBGeometry{3 * 16, 16}}} {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		fast := newTLB(config, 9)
		slow := &slowTLB{config: config}
		for i := range slow.levels {
			slow.levels[i] = map[uint64][]slowEntry{}
		}
		quick := 0 // found by hits
		for step := range 60000 {
			asid, vpn, a := uint16(1+rng.IntN(numASIDs)), rng.Uint64N(1<<rng.IntN(13)), Access(1+rng.IntN(3))
			switch rng.IntN(200) {
			case 0:
				fast.flushASID(asid)
				slow.flush(func(e slowEntry) bool { return e.asid == asid })
			case 1, 2:
				end := vpn + 1 + rng.Uint64N(100)
				fast.flushRange(asid, vpn, end)
				slow.flush(func(e slowEntry) bool { return e.asid == asid && e.vpn >= vpn && e.vpn < end })
			default:
				var count [4]uint32
				count[a] = 1
				if r := ref(t, vpn, a, count[Read], count[Write], count[Exec]); fast.hits(asid, []Ref{r}, new(atomic.Bool)) == 1 {
					quick++
					misses := slow.misses
					if got := slow.lookup(asid, vpn, a); got != tlbFound || slow.misses != misses {
						t.Fatalf("seed %d, step %d, ASID %d, page %d, %v: a hit in the first level, the twin says %d", seed, step, asid, vpn, a, got)
					}
					continue
				}
				got, want := fast.lookup(asid, vpn, a), slow.lookup(asid, vpn, a)
				if got != want {
					t.Fatalf("seed %d, step %d, ASID %d, page %d, %v: %d, the twin says %d", seed, step, asid, vpn, a, got, want)
				}
				if got != tlbFound {
					e := tlbEntry{pfn: rng.Uint32(), flags: tlbFlags(rng.IntN(8))}
					fast.insert(asid, vpn, a, e)
					slow.insert(asid, vpn, a, e)
				}
			}
		}
		if quick == 0 {
			t.Errorf("seed %d: hits found nothing", seed)
		}
		s := fast.stats
		if s.l1Misses != [2]uint64{uint64(slow.misses[0]), uint64(slow.misses[1])} || s.Misses() != uint64(slow.misses[2]) {
			t.Errorf("seed %d: misses %v, the twin has %v", seed, s, slow.misses)
		}
		n := 0
		for i, l := range fast.levels() {
			for j, w := range l.words {
				if w == 0 {
					continue
				}
				n++
				at := slow.position(i, uint16(w&wordASID), w>>wordVPNAt)
				if at != l.turn(j) || slow.levels[i][slow.set(i, w>>wordVPNAt)][at].e != l.entry(j) {
					t.Fatalf("seed %d, level %d: page %d of ASID %d stands at %d, in the twin at %d", seed, i, w>>wordVPNAt, w&wordASID, l.turn(j), at)
				}
			}
		}
		for _, level := range slow.levels {
			for _, l := range level {
				n -= len(l)
			}
		}
		if n != 0 {
			t.Errorf("seed %d: %d entries more than the twin", seed, n)
		}
	}
}

// ASIDs (arch/x86/mm/tlb.c:choose_new_asid): a CPU keeps six address spaces
// apart; a seventh takes the ASID given out longest ago, flushed.
func TestASIDs(t *testing.T) {
	c := DefaultConfig()
	c.CPUs = 2
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var tasks []*Task
	var addrs []uint64
	for i := range uint32(numASIDs + 1) {
		tk := m.NewProcess(i+1, i+1, 0)
		tasks = append(tasks, tk)
		addrs = append(addrs, tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon}))
		tk.touchAll(t, addrs[i], 1, Write)
	}
	missed := func(i int) bool {
		before := m.Stats().TLB.Misses()
		tasks[i].Access(addrs[i], Write)
		return m.Stats().TLB.Misses() != before
	}
	for i, want := range []bool{true, true, true, true, true, true, true} {
		// Seven spaces in turn on six ASIDs: each finds its own just taken.
		if got := missed(i); got != want {
			t.Errorf("space %d: missed %v, want %v", i, got, want)
		}
	}
	for _, i := range []int{6, 5, 4, 3, 2, 1, 6} { // the last six are kept
		if missed(i) {
			t.Errorf("space %d was among the last six and has lost its entry", i)
		}
	}
	if got := m.Stats().Flushes[FlushSwitch]; got.Full != 2*(numASIDs+1) || got.IPIs != 0 {
		t.Errorf("context switches flushed %+v, want %d: one for each new ASID", got, 2*(numASIDs+1))
	}

	// A space that was flushed while another ran is flushed on its return, once.
	parent := tasks[6]
	thread := parent.Clone(99, 1)
	parent.Access(addrs[6], Write)
	tasks[5].RunOn(0) // CPU 0 runs something else
	thread.Madvise(addrs[6], PageSize, madvDontNeed)
	before := m.Stats().Flushes[FlushSwitch].Full
	parent.RunOn(0)
	tasks[5].RunOn(0)
	parent.RunOn(0)
	if got := m.Stats().Flushes[FlushSwitch].Full - before; got != 1 {
		t.Errorf("%d flushes on the return, want 1", got)
	}
	check(t, m)
}

func TestParseTLB(t *testing.T) {
	if c, err := ParseTLB("l2=96x6,l1d=16x4"); err != nil || c.L2 != (TLBGeometry{96, 6}) || c.L1D != (TLBGeometry{16, 4}) || c.L1I != DefaultTLB().L1I {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := ParseTLB(DefaultTLB().String()); err != nil || c != DefaultTLB() {
		t.Errorf("the default does not survive: %+v, %v", c, err)
	}
	for _, bad := range []string{"", "l3=64x4", "l1d=64", "l1d=0x1", "l1d=64x5", "l2=2097152x1", "l1d=ax4"} {
		if _, err := ParseTLB(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, p := range tlbPresets {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

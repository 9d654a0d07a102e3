package paging

import "testing"

// TestTiers: a page accessed N times is in tier order_base_2(N), which is the logarithm
// rounded up (include/linux/mmzone.h, comment on MAX_NR_TIERS); what counts them ends at 5.
func TestTiers(t *testing.T) {
	var p mglruPage
	for n, want := range []int{0, 0, 1, 2, 2, 3, 3, 3} {
		if got := tierOf(p.count()); got != want {
			t.Errorf("%d accesses: tier %d, the kernel has %d", n, got, want)
		}
		p.access()
	}
}

// TestTierController holds the highest tier that may leave (get_tier_idx) against
// positive_ctrl_err by hand. Of the first tier 100 of 1000 came back: another one is
// compared with (100+1) * total * 2 by refaults * (1000+64), unless fewer than 64 came back.
func TestTierController(t *testing.T) {
	for _, c := range []struct {
		back, evicted, protected [mglruTiers]int // of the tiers from 1 on
		want                     int
	}{
		{[4]int{0, 63, 63, 63}, [4]int{0, 63, 63, 63}, [4]int{}, 3},   // too few to tell
		{[4]int{0, 64, 0, 0}, [4]int{0, 64, 0, 0}, [4]int{}, 0},       // 68,096 > 12,928
		{[4]int{0, 64, 0, 0}, [4]int{0, 64, 0, 0}, [4]int{0, 300}, 3}, // 68,096 <= 73,528: those protected count
		{[4]int{0, 90, 200, 0}, [4]int{0, 1000, 500, 0}, [4]int{}, 1}, // 95,760 <= 202,000; 212,800 > 101,000
		{[4]int{0, 64, 0, 0}, [4]int{0, 337, 0, 0}, [4]int{}, 0},      // 68,096 > 68,074
		{[4]int{0, 64, 0, 0}, [4]int{0, 338, 0, 0}, [4]int{}, 3},      // 68,096 <= 68,276
	} {
		k := mglruControl{refaulted: c.back, evicted: c.evicted, protected: c.protected}
		k.refaulted[0], k.evicted[0] = 100, 1000
		if got := k.alone(); got != c.want {
			t.Errorf("%+v: up to tier %d, by hand %d", k, got, c.want)
		}
		k.advance() // reset_ctrl_pos: half of all that was
		if k.evicted != [4]int{} || k.avgTotal[1] != (c.evicted[1]+c.protected[1])/2 || k.avgRefaulted[0] != 50 {
			t.Errorf("averages: %+v", k)
		}
	}
}

// tiersMachine has a file of 8 pages, none read ahead, and a way to have a process use
// one of them and end.
func tiersMachine(t *testing.T) (m *Machine, l *mglruPolicy, use func(page uint64), pfn func(page uint64) uint32) {
	m = underLimit(t, "mglru", 256, func(c *Config) { c.FaultAround = PageSize })
	f := m.File(1, 1, 8*PageSize, "/lib.so")
	next := uint32(1)
	use = func(page uint64) {
		task := m.NewProcess(next, next, 0)
		next++
		a := task.pages(t, 8, MmapArgs{Prot: rw, Flags: MapShared, File: f})
		task.Madvise(a, 8*PageSize, madvRandom)
		task.Access(a+page*PageSize, Read)
		task.ExitGroup()
	}
	return m, m.memory.policy.(*mglruPolicy), use, func(page uint64) uint32 { return f.slot(page).Load() }
}

// TestTiersByUse: each process that has used a page of a file, by the accessed bit of an
// entry that goes with it, counts (zap_pte_range); one that has not does not.
func TestTiersByUse(t *testing.T) {
	m, l, use, pfn := tiersMachine(t)
	for n := range 6 {
		use(3)
		if got, want := l.page(pfn(3)).count(), min(max(n, 0), 4); got != want {
			t.Errorf("after %d uses: %d beyond the first, want %d", n+1, got, want)
		}
	}
	task := m.NewProcess(100, 100, 0)
	a := task.pages(t, 8, MmapArgs{Prot: rw, Flags: MapShared, File: m.File(1, 1, 8*PageSize, "/lib.so")})
	use(4)
	task.Access(a+4*PageSize, Read)
	m.memory.mu.Lock()
	m.memory.young(pfn(4)) // clears the bit
	m.memory.mu.Unlock()
	task.ExitGroup()
	if p := l.page(pfn(4)); p.count() != 0 || *p&mglruReferenced == 0 {
		t.Errorf("one use, and an entry that was not used since: %04b", *p)
	}
	check(t, m)
}

// TestTiersProtect: a page of a higher tier than may leave is put into the next
// generation, as one of the first tier, when the oldest is looked at (sort_folio); what
// leaves is counted by its tier and what comes back too, which makes it one of the last
// (lru_gen_eviction, lru_gen_refault).
func TestTiersProtect(t *testing.T) {
	m, l, use, pfn := tiersMachine(t)
	for page, uses := range map[uint64]int{0: 1, 1: 2, 2: 5} {
		for range uses {
			use(page)
		}
	}
	g := m.memory
	g.mu.Lock()
	for l.len(generation(linuxFile, l.min[linuxFile])) == 0 {
		l.skipEmpty(linuxAnon)
		l.age()
	}
	oldest := l.min[linuxFile]
	scanned := l.scan(linuxFile, 1)
	ready := append([]uint32(nil), l.ready...)
	g.mu.Unlock()
	if scanned != 3 || len(ready) != 2 || l.of(pfn(2)) != generation(linuxFile, oldest+1) || *l.page(pfn(2)) != 0 {
		t.Errorf("%d looked at, %v leave, page 2 is on list %d: %04b", scanned, ready, l.of(pfn(2)), *l.page(pfn(2)))
	}
	r := reclaimer{task: m.kernelTask(), group: g}
	g.mu.Lock()
	for range ready {
		g.choose(0, &ReclaimRuns{})
	}
	for _, p := range ready {
		r.evict(p, g.info(p))
	}
	g.mu.Unlock()
	c := &l.ctrl[linuxFile]
	if c.evicted != [4]int{1, 1} || c.protected != [4]int{3: 1} {
		t.Errorf("evicted %v, protected %v", c.evicted, c.protected)
	}
	task := m.NewProcess(200, 200, 0)
	a := task.pages(t, 8, MmapArgs{Prot: rw, Flags: MapShared, File: m.File(1, 1, 8*PageSize, "/lib.so")})
	task.Madvise(a, 8*PageSize, madvRandom)
	task.Access(a+PageSize, Read)
	if p := l.page(pfn(1)); c.refaulted != [4]int{1: 1} || tierOf(p.count()) != 3 {
		t.Errorf("refaulted %v; %04b", c.refaulted, *p)
	}
	check(t, m)
}

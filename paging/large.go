package paging

import "sync/atomic"

// Large pages: an entry above a leaf table that maps memory itself, 2 MiB by an
// entry of a PMD table (4 MiB with 2 levels), 1 GiB by one of a PUD table.
//
// The entry is kept where the leaf table is, in table.huge. A transparent huge
// page has a table below it that is not used, as in Linux, which deposits one for
// the day when the page is split (mm/pgtable-generic.c:
// pgtable_trans_huge_deposit) and counts it as any other. A page of hugetlb has
// none: what stands in the tree in place of the table holds the entry and
// nothing else, and is counted nowhere. So whoever finds a page by the tree
// finds the entry that maps it in one way, and whoever changes entries one by
// one splits the large page first.

// newLarge is what stands for the leaf table of pages of hugetlb.
func newLarge(shift uint8) *table { return &table{shift: shift} }

// likeTable makes at a place of a directory what another one has there: a table, or
// what stands for one. It returns how many tables it made.
func (p *pageTable) likeTable(from *table, to *dir, i uint64) int {
	if from.ptes != nil {
		to.tables[i].Store(p.newTable())
		return 1
	}
	n := newLarge(from.shift)
	if to.giant {
		for k := range to.tables {
			to.tables[k].Store(n)
		}
	} else {
		to.tables[i].Store(n)
	}
	return 0
}

// makeLarge returns what stands for a large page of hugetlb, making it and the
// tables above it. grown is the number of tables made. Precondition: the space's
// lock, for reading at least.
func (p *pageTable) makeLarge(vpn uint64, shift uint8) (tab *table, grown int) {
	if uint(shift) > p.bits {
		d, grown := p.dirOf(vpn, 2, true)
		s := &d.dirs[p.slot(vpn, 2)]
		if s.Load() == nil {
			n := p.newDir(1)
			n.giant = true
			p.likeTable(newLarge(shift), n, 0)
			s.CompareAndSwap(nil, n)
		}
		p.pages.Add(int64(grown))
		return s.Load().tables[0].Load(), grown
	}
	d, grown := p.dirOf(vpn, 1, true)
	s := &d.tables[p.slot(vpn, 1)]
	if s.Load() == nil {
		s.CompareAndSwap(nil, newLarge(shift))
	}
	p.pages.Add(int64(grown))
	return s.Load(), grown
}

// putHuge puts a table with a huge page where there is none yet; false says that
// another task was faster. Precondition: as makeLarge.
func (p *pageTable) putHuge(vpn uint64, tab *table) (ok bool, grown int) {
	d, grown := p.dirOf(vpn, 1, true)
	if ok = d.tables[p.slot(vpn, 1)].CompareAndSwap(nil, tab); ok {
		grown++
	}
	p.pages.Add(int64(grown))
	return ok, grown
}

// dropTable takes a leaf table out of the tree (mm/huge_memory.c:
// zap_deposited_table). Preconditions: tab.mu, the space's lock for writing.
func (s *Space) dropTable(tab *table, vpn uint64) {
	s.mustLock()
	d, _ := s.table.dirOf(vpn, 1, false)
	tab.dead = true
	d.tables[s.table.slot(vpn, 1)].Store(nil)
	s.table.pages.Add(-1)
	s.machine.tables.Add(-1)
	s.prune.Add(1)
}

// updateHuge replaces the entry of a large page by what f makes of it, as
// table.update does. Precondition: tab.mu.
func (tab *table) updateHuge(f func(e uint64) uint64) (old, now uint64) {
	tab.mustLock()
	for {
		old = tab.large()
		if now = f(old); now == old || atomic.CompareAndSwapUint64(&tab.huge, old, now) {
			return old, now
		}
	}
}

// holdsAll says whether the pages [start, end) hold all that a table at base maps.
func (tab *table) holdsAll(base, start, end uint64) bool {
	return base >= start && base+tab.pages() <= end
}

// split maps the pages of a huge page one by one (mm/huge_memory.c:
// __split_huge_pmd_locked): their entries are not dirty, the pages are. The
// frames stay what they were, one page. Preconditions: tab.mu; tab has a
// transparent huge page.
func (s *Space) split(t *Task, tab *table, base uint64) {
	tab.mustLock()
	e := atomic.SwapUint64(&tab.huge, 0)
	if invariants && e == 0 {
		broken("there is no huge page at %#x to be split", base)
	}
	s.flushPages(t, FlushSplit, base, base+tab.pages())
	t.stats.huge.SplitPMD++
	s.huge.Add(-1)
	bits := e & (pteP | pteNone | pteW | pteA | pteNX | pteExclusive)
	head := ptePFN(e)
	zero := head == hugeZeroPFN
	for i := range tab.ptes {
		small := mkPTE(zeroPFN, bits)
		if !zero {
			small = mkPTE(head+uint32(i), bits)
			if e&pteD != 0 {
				s.machine.memory.dirtied(head + uint32(i))
			}
		}
		atomic.StoreUint64(&tab.ptes[i], small)
	}
	tab.used = int32(len(tab.ptes))
	if !zero {
		s.countHuge(-1)
		s.machine.frames.block(head).refs.Add(int32(len(tab.ptes)) - 1)
	}
}

// splitAt splits the huge page that an address lies inside of, if there is one: a
// mapping is about to begin there (mm/huge_memory.c:vma_adjust_trans_huge).
// Precondition: s.mu for writing.
func (s *Space) splitAt(t *Task, addr uint64) {
	vpn := addr >> pageShift
	tab := s.table.find(vpn)
	if tab == nil || tab.ptes == nil || vpn&(tab.pages()-1) == 0 || tab.large() == 0 {
		return
	}
	tab.lock(t)
	if tab.large() != 0 { // a fault, which does not wait for s.mu, may have split it (writeHuge)
		s.split(t, tab, vpn&^(tab.pages()-1))
	}
	tab.unlock(t)
}

// splitEdges splits the huge pages that mappings of a new list begin or end
// inside of. Precondition: s.mu for writing.
func (s *Space) splitEdges(l vmaList) {
	if s.huge.Load() == 0 {
		return
	}
	for _, v := range l {
		s.splitAt(s.holder, v.start)
		s.splitAt(s.holder, v.end)
	}
}

// linkHuge maps a huge page of the table src by dst once more, each of its frames.
func (dst *table) linkHuge(src *table, head uint32, base uint64) {
	m := dst.space.machine
	m.frames.block(head).refs.Add(1)
	for i := range m.layout.hugePages() {
		pfn := head + uint32(i)
		m.frames.at(pfn).mapcount.Add(1)
		m.memory.linkFork(pfn, src, mapping{dst, base + i})
	}
	dst.space.countHuge(1)
}

// unlinkHuge takes a mapping of a huge page away, by the entry that was there.
func (t *Task) unlinkHuge(tab *table, base, e uint64) {
	m, head := t.machine, ptePFN(e)
	size := uint32(m.layout.hugePages())
	m.frames.block(head).refs.Add(-1)
	tab.space.countHuge(-1)
	var last [maxHuge / 64]uint64 // frames of which this was the last mapping; others may go away at the same time
	all := true
	for i := range size {
		gone := m.frames.at(head+i).mapcount.Add(-1) == 0
		if m.memory != nil {
			gone = m.memory.unlink(head+i, mapping{tab, base + uint64(i)}, e&pteD != 0)
		}
		if gone {
			last[i/64] |= 1 << (i % 64)
		} else {
			all = false
		}
	}
	if all && m.memory == nil {
		m.frames.freeBlock(head)
		return
	}
	for i := range size {
		if last[i/64]>>(i%64)&1 != 0 {
			t.frames.put(head + i)
		}
	}
}

// countHuge counts huge pages that hold memory (AnonHugePages).
func (s *Space) countHuge(n int64) {
	raise(&s.machine.hugeHigh, s.machine.hugeNow.Add(n))
}

// entryClass is the size of the page that an entry maps.
func entryClass(e uint64) tlbClass {
	switch e & (pteHuge | pteGiant) {
	case 0:
		return tlbSmall
	case pteHuge:
		return tlbLarge
	}
	return tlbGiant
}

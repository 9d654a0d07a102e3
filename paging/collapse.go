package paging

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Collapse: small pages of a mapping become one huge page, in the background as
// time goes by, or because MADV_COLLAPSE asks, after Linux 6.1 mm/khugepaged.c.
// The pages are copied; what was never touched is filled with zeros, so that
// resident memory grows.

// What khugepaged is set to (/sys/kernel/mm/transparent_hugepage/khugepaged).
const (
	scanBlocks    = 8       // huge pages' worth of small pages looked at in a scan (pages_to_scan)
	maxScans      = 1 << 10 // in a leap of time: more find nothing new, as no task runs meanwhile
	scanNone      = 1       // small pages that may not be missing, of all (max_ptes_none is one fewer than all)
	scanSwapPart  = 8       // an eighth may be in swap (max_ptes_swap)
	scanSharePart = 2       // half may be shared (max_ptes_shared)
)

// collapser is the background scan: a list of address spaces that got a huge page
// or could have, in the order in which they did, and where it is (khugepaged_scan).
type collapser struct {
	mu     sync.Mutex
	spaces []*Space
	at     int    // spaces[at] is being scanned
	addr   uint64 // of the next place in it, in pages
	passed uint64 // ns of trace time until which it has run
}

// enter puts an address space on the list (khugepaged_enter_vma).
func (c *collapser) enter(s *Space) {
	if s.scanned.Swap(true) {
		return
	}
	c.mu.Lock()
	c.spaces = append(c.spaces, s)
	c.mu.Unlock()
}

// leave takes an address space off the list (khugepaged_exit).
func (c *collapser) leave(s *Space) {
	if !s.scanned.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.spaces, s)
	if i < 0 {
		return
	}
	c.spaces = slices.Delete(c.spaces, i, i+1)
	if i == c.at {
		c.addr = 0
	} else if i < c.at {
		c.at--
	}
}

// Pass lets the time of the machine go on to ns: what happens in the background
// happens, which is the collapse of small pages every Config.CollapseEvery. Call it
// while no task runs.
func (m *Machine) Pass(ns uint64) {
	c := &m.collapse
	every := uint64(m.cfg.CollapseEvery)
	if m.cfg.THP == THPNever || ns < c.passed+every {
		return
	}
	n := (ns - c.passed) / every
	c.passed += n * every
	t := m.kernelTask()
	for n = min(n, maxScans); n > 0 && c.scan(t); n-- {
	}
	m.retire(t)
}

// scan is khugepaged_do_scan: so many places, over the end of the list at most
// once. false: there is nothing on it.
func (c *collapser) scan(t *Task) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for left, wrapped := scanBlocks, false; left > 0; {
		if c.at >= len(c.spaces) {
			if c.at, c.addr = 0, 0; wrapped || len(c.spaces) == 0 {
				break
			}
			wrapped = true
		}
		s := c.spaces[c.at]
		base, ok := s.nextHuge(c.addr)
		if !ok {
			c.at, c.addr = c.at+1, 0
			continue
		}
		left--
		size := t.machine.layout.hugePages()
		c.addr = base + size
		t.stats.huge.Scanned += size
		s.lock(t)
		if v := s.list().at(base << pageShift); v != nil && s.mayHuge(v, false) && s.hugeFits(v, base) {
			s.collapse(t, v, base, true)
		}
		s.unlock(t)
	}
	return len(c.spaces) > 0
}

// nextHuge is the first place at or above a page where a huge page would fit and is
// wanted.
func (s *Space) nextHuge(from uint64) (base uint64, ok bool) {
	size := s.machine.layout.hugePages()
	for _, v := range s.list() {
		base = (max(from, v.first()) + size - 1) &^ (size - 1)
		if base+size <= v.last() && s.mayHuge(v, false) && v.anon.Load() != nil {
			return base, true
		}
	}
	return 0, false
}

// collapseAnswer is why a place was not collapsed.
type collapseAnswer uint8

const (
	collapseDone collapseAnswer = iota
	collapseHuge                // it is a huge page already
	collapseSkip                // nothing there, or no page of it may be written
	collapseNoMemory
	collapseNoRoom // under the limit
	collapseNo     // not of the right kind
)

// collapse makes a huge page of the small ones at a place (hpage_collapse_scan_pmd,
// collapse_huge_page). In the background it has to be worth it. Precondition:
// s.mu for writing.
func (s *Space) collapse(t *Task, v *vma, base uint64, background bool) collapseAnswer {
	tab := s.table.find(base)
	switch {
	case tab == nil:
		return collapseSkip
	case tab.large() != 0:
		return collapseHuge
	}
	tab.lock(t)
	answer := s.worthCollapse(tab, base, background)
	tab.unlock(t)
	if answer != collapseDone {
		return answer
	}
	m, size := s.machine, tab.pages()
	s.swapInAll(t, v, tab, base)
	head := m.frames.allocBlock(frameAnon, 1)
	if head == 0 {
		return collapseNoMemory
	}
	if g := m.memory; !g.admitHuge(head, uint32(size)) && !(t.makeRoom(int(size), 0) && g.admitHuge(head, uint32(size))) {
		m.frames.freeBlock(head)
		return collapseNoRoom
	}
	gone := [numRSS]int64{}
	tab.lock(t)
	for i := range size {
		e := tab.set(base+i, 0)
		switch {
		case e == 0:
		case isSwap(e): // no room to bring it back: its copy is read into the huge page
			t.zapSwap(ptePFN(e))
			gone[rssSwap]++
		default:
			if f := m.frames.at(ptePFN(e)); f.kind != frameZero {
				gone[rssAnon]++
				t.unmapFrame(tab, base+i, f, e)
			}
		}
	}
	bits := pteP | pteA | pteD | pteExclusive | pteHuge
	if v.flags&vmExec == 0 {
		bits |= m.layout.nx
	}
	if v.flags&vmWrite != 0 {
		bits |= pteW
	}
	atomic.StoreUint64(&tab.huge, mkPTE(head, bits))
	// pmdp_collapse_flush, which takes the table out first. Here the flush comes after both
	// changes: before them a walk beside it could keep what it has just seen.
	s.flushPages(t, FlushCollapse, base, base+size)
	tab.unlock(t)
	s.huge.Add(1)
	s.countHuge(1)
	for i := range size {
		m.memory.link(head+uint32(i), mapping{tab, base + i})
	}
	s.charge(rssSwap, -gone[rssSwap])
	s.charge(rssAnon, int64(size)-gone[rssAnon])
	t.stats.huge.Collapsed++
	return collapseDone
}

// worthCollapse looks at the entries of a place. Precondition: tab.mu.
func (s *Space) worthCollapse(tab *table, base uint64, background bool) collapseAnswer {
	size := int(tab.pages())
	none, swapped, shared, young, writable := 0, 0, 0, 0, false
	for i := range tab.pages() {
		e := tab.load(base + i)
		switch f := s.machine.frames.at(ptePFN(e)); {
		case isSwap(e):
			swapped++
		case e == 0 || f.kind == frameZero:
			none++
		case f.kind != frameAnon:
			return collapseNo
		default:
			writable = writable || e&pteW != 0
			if f.mapcount.Load() > 1 {
				shared++
			}
			if e&pteA != 0 {
				young++
			}
		}
	}
	switch {
	case background && (none > size-scanNone || swapped > size/scanSwapPart || shared > size/scanSharePart):
		return collapseNo
	case !writable:
		return collapseSkip
	case background && (young == 0 || swapped > 0 && young < size/2):
		return collapseSkip
	}
	return collapseDone
}

// swapInAll brings the pages of a place back that are in swap
// (__collapse_huge_page_swapin). Precondition: s.mu for writing.
func (s *Space) swapInAll(t *Task, v *vma, tab *table, base uint64) {
	for i := range tab.pages() {
		for tries := 0; isSwap(tab.load(base+i)) && tries < maxReclaimRetries; tries++ {
			pfn := ptePFN(tab.load(base + i))
			if s.machine.memory.admitBack(pfn, frameAnon) || !t.makeRoom(1, pfn) {
				break
			}
		}
	}
}

// collapseRange is MADV_COLLAPSE (madvise_collapse). Differs from Linux: it does
// nothing where a policy is told of every reference. Precondition: s.mu for writing.
func (t *Task) collapseRange(v *vma, start, end uint64) Errno {
	if g := t.machine.memory; g != nil && g.exact {
		return 0 // see Config.validateHuge
	}
	s, size := t.space, t.machine.layout.hugePages()
	if !t.machine.profile.thp || !s.mayHuge(v, true) || alignUp(v.first(), size)+size > v.last() || v.anon.Load() == nil {
		return EINVAL
	}
	first, last := (start>>pageShift+size-1)&^(size-1), end>>pageShift&^(size-1)
	errno := Errno(0)
	for base := first; base < last; base += size {
		switch s.collapse(t, v, base, false) {
		case collapseDone, collapseHuge:
		case collapseSkip:
			errno = EINVAL
		case collapseNoMemory:
			return ENOMEM
		case collapseNoRoom:
			return EBUSY
		default:
			return EINVAL
		}
	}
	return errno
}

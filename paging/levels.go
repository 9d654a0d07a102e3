package paging

import (
	"math"
	"unsafe"
)

// Faults for every size of memory at once, under exact LRU.
//
// LRU has the inclusion property: with more memory it holds what it holds with
// less (R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger: Evaluation Techniques for
// Storage Hierarchies, IBM Systems Journal 1970). So a page that is used at
// distance d - the d-th page in the order of last uses - is in memories of d
// pages or more, and was evicted from all smaller ones since it was last used.
// The machine runs without a limit, so that nothing is ever evicted; what a
// smaller memory would have done besides follows from distances:
//
//   - fewer than d pages: the page has to be read: a major fault, in place of a
//     minor one if there is one anyway.
//   - An entry of a page table is gone in memories that evicted the page since
//     the entry was last used: if the page is back by way of another entry, a
//     minor fault.
//   - An entry that was made anew by a read is read-only until it is written, as
//     swap-in and read faults leave it: a minor fault of the first write.
//   - A page that was written since it last entered a memory is written back when
//     it is evicted from it.
//
// Each is true of all memories from some size up to another, in pages: levels are
// such sizes.

// UseStack is the order of the last uses of pages, and what is counted by size of
// memory. The machine calls it from one goroutine at a time.
type UseStack interface {
	// Pages are where the machine keeps what it knows of pages for it, and Counts what
	// it counts.
	Pages() *StackPages
	Counts() *StackCounts
	// Insert puts a page on top that was in no memory.
	Insert(page uint32)
	// Use moves a page, of which known is known, to the top and returns its place
	// before that, 1 for the top; 0 for a page that is not there.
	Use(page uint32, known *StackPage) (distance uint32)
	// UseAll is Use for pages.
	UseAll(pages []uint32, known []*StackPage, distances []uint32)
	// Place returns the place of a page, 1 for the top; 0 for one that is not there.
	Place(page uint32) uint32
	// Remove takes a page out of all memories; the room it leaves is free in those
	// that had it.
	Remove(page uint32)
}

// StackPage is what is known of a page for a UseStack: half a cache line. Where the
// page stands is the UseStack's own, 0 if it is not there.
type StackPage struct {
	Last uint64 // its last use, of the UseStack
	Slot uint32 // of the UseStack; 0 = the page is not there

	clean  uint32 // memories of fewer pages have it clean
	levels        // of its entry at pageInfo.at
	shmem  bool
}

// StackPages are pages by number. The zero value is empty.
type StackPages struct{ chunked[StackPage] }

// At is a page; it stays at its address.
func (s *StackPages) At(page uint32) *StackPage { return s.at(page) }

// Expect has the processor begin to load what is known of a page.
func (s *StackPages) Expect(page uint32) {
	if p := s.peek(page); p != nil {
		prefetchLine(unsafe.Pointer(p))
	}
}

// StackEvent is what a UseStack counts.
type StackEvent uint8

// The events. Faults come on top of those of the machine, which has no limit.
const (
	StackMinor StackEvent = iota
	StackMajor
	StackWriteBack // dirty pages written to swap or to files
	NumStackEvents = iota
)

// AllMemories is the end of all sizes of memory, in pages.
const AllMemories = math.MaxUint32

// levels are what is known of an entry: memories of fewer pages have evicted its
// page since the entry was last used, and since it was last written.
type levels struct{ used, written uint32 }

func (l *levels) raise(d uint32) {
	l.used, l.written = max(l.used, d), max(l.written, d)
}

// stackPolicy makes a UseStack of a policy that is never asked for a victim.
type stackPolicy struct{ UseStack }

func (s stackPolicy) insert(p uint32)      { s.Insert(p) }
func (s stackPolicy) hit(uint32)           {}
func (s stackPolicy) victim(uint32) uint32 { return 0 }
func (s stackPolicy) left(p uint32)        { s.Remove(p) }
func (s stackPolicy) forget(p uint32)      { s.Remove(p) }

// measure counts what a use of a page costs at every size of memory.
// Precondition: g.mu.
func (g *memory) measure(pfn uint32, i *pageInfo, u use, fresh bool) {
	p := g.rows.at(pfn)
	e := g.levelsOf(pfn, i, p, u.space, u.vpn)
	if !fresh {
		d := g.stack.Use(pfn, p)
		g.raise(pfn, p, d)
		g.weigh(p, e, u, d)
	}
	if u.write {
		e.written, p.clean = 0, 0
	}
}

// weigh counts what the use of an entry costs whose page was found at a distance.
// Precondition: g.mu.
func (g *memory) weigh(p *StackPage, e *levels, u use, d uint32) {
	if d > 0 {
		g.events.missed(d)
	}
	need := e.used
	if u.write && !p.shmem {
		need = e.written
	}
	if u.faulted {
		g.events.add(StackMinor, 0, d, -1)
	} else if need > d {
		g.events.add(StackMinor, d, need, 1)
	}
	e.used = 0
}

// raise notes that memories of fewer than d pages have evicted the page: those in
// which it was dirty wrote it. Precondition: g.mu.
func (g *memory) raise(pfn uint32, p *StackPage, d uint32) {
	g.writeBack(p, d)
	p.levels.raise(d)
	if len(g.shared) == 0 {
		return
	}
	for k := range g.shared[pfn] {
		g.shared[pfn][k].raise(d)
	}
}

// writeBack counts that memories of fewer than d pages wrote a page, those in which
// it was dirty. Precondition: g.mu.
func (g *memory) writeBack(p *StackPage, d uint32) {
	if p.clean < d {
		g.events.add(StackWriteBack, p.clean, d, 1)
		p.clean = d
	}
}

// writeBackAll is writeBack for all memories. Precondition: g.mu.
func (g *memory) writeBackAll(pfn uint32) {
	if g.stack != nil {
		g.writeBack(g.rows.at(pfn), AllMemories)
	}
}

// newcomer forgets what was known for Config.Stack of a page that had the number.
// Precondition: g.mu.
func (g *memory) newcomer(pfn uint32, kind frameKind) {
	if g.stack == nil {
		return
	}
	p := g.rows.at(pfn)
	p.clean, p.levels, p.shmem = 0, levels{}, kind == frameShmem
	if kind == frameFile {
		p.clean = AllMemories
	}
}

// setLevels sets those of the entry at pageInfo.at. Precondition: g.mu.
func (g *memory) setLevels(pfn uint32, l levels) {
	if g.stack != nil {
		g.rows.at(pfn).levels = l
	}
}

// gone counts what memories that had evicted a page for good wrote of it.
// Precondition: g.mu.
func (g *memory) gone(pfn uint32) {
	if p := g.rows.at(pfn); p.clean < AllMemories {
		g.writeBack(p, g.stack.Place(pfn))
	}
}

// SettleStack counts for Config.Stack what becomes of the pages that are in memory
// at the end of a run. Call it once, while no task runs.
func (m *Machine) SettleStack() {
	g := m.memory
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pages.each(func(pfn uint32, i *pageInfo) {
		if i.state&pageResident != 0 {
			g.gone(pfn)
		}
	})
}

// levelsOf are the levels of the entry at a place. Precondition: g.mu.
func (g *memory) levelsOf(pfn uint32, i *pageInfo, p *StackPage, s *Space, vpn uint64) *levels {
	if i.at.is(s, vpn) {
		return &p.levels
	}
	for k := range g.shared[pfn] {
		if g.shared[pfn][k].is(s, vpn) {
			return &g.shared[pfn][k].levels
		}
	}
	g.noLevels = levels{}
	return &g.noLevels // of a use without an entry
}

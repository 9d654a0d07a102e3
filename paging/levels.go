package paging

import "math"

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
	// Insert puts a page on top that was in no memory.
	Insert(page uint32)
	// Use moves a page to the top and returns its place before that, 1 for the
	// top; 0 for a page that is not there. It counts a major fault in memories of
	// fewer pages than that.
	Use(page uint32) (distance uint32)
	// Ahead is told of pages that will be used soon.
	Ahead(pages []uint32)
	// Place returns the place of a page, 1 for the top; 0 for one that is not there.
	Place(page uint32) uint32
	// Remove takes a page out of all memories; the room it leaves is free in those
	// that had it.
	Remove(page uint32)
	// Count adds n events in memories of from up to, but not including, to pages.
	Count(what StackEvent, from, to uint32, n int64)
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
type stackPolicy struct {
	UseStack
	pages []uint32 // for ahead
}

func (s *stackPolicy) ahead(uses []queuedUse) {
	s.pages = s.pages[:0]
	for i := range uses {
		s.pages = append(s.pages, uses[i].pfn)
	}
	s.Ahead(s.pages)
}

func (s *stackPolicy) insert(p uint32)      { s.Insert(p) }
func (s *stackPolicy) hit(uint32)           {}
func (s *stackPolicy) victim(uint32) uint32 { return 0 }
func (s *stackPolicy) left(p uint32)        { s.Remove(p) }
func (s *stackPolicy) forget(p uint32)      { s.Remove(p) }

// measure counts what a use of a page costs at every size of memory.
// Precondition: g.mu.
func (g *memory) measure(pfn uint32, i *pageInfo, u use, fresh bool) {
	if !fresh {
		d := g.stack.Use(pfn)
		g.raise(pfn, i, d)
		e := g.levelsOf(pfn, i, u.by)
		need := e.used
		if u.write && g.m.frames.at(pfn).kind != frameShmem {
			need = e.written
		}
		if u.faulted {
			g.stack.Count(StackMinor, 0, d, -1)
		} else if need > d {
			g.stack.Count(StackMinor, d, need, 1)
		}
		e.used = 0
	}
	if u.write {
		g.levelsOf(pfn, i, u.by).written = 0
		i.clean = 0
	}
}

// raise notes that memories of fewer than d pages have evicted the page: those in
// which it was dirty wrote it. Precondition: g.mu.
func (g *memory) raise(pfn uint32, i *pageInfo, d uint32) {
	if i.clean < d {
		g.stack.Count(StackWriteBack, i.clean, d, 1)
		i.clean = d
	}
	i.at.raise(d)
	if len(g.shared) == 0 {
		return
	}
	for k := range g.shared[pfn] {
		g.shared[pfn][k].raise(d)
	}
}

// gone counts what memories that had evicted a page for good wrote of it.
// Precondition: g.mu.
func (g *memory) gone(pfn uint32, i *pageInfo) {
	if d := g.stack.Place(pfn); i.clean < d {
		g.stack.Count(StackWriteBack, i.clean, d, 1)
	}
}

// SettleStack counts for Config.Stack what becomes of the pages that are in memory
// at the end of a run. Call it once, while no task runs.
func (m *Machine) SettleStack() {
	g := m.memory
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := range g.pages {
		if i := &g.pages[n]; i.state&pageResident != 0 {
			g.gone(uint32(n), i)
		}
	}
}

// noLevels are those of a use without an entry.
var noLevels levels

// levelsOf are the levels of the entry at a place. Precondition: g.mu.
func (g *memory) levelsOf(pfn uint32, i *pageInfo, at mapping) *levels {
	if i.at.mapping == at && at.space != nil {
		return &i.at.levels
	}
	for k := range g.shared[pfn] {
		if g.shared[pfn][k].mapping == at {
			return &g.shared[pfn][k].levels
		}
	}
	noLevels = levels{}
	return &noLevels
}

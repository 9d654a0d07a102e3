package paging

import "unsafe"

// StackCounts are numbers of events at every size of memory. The zero value has none. It
// is not safe for concurrent use.
type StackCounts struct {
	all  stackRow // what is added from size 0 on: most events are
	rows chunked[stackRow]
}

// stackRow is what is added from a size of memory on, by event: half a cache line.
type stackRow [4]int64

func (c *StackCounts) at(size uint32) *stackRow {
	if size == 0 {
		return &c.all
	}
	return c.rows.at(size)
}

// add adds n events in memories of from up to, but not including, to pages.
func (c *StackCounts) add(what StackEvent, from, to uint32, n int64) {
	c.at(from)[what] += n
	if to != AllMemories {
		c.at(to)[what] -= n
	}
}

// From is how many more events of each kind there are in memories of so many pages than
// in those of one page less.
func (c *StackCounts) From(size uint32) (events [NumStackEvents]int64) {
	row := &c.all
	if size > 0 {
		row = c.rows.peek(size)
	}
	if row != nil {
		copy(events[:], row[:])
	}
	return events
}

// measured are the uses of a queue on their way through measureAll.
type measured struct {
	pages     [2 * window]uint32
	known     [2 * window]*StackPage
	distances [2 * window]uint32
	rows      [2 * window]*stackRow
	lines     [2 * window]*uint64 // to be loaded
	nobody    StackPage           // of pages of which nothing is known
}

// load has the processor begin to load the first n lines.
func (m *measured) load(n int) {
	prefetch((*[window]*uint64)(m.lines[:window]), min(n, window))
	if n > window {
		prefetch((*[window]*uint64)(m.lines[window:]), n-window)
	}
}

// measureAll is use for references that needed no fault, where no page has more than
// one entry: then a page that has a place on the stack is one of the group, the levels
// of its entry are its own, and nothing else has to be looked at.
//
// Precondition: g.mu.
func (g *memory) measureAll(s *Space, uses []queuedUse) {
	if uses[0].pfn == g.fresh { // its first use brought it
		g.simple(s, &uses[0])
		uses = uses[1:]
	}
	g.fresh = 0
	if g.many() {
		g.measureTogether(s, uses)
		return
	}
	for i := range uses {
		u := &uses[i]
		if p := g.rows.peek(u.pfn); p == nil || p.Slot == 0 {
			g.simple(s, u)
		} else {
			d := g.stack.Use(u.pfn)
			g.weighOne(p, u.write, d, g.events.rows.at(d))
		}
	}
}

// simple is use for one in a queue.
func (g *memory) simple(s *Space, u *queuedUse) {
	g.use(u.pfn, use{mapping{s, u.vpn}, u.write, false})
}

// measureTogether takes a step for all uses before the next one, so that the
// processor waits for what many of them need at once. Those of pages that are not on
// the stack change nothing there: their turn is last.
func (g *memory) measureTogether(s *Space, uses []queuedUse) {
	m, n := &g.measured, len(uses)
	for i := range uses {
		pfn := uses[i].pfn
		known := g.rows.peek(pfn)
		if known == nil {
			known = &m.nobody
		}
		m.pages[i], m.known[i], m.lines[i] = pfn, known, &known.Last
	}
	m.load(n)
	g.stack.UseAll(m.pages[:n], m.known[:n], m.distances[:n])
	for i, d := range m.distances[:n] {
		row := g.events.at(d)
		m.rows[i], m.lines[i] = row, (*uint64)(unsafe.Pointer(row))
	}
	m.load(n)
	for i, d := range m.distances[:n] {
		if d > 0 {
			g.weighOne(m.known[i], uses[i].write, d, m.rows[i])
		} else {
			g.simple(s, &uses[i])
		}
	}
}

// weighOne is measure for a page with one entry and a use without a fault. at is the row of
// the distance.
func (g *memory) weighOne(p *StackPage, write bool, d uint32, at *stackRow) {
	c := g.events
	c.all[StackMajor]++
	at[StackMajor]--
	if p.clean < d {
		c.at(p.clean)[StackWriteBack]++
		at[StackWriteBack]--
		p.clean = d
	}
	p.levels.raise(d)
	need := p.used
	if write && !p.shmem {
		need = p.written
	}
	if need > d {
		c.add(StackMinor, d, need, 1)
	}
	p.used = 0
	if write {
		p.written, p.clean = 0, 0
	}
}

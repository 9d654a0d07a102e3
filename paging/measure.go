package paging

// measured are the uses of a queue on their way through measureAll.
type measured struct {
	pages     [mostUses]uint32
	known     [mostUses]*StackPage
	distances [mostUses]uint32
	nobody    StackPage // of pages of which nothing is known
}

// measureAll is use for references that needed no fault, where no page has more than
// one entry: then a page that has a place on the stack is one of the group, the levels
// of its entry are its own, and nothing else has to be looked at.
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
			d := g.stack.Use(u.pfn, p)
			g.measureOne(p, u.write, d)
		}
	}
}

// simple is use for one in a queue.
func (g *memory) simple(s *Space, u *queuedUse) {
	g.use(u.pfn, use{s, u.vpn, u.write, false})
}

// measureTogether is measureAll where there are many pages: it takes a step for all
// uses before the next one, so that the processor waits for what many of them need at
// once. Those of pages that are not on the stack change nothing there: their turn is
// last.
func (g *memory) measureTogether(s *Space, uses []queuedUse) {
	m, n := &g.measured, len(uses)
	for i := range uses {
		pfn := uses[i].pfn
		known := g.rows.peek(pfn)
		if known == nil {
			known = &m.nobody
		}
		m.pages[i], m.known[i] = pfn, known
	}
	g.stack.UseAll(m.pages[:n], m.known[:n], m.distances[:n])
	for i, d := range m.distances[:n] {
		if d > 0 {
			g.measureOne(m.known[i], uses[i].write, d)
		} else {
			g.simple(s, &uses[i])
		}
	}
}

// measureOne is measure for a page with one entry and a use without a fault.
func (g *memory) measureOne(p *StackPage, write bool, d uint32) {
	if p.clean == 0 && p.levels == (levels{}) { // used and written at once when last used: most are
		g.events.readBack(d)
		p.clean, p.used, p.written = d, 0, d
	} else {
		g.writeBack(p, d)
		p.levels.raise(d)
		g.weigh(p, &p.levels, use{write: write}, d)
	}
	if write {
		p.written, p.clean = 0, 0
	}
}

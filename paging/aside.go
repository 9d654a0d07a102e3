package paging

// Pages that could not leave: they are locked, or there is no slot in swap for them. They
// are set aside, out of the order of the policy (the unevictable list of
// mm/vmscan.c:putback_lru_page, and what shrink_folio_list keeps), and have another turn
// when memory is unlocked, when a mapping of theirs goes, when a slot is free again, and
// when nothing else can leave.

// keep puts a page aside that cannot leave. Precondition: g.mu.
func (r *reclaimer) keep(pfn uint32, i *pageInfo) {
	g := r.group
	i.state &^= pageHeld
	if i.state&pageGone != 0 {
		r.end(pfn, i)
		return
	}
	i.state |= pageAside
	if g.aside = append(g.aside, pfn); len(g.aside) > 2*int(g.charged)+tidyAside {
		g.tidy()
	}
}

// tidyAside is how long the list of pages that are set aside gets, beside twice the
// number there can be, before what is on it in vain goes.
const tidyAside = 64

// tidy leaves each page that is set aside once on the list, and no other. Precondition:
// g.mu.
func (g *memory) tidy() {
	kept := g.aside[:0]
	for _, pfn := range g.aside {
		if i := g.info(pfn); i.state&pageAside != 0 {
			i.state &^= pageAside
			kept = append(kept, pfn)
		}
	}
	for _, pfn := range kept {
		g.info(pfn).state |= pageAside
	}
	g.aside = kept
}

// retry hands the pages that could not leave to the policy again. Precondition:
// g.mu.
func (g *memory) retry() {
	for _, pfn := range g.aside {
		g.another(pfn, g.info(pfn)) // unless it was freed meanwhile, and is another page by now
	}
	g.aside = g.aside[:0]
}

// another gives a page that could not leave another turn. Precondition: g.mu.
func (g *memory) another(pfn uint32, i *pageInfo) {
	if i.state&pageAside == 0 {
		return
	}
	i.state &^= pageAside
	if i.state&pageResident != 0 {
		g.policy.insert(pfn)
	}
}

// reconsider hands the pages that could not leave to the policy again, and says
// whether there were any. Precondition: g.mu.
func (g *memory) reconsider() bool {
	any := len(g.aside) > 0
	g.retry()
	return any
}

// unlocked is for the end of a lock on memory: what was put aside gets its turn.
func (t *Task) unlocked() {
	if g := t.machine.memory; g != nil {
		g.mu.Lock()
		g.retry()
		g.mu.Unlock()
	}
}

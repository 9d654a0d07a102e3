package paging

// What an exact policy is told: the page of every reference, and of every copy
// the kernel makes.

// OnUse has use called for every use of a page of the group, in order, and end
// when a page's life ends: it was unmapped, discarded or truncated, or its last
// process is gone, and its number may be given to another page. A use is a
// reference (one call for the whole of a Ref), an access of the kernel
// for a system call, or the reading of a page that is copied on write. Pages that
// are not charged have no calls (the zero page; pages of files with a warm cache).
//
// The machine has to be exact: Config.ReclaimExact, or a policy that always is.
// Without a limit, and as long as nobody is killed for want of memory, page
// numbers and uses are the same as under any limit and any exact policy, but for
// pages given up by MADV_FREE, which those other than opt drop under a limit. Both
// functions are called with a lock held and must not use the machine; either may
// be nil. Set it before the first task runs.
func (m *Machine) OnUse(use func(page uint32, written bool), end func(page uint32)) {
	m.memory.onUse, m.memory.onEnd = use, end
}

// use is a use of a page that the policy is yet to be told of.
type use struct {
	pfn     uint32
	written bool
}

// runExact is Run for a policy that is told of every reference: of many at a
// time, but always before a fault, so that it decides by all of them. Precondition:
// c.mu.
func (t *Task) runExact(c *cpu, refs []Ref) (int, Outcome) {
	defer t.tell()
	for done := 0; done < len(refs); done += aheadRefs {
		chunk := refs[done:min(done+aheadRefs, len(refs))]
		t.lookAhead(chunk)
		before := c.tlb.stats.misses[0]
		for i := range chunk {
			r := &chunk[i]
			if out := t.perform(c, r); out.Fatal() {
				return done + i + 1, out
			}
			if pfn := t.pageOf(c, r.VPN); pfn != 0 {
				t.uses = append(t.uses, use{pfn, r.Writes > 0 || r.First == Write})
			}
			if len(t.uses) >= 2*aheadRefs {
				t.tell()
			}
		}
		t.ahead = c.tlb.stats.misses[0]-before > aheadRefs/4
	}
	return len(refs), OK
}

// pageOf is the page that a reference which has been performed was to, 0 if none
// is present.
func (t *Task) pageOf(c *cpu, vpn uint64) uint32 {
	l := &c.tlb.l1[0]
	if b := l.base(vpn); l.tags[b] == vpn<<16|uint64(c.asid) && !c.pending.Load() {
		return l.entries[b].pfn
	}
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			return ptePFN(e)
		}
	}
	return 0
}

// tell tells the policy of the uses that are noted.
func (t *Task) tell() {
	if len(t.uses) == 0 {
		return
	}
	g := t.machine.memory
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := pageState(0)
	for i := range t.uses { // the waiting for memory is done at once
		sum |= g.info(t.uses[i].pfn).state
	}
	g.seen = sum // or the reads would be left out
	if p, ok := g.policy.(peeker); ok {
		p.peek(t.uses)
	}
	for _, u := range t.uses {
		g.use(u.pfn, u.written)
	}
	t.uses = t.uses[:0]
}

// peeker is a policy that reads what it is about to change.
type peeker interface{ peek(uses []use) }

// used tells an exact policy that the page is in use, if it is present.
func (t *Task) used(vpn uint64, written bool) {
	g := t.machine.memory
	if g == nil || !g.exact {
		return
	}
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			g.hit(ptePFN(e), written)
		}
	}
}

// hit tells the policy of a use of a page.
func (g *memory) hit(pfn uint32, written bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.use(pfn, written)
}

// use is hit. Precondition: g.mu.
func (g *memory) use(pfn uint32, written bool) {
	fresh := pfn == g.fresh
	g.fresh = 0
	state := g.info(pfn).state
	if state&pageKnown == 0 {
		return
	}
	if g.onUse != nil {
		g.onUse(pfn, written)
	}
	if g.foresee != nil && pfn != g.lastUse {
		g.foresee(pfn, g.m.cfg.Future.Next())
	}
	g.lastUse = pfn
	if !fresh && state&(pageResident|pageAside|pageHeld) == pageResident {
		g.policy.hit(pfn)
	}
}

// copies tells an exact policy that a page is about to be copied; false says
// that there is no room for the copy.
func (g *memory) copies(pfn uint32) bool {
	if g == nil || !g.exact || pfn == 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.full() {
		return false
	}
	g.use(pfn, false)
	return true
}

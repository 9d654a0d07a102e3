package paging

// What an exact policy is told: the page of every reference.

// runExact is Run for a policy that is told of every reference. Precondition:
// c.mu.
func (t *Task) runExact(c *cpu, refs []Ref) (int, Outcome) {
	for i, r := range refs {
		lookups := c.tlb.stats.lookups
		if out := t.performExact(c, r); out.Fatal() {
			return i + 1, out
		}
		c.tlb.stats.lookups = lookups
	}
	return len(refs), OK
}

// performExact is perform, telling of every access. Precondition: c.mu.
func (t *Task) performExact(c *cpu, r Ref) Outcome {
	vpn, first := r.vpn(), r.first()
	if vpn >= t.end {
		return t.perform(c, r, nil)
	}
	out := t.touchExact(c, vpn, first)
	if !out.Fatal() && r&refWrite != 0 && first != Write {
		out = t.touchExact(c, vpn, Write)
	}
	if !out.Fatal() && r&refExec != 0 && first != Exec {
		out = t.touchExact(c, vpn, Exec)
	}
	return out
}

func (t *Task) touchExact(c *cpu, vpn uint64, a Access) Outcome {
	out := t.touch(c, vpn, a)
	t.used(vpn, a)
	return out
}

// used tells an exact policy that the page was accessed, if it is present. It is
// called after every access, and after a fault for it was counted.
func (t *Task) used(vpn uint64, a Access) {
	g := t.machine.memory
	if g == nil || !g.exact {
		return
	}
	faulted := t.faulted
	t.faulted = false
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			g.use(ptePFN(e), use{mapping{t.space, vpn}, a == Write, faulted})
		}
	}
}

// use is one use of a page.
type use struct {
	by      mapping // space is nil: by the kernel, in a fault
	write   bool
	faulted bool // a fault was counted for it
}

// reads tells an exact policy that a fault reads a page, to copy it.
func (t *Task) reads(pfn uint32) {
	if g := t.machine.memory; g != nil && g.exact {
		g.use(pfn, use{faulted: true})
	}
}

// use tells the policy of a use of a page. The reference that brought it is none.
func (g *memory) use(pfn uint32, u use) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	fresh := pfn == g.fresh
	g.fresh = 0
	switch {
	case i.state&pageKnown == 0:
	case g.stack != nil:
		g.measure(pfn, i, u, fresh)
	case !fresh && i.state&(pageResident|pageAside|pageHeld) == pageResident:
		g.policy.hit(pfn)
	}
}

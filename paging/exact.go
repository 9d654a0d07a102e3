package paging

import "sync/atomic"

// What an exact policy is told: the page of every reference, and of every copy
// the kernel makes.

// OnUse has use called for every use of a page of the group, in order, and end
// when a page's life ends: it was unmapped, discarded or truncated, or its last
// process is gone, and its number may be given to another page. A use is a
// reference (a call for each kind of access in it), an access of the kernel
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

// runExact is Run for a policy that is told of every reference. Precondition:
// c.mu.
func (t *Task) runExact(c *cpu, refs []Ref) (int, Outcome) {
	var entries [window]*uint64
	for done := 0; done < len(refs); {
		end := min(done+window, len(refs))
		first, applied := done, c.applied
		t.lookAhead(refs[done:end], &entries)
		for ; done < end; done++ {
			n := c.tlb.hits(c.asid, refs[done:end], &c.pending)
			if n > 0 && c.applied == applied {
				t.usedAll(refs[done:done+n], entries[done-first:])
			} else {
				for _, r := range refs[done : done+n] {
					t.usedHit(r)
				}
			}
			if done += n; done == end {
				break
			}
			lookups := c.tlb.stats.lookups
			if out := t.performExact(c, refs[done]); out.Fatal() {
				return done + 1, out
			}
			c.tlb.stats.lookups = lookups
		}
	}
	return len(refs), OK
}

// usedAll tells an exact policy of references that the TLB had, by the entries that
// were looked at ahead.
func (t *Task) usedAll(refs []Ref, entries []*uint64) {
	g := t.machine.memory
	g.mu.Lock()
	for i, r := range refs {
		entry, by := entries[i], mapping{t.space, r.vpn()}
		if entry == nil { // a fault has made its table since
			entry = t.leaf(by.vpn).entry(by.vpn)
		}
		pfn := ptePFN(atomic.LoadUint64(entry))
		if first := r.first() == Write; first || r&refWrite == 0 {
			g.use(pfn, use{by, first, false})
		} else {
			g.use(pfn, use{by, false, false})
			g.use(pfn, use{by, true, false})
		}
	}
	g.mu.Unlock()
}

// usedHit is usedAll for one reference whose entry has to be found.
func (t *Task) usedHit(r Ref) {
	t.used(r.vpn(), r.first())
	if r.first() != Write && r&refWrite != 0 {
		t.used(r.vpn(), Write)
	}
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
			g.mu.Lock()
			g.use(ptePFN(e), use{mapping{t.space, vpn}, a == Write, faulted})
			g.mu.Unlock()
		}
	}
}

// use is one use of a page.
type use struct {
	by      mapping // space is nil: by the kernel, in a fault
	write   bool
	faulted bool // a fault was counted for it
}

// use tells the policy of a use of a page. The reference that brought it is none.
// Precondition: g.mu.
func (g *memory) use(pfn uint32, u use) {
	i := g.info(pfn)
	fresh := pfn == g.fresh
	g.fresh = 0
	if i.state&pageKnown == 0 {
		return
	}
	if g.onUse != nil {
		g.onUse(pfn, u.write)
	}
	if g.foresee != nil && pfn != g.lastUse {
		g.foresee(pfn, g.m.cfg.Future.Next())
	}
	g.lastUse = pfn
	switch {
	case g.stack != nil:
		g.measure(pfn, i, u, fresh)
	case !fresh && i.state&(pageResident|pageAside|pageHeld) == pageResident:
		g.policy.hit(pfn)
	}
}

// allocCopy takes a frame for a copy of a page, 0 when there is none.
func (t *Task) allocCopy(source uint32) uint32 {
	if !t.machine.memory.copies(source) {
		return 0
	}
	return t.frames.alloc(frameAnon, 1)
}

// copies tells an exact policy that a fault is about to copy a page; false says
// that there is no room for the copy. The page is used before room is made, so that
// it stays; a policy that knows the future keeps it for the use that is to come.
func (g *memory) copies(pfn uint32) bool {
	if g == nil || !g.exact || pfn == 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.full()
	if !full || g.foresee == nil {
		g.use(pfn, use{faulted: true})
	}
	return !full
}

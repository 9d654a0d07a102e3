package paging

// What an exact policy is told: the page of every reference.

// runExact is Run for a policy that is told of every reference. Precondition:
// c.mu.
func (t *Task) runExact(c *cpu, g *memory, refs []Ref) (int, Outcome) {
	for i := range refs {
		r := &refs[i]
		if out := t.perform(c, r); out.Fatal() {
			return i + 1, out
		}
		t.used(r.VPN)
	}
	return len(refs), OK
}

// used tells an exact policy that the page is in use, if it is present.
func (t *Task) used(vpn uint64) {
	g := t.machine.memory
	if g == nil || !g.exact {
		return
	}
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			g.hit(ptePFN(e))
		}
	}
}

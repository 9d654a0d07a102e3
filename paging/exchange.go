package paging

import "sync/atomic"

// exchange is the way that most major faults take where memory is full, without the
// questions of the others: an anonymous page of the task alone comes back from swap,
// and another of its pages leaves for it. All of that is done under the lock of the
// group, taken once. If the fault is one, it is done, and the mapping returned; else
// nil, and [Task.handle] does it from the beginning. Policies and counts see the same
// either way, but for how often locks are taken.
//
// Huge pages are not asked for: policies that give up one page at a time do not know them
// ([Config.Validate]).
//
// The page that leaves is in a table whose lock comes before that of the group: it is
// only tried. What cannot be had without waiting, or is not simple, is left to evict.
func (t *Task) exchange(vpn uint64, a Access) *vma {
	g := t.machine.memory
	if g.limit == 0 || g.batched || t.machine.cfg.Locking != LockPerTable || t.gup != 0 || !t.running {
		return nil
	}
	tab := t.leaf(vpn)
	if tab == nil || !isSwap(tab.load(vpn)) {
		return nil
	}
	v, _ := t.mapping(t.space.vmas.Load(), vpn)
	if v == nil || v.file != nil || v.flags&(vmHugeTLB|vmSpecial|vmShared) != 0 || !t.permits(v, a) {
		return nil
	}
	tab.lock(t)
	e := tab.load(vpn)
	if !isSwap(e) || tab.dead || v.gone.Load() {
		tab.unlock(t)
		return nil
	}
	pfn := ptePFN(e)
	g.mu.Lock()
	if t.untold() {
		t.tellNow(true)
	}
	i := g.pages.known(pfn)
	if i.state&(pageKnown|pageResident|pageHeld) != pageKnown || i.refs != 1 {
		g.mu.Unlock()
		tab.unlock(t)
		return nil
	}
	left := uint32(0)
	if g.full() {
		if left = g.choose(pfn, &g.stats.Direct); left == 0 || !t.swapOut(tab, left) {
			tab.unlock(t)
			t.evictChosen(left)
			return nil
		}
	}
	g.returns(pfn, i, frameAnon)
	i.unref(pfn)
	i.at = mapping{tab, vpn}
	if a == Write {
		g.freeSlot(i)
	}
	if g.onlyPages() {
		g.fresh, t.brought = 0, true
	}
	g.mu.Unlock()
	t.mapSwapped(v, tab, vpn, pfn, true, e, a)
	tab.unlock(t)
	if left == 0 { // else as many pages of each kind as before
		t.charge(rssSwap, -1)
		t.charge(rssAnon, 1)
	}
	return v
}

// evictChosen makes a page that the policy chose, 0 for none, leave by the way that is
// good for all. Precondition: g.mu, which is given up; no table is locked.
func (t *Task) evictChosen(pfn uint32) {
	g := t.machine.memory
	r := reclaimer{task: t, group: g, at: t.places[:0]}
	if pfn != 0 {
		t.settle()
		if r.evict(pfn, g.info(pfn)) {
			g.stats.Direct.Runs++
			g.stats.Direct.Stolen++
		}
	}
	g.mu.Unlock()
	r.flush()
	t.places = r.at
}

// swapOut makes a page leave that is held, if it is an anonymous one of this space
// alone, on this CPU alone, and its table is mine or free: else it returns false and
// has done nothing that evict would not do. Preconditions: inside Run; g.mu and the lock
// of mine.
func (t *Task) swapOut(mine *table, pfn uint32) bool {
	g, s := t.machine.memory, t.space
	i := g.pages.known(pfn)
	tab, vpn := i.at.tab, i.at.vpn
	if tab == nil || tab.space != s || i.state&pageLazy != 0 || s.cpus.Load() != 1<<uint(t.onCPU) {
		return false
	}
	v := t.last
	if addr := vpn << pageShift; v == nil || addr-v.start >= v.end-v.start || v.gone.Load() {
		v = s.list().at(addr)
	}
	if v == nil || v.flags&vmLocked != 0 || tab != mine && !tab.tryLockSecond(t) {
		return false
	}
	p := tab.entry(vpn)
	e := atomic.LoadUint64(p)
	there := e&(pteP|pteNone) != 0 && e&pteExclusive != 0 && ptePFN(e) == pfn && !tab.dead && g.takeSlot(i)
	if there {
		e = tab.replace(p, mkPTE(pfn, pteSwap|pteExclusive))
		t.flushHere(FlushReclaim, vpn)
		i.at, i.refs = mapping{}, i.refs+1
		i.state &^= pageHeld
		g.leave(pfn, i, frameAnon, e&pteD != 0)
		g.stats.Direct.Runs++
		g.stats.Direct.Stolen++
	}
	if tab != mine {
		tab.unlockSecond(t)
	}
	return there
}

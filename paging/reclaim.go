package paging

// Reclaim: pages leave memory so that others can come (mm/vmscan.c:
// try_to_free_mem_cgroup_pages, shrink_folio_list).

// maxReclaimRetries is how often a fault is tried again that found no frame
// although pages left: one that copies a page needs two, and where the one is
// evicted for the other it would go on for ever (mm/memcontrol.c:try_charge_memcg,
// MAX_RECLAIM_RETRIES).
const maxReclaimRetries = 16

// reclaimBatch is how many pages a policy of the kernel frees at a time
// (include/linux/swap.h:SWAP_CLUSTER_MAX).
const reclaimBatch = 32

// makeRoom makes room for n pages, or more where the policy works in batches;
// false says that not a single page could leave. coming is the page that comes
// back, 0 for a new one. Preconditions: no table is locked.
func (t *Task) makeRoom(n int, coming uint32) bool {
	g := t.machine.memory
	if g == nil || g.limit == 0 {
		return false
	}
	if g.batched {
		n = max(n, reclaimBatch)
	}
	n = min(n, int(g.limit)) // no more than there can be
	t.settle()
	r := reclaimer{task: t, group: g, at: t.places[:0]}
	g.mu.Lock()
	freed, again := 0, false
	for freed < n && g.short(n) {
		pfn := g.choose(coming, &g.stats.Direct)
		if pfn == 0 {
			if again || !g.reconsider() {
				break
			}
			again = true
			continue
		}
		if r.evict(pfn, g.info(pfn)) {
			freed++
		}
	}
	enough := freed > 0 || !g.short(1)
	if freed > 0 || !enough {
		g.stats.Direct.Runs++
		g.stats.Direct.Stolen += uint64(freed)
	}
	g.mu.Unlock()
	r.flush()
	t.places = r.at
	return enough
}

// short says whether fewer than n pages more would fit. Precondition: g.mu.
func (g *memory) short(n int) bool { return g.charged+int64(n) > g.limit }

// tight is short for those without the lock.
func (g *memory) tight(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.short(n)
}

// choose takes the page that the policy gives up out of its order and holds it, and
// counts for whom. Precondition: g.mu.
func (g *memory) choose(coming uint32, by *ReclaimRuns) uint32 {
	scanned := g.scanned
	pfn := g.policy.victim(coming)
	if by.Scanned += g.scanned - scanned; !g.batched && pfn != 0 {
		by.Scanned++
	}
	if pfn != 0 {
		g.pages.known(pfn).state |= pageHeld
	}
	return pfn
}

// reclaimer evicts pages for one task.
type reclaimer struct {
	task  *Task
	group *memory
	at    []mapping
	pend  []*Space // to be flushed at the end
	away  bool     // the task is on no CPU that programs run on
}

// evict makes a page that is held leave memory: false says that it could not, because
// it is locked or there is no slot for it, or that it was in use no more. Precondition:
// g.mu, which is given up while entries change.
func (r *reclaimer) evict(pfn uint32, i *pageInfo) bool {
	g := r.group
	f := g.m.frames.at(pfn)
	r.at = g.mappings(r.at[:0], pfn)
	if i.state&pageLazy != 0 && (i.state&pageDirty != 0 || r.dirty(pfn)) {
		i.state &^= pageLazy // somebody has written it (folio_set_swapbacked)
	}
	drop := i.state&pageLazy != 0 && g.foresee == nil // a life ends when it ends without a limit
	if r.locked() || f.kind != frameFile && !drop && !g.takeSlot(i) {
		r.keep(pfn, i)
		return false
	}
	g.mu.Unlock()
	dirty := r.unmap(f, pfn, i, f.kind == frameAnon && !drop)
	i.state &^= pageHeld
	switch {
	case i.state&pageGone != 0:
		r.end(pfn, i)
	case i.at.tab != nil: // mapped again meanwhile
		g.policy.insert(pfn)
		return false
	case drop:
		g.stats.Evictions++
		g.stats.Dropped++
		r.end(pfn, i)
	default:
		g.leave(pfn, i, f.kind, dirty)
	}
	return true
}

// leave takes a page that nothing maps any more out of memory, writing it if it
// has no good copy elsewhere. Precondition: g.mu.
func (g *memory) leave(pfn uint32, i *pageInfo, kind frameKind, dirty bool) {
	if dirty || i.state&pageDirty != 0 {
		if kind == frameFile {
			g.stats.FileOut++
			g.m.flusher.drop(pfn)
		} else {
			g.stats.SwapOut++
		}
	}
	g.writeBackAll(pfn) // MADV_PAGEOUT
	i.state &^= pageDirty | pageResident
	g.charged--
	g.stats.Evictions++
	if g.kswapd != nil {
		g.kswapd.gone(kind)
		g.kswapd.failures = 0 // shrink_node
	}
	g.policy.left(pfn)
}

// dirty says whether an entry of the page is.
func (r *reclaimer) dirty(pfn uint32) bool {
	for _, at := range r.at {
		if e := at.tab.load(at.vpn); ptePFN(e) == pfn && e&pteD != 0 {
			return true
		}
	}
	return false
}

// locked says whether a mapping of the page is locked (mm/rmap.c:
// folio_referenced_one, try_to_unmap_one).
func (r *reclaimer) locked() bool {
	for _, at := range r.at {
		if v := at.space().list().at(at.vpn << pageShift); v != nil && v.flags&vmLocked != 0 {
			return true
		}
	}
	return false
}

// takeSlot gives a page a slot in swap, if it has none (mm/swap_state.c:
// add_to_swap). false: swap is full. Precondition: g.mu.
func (g *memory) takeSlot(i *pageInfo) bool {
	switch {
	case i.state&pageSlot != 0:
		return true
	case g.used >= g.slots:
		return false
	}
	g.used++
	i.state |= pageSlot | pageDirty
	return true
}

// end gives back a page whose life ended while it was held. Precondition: g.mu.
func (r *reclaimer) end(pfn uint32, i *pageInfo) {
	r.group.end(pfn, i)
	r.task.frames.put(pfn)
}

// unmap takes a page out of all page tables (mm/rmap.c:try_to_unmap_one): where
// it was anonymous an entry stands for it in swap. It says whether an entry was
// dirty. Postcondition: g.mu.
func (r *reclaimer) unmap(f *frame, pfn uint32, i *pageInfo, swap bool) (dirty bool) {
	g := r.group
	if _, ok := g.m.frames.part(pfn); ok && len(r.at) > 0 { // split_folio_to_list; one that is being made stays whole
		g.m.frames.detachAll(pfn)
		r.task.stats.huge.SplitPage++
	}
	locked := false
	for n, at := range r.at {
		tab, s := at.tab, at.space()
		tab.lock(r.task)
		if tab.ptes != nil && tab.large() != 0 { // TTU_SPLIT_HUGE_PMD
			s.split(r.task, tab, at.vpn&^(tab.pages()-1))
		}
		if e := tab.load(at.vpn); e&(pteP|pteNone) != 0 && ptePFN(e) == pfn && !tab.dead {
			now := s.list().at(at.vpn<<pageShift).lost(at.vpn, e)
			if swap {
				now = mkPTE(pfn, pteSwap|e&pteExclusive)
			}
			e = tab.set(at.vpn, now)
			dirty = dirty || e&pteD != 0
			if now&(pteSwap|pteExclusive) != pteSwap|pteExclusive { // else it still counts, see frame
				f.mapcount.Add(-1)
			}
			r.charge(s, f.kind.rss(), -1)
			if swap {
				r.charge(s, rssSwap, 1)
			}
			r.later(at)
			g.mu.Lock()
			g.removeMapping(pfn, i, at)
			if swap {
				i.refs++
			}
			if locked = n == len(r.at)-1; !locked {
				g.mu.Unlock()
			}
		}
		tab.unlock(r.task)
	}
	if !locked {
		g.mu.Lock()
	}
	return dirty
}

// charge counts pages of a space that have left memory, or stand in swap.
func (r *reclaimer) charge(s *Space, k rssKind, n int64) {
	if s == r.task.space {
		r.task.charge(k, n)
	} else {
		s.charge(k, n)
	}
}

// later flushes the page at once where no other CPU runs the space, else notes
// that the space has to be flushed (mm/rmap.c:should_defer_flush).
func (r *reclaimer) later(at mapping) {
	s := at.space()
	self := uint64(1) << uint(max(r.task.onCPU, 0))
	if r.away {
		self = 0
	}
	if s.cpus.Load()&^self == 0 {
		s.flushPages(r.task, FlushReclaim, at.vpn, at.vpn+1)
		return
	}
	for _, other := range r.pend {
		if other == s {
			return
		}
	}
	r.pend = append(r.pend, s)
}

// flush flushes the spaces that were noted, wholly (arch_tlbbatch_flush).
func (r *reclaimer) flush() {
	for _, s := range r.pend {
		s.flushPages(r.task, FlushReclaim, 0, 0)
	}
	r.pend = r.pend[:0]
}

// young says whether a page was used since it was last asked, by the accessed
// bits of its entries, which it clears (mm/rmap.c:folio_referenced). As on x86
// the TLB is not flushed: an access by way of a translation that is cached
// leaves no trace (arch/x86/mm/pgtable.c:ptep_clear_flush_young).
// Precondition: g.mu.
func (g *memory) young(pfn uint32) (refs int) {
	if g.exact {
		return 0 // the policy has been told
	}
	if at := g.pages.known(pfn).at; at.tab != nil && g.clearYoung(at, pfn) {
		refs++
	}
	if len(g.shared) == 0 {
		return refs
	}
	for _, at := range g.shared[pfn] {
		if g.clearYoung(at.mapping, pfn) {
			refs++
		}
	}
	return refs
}

// clearYoung clears the accessed bit of an entry and says whether it was set.
// The lock of the table is not needed: only this bit changes, by
// compare-and-swap, as when the walker sets it. The bit of a huge page speaks for
// each of its pages. Precondition: g.mu.
func (g *memory) clearYoung(at mapping, pfn uint32) bool {
	if at.tab.large() == 0 {
		return clearAccessed(at.tab.small(at.vpn), pfn)
	}
	head := pfn - uint32(at.vpn&(at.tab.pages()-1))
	if clearAccessed(&at.tab.huge, head) {
		for i := range uint32(at.tab.pages()) {
			g.info(head + i).state |= pageYoung
		}
	}
	i := g.info(pfn)
	young := i.state&pageYoung != 0
	i.state &^= pageYoung
	return young
}

// OOMVictim is the task whose process the kernel kills when the group is out of
// memory: the one with most resident memory, page tables and swap
// (mm/oom_kill.c:oom_badness). nil when there is none.
func (m *Machine) OOMVictim() *Task {
	m.tasksMu.Lock()
	defer m.tasksMu.Unlock()
	var worst *Task
	most := int64(-1)
	for t := range m.tasks {
		points := t.space.rss.total() + t.space.rss.pages[rssSwap].Load() + t.space.table.pages.Load()
		if points > most || points == most && t.pid < worst.pid {
			worst, most = t, points
		}
	}
	return worst
}

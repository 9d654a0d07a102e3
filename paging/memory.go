package paging

import (
	"fmt"
	"math"
)

// Memory under a limit. A Machine with Config.Memory set charges pages to one
// group, as a memory cgroup does (mm/memcontrol.c): anonymous and shared
// anonymous memory when it is faulted in, pages of files when they are read. A
// page beyond the limit is taken only after another has left.
//
// A frame number names a page for its whole life here, whether it is in memory
// or not: a page that is swapped out, and a page of a file that was dropped,
// keep their number. What is counted is how many of the numbers are resident.
// So the entry of a page table that stands for a page in swap holds the same
// number (its swap slot, in Linux), and the cache of a file still knows a page
// that left (its shadow entry, mm/workingset.c).

// memory is the group. It exists only with a limit or with swap, or if somebody
// wants to know of every use of a page.
type memory struct {
	m     *Machine
	limit int64 // pages, 0 = none
	slots int64 // of swap, in pages

	mu       countedMutex   // innermost but for framePool.mu; taken under table locks
	policy   policy         // mu
	marks    accessedPolicy // immutable: the policy if it wants to know of uses without an entry, or nil
	together hitsPolicy     // immutable: the policy if it can be told of many hits together, or nil
	exact    bool           // immutable: the policy is told of every reference; those of the kernel never are
	stack    UseStack       // immutable: of Config, or nil
	events   *StackCounts   // mu: of stack, or nil
	measured measured       // mu: room for measureTogether
	batched  bool           // immutable: reclaim in batches, with read-ahead of files and swap
	pages    pageRows       // mu: by frame number
	rows     *StackPages    // mu: of stack, or nil
	noLevels levels         // mu: of no meaning, see levelsOf
	shared   map[uint32][]place
	aside    []uint32 // mu: pages that could not leave: locked, or there was no slot
	fresh    uint32   // mu: page that came in last: the reference that brought it is no hit
	lastUse  uint32   // mu: page used last
	charged  int64    // mu: resident pages
	high     int64    // mu: the most there were
	used     int64    // mu: slots
	scanned  uint64   // mu: pages that a policy of the kernel has looked at
	kswapd   *kswapd  // nil: memory is that of a group
	stats    ReclaimStats

	onUse   func(pfn uint32, written bool) // immutable, see Machine.OnUse
	onEnd   func(pfn uint32)               // immutable
	foresee func(pfn uint32, next uint64)  // immutable: for a policy that knows the future
}

// mapping is a place where a page is mapped: an entry of a leaf table. While a table
// moves the mapping is in the one under the old identity, which has the same entries.
type mapping struct {
	tab *table
	vpn uint64
}

func (at mapping) space() *Space { return at.tab.space }

// is says whether it is that of a page of an address space.
func (at mapping) is(s *Space, vpn uint64) bool {
	return at.vpn == vpn && at.tab != nil && at.tab.space == s
}

// place is a mapping with what Config.Stack wants to know of its entry; of pageInfo.at
// that is in StackPage.
type place struct {
	mapping
	levels
}

// ReclaimStats counts what memory pressure did, in pages.
type ReclaimStats struct {
	Evictions uint64 // pages that left memory
	Refaults  uint64 // pages that came back
	SwapIn    uint64 // read from swap
	SwapOut   uint64 // written to swap
	FileIn    uint64 // read from files
	FileOut   uint64 // dirty pages of files written
	Dropped   uint64 // freed after MADV_FREE
	Lazy      uint64 // marked by MADV_FREE
	Locks     uint64 // calls that locked memory, and mappings made locked
	Cached    uint64 // swap faults that found the page in memory (swap cache)

	Kswapd, Direct ReclaimRuns // in the background; by those who want pages
}

func newMemory(m *Machine) (*memory, error) {
	c := &m.cfg
	if c.Memory == 0 && c.Swap == 0 && !c.ReclaimExact && c.Stack == nil {
		return nil, nil
	}
	g := &memory{m: m, limit: int64(c.Memory >> pageShift), slots: int64(c.Swap >> pageShift), shared: map[uint32][]place{}}
	if c.Stack != nil {
		g.slots = math.MaxInt64
	}
	g.watch(c)
	how, err := findPolicy(c.Reclaim)
	if err != nil {
		return nil, err
	}
	if c.NeedsFuture() && c.Future == nil {
		return nil, fmt.Errorf("reclaim policy %q needs the future, from a run without a limit (Config.Future)", how.name)
	}
	g.exact, g.batched, g.policy = how.exact || c.ReclaimExact && !how.batched, how.batched && c.Only == nil, unlimited{}
	switch {
	case c.Stack != nil:
		g.exact, g.batched, g.policy, g.stack = true, false, stackPolicy{c.Stack}, c.Stack
		g.rows, g.events = c.Stack.Pages(), c.Stack.Counts()
	case g.limit > 0:
		g.policy = how.make(g)
		g.marks, _ = g.policy.(accessedPolicy)
		g.together, _ = g.policy.(hitsPolicy)
	}
	return g, nil
}

// info returns what is known of a page, which may be one that the group does not know.
// Precondition: g.mu.
func (g *memory) info(pfn uint32) *pageInfo { return g.pages.at(pfn) }

// counts says whether frames of the kind are charged: those of a file are not
// if its pages were in memory before the run, since somebody else has read them
// then (cgroup v2: memory is charged to whoever touches it first).
func (g *memory) counts(kind frameKind) bool {
	return kind == frameAnon || kind == frameShmem || kind == frameFile && g.m.cfg.Cache == CacheCold
}

// admit charges a page that is new; false says that there is no room.
func (g *memory) admit(pfn uint32, kind frameKind) bool {
	if g == nil || !g.counts(kind) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.full() {
		return false
	}
	i := g.info(pfn)
	*i = pageInfo{state: pageKnown}
	g.newcomer(pfn, kind)
	if kind == frameFile {
		g.stats.FileIn++
	} else {
		i.state |= pageDirty // there is no copy of it
	}
	g.enter(pfn, i)
	return true
}

// admitHuge charges the pages of a new huge page; false says that there is no room
// for all.
func (g *memory) admitHuge(head, size uint32) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit > 0 && g.charged+int64(size) > g.limit {
		return false
	}
	for pfn := head; pfn < head+size; pfn++ {
		i := g.info(pfn)
		*i = pageInfo{state: pageKnown | pageDirty}
		g.newcomer(pfn, frameAnon)
		g.enter(pfn, i)
	}
	return true
}

// admitBack charges a page that comes back to memory; false says that there is no
// room.
func (g *memory) admitBack(pfn uint32, kind frameKind) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&(pageKnown|pageResident) != pageKnown { // freed since its entry was read without a lock, or back
		return true
	}
	return g.returns(pfn, i, kind)
}

// returns is admitBack for a page that is out of memory. Precondition: g.mu.
func (g *memory) returns(pfn uint32, i *pageInfo, kind frameKind) bool {
	if g.full() {
		return false
	}
	g.stats.Refaults++
	if kind == frameFile {
		g.stats.FileIn++
	} else {
		g.stats.SwapIn++
	}
	g.enter(pfn, i)
	return true
}

func (g *memory) full() bool { return g.limit > 0 && g.charged >= g.limit }

// enter makes a page resident. Precondition: g.mu.
func (g *memory) enter(pfn uint32, i *pageInfo) {
	if g.kswapd != nil {
		g.kswapd.taken(g, pfn)
	}
	i.state |= pageResident
	g.charged++
	g.high = max(g.high, g.charged)
	g.fresh = pfn
	g.policy.insert(pfn)
}

// resident says whether a page is in memory; pages that are not charged are.
func (g *memory) resident(pfn uint32) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	return i.state&pageKnown == 0 || i.state&pageResident != 0
}

// forget ends the life of a page: its frame is given back. false says that it is
// being evicted: whoever does that gives it back.
func (g *memory) forget(pfn uint32) bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	return i.state&pageKnown == 0 || g.finish(pfn, i)
}

// finish is forget for a page of the group. Precondition: g.mu.
func (g *memory) finish(pfn uint32, i *pageInfo) bool {
	if i.state&pageHeld != 0 {
		i.state |= pageGone
		return false
	}
	g.end(pfn, i)
	return true
}

// end takes a page out of all accounts. Precondition: g.mu.
func (g *memory) end(pfn uint32, i *pageInfo) {
	if invariants && (i.at.tab != nil || i.refs != 0) {
		broken("page %d ends while it is mapped or has %d entries in swap", pfn, i.refs)
	}
	if i.state&pageResident != 0 {
		g.charged--
		if g.stack != nil {
			g.gone(pfn)
		}
		if g.kswapd != nil {
			g.kswapd.gone(g.m.frames.at(pfn).kind)
		}
	}
	g.dropSlot(i)
	g.policy.forget(pfn)
	if g.lastUse == pfn {
		g.lastUse = 0
	}
	if g.onEnd != nil {
		g.onEnd(pfn)
	}
	*i = pageInfo{state: i.state & pageAside} // it may still be on the list
}

// dropSlot frees the copy in swap; what waited for a slot gets another turn.
// Precondition: g.mu.
func (g *memory) dropSlot(i *pageInfo) {
	if i.state&pageSlot == 0 {
		return
	}
	i.state = i.state&^pageSlot | pageDirty
	if g.used--; g.used == g.slots-1 {
		g.retry()
	}
}

// link notes that a page is mapped at a place (page_add_anon_rmap,
// page_add_file_rmap). A page that another task has evicted since it was looked
// up is back, whatever the limit says. Precondition: the lock of the table.
func (g *memory) link(pfn uint32, at mapping) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addMapping(pfn, g.info(pfn), at)
}

// addMapping is link. Precondition: g.mu.
func (g *memory) addMapping(pfn uint32, i *pageInfo, by mapping) {
	if i.state&pageKnown == 0 {
		return
	}
	if i.state&pageResident == 0 {
		g.stats.Refaults++
		g.enter(pfn, i)
	}
	if i.at.tab != nil {
		g.shared[pfn] = append(g.shared[pfn], place{mapping: by})
		return
	}
	i.at = by
	g.setLevels(pfn, levels{})
}

// linkFork notes that a child maps a page where its parent does, by the table from.
func (g *memory) linkFork(pfn uint32, from *table, to mapping) {
	if g == nil {
		return
	}
	g.link(pfn, to)
	if g.stack != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		i, p := g.info(pfn), g.rows.at(pfn)
		*g.levelsOf(pfn, i, p, to.space(), to.vpn) = *g.levelsOf(pfn, i, p, from.space, to.vpn)
	}
}

// unlink is the end of a mapping; dirty says that its entry was
// (page_remove_rmap). If the page is anonymous, and that was all there was of it, its
// life ends with that, at once: it must not be evicted any more. The result is that of
// forget.
func (g *memory) unlink(pfn uint32, at mapping, dirty bool) (free bool) {
	anon := g.m.frames.at(pfn).kind == frameAnon
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&pageKnown == 0 {
		return false
	}
	if dirty {
		i.state |= pageDirty
	}
	g.removeMapping(pfn, i, at)
	if anon && i.unused() {
		return g.finish(pfn, i)
	}
	g.another(pfn, i) // that mapping may have been the locked one (mm/mlock.c:munlock_page)
	return false
}

// unused says that no entry maps a page, or stands for it in swap. Precondition: g.mu.
func (i *pageInfo) unused() bool { return i.at.tab == nil && i.refs == 0 }

// removeMapping takes one place out. Precondition: g.mu.
func (g *memory) removeMapping(pfn uint32, i *pageInfo, at mapping) {
	var more []place
	if len(g.shared) > 0 {
		more = g.shared[pfn]
	}
	switch {
	case i.at == at && len(more) == 0:
		i.at = mapping{}
		return
	case i.at == at:
		last := more[len(more)-1]
		i.at = last.mapping
		g.setLevels(pfn, last.levels)
	default:
		k := 0
		for k < len(more) && more[k].mapping != at {
			k++
		}
		if k == len(more) {
			if invariants {
				broken("page %d is not known to be mapped at %#x", pfn, at.vpn)
			}
			return
		}
		more[k] = more[len(more)-1]
	}
	if more = more[:len(more)-1]; len(more) == 0 {
		delete(g.shared, pfn)
	} else {
		g.shared[pfn] = more
	}
}

// moved is for entries that mremap gave another address.
func (g *memory) moved(pfn uint32, s *Space, from uint64, to mapping) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&pageKnown == 0 || i.at.tab == nil {
		return // not charged, or in swap
	}
	if i.at.is(s, from) {
		i.at = to
		return
	}
	for k, at := range g.shared[pfn] {
		if at.is(s, from) {
			g.shared[pfn][k].mapping = to
			return
		}
	}
}

// mappings appends the places where a page is mapped. Precondition: g.mu.
func (g *memory) mappings(dst []mapping, pfn uint32) []mapping {
	if at := g.info(pfn).at; at.tab != nil {
		dst = append(dst, at)
	}
	if len(g.shared) == 0 {
		return dst
	}
	for _, at := range g.shared[pfn] {
		dst = append(dst, at.mapping)
	}
	return dst
}

// validateMemory checks what has to do with the limit.
func (c Config) validateMemory() error {
	if c.Memory%PageSize != 0 || c.Swap%PageSize != 0 {
		return fmt.Errorf("memory of %d bytes, swap of %d: must be whole pages of 4 KiB", c.Memory, c.Swap)
	}
	if int(c.SwapDevice) >= len(swapDeviceNames) {
		return fmt.Errorf("swap device out of range")
	}
	if err := c.validateKswapd(); err != nil {
		return err
	}
	_, err := findPolicy(c.Reclaim)
	return err
}

// reused gives up the copy in swap of a page that its sole owner writes
// (mm/memory.c:do_wp_page, folio_free_swap).
func (g *memory) reused(pfn uint32) {
	if g != nil {
		g.mu.Lock()
		g.freeSlot(g.info(pfn))
		g.mu.Unlock()
	}
}

// dirtied notes that a page differs from its copy.
func (g *memory) dirtied(pfn uint32) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.info(pfn); i.state&pageKnown != 0 {
		i.state |= pageDirty
	}
}

// cleaned writes a page of a file back, if it is dirty.
func (g *memory) cleaned(pfn uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&(pageKnown|pageDirty) != pageKnown|pageDirty {
		return
	}
	i.state &^= pageDirty
	g.stats.FileOut++
	g.writeBackAll(pfn)
}

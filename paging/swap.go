package paging

// Swap: entries that stand for pages that are out of memory, and the faults that
// bring them back (mm/memory.c:do_swap_page, mm/swapfile.c).

// SwapDevice is what swap is made of.
type SwapDevice uint8

// The devices.
const (
	SwapDisk SwapDevice = iota // a read brings neighbours along (mm/swap_state.c:swap_vma_readahead)
	SwapZram                   // compressed memory: no read-ahead (SWP_SYNCHRONOUS_IO)
)

var swapDeviceNames = []string{"disk", "zram"}

func (d SwapDevice) String() string { return name(swapDeviceNames, int(d)) }

// ParseSwapDevice reads "disk" or "zram".
func ParseSwapDevice(s string) (SwapDevice, error) { return parse[SwapDevice](swapDeviceNames, s) }

// swapWindow is how many pages around a fault are read with it, from a disk
// (vm.page-cluster is 3).
const swapWindow = 8

// isSwap says that an entry stands for a page in swap.
func isSwap(e uint64) bool { return e&pteSwap != 0 }

// swapPFN is the page that an entry stands for, 0 if it is not one of swap.
func swapPFN(e uint64) uint32 {
	if isSwap(e) {
		return ptePFN(e)
	}
	return 0
}

// swapped is do_swap_page: the page comes back, and a write that finds it shared
// still copies it at once. Precondition: tab.mu.
func (t *Task) swapped(v *vma, tab *table, vpn, e uint64, a Access) (kind FaultKind, pages int, read bool) {
	pages, read = t.swapIn(v, tab, vpn, e, a)
	if e = tab.load(vpn); pages < 0 || a != Write || e&pteExclusive != 0 {
		return SwapIn, pages, read
	}
	_, pages = t.writeProtected(v, tab, vpn, e)
	return SwapIn, pages, read
}

// swapIn maps a page that an entry of swap stands for. It returns how many
// entries became present, -1 when there was no frame, and whether the page had
// to be read. Precondition: tab.mu.
func (t *Task) swapIn(v *vma, tab *table, vpn, e uint64, a Access) (pages int, read bool) {
	pfn := ptePFN(e)
	alone, read, ok := t.machine.memory.bringBack(pfn, mapping{tab, vpn}, e, a)
	if !ok {
		return -1, false
	}
	t.mapSwapped(v, tab, vpn, pfn, alone, e, a)
	t.charge(rssSwap, -1)
	t.charge(rssAnon, 1)
	return 1, read
}

// mapSwapped maps a page that was brought back in place of its entry e of swap; alone
// says that it has no other owner. Precondition: tab.mu.
func (t *Task) mapSwapped(v *vma, tab *table, vpn uint64, pfn uint32, alone bool, e uint64, a Access) {
	if e&pteExclusive == 0 {
		t.machine.frames.at(pfn).mapcount.Add(1)
	}
	now := mkPTE(pfn, t.bits(v, false)&^pteW|e&pteExclusive)
	if alone {
		now |= pteExclusive
		if a == Write {
			now |= pteD
			if v.flags&vmWrite != 0 {
				now |= pteW
			}
		}
	}
	tab.replace(tab.entry(vpn), now)
}

// bringBack maps a page in place of an entry of swap: alone says that it has no other
// owner, and read that it was not in memory (swap cache); not ok, that there is no room
// for it. Precondition: the lock of the table.
func (g *memory) bringBack(pfn uint32, at mapping, e uint64, a Access) (alone, read, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&(pageKnown|pageResident) != pageKnown {
		g.stats.Cached++
	} else if read = true; !g.returns(pfn, i, frameAnon) {
		return false, false, false
	}
	alone = i.unref(pfn) || e&pteExclusive != 0
	g.addMapping(pfn, i, at)
	if alone && a == Write { // its copy in swap is stale from now on, and given up
		g.freeSlot(i)
	}
	return alone, read, true
}

// unref takes one entry of swap away (swap_free) and says whether nothing maps the
// page or stands for it now. Precondition: g.mu.
func (i *pageInfo) unref(pfn uint32) (last bool) {
	i.refs--
	if invariants && i.refs < 0 {
		broken("page %d has %d entries in swap", pfn, i.refs)
	}
	return i.unused()
}

// freeSlot gives up the copy of a page in swap (folio_free_swap). A page that is being
// evicted keeps it: there the folio is locked.
// Precondition: g.mu.
func (g *memory) freeSlot(i *pageInfo) {
	if i.state&pageHeld == 0 {
		g.dropSlot(i)
	}
}

// copySwap adds an entry of swap for a page (swap_duplicate).
func (g *memory) copySwap(pfn uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.info(pfn).refs++
}

// zapSwap takes an entry of swap away; a page for which nothing else stands is
// free (free_swap_and_cache).
func (t *Task) zapSwap(pfn uint32) {
	g := t.machine.memory
	g.mu.Lock()
	i := g.info(pfn)
	free := i.unref(pfn) && g.finish(pfn, i)
	g.mu.Unlock()
	if free {
		t.frames.put(pfn)
	}
}

// sole says whether an anonymous page has no owner but one mapping: no other, and
// no entry of swap.
func (m *Machine) sole(f *frame, pfn uint32) bool {
	if f.kind != frameAnon || f.mapcount.Load() != 1 {
		return false
	}
	if b, ok := m.frames.part(pfn); ok && b.refs.Load() != 1 {
		return false // do_wp_page asks for the references to the whole huge page
	}
	g := m.memory
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.info(pfn).refs == 0
}

// swapAround reads the pages in swap around a fault, within the mapping and the
// leaf table, into memory without mapping them (mm/swap_state.c:
// swap_vma_readahead, with a window that does not adapt). Those that find no room
// stay where they are.
func (t *Task) swapAround(v *vma, vpn uint64) {
	g := t.machine.memory
	if !g.batched || t.machine.cfg.SwapDevice != SwapDisk || g.limit > 0 && g.limit < 4*swapWindow {
		return
	}
	tab := t.leaf(vpn)
	if tab == nil {
		return
	}
	if g.limit > 0 && g.early() && g.tight(swapWindow) {
		t.makeRoom(swapWindow, 0)
	}
	first := max(vpn-min(vpn, swapWindow/2), v.first(), vpn&^(tab.pages()-1))
	last := min(first+swapWindow, v.last(), vpn&^(tab.pages()-1)+tab.pages())
	for at := first; at < last; at++ {
		if e := tab.load(at); at != vpn && isSwap(e) {
			g.admitBack(ptePFN(e), frameAnon)
		}
	}
}

// lazy marks the pages of [start, end) as to be dropped by reclaim if nobody writes
// them before; those in swap are dropped at once.
func (t *Task) lazy(start, end uint64) {
	g := t.machine.memory
	dropped := int64(0)
	t.space.table.tables(start, end, func(base uint64, tab *table) {
		tab.lock(t)
		defer tab.unlock(t)
		for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
			switch e := tab.load(vpn); {
			case isSwap(e) && g.foresee == nil: // as in evict
				tab.set(vpn, 0)
				t.zapSwap(ptePFN(e))
				dropped++
			case e&(pteP|pteNone) != 0:
				g.setLazy(ptePFN(e))
			}
		}
	})
	t.space.charge(rssSwap, -dropped)
}

// setLazy marks a page that one entry maps (folio_mark_lazyfree).
func (g *memory) setLazy(pfn uint32) {
	f := g.m.frames.at(pfn)
	if f.kind != frameAnon || f.mapcount.Load() != 1 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.info(pfn)
	if i.state&pageKnown == 0 || i.refs != 0 || i.state&pageHeld != 0 {
		return // its copy in swap has other owners; or it is on its way there, off the lists
	}
	g.dropSlot(i)
	i.state = i.state&^pageDirty | pageLazy
	g.stats.Lazy++
}

// pageOut makes the pages of a part of a mapping leave memory, but those that
// others map as well (MADV_PAGEOUT, mm/madvise.c:madvise_cold_or_pageout_pte_range).
func (t *Task) pageOut(v *vma, start, end uint64) Errno {
	g := t.machine.memory
	if g == nil {
		return 0
	}
	r := reclaimer{task: t, group: g}
	defer r.flush()
	for vpn := start >> pageShift; vpn < end>>pageShift; vpn++ {
		tab := t.space.table.find(vpn)
		if tab == nil {
			vpn |= tableSize - 1 // no table maps less
			continue
		}
		if pfn := t.alone(tab, vpn); pfn != 0 {
			g.mu.Lock()
			if i := g.info(pfn); g.take(pfn, i) {
				r.evict(pfn, i)
			}
			g.mu.Unlock()
		}
	}
	return 0
}

// alone is the frame that an entry maps, if no other does, or 0.
func (t *Task) alone(tab *table, vpn uint64) uint32 {
	tab.lock(t)
	defer tab.unlock(t)
	e := tab.load(vpn)
	if e&(pteP|pteNone) == 0 || t.machine.frames.at(ptePFN(e)).mapcount.Load() != 1 {
		return 0
	}
	return ptePFN(e)
}

// take takes a resident page out of the policy's order and holds it; false says
// that somebody else has, or that it does not belong to the group. Precondition: g.mu.
func (g *memory) take(pfn uint32, i *pageInfo) bool {
	if i.state&(pageResident|pageAside|pageHeld) != pageResident {
		return false
	}
	g.policy.forget(pfn)
	i.state |= pageHeld
	return true
}

// swapWillNeed is MADV_WILLNEED of anonymous memory: its pages are read from swap
// (mm/madvise.c:swapin_walk_pmd_entry).
func (t *Task) swapWillNeed(start, end uint64) {
	g := t.machine.memory
	if g == nil || g.exact {
		return // see readRange
	}
	t.space.table.tables(start, end, func(base uint64, tab *table) {
		for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
			e := tab.load(vpn)
			if !isSwap(e) {
				continue
			}
			for pfn := ptePFN(e); !g.admitBack(pfn, frameAnon); {
				if !t.makeRoom(1, pfn) {
					return
				}
			}
		}
	})
}

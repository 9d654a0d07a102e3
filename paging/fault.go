package paging

// The fault handler: one decision tree, after Linux 6.1 arch/x86/mm/fault.c:
// do_user_addr_fault and mm/memory.c:handle_pte_fault.
//
//	mapping?      none, or below a stack that may not grow    -> SIGSEGV
//	permitted?    no                                          -> SIGSEGV
//	pages of hugetlb                                          -> see hugetlb.go
//	no table yet, anonymous, 2 MiB of the mapping             -> huge page of zeros, or zeroed (thp.go)
//	entry empty
//	  anonymous   read                                        -> zero page (zeroed frame with NoZeroPage)
//	              write                                       -> zeroed frame
//	  file        beyond its end                              -> SIGBUS
//	              read                                        -> the page, and its neighbours
//	              write, private                              -> a copy
//	              write, shared                               -> the page, writable
//	entry of a page in swap                                   -> the page comes back
//	entry that names a page of the file (2.6.32)              -> that page, or SIGBUS beyond the end
//	entry of a huge page
//	  write to a read-only entry
//	              sole owner                                  -> make writable
//	              anything else                               -> split it, and go on
//	entry present
//	  write to a read-only entry
//	              shared mapping                              -> make writable
//	              zero page                                   -> zeroed frame
//	              anonymous, sole owner                       -> make writable
//	              anything else                               -> a copy
//	  permitted already                                       -> spurious
//
// The entry is decided on and changed under the lock of its leaf table. The
// mapping is looked up without a lock before; once the table is locked it says
// whether it is gone: then the fault begins anew. Whoever changes mappings publishes
// the new list, marks those that are gone, and then visits the entries under the
// table locks, so an entry made by an old mapping is always seen. A fault takes the
// mmap lock, for reading, in three rare cases: to make a page table, to give a mapping
// its anon_vma, and before it is refused, so that a change under way (a MAP_FIXED
// mapping in place of another) is waited for as Linux waits for it.

// Outcomes of an attempt at a fault that has not ended: something has to happen
// without the locks of the attempt.
const (
	outGrow Outcome = 0x80 + iota // the stack has to grow first
	outBusy                       // the file is being cut
)

// fault handles one page fault, counts it and tells the observer.
func (t *Task) fault(vpn uint64, a Access) Outcome {
	before, maps, races := uint64(0), int32(0), t.stats.retries
	waits := uint64(0)
	t.newAnon = false
	if t.machine.tellEntries {
		before = t.peek(vpn)
		maps = t.machine.mappings(before)
	}
	v, kind, out, pages := (*vma)(nil), DemandZero, Minor, 1
	if t.machine.memory != nil {
		v, kind, out = t.exchange(vpn, a), SwapIn, Major
	} else {
		v = t.demandZero(vpn, a)
	}
	if v == nil {
		t.tell()
		v, kind, out, pages = t.attempt(vpn, a)
	}
	for out >= outGrow {
		if out == outBusy {
			v.file.await(t)
			t.counts(LockInvalidate).Retries++
		} else if out == outSteal {
			t.steal(v, vpn)
		} else if t.gup != 0 || !t.growStack(vpn<<pageShift) {
			v, kind, out = nil, FaultSegv, SIGSEGV
			break
		}
		waits++
		v, kind, out, pages = t.attempt(vpn, a)
	}
	t.stats.faults[kind]++
	if kind == Spurious {
		t.counts(LockPageTable).LostRaces++
	}
	if t.machine.cfg.HighMem {
		t.mapsHigh(kind, pages)
	}
	switch out {
	case Minor:
		t.stats.minor++
	case Major:
		t.stats.major++
	}
	t.faulted = true
	t.pause = t.machine.daemons
	if t.log != nil {
		t.log.add(v, kind, out)
	} else if f := t.machine.onFault; f != nil {
		info := &t.info
		*info = FaultInfo{Task: t, Times: 1, Addr: vpn << pageShift, Access: a, Kind: kind, Outcome: out, Pages: pages,
			Before: before, beforeMaps: maps, Retries: t.stats.retries - races + waits}
		if t.machine.tellEntries {
			info.After = t.peek(vpn)
		}
		if t.actor != nil {
			info.Task = t.actor
		}
		if info.of(v); v != nil {
			info.Unprepared = t.newAnon || v.anon.Load() == nil
		}
		f(info)
	}
	return out
}

// demandZero is the way through the tree that most faults take, without the
// questions of the others: a write to an empty entry of an anonymous mapping, where
// the table and the anon_vma are there. If the fault is one, it is done, and the
// mapping returned; else nil. Precondition: there is no memory to be charged.
func (t *Task) demandZero(vpn uint64, a Access) *vma {
	s := t.space
	v := t.last
	if v == nil || vpn<<pageShift-v.start >= v.end-v.start || v.gone.Load() {
		v, _ = t.mapping(s.vmas.Load(), vpn)
	}
	switch {
	case v == nil || a != Write || v.file != nil || v.flags&(vmWrite|vmHugeTLB|vmSpecial) != vmWrite || v.anon.Load() == nil,
		t.machine.cfg.Locking != LockPerTable || t.gup != 0:
		return nil
	}
	tab := t.leaf(vpn)
	if tab == nil || tab.load(vpn) != 0 {
		return nil
	}
	tab.lock(t)
	if tab.dead || tab.large() != 0 || v.gone.Load() || tab.load(vpn) != 0 || t.mapAnon(v, tab, vpn) < 0 {
		v = nil
	}
	tab.unlock(t)
	return v
}

// attempt takes the lock of the locking design around handle.
func (t *Task) attempt(vpn uint64, a Access) (v *vma, kind FaultKind, out Outcome, pages int) {
	s := t.space
	switch t.machine.cfg.Locking {
	case LockMM:
		s.rlock(t)
		v, kind, out, pages = t.handle(vpn, a)
		s.runlock(t)
	case LockGlobal:
		t.locks.acquire(rankFault)
		t.counts(LockFault).took(&s.faultMu)
		v, kind, out, pages = t.handle(vpn, a)
		s.faultMu.Unlock()
		t.locks.release(rankFault)
	default:
		return t.handle(vpn, a)
	}
	return v, kind, out, pages
}

// handle takes the fault down the tree. It returns the mapping (nil for none),
// the leaf, the outcome and how many entries became present.
func (t *Task) handle(vpn uint64, a Access) (*vma, FaultKind, Outcome, int) {
	s := t.space
	major, refused, small := false, 0, 0
	for {
		list := s.vmas.Load()
		v, below := t.mapping(list, vpn)
		switch {
		case below:
			return nil, FaultSegv, outGrow, 0
		case v == nil || !t.permits(v, a):
			if !t.settled(list) || v != nil && v.gone.Load() {
				t.again(LockMMapRead)
				continue
			}
			if !t.machine.layout.canonical(vpn) {
				return nil, FaultGP, SIGSEGV, 0
			}
			return v, FaultSegv, SIGSEGV, 0
		}
		paged := v.file != nil && v.flags&vmSpecial == 0 // by pages of a file, which may be cut
		if paged {
			index := t.fileIndex(v, vpn)
			if index >= v.file.pages() {
				return v, FaultBus, SIGBUS, 0
			}
			switch {
			case !t.unmapped(vpn):
			case v.file.cold() && v.file.bringIn(t, v, index), v.file.swappedOut(index):
				major = true
			}
		}
		if v.flags&vmHugeTLB != 0 {
			if kind, out, ok := t.hugetlbFault(v, vpn, a); ok {
				return v, kind, out, 1
			}
			t.again(LockMMapRead)
			continue
		}
		tab := t.leaf(vpn)
		if tab == nil && small == 0 && t.wantsHuge(v, vpn) {
			if kind, pages, ok := t.hugeFault(v, vpn, a); ok {
				return v, kind, Minor, pages
			}
			small = 1
			continue
		}
		if tab == nil || v.anon.Load() == nil && t.wantsAnon(v, a) {
			if tab = t.prepare(v, vpn, a); tab == nil {
				t.again(LockMMapRead)
				continue
			}
		}
		tab.lock(t)
		e := tab.load(vpn)
		if c, stale := t.stale(v, tab, vpn, e); stale {
			tab.unlock(t)
			t.again(c)
			if e&pteNone != 0 {
				t.settled(list)
			}
			continue
		}
		if paged && v.file.busy.Load() {
			tab.unlock(t)
			return v, 0, outBusy, 0
		}
		kind, pages, read := t.resolve(v, tab, vpn, e, a)
		tab.unlock(t)
		if read {
			t.swapAround(v, vpn)
			major = true
		}
		switch {
		case pages < 0:
			if refused++; refused <= maxReclaimRetries && t.makeRoom(1, swapPFN(e)) {
				continue
			}
			return v, FaultOOM, OOM, 0
		case major:
			return v, kind, Major, pages
		}
		return v, kind, Minor, pages
	}
}

// stale says whether what a fault has looked up is no longer so, now that the table is
// locked, and at which lock that changes.
func (t *Task) stale(v *vma, tab *table, vpn, e uint64) (c LockClass, stale bool) {
	switch {
	case tab.dead:
		return LockPageTable, true
	case e&pteNone != 0 && v.accessible(), // permitted now, but the entry has yet to follow
		v.gone.Load():
		return LockMMapRead, true
	case v.file == nil || v.flags&vmSpecial != 0:
		return 0, false
	}
	index, ok := v.place(vpn, e)
	if !ok { // the mapping is being made non-linear, and this entry is yet to be told of
		return LockMMapRead, true
	}
	return LockInvalidate, index >= v.file.pages()
}

// permits says whether a mapping allows the access: where entries cannot forbid
// fetches, what can be read can be executed.
func (t *Task) permits(v *vma, a Access) bool {
	if t.gup != 0 {
		return v.checkGUP(t.gup) == 0
	}
	if a == Exec && t.machine.layout.nx == 0 {
		return v.accessible()
	}
	return v.permits(a)
}

// mapping finds the mapping of a page. below says that there is none but the
// next one above may grow down to it.
func (t *Task) mapping(list *vmaList, vpn uint64) (v *vma, below bool) {
	addr := vpn << pageShift
	if v = t.last; v != nil && addr-v.start < v.end-v.start && !v.gone.Load() {
		return v, false
	}
	i := list.find(addr)
	if i == len(*list) {
		return nil, false
	}
	if v = (*list)[i]; v.start > addr {
		return nil, v.flags&vmGrowsDown != 0
	}
	t.last = v
	return v, false
}

// settled says whether the list is current and nobody is changing the mappings:
// what it does not permit is refused.
func (t *Task) settled(list *vmaList) bool {
	s := t.space
	if t.machine.cfg.Locking == LockMM {
		return true // the caller keeps changes out
	}
	s.rlock(t)
	defer s.runlock(t)
	return s.vmas.Load() == list
}

// prepare makes what a fault needs beside the entry: the leaf table, and for a
// private page the anon_vma of its mapping (mm/rmap.c:__anon_vma_prepare). It
// returns nil if the mapping is no longer current.
func (t *Task) prepare(v *vma, vpn uint64, a Access) *table {
	s := t.space
	if t.machine.cfg.Locking != LockMM {
		s.rlock(t)
		defer s.runlock(t)
	}
	now := s.list()
	if v.gone.Load() {
		return nil
	}
	if t.wantsAnon(v, a) {
		t.prepareAnon(now, v)
	}
	return s.makeTable(vpn)
}

// wantsAnon says that the fault gives the mapping an anonymous page.
func (t *Task) wantsAnon(v *vma, a Access) bool {
	return v.private() && (a == Write || t.machine.cfg.NoZeroPage && v.file == nil && v.flags&vmSpecial == 0)
}

// unmapped says that the page has no entry, or one that names a page of the file:
// only then does a fault on a file go to the page cache.
func (t *Task) unmapped(vpn uint64) bool {
	tab := t.leaf(vpn)
	if tab == nil {
		return true
	}
	e := tab.load(vpn)
	return e == 0 || isFileEntry(e)
}

// resolve makes the entry e of a page permit the access. It returns the leaf of
// the tree and how many entries became present, -1 when there was no frame, and
// whether a page had to be read from swap. Preconditions: tab.mu; the access is permitted by v; a file's page is inside
// the file; e is empty or present.
func (t *Task) resolve(v *vma, tab *table, vpn, e uint64, a Access) (kind FaultKind, pages int, read bool) {
	if isSwap(e) {
		return t.swapped(v, tab, vpn, e, a)
	}
	if isFileEntry(e) {
		return NonLinear, t.mapIndexed(v, tab, vpn, fileOffset(e), a), false
	}
	kind, pages = t.resolvePresent(v, tab, vpn, e, a)
	return kind, pages, false
}

func (t *Task) resolvePresent(v *vma, tab *table, vpn, e uint64, a Access) (FaultKind, int) {
	switch {
	case e&(pteP|pteNone) != 0: // pteNone: for getUserPages
		unshare := t.gup&gupUnshare != 0
		if e&pteHuge != 0 && (unshare || a == Write && e&pteW == 0) {
			if kind, ok := t.writeHuge(v, tab, vpn, unshare); ok {
				return kind, 0
			}
			e = tab.load(vpn) // of the page alone
		}
		if unshare {
			return t.unshare(v, tab, vpn, e)
		}
		if a == Write && e&pteW == 0 {
			return t.writeProtected(v, tab, vpn, e)
		}
		return Spurious, 0 // another task resolved it, or it was permitted meanwhile
	case v.flags&vmSpecial != 0:
		return FileRead, t.mapSpecial(v, tab, vpn)
	case v.file == nil:
		return t.anonymous(v, tab, vpn, a)
	case v.flags&vmNonLinear != 0:
		return linearKind(a), t.mapIndexed(v, tab, vpn, v.index(vpn), a)
	case a != Write:
		return FileRead, t.mapFile(v, tab, vpn)
	case v.private():
		return FileCOW, t.mapAnon(v, tab, vpn)
	}
	return FileShared, t.mapShared(v, tab, vpn)
}

// bits are the flags of an entry of the mapping (vm_page_prot): a shared
// mapping of memory that needs no notice of its first write is writable at once
// (mm/mmap.c:vma_wants_writenotify).
func (t *Task) bits(v *vma, write bool) uint64 {
	b := pteP | pteA
	if v.flags&vmExec == 0 {
		b |= t.machine.layout.nx
	}
	if write {
		b |= pteD
	}
	if v.flags&vmWrite != 0 && (write || v.flags&vmShared != 0 && v.file != nil && v.file.shmem) {
		b |= pteW // maybe_mkwrite
	}
	if !v.accessible() {
		return b&^pteP | pteNone | pteNX
	}
	return b
}

// anonymous is do_anonymous_page: the zero page for a read, a zeroed frame for
// a write.
func (t *Task) anonymous(v *vma, tab *table, vpn uint64, a Access) (FaultKind, int) {
	if a == Write || t.machine.cfg.NoZeroPage {
		return DemandZero, t.mapAnon(v, tab, vpn)
	}
	tab.set(vpn, mkPTE(zeroPFN, t.bits(v, false)))
	return ZeroPage, 1
}

// mapAnon puts a frame of its own under the page: zeroed memory, or the copy of
// a file's page. Preconditions: tab.mu; the mapping has its anon_vma.
func (t *Task) mapAnon(v *vma, tab *table, vpn uint64) int {
	if invariants && v.anon.Load() == nil {
		broken("an anonymous page in a mapping without anon_vma")
	}
	source := uint32(0)
	if v.file != nil {
		source = v.file.slot(v.index(vpn)).Load()
	}
	g := t.machine.memory
	if g != nil && !g.copies(source) {
		return -1
	}
	pfn := t.frames.alloc(frameAnon, 1)
	if pfn == 0 {
		return -1
	}
	// zeroed memory that may not be written is not dirty (do_anonymous_page)
	tab.set(vpn, mkPTE(pfn, t.bits(v, v.file != nil || v.flags&vmWrite != 0)|pteExclusive))
	if g != nil {
		g.link(pfn, mapping{tab, vpn})
	}
	t.charge(rssAnon, 1)
	return 1
}

// writeProtected is do_wp_page: a page that fork has never shared, or whose
// other owners are gone, is reused.
func (t *Task) writeProtected(v *vma, tab *table, vpn, e uint64) (FaultKind, int) {
	if !v.private() {
		tab.set(vpn, e|pteW|pteD|pteA)
		t.machine.flusher.add(v.file, v.index(vpn), ptePFN(e))
		return MkWrite, 0
	}
	f := t.machine.frames.at(ptePFN(e))
	if e&pteExclusive != 0 || t.machine.sole(f, ptePFN(e)) {
		e |= pteExclusive | pteD | pteA
		if v.flags&vmWrite != 0 {
			e |= pteW
		}
		tab.set(vpn, e)
		t.machine.memory.reused(ptePFN(e))
		return CowReuse, 0
	}
	pfn := t.allocCopy(ptePFN(e))
	if pfn == 0 {
		return CowCopy, -1
	}
	tab.set(vpn, mkPTE(pfn, t.bits(v, true)|pteExclusive))
	t.machine.memory.link(pfn, mapping{tab, vpn})
	t.space.flushPages(t, FlushCOW, vpn, vpn+1)
	if f.kind == frameZero {
		t.charge(rssAnon, 1)
		return CowZero, 1
	}
	if kind := f.kind.rss(); kind != rssAnon { // in this order, so that the peak does not see both
		t.charge(kind, -1)
		t.charge(rssAnon, 1)
	}
	t.unmapFrame(tab, vpn, f, e)
	return CowCopy, 1
}

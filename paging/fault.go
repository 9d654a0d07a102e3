package paging

import "sync/atomic"

// The fault handler: one decision tree, after Linux 6.1 arch/x86/mm/fault.c:
// do_user_addr_fault and mm/memory.c:handle_pte_fault.
//
//	mapping?      none, or below a stack that may not grow    -> SIGSEGV
//	permitted?    no                                          -> SIGSEGV
//	entry empty
//	  anonymous   read                                        -> zero page
//	              write                                       -> zeroed frame
//	  file        beyond its end                              -> SIGBUS
//	              read                                        -> the page, and its neighbours
//	              write, private                              -> a copy
//	              write, shared                               -> the page, writable
//	entry present
//	  write to a read-only entry
//	              shared mapping                              -> make writable
//	              zero page                                   -> zeroed frame
//	              anonymous, sole owner                       -> make writable
//	              anything else                               -> a copy
//	  permitted already                                       -> spurious
//
// The entry is decided on and changed under the lock of its leaf table. The
// mapping is looked up without a lock before; once the table is locked the list
// of mappings is compared: if it has changed the fault begins anew. Whoever
// changes mappings publishes the new list first and then visits the entries
// under the table locks, so an entry made by the old list is always seen.

// FaultInfo describes one fault, for observers.
type FaultInfo struct {
	Task       *Task
	Addr       uint64 // of the page; the byte within is not known
	Access     Access
	Kind       FaultKind
	Outcome    Outcome
	Start, End uint64 // of the mapping, 0 for none
	Prot       Prot
	Name       string // of the mapping: path, [heap], [stack], [anon]
	Foreign    bool   // the mapping belongs to the recorder
	Pages      int    // entries made present
}

// stackLimit is RLIMIT_STACK and stackGap the guard gap below a growing stack,
// in bytes (mm/mmap.c:stack_guard_gap).
const (
	stackLimit = 8 << 20
	stackGap   = 256 * PageSize
)

// fault handles one page fault, counts it and tells the observer.
func (t *Task) fault(vpn uint64, a Access) Outcome {
	s := t.space
	switch t.machine.cfg.Locking {
	case LockGlobal:
		s.faultMu.Lock()
		defer s.faultMu.Unlock()
	case LockMM:
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	v, kind, out, pages := t.handle(vpn, a)
	t.stats.faults[kind]++
	switch out {
	case Minor:
		t.stats.minor++
	case Major:
		t.stats.major++
	}
	if f := t.machine.onFault; f != nil {
		info := FaultInfo{Task: t, Addr: vpn << pageShift, Access: a, Kind: kind, Outcome: out, Pages: pages, Name: "(no mapping)"}
		if v != nil {
			info.Start, info.End, info.Prot, info.Name, info.Foreign = v.start, v.end, v.prot(), v.Name(), v.foreign()
		}
		f(&info)
	}
	return out
}

// handle takes the fault down the tree. It returns the mapping (nil for none),
// the leaf, the outcome and how many entries became present.
func (t *Task) handle(vpn uint64, a Access) (*vma, FaultKind, Outcome, int) {
	for {
		list := t.space.vmas.Load()
		v, out := t.mapping(list, vpn, a)
		if out != OK {
			return v, FaultSegv, out, 0
		}
		if v == nil {
			continue // the stack grew: look again
		}
		major := false
		if v.file != nil && v.flags&vmSpecial == 0 {
			index := v.index(vpn)
			if index >= v.file.pages() {
				return v, FaultBus, SIGBUS, 0
			}
			major = !v.file.shmem && t.bringIn(v, vpn, index)
		}
		tab := t.space.lockEntry(vpn)
		if t.space.vmas.Load() != list && t.space.list().at(vpn<<pageShift) != v {
			tab.mu.Unlock()
			t.stats.lostRaces++
			continue
		}
		kind, pages := t.resolve(v, tab, vpn, a)
		tab.mu.Unlock()
		switch {
		case pages < 0:
			return v, FaultOOM, OOM, 0
		case major:
			return v, kind, Major, pages
		}
		return v, kind, Minor, pages
	}
}

// mapping finds the mapping of a page and holds the access against it. A nil
// mapping with OK says that the stack was grown.
func (t *Task) mapping(list *vmaList, vpn uint64, a Access) (*vma, Outcome) {
	addr := vpn << pageShift
	v := t.last
	if v == nil || addr < v.start || addr >= v.end || t.lastList != list {
		i := list.find(addr)
		if i == len(*list) {
			return nil, SIGSEGV
		}
		if v = (*list)[i]; v.start > addr {
			if v.flags&vmGrowsDown == 0 || !t.growStack(addr) {
				return nil, SIGSEGV
			}
			return nil, OK
		}
		t.last, t.lastList = v, list
	}
	if !v.permits(a) {
		return v, SIGSEGV
	}
	return v, OK
}

// growStack extends the mapping above addr down to it (mm/mmap.c:
// expand_downwards): within the stack limit, and leaving the guard gap to a
// mapping below that can be accessed.
func (t *Task) growStack(addr uint64) bool {
	s := t.space
	if t.machine.cfg.Locking != LockMM { // there the caller holds mu for reading and must give way
		s.mu.Lock()
		defer s.mu.Unlock()
	} else {
		s.mu.RUnlock()
		s.mu.Lock()
		defer s.mu.RLock()
		defer s.mu.Unlock()
	}
	l := s.list()
	i := l.find(addr)
	if i == len(l) || l[i].flags&vmGrowsDown == 0 {
		return false
	}
	v := l[i]
	if v.start <= addr {
		return true // another task grew it
	}
	if v.end-addr > stackLimit {
		return false
	}
	if i > 0 {
		below := l[i-1]
		if below.flags&vmGrowsDown == 0 && below.flags&(vmRead|vmWrite|vmExec) != 0 && addr-below.end < stackGap || addr < below.end {
			return false
		}
	}
	n := *v
	grown := (v.start - addr) >> pageShift
	if grown > v.pgoff {
		return false
	}
	n.start, n.pgoff = addr, v.pgoff-grown
	s.publish(l.replaced(i, i+1, &n))
	return true
}

// bringIn reads the page of a file if it is not in the cache and not mapped,
// and says whether that took I/O. It happens before the table is locked, since
// it may sleep.
func (t *Task) bringIn(v *vma, vpn, index uint64) bool {
	if v.file.resident(index) {
		return false
	}
	if tab := t.leaf(vpn); tab != nil && atomic.LoadUint64(&tab.ptes[vpn&tableMask]) != 0 {
		return false
	}
	v.file.readAround(t, v, index)
	return true
}

// resolve makes the entry permit the access. It returns the leaf of the tree
// and how many entries became present, -1 when there was no frame.
// Preconditions: tab.mu; the access is permitted by v; a file's page is inside
// the file.
func (t *Task) resolve(v *vma, tab *table, vpn uint64, a Access) (FaultKind, int) {
	e := atomic.LoadUint64(&tab.ptes[vpn&tableMask])
	switch {
	case e&pteP != 0:
		if a == Write && e&pteW == 0 {
			return t.writeProtected(v, tab, vpn, e)
		}
		return Spurious, 0 // another task resolved it, or it was permitted meanwhile
	case v.flags&vmSpecial != 0:
		return FileRead, t.mapSpecial(v, tab, vpn)
	case v.file == nil:
		return t.anonymous(v, tab, vpn, a)
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
func (v *vma) bits(write bool) uint64 {
	b := pteP | pteA
	if v.flags&vmExec == 0 {
		b |= pteNX
	}
	switch {
	case v.flags&vmWrite == 0:
	case write:
		b |= pteW | pteD
	case v.flags&vmShared != 0 && v.file != nil && v.file.shmem:
		b |= pteW
	}
	return b
}

// anonymous is do_anonymous_page: the zero page for a read, a zeroed frame for
// a write.
func (t *Task) anonymous(v *vma, tab *table, vpn uint64, a Access) (FaultKind, int) {
	if a == Write {
		return DemandZero, t.mapAnon(v, tab, vpn)
	}
	tab.set(vpn&tableMask, mkPTE(zeroPFN, v.bits(false)))
	return ZeroPage, 1
}

// mapAnon puts a frame of its own under the page: zeroed memory, or the copy of
// a file's page.
func (t *Task) mapAnon(v *vma, tab *table, vpn uint64) int {
	pfn := t.frames.alloc(frameAnon, 1)
	if pfn == 0 {
		return -1
	}
	v.anon.note()
	tab.set(vpn&tableMask, mkPTE(pfn, v.bits(true)))
	t.space.charge(rssAnon, 1)
	return 1
}

// note sets the mark, which is set already almost always.
func (m *anonMark) note() {
	if !m.set.Load() {
		m.set.Store(true)
	}
}

// writeProtected is do_wp_page.
func (t *Task) writeProtected(v *vma, tab *table, vpn, e uint64) (FaultKind, int) {
	i := vpn & tableMask
	if !v.private() {
		tab.set(i, e|pteW|pteD|pteA)
		return MkWrite, 0
	}
	f := t.machine.frames.at(ptePFN(e))
	if f.kind == frameAnon && f.mapcount.Load() == 1 {
		tab.set(i, e|pteW|pteD|pteA)
		return CowReuse, 0
	}
	pfn := t.frames.alloc(frameAnon, 1)
	if pfn == 0 {
		return CowCopy, -1
	}
	v.anon.note()
	tab.set(i, mkPTE(pfn, v.bits(true)))
	t.space.charge(rssAnon, 1)
	t.space.flushPages(t, FlushCOW, vpn, vpn+1)
	if f.kind == frameZero {
		return CowZero, 1
	}
	var gone [numRSS]int64
	t.space.drop(t, e, &gone)
	t.space.charge(f.kind.rss(), -1)
	return CowCopy, 1
}

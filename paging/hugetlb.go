package paging

import (
	"math"
	"sync/atomic"
)

// Pages of hugetlb: large pages from pools of their own, after Linux 6.1
// mm/hugetlb.c and fs/hugetlbfs/inode.c. A mapping of them has an object behind
// it, private ones too; its pages are not swapped, split, merged or counted as
// resident (HugetlbPages of /proc/PID/status). A mapping reserves its pages when
// it is made, so that its faults do not fail; one without a reservation
// (MAP_NORESERVE, or a child's after fork) gets SIGBUS when the pool is empty.

// hugeVMA is what a mapping of hugetlb carries: parts of it after a split share
// it (vm_private_data).
type hugeVMA struct {
	pool *hugePool
	// used are the pages of a private mapping that have used up their
	// reservation, by offset; nil where there are none (HPAGE_RESV_OWNER is not
	// set). Guarded by hugePools.mu.
	used     map[uint64]bool
	unmapped atomic.Bool // a page was taken away for the parent (HPAGE_RESV_UNMAPPED)
}

// size is how many 4 KiB pages one of its pages has.
func (h *hugeVMA) size() uint64 { return 1 << h.pool.shift }

// reserved counts the pages of a private mapping that are still promised.
// Precondition: hugePools.mu.
func (v *vma) reserved() int64 {
	if v.huge == nil || v.huge.used == nil {
		return 0
	}
	n := int64(v.pages() >> v.huge.pool.shift)
	for at := range v.huge.used {
		if at >= v.pgoff && at < v.pgoff+v.pages() {
			n--
		}
	}
	return n
}

// newHugeFile is an object of hugetlbfs.
func (m *Machine) newHugeFile(p *hugePool, size uint64, path string) *File {
	m.anyShmem.Store(true)
	m.hugetlb.anyOf.Store(true)
	f := &File{machine: m, shmem: true, sized: true, hugetlb: p, path: path, reserves: map[uint64]bool{}}
	f.size.Store(size)
	return f
}

// HugeFile is File for a file of hugetlbfs, as of memfd_create with MFD_HUGETLB,
// of pages of so many bytes (0: the smallest); nil if the machine has none of
// that size. It lives as SharedFile does.
func (m *Machine) HugeFile(dev, ino, size uint64, path string, pageBytes uint64) *File {
	log := uint64(0)
	for b := pageBytes; b > 1; b >>= 1 {
		log++
	}
	p := m.pool(log)
	if p == nil {
		return nil
	}
	m.filesMu.Lock()
	if k := (fileKey{dev, ino}); m.files[k] == nil {
		f := m.newHugeFile(p, 0, path)
		f.dev, f.ino = dev, ino
		m.files[k] = f
	}
	m.filesMu.Unlock()
	return m.File(dev, ino, size, path)
}

// reserve promises a new mapping its pages (hugetlb_reserve_pages). What a
// recorded program got it gets: the pool grows.
func (v *vma) reserve(m *Machine, imposed bool) bool {
	m.hugetlb.mu.Lock()
	defer m.hugetlb.mu.Unlock()
	switch {
	case v.flags&vmNoReserve != 0:
		return true
	case !v.private():
		return v.file.reserve(v.pgoff, v.pgoff+v.pages(), imposed)
	}
	if !v.huge.pool.promise(int64(v.pages()>>v.huge.pool.shift), imposed) {
		return false
	}
	v.huge.used = map[uint64]bool{}
	return true
}

// reserve promises an object the pages [first, limit) that it has not got.
// Precondition: hugePools.mu.
func (f *File) reserve(first, limit uint64, imposed bool) bool {
	n, size := int64(0), uint64(1)<<f.hugetlb.shift
	for at := first; at < limit; at += size {
		if !f.reserves[at] {
			n++
		}
	}
	if !f.hugetlb.promise(n, imposed) {
		return false
	}
	for at := first; at < limit; at += size {
		f.reserves[at] = true
	}
	return true
}

// promise is account; with imposed the pool grows to what is needed. Precondition:
// hugePools.mu.
func (p *hugePool) promise(n int64, imposed bool) bool {
	if !p.account(n) {
		if !imposed {
			return false
		}
		need := p.reserved + n - p.free
		p.total, p.free, p.grown = p.total+need, p.free+need, p.grown+need
		p.account(n)
	}
	return true
}

// settleHuge gives back what mappings had reserved that are no longer in a new
// list (hugetlb_vm_op_close). Precondition: s.mu for writing.
func (s *Space) settleHuge(old, now vmaList) {
	h := &s.machine.hugetlb
	if !h.anyOf.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	change := map[*hugeVMA]int64{}
	for _, v := range old {
		if v.huge != nil {
			change[v.huge] -= v.reserved()
		}
	}
	for _, v := range now {
		if v.huge != nil {
			change[v.huge] += v.reserved()
		}
	}
	for v, n := range change {
		if n < 0 { // what is new has been reserved before
			v.pool.account(n)
		}
	}
}

// allocHugeTLB takes a page for a place of a mapping. With aside the reservation
// of the place is not touched (avoid_reserve). Precondition: hugePools.mu.
func (v *vma) allocHugeTLB(m *Machine, index uint64, kind frameKind, aside bool) uint32 {
	p := v.huge.pool
	promised := false
	switch {
	case aside:
	case !v.private():
		promised = v.file.reserves[index]
	case v.huge.used != nil:
		promised = !v.huge.used[index]
	}
	head := p.take(m.frames, kind, promised)
	switch {
	case head == 0:
	case !v.private():
		v.file.reserves[index] = true // whether it was or not (vma_commit_reservation)
	case v.huge.used != nil && !aside:
		v.huge.used[index] = true
	}
	return head
}

// outSteal is the outcome of an attempt at a fault that needs a page which only
// children of the process can give.
const outSteal = outBusy + 1

// hugetlbFault is hugetlb_fault. ok is false when the mapping is no longer
// current.
func (t *Task) hugetlbFault(v *vma, vpn uint64, a Access) (kind FaultKind, out Outcome, ok bool) {
	s, m := t.space, t.machine
	if m.cfg.Locking != LockMM {
		s.rlock(t)
		defer s.runlock(t)
	}
	now := s.list()
	if v.gone.Load() {
		return 0, 0, false
	}
	tab, grown := s.table.makeLarge(vpn, v.huge.pool.shift)
	s.countTables(grown)
	base := vpn &^ (tab.pages() - 1)
	tab.lock(t)
	defer tab.unlock(t)
	m.hugetlb.mu.Lock()
	defer m.hugetlb.mu.Unlock()
	kind = HugeTLBFault
	if tab.large() == 0 {
		if out = t.hugetlbMap(now, v, tab, base); out != Minor {
			return FaultBus, out, true
		}
	} else {
		kind = Spurious
	}
	e := tab.large()
	unshare := t.gup&gupUnshare != 0
	if a != Write && !unshare || a == Write && e&pteW != 0 {
		return kind, Minor, true
	}
	copied, out := t.hugetlbWrite(now, v, tab, base, unshare)
	switch {
	case out == outSteal:
		return 0, out, true
	case out != Minor:
		return FaultBus, out, true
	case kind == HugeTLBFault:
		return kind, Minor, true // in one fault
	case copied:
		return HugeTLBCopy, Minor, true
	}
	return HugeTLBReuse, Minor, true
}

// hugetlbMap is hugetlb_no_page. Preconditions: tab.mu, hugePools.mu.
func (t *Task) hugetlbMap(l vmaList, v *vma, tab *table, base uint64) Outcome {
	m, index := t.machine, v.index(base)
	if v.huge.unmapped.Load() || index >= v.file.pages() {
		return SIGBUS
	}
	slot := v.file.slot(index)
	head, bits := slot.Load(), t.hugeBits(v, v.flags&(vmWrite|vmShared) == vmWrite|vmShared)
	switch {
	case head != 0:
	case v.private():
		if head = v.allocHugeTLB(m, index, frameHugeAnon, false); head != 0 {
			t.prepareAnon(l, v)
		}
		bits |= pteExclusive
	default:
		if head = v.allocHugeTLB(m, index, frameHugeFile, false); head != 0 {
			slot.Store(head)
			v.file.cached.Add(1)
		}
	}
	if head == 0 {
		v.huge.pool.denied++
		return SIGBUS
	}
	m.frames.at(head).mapcount.Add(1)
	atomic.StoreUint64(&tab.huge, mkPTE(head, bits))
	t.space.hugetlb.Add(int64(tab.pages()) << pageShift)
	return Minor
}

// hugeBits are the bits of an entry of hugetlb (make_huge_pte).
func (t *Task) hugeBits(v *vma, write bool) uint64 {
	b := t.bits(v, write)
	if !write {
		b &^= pteW
	}
	if b |= pteHuge; uint(v.huge.pool.shift) > t.machine.layout.bits {
		b |= pteGiant
	}
	return b
}

// hugetlbWrite is hugetlb_wp: the page becomes writable, or a copy takes its
// place. Preconditions: tab.mu, hugePools.mu; the entry is present and not
// writable.
func (t *Task) hugetlbWrite(l vmaList, v *vma, tab *table, base uint64, unshare bool) (copied bool, out Outcome) {
	m := t.machine
	e := tab.large()
	head := ptePFN(e)
	f := m.frames.at(head)
	if !v.private() || f.kind == frameHugeAnon && f.mapcount.Load() == 1 {
		tab.updateHuge(func(e uint64) uint64 {
			if v.private() {
				e |= pteExclusive
			}
			if unshare {
				return e
			}
			return e | pteW | pteD | pteA
		})
		return false, Minor
	}
	index := v.index(base)
	// The process that made the mapping keeps its reservation for pages it has
	// not touched yet.
	aside := v.huge.used != nil && head != v.file.slot(index).Load()
	fresh := v.allocHugeTLB(m, index, frameHugeAnon, aside)
	switch {
	case fresh == 0 && aside:
		return false, outSteal
	case fresh == 0:
		v.huge.pool.denied++
		return false, SIGBUS
	}
	t.prepareAnon(l, v)
	m.frames.at(fresh).mapcount = 1
	atomic.StoreUint64(&tab.huge, mkPTE(fresh, t.hugeBits(v, !unshare)|pteExclusive))
	t.space.flushBy(t, FlushCOW, base, base+tab.pages(), tab.pages())
	t.putHugeTLB(v.huge.pool, head)
	return true, Minor
}

// holdsHuge says whether the object behind a mapping has the page
// (hugetlbfs_pagecache_present).
func (v *vma) holdsHuge(vpn uint64) bool {
	return v.file.slot(v.index(vpn&^(v.huge.size()-1))).Load() != 0
}

// putHugeTLB takes one mapping of a page away. Precondition: hugePools.mu.
func (t *Task) putHugeTLB(p *hugePool, head uint32) {
	f := t.machine.frames.at(head)
	if f.mapcount.Add(-1) == 0 && f.kind == frameHugeAnon {
		p.put(t.machine.frames, head)
	}
}

// steal unmaps a page of a private mapping from everybody but the process that
// made the mapping, so that it can have it alone (unmap_ref_private). Who loses it
// gets SIGBUS when it comes back for it. Precondition: no locks.
func (t *Task) steal(v *vma, vpn uint64) {
	p := v.huge.pool
	index := v.index(vpn &^ (v.huge.size() - 1))
	v.file.eachMapping(t, index, index+v.huge.size(), func(s *Space, start, end uint64) {
		o := s.list().at(start << pageShift)
		if s == t.space || !o.private() || o.huge.used != nil {
			return
		}
		tab := s.table.find(start)
		if tab == nil || tab.ptes != nil {
			return
		}
		tab.lock(t)
		if e := atomic.SwapUint64(&tab.huge, 0); e != 0 {
			t.machine.hugetlb.mu.Lock()
			t.putHugeTLB(p, ptePFN(e))
			p.stolen++
			t.machine.hugetlb.mu.Unlock()
			s.hugetlb.Add(-int64(tab.pages()) << pageShift)
			s.flushBy(t, FlushCOW, start, end, tab.pages())
			o.huge.unmapped.Store(true)
		}
		tab.unlock(t)
	})
}

// zapHugeTLB is __unmap_hugepage_range for one page. Precondition: tab.mu.
func (s *Space) zapHugeTLB(g *gather, tab *table, base, start, end uint64) {
	if invariants && !tab.holdsAll(base, start, end) {
		broken("part of the page of hugetlb at %#x is unmapped", base)
	}
	e := atomic.SwapUint64(&tab.huge, 0)
	if e == 0 {
		return
	}
	m := s.machine
	g.large(base, tab.pages())
	s.hugetlb.Add(-int64(tab.pages()) << pageShift)
	m.hugetlb.mu.Lock()
	g.task.putHugeTLB(m.poolOf(tab), ptePFN(e))
	m.hugetlb.mu.Unlock()
	g.frame()
}

// poolOf is the pool of the page that stands for a table.
func (m *Machine) poolOf(tab *table) *hugePool { return m.pool(uint64(tab.shift) + pageShift) }

// copyHugeTLB gives a child a page of a private mapping (copy_hugetlb_page_range).
// Precondition: both tables are locked.
func (s *Space) copyHugeTLB(to *Space, src, dst *table) {
	if atomic.LoadUint64(&src.huge) == 0 {
		return
	}
	_, e := src.updateHuge(func(e uint64) uint64 { return e &^ (pteW | pteExclusive) })
	dst.huge = e
	s.machine.frames.at(ptePFN(e)).mapcount.Add(1)
	to.hugetlb.Add(int64(dst.pages()) << pageShift)
}

// reprotectLarge brings the entry of a large page in line with its mapping.
// Precondition: tab.mu.
func (s *Space) reprotectLarge(g *gather, v *vma, tab *table, base uint64) {
	if tab.ptes != nil {
		s.reprotectHuge(g, v, tab, base)
		return
	}
	if tab.large() != 0 { // hugetlb_change_protection
		tab.updateHuge(func(e uint64) uint64 {
			n := s.permit(v, e)
			if v.accessible() && v.flags&(vmWrite|vmShared) == vmWrite|vmShared {
				n |= pteW
			}
			return n
		})
	}
	g.large(base, tab.pages()) // the range is flushed whatever was in it
}

// dropHuge takes the pages [first, end) of the object out of its cache, with their
// reservations (remove_inode_hugepages, hugetlb_unreserve_pages). Precondition:
// nothing maps them.
func (f *File) dropHuge(first, end uint64) {
	m := f.machine
	m.hugetlb.mu.Lock()
	defer m.hugetlb.mu.Unlock()
	p := f.hugetlb
	if end != math.MaxUint64 {
		end &^= 1<<p.shift - 1
	}
	gone := int64(0)
	for index := range f.reserves {
		if index < first || index >= end {
			continue
		}
		delete(f.reserves, index)
		if head := f.slot(index).Swap(0); head != 0 {
			p.put(m.frames, head)
			f.cached.Add(-1)
		} else {
			gone++
		}
	}
	p.account(-gone)
}

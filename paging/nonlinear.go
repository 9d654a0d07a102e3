package paging

import "math"

// Non-linear file mappings, as Linux 2.6.32 has them (mm/fremap.c) and Linux lost
// them in 4.0: one mapping whose pages are any pages of its file. The mapping
// cannot say which; an entry that is not present does (pte_file), and one that is
// present by the page that it maps (page->index).
//
// Files that account for dirty pages are taken apart into linear mappings there
// too, for page_mkclean does not find pages by way of a non-linear one; that is
// every file of the model whose pages are not shared memory. A shared anonymous
// mapping cannot be non-linear at all: shmem_zero_setup does not set
// VM_CAN_NONLINEAR.

// pteFile marks an entry that is not present and carries a page of the file in
// place of a frame number (_PAGE_FILE).
const pteFile uint64 = 1 << 3

func isFileEntry(e uint64) bool     { return e&pteFile != 0 }
func fileOffset(e uint64) uint64    { return e >> ptePFNAt }
func fileEntry(index uint64) uint64 { return index<<ptePFNAt | pteFile }

// fileBits is how many bits an entry has for the page of the file
// (PTE_FILE_MAX_BITS: arch/x86/include/asm/pgtable-2level.h, pgtable-3level.h,
// and __PHYSICAL_MASK_SHIFT of page_64_types.h).
func (y *layout) fileBits() uint {
	switch y.levels {
	case 2:
		return 29
	case 3:
		return 32
	}
	return 46
}

// remapNonLinear is sys_remap_file_pages of 2.6.32. The range is inside one
// mapping. A first call that names the pages that are there anyway changes
// nothing. Differs from Linux: an offset that wraps is refused on 64 bits too.
func (t *Task) remapNonLinear(addr, size uint64, prot Prot, pgoff uint64, flags MapFlags) Errno {
	y := &t.machine.layout
	end := y.add(addr, size)
	addr, size = addr&^pageMask, size&^pageMask
	if limit := uint64(1) << y.fileBits(); prot != 0 || y.add(addr, size) <= addr || pgoff >= limit || pgoff+size>>pageShift >= limit {
		return EINVAL
	}
	s := t.begin()
	v := s.list().at(addr)
	switch {
	case v == nil || v.private() || v.flags&vmSpecial != 0 || v.file.shmem && !v.file.sized || end <= addr || end > v.end:
		s.unlock(t)
		return EINVAL
	case v.flags&vmNonLinear == 0 && pgoff == v.index(addr>>pageShift):
		s.unlock(t)
		return 0
	}
	var errno Errno
	locked := v.flags&vmLocked != 0
	present := locked // mmap_region asks for no more: of the flags it gets MAP_NONBLOCK alone
	if v.file.shmem {
		s.installFileEntries(t, s.nonLinear(t, v), addr>>pageShift, (addr+size)>>pageShift, pgoff)
		present = flags&MapNonBlock == 0
	} else {
		errno = s.remapLinear(t, v.sub(addr, addr+size), pgoff)
	}
	s.unlock(t)
	if errno == 0 && present {
		t.populate(addr, addr+size, false)
	}
	return errno
}

// remapLinear puts a mapping of other pages of the file in place of a part of
// one. Precondition: s.mu.
func (s *Space) remapLinear(t *Task, part *vma, pgoff uint64) Errno {
	part.pgoff = pgoff
	g := s.gather(t, FlushMunmap)
	errno := s.replace(&g, part)
	g.flush()
	return errno
}

// nonLinear makes a mapping non-linear, for ever, and returns it; pages that are
// mapped have to be known by their place in the file from now on. Precondition:
// s.mu.
func (s *Space) nonLinear(t *Task, v *vma) *vma {
	if v.flags&vmNonLinear != 0 {
		return v
	}
	n := v.clone()
	n.flags |= vmNonLinear
	l := s.list()
	i := l.find(v.start)
	s.publish(l.replaced(i, i+1, n))
	v.file.remapped.Store(true)
	s.table.tables(n.first(), n.last(), func(base uint64, tab *table) {
		tab.lock(t)
		defer tab.unlock(t)
		for vpn := max(base, n.first()); vpn < min(base+tab.pages(), n.last()); vpn++ {
			if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
				n.file.indices.Store(ptePFN(e), n.index(vpn))
			}
		}
	})
	return n
}

// installFileEntries makes the entries of the pages [start, end) stand for the
// pages of the file from pgoff on; each that was present is flushed by itself
// (populate_range, install_file_pte, zap_pte). Precondition: s.mu.
func (s *Space) installFileEntries(t *Task, v *vma, start, end, pgoff uint64) {
	gone := int64(0)
	for vpn := start; vpn < end; vpn++ {
		tab := s.makeTable(vpn)
		tab.lock(t)
		e := tab.set(vpn, fileEntry(pgoff+vpn-start))
		if e&(pteP|pteNone) != 0 {
			s.flushPages(t, FlushMunmap, vpn, vpn+1)
			t.unmapFrame(tab, vpn, s.machine.frames.at(ptePFN(e)), e)
			gone++
		}
		tab.unlock(t)
	}
	if gone > 0 {
		s.charge(v.file.rss(), -gone)
	}
}

// fileIndex is the page of the file that a fault on a page is about: the one that
// its entry names, or maps, in a non-linear mapping. The table is not locked: a
// page that just leaves the file is taken for its first, and the fault looks again
// under the lock.
func (t *Task) fileIndex(v *vma, vpn uint64) uint64 {
	if v.flags&vmNonLinear == 0 {
		return v.index(vpn)
	}
	index, _ := v.place(vpn, t.peek(vpn))
	return index
}

// indexOf is the page of the file that an entry stands for. Precondition: the lock
// of the table, if the mapping is non-linear.
func (v *vma) indexOf(vpn, e uint64) uint64 {
	index, ok := v.place(vpn, e)
	if invariants && !ok {
		broken("page %#x of a non-linear mapping has no place in its file", vpn)
	}
	return index
}

func (v *vma) place(vpn, e uint64) (index uint64, ok bool) {
	switch {
	case isFileEntry(e):
		return fileOffset(e), true
	case v.flags&vmNonLinear != 0 && e&(pteP|pteNone) != 0:
		at, ok := v.file.indices.Load(ptePFN(e))
		index, _ = at.(uint64)
		return index, ok
	}
	return v.index(vpn), true
}

// linearKind is the leaf of a fault on an empty entry of a non-linear mapping
// (do_linear_fault).
func linearKind(a Access) FaultKind {
	if a == Write {
		return FileShared
	}
	return FileRead
}

// mapIndexed maps one page of the file into a non-linear mapping (__do_fault).
// Precondition: tab.mu.
func (t *Task) mapIndexed(v *vma, tab *table, vpn, index uint64, a Access) int {
	pfn := v.file.frame(t, index)
	if pfn == 0 {
		return -1
	}
	v.file.indices.Store(pfn, index)
	t.machine.frames.at(pfn).mapcount.Add(1)
	tab.set(vpn, mkPTE(pfn, t.bits(v, a == Write)))
	t.machine.memory.link(pfn, mapping{tab, vpn})
	t.charge(v.file.rss(), 1)
	return 1
}

// lost is what is left of the entry of a page that a non-linear mapping loses but
// may have back: its place in the file, unless the mapping says that itself
// (mm/memory.c:zap_pte_range, mm/rmap.c:try_to_unmap_cluster).
func (v *vma) lost(vpn, e uint64) uint64 {
	if v == nil || v.flags&vmNonLinear == 0 {
		return 0
	}
	if index := v.indexOf(vpn, e); index != v.index(vpn) {
		return fileEntry(index)
	}
	return 0
}

// zapIndexed takes the pages [first, limit) of the file out of the part
// [start, end) of a non-linear mapping, which keeps their places (zap_pte_range
// with zap_details.nonlinear_vma).
func (s *Space) zapIndexed(g *gather, v *vma, start, end, first, limit uint64) {
	gone := int64(0)
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.lock(g.task)
		defer tab.unlock(g.task)
		for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
			e := tab.load(vpn)
			if e&(pteP|pteNone) == 0 {
				continue
			}
			if index := v.indexOf(vpn, e); index < first || index >= limit {
				continue
			}
			e = tab.set(vpn, v.lost(vpn, e))
			g.entry(vpn)
			g.task.unmapFrame(tab, vpn, s.machine.frames.at(ptePFN(e)), e)
			g.frame()
			gone++
		}
	})
	if gone > 0 {
		s.charge(v.file.rss(), -gone)
	}
}

// zapPart drops the pages of a part of one mapping, in pages
// (mm/madvise.c:madvise_dontneed).
func (s *Space) zapPart(g *gather, v *vma, start, end uint64) {
	if v.flags&vmNonLinear != 0 {
		s.zapIndexed(g, v, start, end, 0, math.MaxUint64)
		return
	}
	s.zap(g, start, end, zapAll)
}

package paging

// Mapping calls on hugetlb (fs/hugetlbfs/inode.c, mm/hugetlb.c): lengths and
// addresses are of whole large pages, and no mapping is cut inside of one.

const mapHugeShift = 26 // the size of the pages stands above, as log2 (MAP_HUGE_SHIFT)

// length is the length of a mapping in whole pages. For one of hugetlb it finds the
// pool (ksys_mmap_pgoff). Errors: EINVAL (0, or no pages of the size asked for),
// ENOMEM.
func (a *MmapArgs) length(m *Machine) (uint64, Errno) {
	if p := a.pool(m); p != nil {
		a.huge = &hugeVMA{pool: p}
	} else if a.Flags&(mapHugeTLB|MapAnonymous) == mapHugeTLB|MapAnonymous {
		return 0, EINVAL
	}
	if a.Len == 0 {
		return 0, EINVAL
	}
	length := alignUp(a.Len, a.align())
	if length == 0 {
		return 0, ENOMEM
	}
	return length, 0
}

func (a *MmapArgs) pool(m *Machine) *hugePool {
	switch {
	case a.File != nil:
		return a.File.hugetlb
	case a.Flags&mapHugeTLB != 0:
		return m.pool(uint64(a.Flags) >> mapHugeShift & 0x3f)
	}
	return nil
}

// align is what addresses of the mapping are multiples of, in bytes.
func (a *MmapArgs) align() uint64 {
	if a.huge != nil {
		return a.huge.size() << pageShift
	}
	return PageSize
}

// commitHuge gives a new mapping of hugetlb its object and its reservation
// (hugetlbfs_file_mmap). Errors: EINVAL (an offset inside a page, a mapping that
// grows), ENOMEM (the pool is too small).
func (s *Space) commitHuge(v *vma, a MmapArgs) Errno {
	m := s.machine
	switch {
	case v.flags&vmGrowsDown != 0:
		return EINVAL
	case a.File == nil:
		v.file, v.pgoff = m.newHugeFile(v.huge.pool, v.end-v.start, "/anon_hugepage (deleted)"), 0
	case v.pgoff&(v.huge.size()-1) != 0:
		return EINVAL
	}
	if !v.reserve(m, a.At != 0) {
		return ENOMEM
	}
	if end := (v.pgoff + v.pages()) << pageShift; v.flags&vmWrite != 0 && v.file.size.Load() < end {
		v.file.size.Store(end)
	}
	return 0
}

// cuts says that [start, end) begins or ends inside a page of hugetlb of the
// mapping (hugetlb_vm_op_split).
func (v *vma) cuts(start, end uint64) bool {
	if v.huge == nil {
		return false
	}
	inside := v.huge.size()<<pageShift - 1
	return start > v.start && start&inside != 0 || end < v.end && end&inside != 0
}

// cutsAny says that [start, end) begins or ends inside a page of hugetlb.
func (l vmaList) cutsAny(start, end uint64) bool {
	first, last := l.at(start), l.at(end-1)
	return first != nil && first.cuts(start, end) || last != nil && last.cuts(start, end)
}

// alignHuge rounds the lengths of a mremap of hugetlb up; false: an address is
// inside a page, or the mapping would grow (mm/mremap.c: "Don't allow remap
// expansion").
func (a *mremapArgs) alignHuge(h *hugeVMA) bool {
	size := h.size() << pageShift
	a.oldLen, a.newLen = alignUp(a.oldLen, size), alignUp(a.newLen, size)
	return a.old%size == 0 && a.newAddr%size == 0 && a.newLen <= a.oldLen
}

// moveHugeTLB moves the entries of n pages with one flush
// (move_hugetlb_page_tables).
func (s *Space) moveHugeTLB(t *Task, h *hugeVMA, from, to, n uint64) {
	level := 1
	if uint(h.pool.shift) > s.table.bits {
		level = 2
	}
	for at := uint64(0); at < n; at += h.size() {
		if tab := s.table.find(from + at); tab == nil {
			continue
		}
		_, grown := s.table.move(t, from+at, to+at, level)
		s.countTables(grown)
	}
	s.prune.Add(1)
	s.flushBy(t, FlushMremap, from, from+n, h.size())
}

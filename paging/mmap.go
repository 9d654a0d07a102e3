package paging

// mmap and munmap, after Linux 6.1 mm/mmap.c: do_mmap, mmap_region,
// get_unmapped_area, do_munmap.

const (
	maxMapCount = 65530 // vm.max_map_count
	// mmapBase is where top-down placement begins: the stack limit, at least
	// 128 MiB, below the end of user addresses (arch/x86/mm/mmap.c:mmap_base
	// without randomisation).
	mmapBase     = taskSize - 128<<20 + 0
	mmapBottomUp = (taskSize / 3) &^ pageMask // TASK_UNMAPPED_BASE
	mmapMinAddr  = 65536                      // vm.mmap_min_addr
)

// MmapArgs are the arguments of mmap(2); Offset is in bytes. At other than 0
// imposes the result of a call without MAP_FIXED: the address that a recorded
// program got. The model then checks that it is aligned, inside user memory and
// free, and answers ENOMEM if it is not.
type MmapArgs struct {
	Addr, Len uint64
	Prot      Prot
	Flags     MapFlags
	File      *File
	Offset    uint64
	At        uint64
}

// Mmap maps memory and returns its address. Errors as mmap(2): EINVAL, ENOMEM,
// EEXIST, EOVERFLOW, EPERM, EBADF (no file given).
func (t *Task) Mmap(a MmapArgs) (uint64, Errno) {
	if a.Offset&pageMask != 0 {
		return 0, EINVAL
	}
	if a.Len == 0 {
		return 0, EINVAL
	}
	length := pageUp(a.Len)
	if length == 0 {
		return 0, ENOMEM
	}
	if a.File != nil && a.Offset+length < a.Offset {
		return 0, EOVERFLOW
	}
	s := t.space
	s.mu.Lock()
	if len(s.list()) > maxMapCount {
		s.mu.Unlock()
		return 0, ENOMEM
	}
	addr, errno := s.place(a, length)
	if errno == 0 {
		errno = s.mapAt(t, addr, length, a)
	}
	locked := s.defFlags&vmLocked != 0 || a.Flags&MapLocked != 0
	s.mu.Unlock()
	if errno != 0 {
		return 0, errno
	}
	if locked || a.Flags&(MapPopulate|MapNonBlock) == MapPopulate {
		t.populate(addr, addr+length) // errors are not reported: mm_populate ignores them
	}
	return addr, 0
}

// place chooses the address (get_unmapped_area) or checks the one asked for.
func (s *Space) place(a MmapArgs, length uint64) (uint64, Errno) {
	if length > taskSize {
		return 0, ENOMEM
	}
	if a.Flags&(MapFixed|MapFixedNoReplace) != 0 {
		switch {
		case a.Addr&pageMask != 0:
			return 0, EINVAL
		case a.Addr > taskSize-length:
			return 0, ENOMEM
		case a.Addr < mmapMinAddr:
			return 0, EPERM
		case a.Flags&MapFixedNoReplace != 0 && s.list().overlaps(a.Addr, a.Addr+length):
			return 0, EEXIST
		}
		return a.Addr, 0
	}
	if a.At != 0 {
		if a.At&pageMask != 0 || a.At > taskSize-length || s.list().overlaps(a.At, a.At+length) {
			return 0, ENOMEM
		}
		return a.At, 0
	}
	l := s.list()
	if hint := pageUp(a.Addr); hint >= mmapMinAddr && hint <= taskSize-length && l.free(hint, length) {
		return hint, 0
	}
	if addr, ok := l.topDown(length, mmapBase); ok {
		return addr, 0
	}
	if addr, ok := l.bottomUp(length, mmapBottomUp); ok {
		return addr, 0
	}
	return 0, ENOMEM
}

// gapStart is where the memory of a mapping begins for its neighbours: a
// growing stack keeps its guard gap (include/linux/mm.h:vm_start_gap).
func (v *vma) gapStart() uint64 {
	if v.flags&vmGrowsDown != 0 {
		return v.start - min(v.start, stackGap)
	}
	return v.start
}

// free says whether a hint can be followed.
func (l vmaList) free(addr, length uint64) bool {
	i := l.find(addr)
	return i == len(l) || addr+length <= l[i].gapStart()
}

// topDown finds the highest gap below ceiling.
func (l vmaList) topDown(length, ceiling uint64) (uint64, bool) {
	for i := l.find(ceiling); ; i-- {
		high := uint64(ceiling)
		if i < len(l) {
			high = min(high, l[i].gapStart())
		}
		low := uint64(mmapMinAddr)
		if i > 0 {
			low = max(low, l[i-1].end)
		}
		if high >= low && high-low >= length {
			return high - length, true
		}
		if i == 0 {
			return 0, false
		}
	}
}

// bottomUp finds the lowest gap above floor.
func (l vmaList) bottomUp(length, floor uint64) (uint64, bool) {
	low := floor
	for i := l.find(floor); i < len(l); i++ {
		if high := l[i].gapStart(); high >= low && high-low >= length {
			return low, true
		}
		low = max(low, l[i].end)
	}
	return low, low <= taskSize-length
}

// mapAt maps [addr, addr+length), taking away what is there (mmap_region).
// Precondition: s.mu.
func (s *Space) mapAt(t *Task, addr, length uint64, a MmapArgs) Errno {
	v := &vma{start: addr, end: addr + length, flags: protFlags(a.Prot) | vmMayAll | s.defFlags, pgoff: addr >> pageShift, anon: &anonMark{}}
	if a.Flags&MapGrowsDown != 0 {
		v.flags |= vmGrowsDown
	}
	if a.Flags&MapLocked != 0 {
		v.flags |= vmLocked
	}
	switch kind := a.Flags & mapTypeMask; {
	case a.Flags&MapAnonymous == 0 && a.File == nil:
		return EBADF
	case kind == MapPrivate:
	case kind == MapShared || kind == MapSharedValidate && a.Flags&MapAnonymous == 0:
		if v.flags&vmGrowsDown != 0 {
			return EINVAL
		}
		v.flags |= vmShared
	default:
		return EINVAL
	}
	switch {
	case a.Flags&MapAnonymous == 0:
		if v.flags&vmGrowsDown != 0 {
			return EINVAL
		}
		v.file, v.pgoff = a.File, a.Offset>>pageShift
	case v.flags&vmShared != 0:
		v.file, v.pgoff = s.machine.newShmem(), 0
	}
	var g gather
	l, errno := s.cut(t, addr, addr+length, &g)
	if errno != 0 {
		return errno
	}
	i := l.find(addr)
	s.publish(l.replaced(i, i, v).join(i, i+1))
	s.finishUnmap(t, FlushMunmap, &g)
	return 0
}

// Munmap unmaps every page of [addr, addr+length). Errors: EINVAL for an
// unaligned address, a length of 0 or a range outside user memory; ENOMEM where
// a split would exceed the limit of mappings.
func (t *Task) Munmap(addr, length uint64) Errno {
	if addr&pageMask != 0 || addr > taskSize || length > taskSize-addr {
		return EINVAL
	}
	length = pageUp(length)
	if length == 0 {
		return EINVAL
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unmap(t, FlushMunmap, addr, addr+length)
}

// unmap takes [start, end) out of the address space. Precondition: s.mu.
func (s *Space) unmap(t *Task, cause FlushCause, start, end uint64) Errno {
	var g gather
	l, errno := s.cut(t, start, end, &g)
	if errno != 0 {
		return errno
	}
	s.freeTables(l, start>>pageShift, end>>pageShift)
	s.finishUnmap(t, cause, &g)
	return 0
}

// cut publishes the list without [start, end) and clears the entries there.
// What it cleared is in g. Precondition: s.mu.
func (s *Space) cut(t *Task, start, end uint64, g *gather) (vmaList, Errno) {
	l := s.list()
	if !l.overlaps(start, end) {
		return l, 0
	}
	n, i, j := l.isolate(start, end)
	if len(n)-(j-i) > max(len(l), maxMapCount) {
		return nil, ENOMEM // mm/mmap.c:do_mas_align_munmap, split above the limit
	}
	n = n.replaced(i, j)
	s.publish(n)
	s.zap(t, start>>pageShift, end>>pageShift, g)
	return n, 0
}

// finishUnmap flushes what was unmapped and frees memory that nothing maps.
func (s *Space) finishUnmap(t *Task, cause FlushCause, g *gather) {
	s.flushGather(t, cause, g)
	s.machine.freeShmem(t)
}

// RegionKind says what a region of an image is.
type RegionKind uint8

// The kinds of regions.
const (
	Ordinary RegionKind = iota
	Heap
	Stack
	VDSO
	VVar
	VSyscall
)

var regionNames = [...]string{Heap: "[heap]", Stack: "[stack]", VDSO: "[vdso]", VVar: "[vvar]", VSyscall: "[vsyscall]"}

// Region is a mapping that is there from the beginning: part of a program's
// image.
type Region struct {
	Start, End uint64
	Prot       Prot
	Shared     bool
	GrowsDown  bool
	Kind       RegionKind
	File       *File
	Offset     uint64 // bytes into the file
	Name       string // used where Kind is Ordinary and File is nil
	Foreign    bool   // belongs to the recorder
}

// MapRegion puts a region into the address space without any fault. Errors:
// EINVAL for a range or offset that is not of whole pages, EEXIST where
// something is mapped already. The vsyscall page lies outside user memory and is
// not a mapping (Linux: the gate area).
func (t *Task) MapRegion(r Region) error {
	if r.Kind == VSyscall {
		return nil
	}
	if r.Start >= r.End || (r.Start|r.End|r.Offset)&pageMask != 0 || r.End > taskSize {
		return EINVAL
	}
	v := &vma{start: r.Start, end: r.End, flags: protFlags(r.Prot) | vmMayAll, pgoff: r.Start >> pageShift, name: regionNames[r.Kind], anon: &anonMark{}}
	if r.Kind == Ordinary && r.File == nil {
		v.name = r.Name
	}
	if r.File != nil {
		v.file, v.pgoff = r.File, r.Offset>>pageShift
	}
	for _, f := range []struct {
		on   bool
		flag vmaFlags
	}{{r.Shared, vmShared}, {r.GrowsDown || r.Kind == Stack, vmGrowsDown}, {r.Kind == VDSO || r.Kind == VVar, vmSpecial}, {r.Foreign, vmForeign}} {
		if f.on {
			v.flags |= f.flag
		}
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list()
	if l.overlaps(r.Start, r.End) {
		return EEXIST
	}
	i := l.find(r.Start)
	s.publish(l.replaced(i, i, v).join(i, i+1))
	return nil
}

// Error makes an Errno an error.
func (e Errno) Error() string { return e.String() }

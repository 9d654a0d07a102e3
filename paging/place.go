package paging

// Placement: which address a mapping gets, after Linux 6.1
// arch/x86/kernel/sys_x86_64.c and mm/mmap.c:get_unmapped_area, without
// randomisation.

const (
	mmapMinAddr = 65536 // vm.mmap_min_addr
	// mmapBase is where top-down placement begins: the stack limit and the guard
	// gap, at least 128 MiB, below the end of user addresses (arch/x86/mm/mmap.c:
	// mmap_base).
	mmapBase = taskSize - 128<<20
	// mmapBottomUp is where the search begins that follows a failed one
	// (TASK_UNMAPPED_BASE).
	mmapBottomUp = (taskSize/3 + pageMask) &^ pageMask
	// MAP_32BIT places in [low32, high32) (find_start_end).
	low32, high32 = 0x40000000, 0x80000000
)

// place chooses the address of a mapping or checks the one asked for. Errors:
// ENOMEM, EINVAL, EPERM, EEXIST.
func (s *Space) place(a MmapArgs, length uint64) (uint64, Errno) {
	if length > taskSize {
		return 0, ENOMEM
	}
	l := s.list()
	fixed := a.Flags&(MapFixed|MapFixedNoReplace) != 0
	if !fixed && a.At != 0 {
		if a.At&pageMask != 0 || a.At > taskSize-length || l.overlaps(a.At, a.At+length) {
			return 0, ENOMEM
		}
		return a.At, 0
	}
	addr := a.Addr
	if !fixed {
		var ok bool
		if addr, ok = l.search(a.Addr, length, a.Flags); !ok {
			return 0, ENOMEM
		}
	}
	switch {
	case addr > taskSize-length:
		return 0, ENOMEM
	case addr&pageMask != 0:
		return 0, EINVAL
	case addr < mmapMinAddr: // security_mmap_addr, without CAP_SYS_RAWIO
		return 0, EPERM
	case a.Flags&MapFixedNoReplace != 0 && l.overlaps(addr, addr+length):
		return 0, EEXIST
	}
	return addr, 0
}

// search finds room: at the hint if that is free, else as high as possible
// below mmapBase, else as low as possible (arch_get_unmapped_area_topdown).
func (l vmaList) search(hint, length uint64, flags MapFlags) (uint64, bool) {
	if hint &^= pageMask; hint != 0 {
		hint = max(hint, mmapMinAddr) // round_hint_to_min
	}
	low, high := uint64(mmapBottomUp), uint64(taskSize)
	if flags&map32Bit != 0 {
		low, high = low32, high32
	}
	if hint != 0 && hint <= high-min(high, length) && l.free(hint, length) {
		return hint, true
	}
	if flags&map32Bit == 0 {
		if addr, ok := l.topDown(length, mmapBase); ok {
			return addr, true
		}
	}
	return l.bottomUp(length, low, high)
}

// free says whether a hint can be followed.
func (l vmaList) free(addr, length uint64) bool {
	i := l.find(addr)
	return i == len(l) || addr+length <= l[i].gapStart()
}

// topDown finds the highest gap below ceiling (unmapped_area_topdown).
func (l vmaList) topDown(length, ceiling uint64) (uint64, bool) {
	for i := l.find(ceiling); ; i-- {
		high := ceiling
		if i < len(l) {
			high = min(high, l[i].gapStart())
		}
		low := uint64(PageSize)
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

// bottomUp finds the lowest gap of [floor, ceiling) (unmapped_area).
func (l vmaList) bottomUp(length, floor, ceiling uint64) (uint64, bool) {
	low := floor
	for i := l.find(floor); i < len(l) && l[i].start < ceiling; i++ {
		if high := l[i].gapStart(); high >= low && high-low >= length {
			break
		}
		low = max(low, l[i].end)
	}
	return low, low <= ceiling && length <= ceiling-low
}

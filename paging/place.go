package paging

// Placement: which address a mapping gets, after Linux 6.1
// arch/x86/kernel/sys_x86_64.c and mm/mmap.c:get_unmapped_area, without
// randomisation.

const (
	mmapMinAddr = 65536 // vm.mmap_min_addr
	// MAP_32BIT places in [low32, high32) (find_start_end).
	low32, high32 = 0x40000000, 0x80000000
)

// place chooses the address of a mapping or checks the one asked for. Errors:
// ENOMEM, EINVAL, EPERM, EEXIST.
func (s *Space) place(a MmapArgs, length uint64) (uint64, Errno) {
	y := &s.machine.layout
	if length > y.longest {
		return 0, ENOMEM
	}
	l := s.list()
	fixed := a.Flags&(MapFixed|MapFixedNoReplace) != 0
	if !fixed && a.At != 0 {
		if a.At&(a.align()-1) != 0 || a.At > y.end-length || l.overlaps(a.At, a.At+length) {
			return 0, ENOMEM
		}
		return a.At, 0
	}
	addr := a.Addr
	if !fixed {
		var ok bool
		if addr, ok = l.search(y, a.Addr, length, a.align(), a.Flags); !ok {
			return 0, ENOMEM
		}
	}
	switch {
	case a.huge != nil && addr&(a.align()-1) != 0: // prepare_hugepage_range
		return 0, EINVAL
	case addr > y.end-length:
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
// below the stack, else as low as possible (arch_get_unmapped_area_topdown,
// arch_get_unmapped_area). With 5 levels only a hint above the 47 bits of 4
// levels leads there.
func (l vmaList) search(y *layout, hint, length, align uint64, flags MapFlags) (uint64, bool) {
	if hint &^= pageMask; hint != 0 {
		hint = alignUp(max(hint, mmapMinAddr), align) // round_hint_to_min
	}
	low, high, ceiling := y.bottomUp, y.window, y.topDown
	topDown := !y.legacy
	switch {
	case flags&map32Bit != 0 && y.wide:
		low, high, topDown = low32, high32, false
	case hint > y.window:
		high, ceiling = y.end, ceiling+y.end-y.window
	}
	if hint != 0 && length <= high && hint <= high-length && l.free(hint, length) {
		return hint, true
	}
	length += align - PageSize // so that it can begin at a multiple
	if topDown {
		if addr, ok := l.topDown(length, y.lowest, ceiling); ok {
			return alignUp(addr, align), true
		}
	}
	addr, ok := l.bottomUp(length, low, high)
	return alignUp(addr, align), ok
}

func alignUp(addr, align uint64) uint64 { return (addr + align - 1) &^ (align - 1) }

// free says whether a hint can be followed.
func (l vmaList) free(addr, length uint64) bool {
	i := l.find(addr)
	return i == len(l) || addr+length <= l[i].gapStart()
}

// topDown finds the highest gap of [floor, ceiling) (unmapped_area_topdown).
func (l vmaList) topDown(length, floor, ceiling uint64) (uint64, bool) {
	for i := l.find(ceiling); ; i-- {
		high := ceiling
		if i < len(l) {
			high = min(high, l[i].gapStart())
		}
		low := floor
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

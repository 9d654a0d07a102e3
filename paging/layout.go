package paging

import "math"

// layout is the shape of the address spaces of a machine: the format of the
// page tables, where user addresses end, and where placement begins. It follows
// the number of levels, after Linux 6.1 arch/x86/include/asm/page_32_types.h,
// page_64_types.h, processor.h and arch/x86/mm/mmap.c:
//
//	levels            2, i386      3, PAE       4, x86-64        5, LA57
//	index bits        10+10        2+9+9        9 each           9 each
//	entry             4 bytes      8 bytes      8 bytes          8 bytes
//	TASK_SIZE         0xc0000000   0xc0000000   2^47 - 4096      2^56 - 4096
//	not executable    no such bit  bit 63       bit 63           bit 63
//
// A 32-bit process of a 64-bit kernel (Config.Compat) ends at 0xffffe000.
type layout struct {
	levels  int
	bits    uint   // of a page number, that index one table
	wide    bool   // 64-bit processes
	nx      uint64 // the not-executable bit of an entry, 0 where there is none
	word    uint64 // largest unsigned long of the kernel
	fileMax uint64 // end of the largest file offset (MAX_LFS_FILESIZE)

	end      uint64 // of user addresses (TASK_SIZE)
	longest  uint64 // mapping
	window   uint64 // the end without a hint above it (DEFAULT_MAP_WINDOW)
	lowest   uint64 // address of top-down placement
	topDown  uint64 // where it begins (mmap_base)
	bottomUp uint64 // where bottom-up placement begins (TASK_UNMAPPED_BASE)
	legacy   bool   // placement is bottom-up
}

// Ends of user addresses.
const (
	window64    = 1<<47 - PageSize // DEFAULT_MAP_WINDOW, and TASK_SIZE_MAX with 4 levels
	taskSizeL5  = 1<<56 - PageSize // TASK_SIZE_MAX with 5 levels
	taskSize32  = 0xc0000000       // PAGE_OFFSET, CONFIG_VMSPLIT_3G
	ia32PageOff = 0xffffe000       // IA32_PAGE_OFFSET
)

// newLayout returns the layout of a valid configuration.
func newLayout(c Config) layout {
	y := layout{levels: c.Levels, bits: 9, nx: pteNX, word: math.MaxUint64, fileMax: math.MaxInt64, lowest: PageSize}
	switch c.Levels {
	case 2:
		y.bits, y.nx, y.end = 10, 0, taskSize32
	case 3:
		y.end = taskSize32
	case 4:
		y.end, y.wide = window64, true
	case 5:
		y.end, y.wide = taskSizeL5, true
	}
	if !y.wide { // a 32-bit kernel: mm/mmap.c:generic_get_unmapped_area_topdown
		y.word, y.fileMax, y.lowest = math.MaxUint32, math.MaxUint32<<pageShift, mmapMinAddr
	}
	if c.Compat {
		y.end, y.wide = ia32PageOff, false
	}
	y.longest, y.window = y.end, min(y.end, window64)
	if y.lowest == mmapMinAddr {
		y.longest -= mmapMinAddr
	}
	y.topDown = topDownBase(y.window, c.StackLimit)
	y.legacy = c.BottomUp
	y.bottomUp = pageUp(y.window / 3)
	return y
}

// topDownBase leaves room for the stack and its guard gap below the end of user
// addresses, at least 128 MiB and at most five sixths of them
// (arch/x86/mm/mmap.c:mmap_base).
func topDownBase(end, stack uint64) uint64 {
	gap := stack
	if gap+stackGap > gap {
		gap += stackGap
	}
	return pageUp(end - min(max(gap, 128<<20), end/6*5))
}

// hugePages is how many pages an entry of a PMD table can map itself
// (HPAGE_PMD_NR).
func (y *layout) hugePages() uint64 { return 1 << y.bits }

// pages is the number of pages of user addresses.
func (y *layout) pages() uint64 { return y.end >> pageShift }

// add is a sum of addresses or lengths as the kernel's unsigned long holds it.
func (y *layout) add(a, b uint64) uint64 { return (a + b) & y.word }

// canonical says whether a page number can be translated at all: with 4 levels
// bits 47 to 63 of its addresses are equal, with 5 levels bits 56 to 63. An
// access to another address is a general protection fault (Intel SDM volume 1,
// section 3.3.7.1), which Linux answers with SIGSEGV
// (arch/x86/kernel/traps.c:exc_general_protection).
func (y *layout) canonical(vpn uint64) bool {
	if y.levels < 4 {
		return true // 32 bits hold no other address
	}
	half := uint64(1) << (uint(y.levels)*y.bits - 1)
	return vpn < half || vpn >= 1<<(64-pageShift)-half
}

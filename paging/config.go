package paging

import (
	"fmt"
	"math"
	"time"
)

// Config configures a Machine. Start from DefaultConfig.
type Config struct {
	Profile      string       // kernel followed: one of Profiles
	Levels       int          // levels of the page table: 2 (i386), 3 (PAE), 4 (x86-64) or 5 (LA57); see layout
	Compat       bool         // user addresses are those of 32-bit processes of a 64-bit kernel
	HighMem      bool         // all frames of programs are high memory (CONFIG_HIGHMEM; 2 or 3 levels)
	CPUs         int          // 1 to 64
	TLB          TLBConfig    // of each CPU
	FaultAround  uint64       // bytes mapped around a read fault, a power of two; PageSize = off
	Cache        CacheState   // of file pages before the run
	Locking      Locking      // of faults
	NoZeroPage   bool         // reads of fresh anonymous memory get a frame of their own (mm_forbids_zeropage)
	Vsyscall     VsyscallMode // of the vsyscall page; the kernel's default is xonly (CONFIG_LEGACY_VSYSCALL_XONLY)
	BottomUp     bool         // mappings are placed upwards from a third of user memory (vm.legacy_va_layout)
	StackLimit   uint64       // bytes a stack may grow to (RLIMIT_STACK); it moves where placement begins
	AddressLimit uint64       // bytes a process may map (RLIMIT_AS)
	DataLimit    uint64       // bytes of private writable memory (RLIMIT_DATA)
	Memory       uint64       // bytes of the group's limit, 0 = none
	Swap         uint64       // bytes of swap, 0 = none
	SwapDevice   SwapDevice   // what swap is made of
	Reclaim      string       // which page leaves, see Policies; "" = the first of them
	ReclaimExact bool         // the policy is told of every reference, as in its paper, instead of looking at accessed bits; those of Linux always look at bits
	Kswapd       bool         // Memory is all that the machine has, with watermarks and background reclaim (kswapd.go), and not the limit of a group
	Flusher      bool         // dirty pages of files are written back in the background (flusher.go)
	Future       Future       // what the policy opt knows of the uses to come; Validate does not ask for it, New does
	Stack        UseStack     // is told of every use, for curves; not together with Memory
	Only         PageChoice   // the pages that there are, for a sample of them (see only.go); nil = all
	Overcommit   Overcommit   // of memory that is asked for (vm.overcommit_memory)
	RAM          uint64       // bytes of memory that Overcommit goes by; NoLimit = endless
	// OvercommitRatio is the percentage of RAM that may be promised with
	// OvercommitNever (vm.overcommit_ratio).
	OvercommitRatio uint64
	THP             THP           // transparent huge pages (/sys/kernel/mm/transparent_hugepage/enabled)
	CollapseEvery   time.Duration // between two scans for small pages that become a huge one (khugepaged/scan_sleep_millisecs)
	NoHugeZero      bool          // no huge zero page (use_zero_page is 0)
	// HugePages and GiantPages are the pools of hugetlb: pages of 2 MiB (4 MiB with
	// 2 levels) and of 1 GiB (nr_hugepages). HugeOvercommit is how many more of 2 MiB
	// are made when the pool is empty (nr_overcommit_hugepages).
	HugePages, GiantPages, HugeOvercommit uint64
	LockedLimit                           uint64 // bytes a process may lock in memory (RLIMIT_MEMLOCK); NoLimit for a privileged one
	BackgroundCosts                       BackgroundCosts
}

// PageChoice says whether a page is in a sample, by where it comes from: a number
// for its file, 0 for none, and the page in it, or of the address it first had.
type PageChoice func(file, page uint64) bool

// NoLimit is a limit that nothing reaches (RLIM_INFINITY).
const NoLimit = math.MaxUint64

// CacheState says whether file pages are in memory before the run.
type CacheState uint8

// The cache states.
const (
	CacheWarm CacheState = iota // every page of every file: faults are minor
	CacheCold                   // none: the first read of a page is a major fault
)

var cacheNames = []string{"warm", "cold"}

func (c CacheState) String() string { return name(cacheNames, int(c)) }

// ParseCacheState reads "warm" or "cold".
func ParseCacheState(s string) (CacheState, error) { return parse[CacheState](cacheNames, s) }

// Locking is the lock that a fault takes. See the lock tree in doc.go.
type Locking uint8

// The locking designs.
const (
	LockPerTable Locking = iota // the lock of the leaf table (Linux since 2.6.15, with lock-free VMA lookup)
	LockMM                      // and a reader/writer lock of the address space (Linux before per-VMA locks)
	LockGlobal                  // one mutex of the address space around the whole fault
)

var lockingNames = []string{"per-table", "mm", "global"}

func (l Locking) String() string { return name(lockingNames, int(l)) }

// ParseLocking reads "per-table", "mm" or "global".
func ParseLocking(s string) (Locking, error) { return parse[Locking](lockingNames, s) }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("(%d)", i)
}

func parse[T ~uint8](names []string, s string) (T, error) {
	for i, n := range names {
		if n == s {
			return T(i), nil
		}
	}
	return 0, fmt.Errorf("%q: there are %v", s, names)
}

const maxCPUs = 64

// DefaultConfig is Linux 6.1 on x86-64 with 4 CPUs, a warm page cache and the
// kernel's own limits of stack and locked memory (include/asm-generic/resource.h:
// INIT_RLIMITS, include/uapi/linux/resource.h: _STK_LIM, MLOCK_LIMIT).
func DefaultConfig() Config {
	return Config{Profile: "linux-6.1", Levels: 4, CPUs: 4, TLB: DefaultTLB(), FaultAround: defaultFaultAround,
		StackLimit: 8 << 20, AddressLimit: NoLimit, DataLimit: NoLimit, LockedLimit: 8 << 20,
		RAM: NoLimit, OvercommitRatio: 50, CollapseEvery: 10 * time.Second}
}

const defaultFaultAround = 64 << 10 // fault_around_bytes

// Validate returns an error that names the field and what it may be.
func (c Config) Validate() error {
	p, err := findProfile(c.Profile)
	switch {
	case err != nil:
		return err
	case c.FaultAround > PageSize && !p.faultAround:
		return fmt.Errorf("fault-around of %d bytes: %s has none", c.FaultAround, p.name)
	case c.Levels < 2 || c.Levels > 5:
		return fmt.Errorf("%d page-table levels: there are 2 (i386), 3 (PAE), 4 (x86-64) and 5 (LA57)", c.Levels)
	case c.HighMem && c.Levels > 3:
		return fmt.Errorf("high memory with %d levels: only kernels with 2 (i386) and 3 (PAE) have any", c.Levels)
	case c.CPUs < 1 || c.CPUs > maxCPUs:
		return fmt.Errorf("%d CPUs: must be 1 to %d", c.CPUs, maxCPUs)
	case c.FaultAround < PageSize || c.FaultAround > 2<<20 || c.FaultAround&(c.FaultAround-1) != 0:
		return fmt.Errorf("fault-around of %d bytes: must be a power of two from 4 KiB (off) to 2 MiB", c.FaultAround)
	case int(c.Cache) >= len(cacheNames) || int(c.Locking) >= len(lockingNames) || int(c.Vsyscall) >= len(vsyscallNames):
		return fmt.Errorf("page cache, locking or vsyscall page out of range")
	case int(c.Overcommit) >= len(overcommitNames):
		return fmt.Errorf("overcommit mode %d: there are %v", c.Overcommit, overcommitNames)
	case c.Overcommit == OvercommitNever && (c.RAM == NoLimit || c.OvercommitRatio > 100):
		return fmt.Errorf("overcommit mode 2 needs the memory of the machine and a ratio of 0 to 100 percent, not %d", c.OvercommitRatio)
	}
	if err := c.validateMemory(); err != nil {
		return err
	}
	if err := c.validateHuge(p); err != nil {
		return err
	}
	return c.TLB.Validate()
}

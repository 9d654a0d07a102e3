package paging

import "fmt"

// PageSize is the size of a page and of a page table in bytes.
const (
	PageSize  = 4096
	pageShift = 12
	pageMask  = PageSize - 1
)

// Access is the kind of an access.
type Access uint8

// The access kinds.
const (
	Read  Access = 1
	Write Access = 2
	Exec  Access = 3
)

func (a Access) String() string { return name([]string{"none", "read", "write", "fetch"}, int(a)) }

// Prot is a protection as mmap(2) takes it.
type Prot uint32

// The protection bits.
const (
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4

	protRWX       = ProtRead | ProtWrite | ProtExec
	protGrowsDown = 0x01000000
	protGrowsUp   = 0x02000000
)

// String is "r-x".
func (p Prot) String() string {
	b := []byte("---")
	for i, c := range "rwx" {
		if p>>i&1 != 0 {
			b[i] = byte(c)
		}
	}
	return string(b)
}

// MapFlags are the flags of mmap(2).
type MapFlags uint64

// Flags of mmap(2), x86.
const (
	MapShared         MapFlags = 0x01
	MapPrivate        MapFlags = 0x02
	MapSharedValidate MapFlags = 0x03
	MapFixed          MapFlags = 0x10
	MapAnonymous      MapFlags = 0x20
	MapGrowsDown      MapFlags = 0x100
	MapLocked         MapFlags = 0x2000
	MapNoReserve      MapFlags = 0x4000
	MapPopulate       MapFlags = 0x8000
	MapNonBlock       MapFlags = 0x10000
	MapFixedNoReplace MapFlags = 0x100000

	map32Bit   MapFlags = 0x40
	mapHugeTLB MapFlags = 0x40000

	mapTypeMask = 0x0f
	// mapLegacy are the flags that MAP_SHARED_VALIDATE accepts for an ordinary
	// file (include/linux/mman.h:LEGACY_MAP_MASK: with MAP_DENYWRITE,
	// MAP_EXECUTABLE, MAP_STACK and the sizes of huge pages).
	mapLegacy = MapShared | MapPrivate | MapFixed | MapAnonymous | 0x800 | 0x1000 | 0x4000000 | MapGrowsDown | MapLocked | MapNoReserve |
		MapPopulate | MapNonBlock | 0x20000 | mapHugeTLB | map32Bit | 21<<26 | 30<<26
)

// Outcome is how an access, or a fault, ended.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = iota // no fault
	Minor                  // fault resolved without I/O
	Major                  // fault that waited for a file
	SIGSEGV                // no mapping, or not permitted
	SIGBUS                 // beyond the end of the file
	OOM                    // no frame
)

func (o Outcome) String() string {
	return name([]string{"OK", "minor", "major", "SIGSEGV", "SIGBUS", "OOM"}, int(o))
}

// Fatal says that the access did not happen.
func (o Outcome) Fatal() bool { return o >= SIGSEGV }

// FaultKind is the leaf of the fault tree that dealt with a fault.
type FaultKind uint8

// The leaves of the tree; see fault.go.
const (
	ZeroPage      FaultKind = iota // anonymous read: the shared zero page (do_anonymous_page)
	DemandZero                     // anonymous write: a zeroed frame (do_anonymous_page)
	FileRead                       // page of a file, with fault-around (do_read_fault)
	FileCOW                        // first write to a private file page that was not mapped (do_cow_fault)
	FileShared                     // first write to a shared file page that was not mapped (do_shared_fault)
	CowCopy                        // write to a page that is shared: copied (wp_page_copy)
	CowZero                        // write where the zero page was mapped: a zeroed frame (wp_page_copy)
	CowReuse                       // write to a page with a sole owner: made writable (wp_page_reuse)
	MkWrite                        // first write through a shared mapping of a file page (wp_page_shared)
	Spurious                       // the entry permitted the access already
	FaultSegv                      // refused: no mapping or not permitted
	FaultBus                       // refused: beyond the end of the file
	FaultOOM                       // refused: no frame
	Unshare                        // a page that the kernel pins became the mapping's own (do_wp_page)
	SwapIn                         // the page was in swap (do_swap_page)
	FaultGP                        // refused: not a canonical address; not a page fault for the processor
	HugeZero                       // anonymous read: the huge zero page (do_huge_pmd_anonymous_page)
	HugeDemand                     // anonymous: a zeroed huge page (do_huge_pmd_anonymous_page)
	HugeReuse                      // write to a huge page with a sole owner: made writable (do_huge_pmd_wp_page)
	HugeTLBFault                   // page of hugetlb (hugetlb_no_page)
	HugeTLBCopy                    // write to a page of hugetlb that is shared: copied (hugetlb_wp)
	HugeTLBReuse                   // write to a page of hugetlb with a sole owner (hugetlb_wp)
	NonLinear                      // the page of the file that the entry names (do_nonlinear_fault, Linux 2.6.32)
	NumFaultKinds = iota
)

var faultNames = []string{"zero_page", "demand_zero", "file_read", "file_cow", "file_shared", "cow_copy", "cow_zero", "cow_reuse", "mkwrite", "spurious", "segv", "sigbus", "oom", "unshare", "swap_in", "not_canonical",
	"huge_zero", "huge_demand_zero", "huge_reuse", "hugetlb", "hugetlb_copy", "hugetlb_reuse", "non_linear"}

func (k FaultKind) String() string { return name(faultNames, int(k)) }

// FlushCause is why a TLB was flushed.
type FlushCause uint8

// The causes.
const (
	FlushMunmap FlushCause = iota
	FlushMprotect
	FlushMremap
	FlushCOW
	FlushMadvise
	FlushFork
	FlushExec
	FlushExit
	FlushSwitch // an address space came to a CPU that had missed flushes of it, or that gave it a new ASID
	FlushTruncate
	FlushBrk
	FlushReclaim      // pages left memory
	FlushWriteProtect // msync and write-back make shared pages clean and read-only again
	FlushKmap         // the pool of kmap came round
	FlushKmapLocal    // a CPU's own place for a frame of high memory was given up
	FlushVunmap       // areas of vmalloc were given up
	FlushSplit        // a huge page is mapped by small entries from now on
	FlushCollapse     // small pages became a huge one
	NumFlushCauses    = iota
)

var flushNames = []string{"munmap", "mprotect", "mremap", "cow", "madvise", "fork", "exec", "exit", "context_switch", "truncate", "brk", "reclaim", "write_protect", "kmap", "kmap_local", "vunmap", "huge_split", "huge_collapse"}

func (c FlushCause) String() string { return name(flushNames, int(c)) }

// Errno is a Linux error number; 0 is success.
type Errno uint16

// The error numbers the model returns (include/uapi/asm-generic/errno*.h).
const (
	EPERM      Errno = 1
	ENOENT     Errno = 2
	EINTR      Errno = 4
	EIO        Errno = 5
	E2BIG      Errno = 7
	ENOEXEC    Errno = 8
	EBADF      Errno = 9
	EAGAIN     Errno = 11
	ENOMEM     Errno = 12
	EACCES     Errno = 13
	EFAULT     Errno = 14
	EBUSY      Errno = 16
	EEXIST     Errno = 17
	ENODEV     Errno = 19
	EINVAL     Errno = 22
	ENOSPC     Errno = 28
	EOVERFLOW  Errno = 75
	ELIBBAD    Errno = 80
	EOPNOTSUPP Errno = 95
	// ERESTARTSYS does not reach programs: the call is made again unless the signal
	// ends it (include/linux/errno.h).
	ERESTARTSYS Errno = 512
)

var errnoNames = map[Errno]string{0: "0", EPERM: "EPERM", ENOENT: "ENOENT", ENOSPC: "ENOSPC", EINTR: "EINTR", EIO: "EIO", EBADF: "EBADF", EAGAIN: "EAGAIN", ENOMEM: "ENOMEM", EACCES: "EACCES", EFAULT: "EFAULT",
	EBUSY: "EBUSY", EEXIST: "EEXIST", ENODEV: "ENODEV", EINVAL: "EINVAL", E2BIG: "E2BIG", ENOEXEC: "ENOEXEC", ELIBBAD: "ELIBBAD", EOVERFLOW: "EOVERFLOW", EOPNOTSUPP: "EOPNOTSUPP", ERESTARTSYS: "ERESTARTSYS"}

func (e Errno) String() string {
	if s, ok := errnoNames[e]; ok {
		return s
	}
	return fmt.Sprintf("errno %d", uint16(e))
}

// Error makes an Errno an error.
func (e Errno) Error() string { return e.String() }

// pageUp rounds a length up to whole pages; it wraps to 0 as PAGE_ALIGN does.
func pageUp(n uint64) uint64 { return (n + pageMask) &^ pageMask }

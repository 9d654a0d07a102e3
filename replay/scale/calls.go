package scale

import (
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
)

// kind is what a step is to the locks.
type kind uint8

const (
	fault     kind = iota
	slowFault      // one that cannot do with the lock of its mapping
	change         // a call that takes the mmap lock for writing
	look           // a call that takes it for reading
	noStep         // a call that takes none of the locks
)

// calls are those that take the mmap lock (Linux 6.7 mm/mmap.c, mprotect.c, mremap.c,
// mlock.c, msync.c, ipc/shm.c, kernel/fork.c:dup_mmap); madvise depends on the advice.
// An exec takes the address space from the last thread in it: nobody could wait.
var calls = map[string]kind{"mmap": change, "mmap2": change, "old_mmap": change, "munmap": change, "mprotect": change, "pkey_mprotect": change,
	"mremap": change, "remap_file_pages": change, "brk": change, "mlock": change, "mlock2": change, "munlock": change, "mlockall": change,
	"munlockall": change, "shmat": change, "shmdt": change, "fork": change, "msync": look}

// lookAdvice is the advice that is taken with the mmap lock held for reading
// (mm/madvise.c:madvise_need_mmap_write); numbers of asm-generic/mman-common.h.
var lookAdvice = map[int32]bool{
	3: true, 4: true, 24: true, // MADV_WILLNEED, _DONTNEED, _DONTNEED_LOCKED
	8: true, 9: true, // MADV_FREE, _REMOVE
	20: true, 21: true, 25: true, // MADV_COLD, _PAGEOUT, _COLLAPSE
	22: true, 23: true, // MADV_POPULATE_READ, _WRITE
}

func kindOfCall(w *replay.Work) kind {
	if w.Call == "madvise" {
		if lookAdvice[int32(w.Args[2])] {
			return look
		}
		return change
	}
	if k, ok := calls[w.Call]; ok {
		return k
	}
	return noStep
}

// eases says whether a call that makes memory go gives the mmap lock down to reading
// before it drops the pages (mm/mmap.c:do_vmi_align_munmap with unlock: of munmap, of a
// brk that goes down, of an mremap that shrinks in place). What others drop, as mmap does
// over other mappings, they drop with the lock as they have it.
func eases(w *replay.Work) bool {
	const fixed = 2 // MREMAP_FIXED
	switch w.Call {
	case "munmap", "brk":
		return true
	case "mremap":
		return w.Args[2] < w.Args[1] && w.Args[3]&fixed == 0
	}
	return false
}

// needsAnon are the faults that want an anon_vma of a private mapping.
var needsAnon = map[paging.FaultKind]bool{
	paging.ZeroPage: true, paging.DemandZero: true, paging.HugeZero: true, paging.HugeDemand: true,
	paging.FileCOW: true, paging.CowCopy: true, paging.CowZero: true, paging.Unshare: true,
	paging.HugeTLBFault: true, paging.HugeTLBCopy: true,
}

// kindOfFault says whether a fault begins with the lock of its mapping. It does not
// where the kernel itself faults, in copies and calls (arch/x86/mm/fault.c:
// do_user_addr_fault), where there is no mapping, and where an anon_vma is missing: to
// find one takes a look at the neighbours (mm/memory.c:lock_vma_under_rcu,
// vmf_anon_prepare).
func kindOfFault(w *replay.Work) kind {
	f := w.Fault
	if w.Kernel || f.Mapping == (paging.MappingID{}) || f.Unprepared && !f.Shared && needsAnon[f.Kind] {
		return slowFault
	}
	return fault
}

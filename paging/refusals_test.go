package paging

import (
	"strings"
	"testing"
)

// Errors that no other test comes to, with the function of Linux 6.1 that gives them.
func TestRefusals(t *testing.T) {
	c := DefaultConfig()
	c.HugePages = 4
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	const at = 1 << 32
	tk.pages(t, 8, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed})
	is := func(what string, got, want Errno) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	remap := func(old, oldN, newN, flags, to uint64) Errno {
		_, errno := tk.Mremap(old, oldN*PageSize, newN*PageSize, flags, to, 0)
		return errno
	}
	const tlb = at + 64*kernelHB
	tk.pages(t, 2*kernelH, MmapArgs{Addr: tlb, Prot: rw, Flags: anon | MapFixed | mapHugeTLB})
	// mm/mremap.c:vma_to_resize: MREMAP_DONTUNMAP of VM_DONTEXPAND; growth of it
	is("DONTUNMAP of hugetlb", remap(tlb, kernelH, kernelH, mremapMayMove|mremapDontUnmap, 0), EINVAL)
	if err := tk.MapRegion(Region{Start: at + 1<<30, End: at + 1<<30 + 2*PageSize, Prot: ProtRead | ProtExec, Kind: VDSO}); err != nil {
		t.Fatal(err)
	}
	is("growth of the vdso", remap(at+1<<30, 2, 3, mremapMayMove, 0), EFAULT)
	is("DONTUNMAP of the vdso", remap(at+1<<30, 2, 2, mremapMayMove|mremapDontUnmap, 0), EINVAL)
	// mremap_to unmaps what is there, which hugetlb_vm_op_split refuses inside a page
	is("a move into a page of hugetlb", remap(at, 2, 2, mremapMayMove|mremapFixed, tlb+PageSize), EINVAL)
	// get_unmapped_area: the place of a recorded move is taken
	_, errno := tk.Mremap(at, 8*PageSize, 16*PageSize, mremapMayMove, 0, tlb)
	is("a move to where something is", errno, ENOMEM)
	// mprotect_pkey: PROT_GROWSDOWN needs the range to begin above the next mapping
	is("GROWSDOWN below everything", tk.Mprotect(at-64*PageSize, PageSize, ProtRead|protGrowsDown), ENOMEM)
	// hugetlbfs_file_mmap does not take VM_GROWSDOWN (do_mmap: EINVAL)
	_, errno = tk.Mmap(MmapArgs{Len: kernelHB, Prot: rw, Flags: anon | mapHugeTLB | MapGrowsDown})
	is("hugetlb that grows down", errno, EINVAL)
	// mm/msync.c: a hole is ENOMEM at the end
	is("msync over the end", tk.Msync(at, 16*PageSize, msAsync), ENOMEM)
	// do_shmat: without write permission of the file VM_MAYWRITE is off, mprotect_fixup: EACCES
	id, errno := tk.Shmget(ShmArgs{Key: ipcPrivate, Size: PageSize, Flags: 0600, ID: -1})
	is("shmget", errno, 0)
	shm, errno := tk.Shmat(id, 0, shmRdonly, 0)
	is("shmat", errno, 0)
	is("mprotect of SHM_RDONLY", tk.Mprotect(shm, PageSize, rw), EACCES)
	// newseg: no pages of that size; ipc/shm.c:shmctl_down of what is marked already
	_, errno = tk.Shmget(ShmArgs{Key: ipcPrivate, Size: PageSize, Flags: 0600 | shmHugeTLB | 29<<mapHugeShift, ID: -1})
	is("shmget of 512 MiB pages", errno, EINVAL)
	is("IPC_RMID", m.Shmrm(id), 0)
	is("IPC_RMID again", m.Shmrm(id), 0)
	// access_process_vm where nothing is mapped, and no stack above
	if got := tk.AccessRemote(tk, 1<<46, 8, false); got != 0 {
		t.Errorf("ptrace reads %d bytes where nothing is", got)
	}
	if got := Errno(200).String(); got != "errno 200" {
		t.Error(got)
	}
	check(t, m)
}

// Overcommit that mprotect asks for: memory that becomes writable is charged then
// (mm/mprotect.c:mprotect_fixup).
func TestMprotectOvercommit(t *testing.T) {
	tk := limited(t, func(c *Config) { c.Overcommit, c.RAM, c.OvercommitRatio = OvercommitNever, 1<<30, 1 })
	a := tk.pages(t, 1<<14, MmapArgs{Prot: ProtRead, Flags: anon})
	if errno := tk.Mprotect(a, 1<<14*PageSize, rw); errno != ENOMEM {
		t.Errorf("%v, want ENOMEM", errno)
	}
	check(t, tk.machine)
}

// mlockall(MCL_ONFAULT) locks what comes and makes nothing present
// (mm/mlock.c:apply_mlockall_flags).
func TestMlockallOnFault(t *testing.T) {
	tk := limited(t, func(c *Config) { c.LockedLimit = NoLimit })
	a := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	if errno := tk.Mlockall(mclCurrent | mclOnFault); errno != 0 {
		t.Fatal(errno)
	}
	if minor, _ := tk.Faults(); minor != 0 || tk.Madvise(a, PageSize, madvDontNeed) != EINVAL {
		t.Errorf("%d faults; locked memory cannot be discarded", minor)
	}
}

// What a configuration may not be, each error naming what is wrong.
func TestConfigRefusals(t *testing.T) {
	for want, set := range map[string]func(c *Config){
		"6 page-table levels":     func(c *Config) { c.Levels = 6 },
		"out of range":            func(c *Config) { c.Locking = 9 },
		"overcommit mode 7":       func(c *Config) { c.Overcommit = 7 },
		"overcommit mode 2 needs": func(c *Config) { c.Overcommit = OvercommitNever },
		"there are [never":        func(c *Config) { c.THP = 9 },
		"came with 2.6.38":        func(c *Config) { c.SetProfile("linux-2.6.32"); c.THP = THPAlways },
		"the least is 1us":        func(c *Config) { c.THP, c.CollapseEvery = THPAlways, 1 },
		"only known for small":    func(c *Config) { c.THP, c.Stack = THPAlways, noStack{} },
		"a sample of the pages":   func(c *Config) { c.THP, c.Only = THPAlways, func(_, _ uint64) bool { return true } },
		`not "fifo"`:              func(c *Config) { c.THP, c.Memory, c.Reclaim = THPAlways, 1<<24, "fifo" },
		"with 3 levels":           func(c *Config) { c.Levels, c.GiantPages = 3, 1 },
		"hold at most":            func(c *Config) { c.HugePages = maxHugePages + 1 },
		"whole pages of 4 KiB":    func(c *Config) { c.Memory = 100 },
		"swap device":             func(c *Config) { c.SwapDevice = 9 },
		"needs the future":        func(c *Config) { c.Memory, c.Reclaim = 1<<24, "opt" },
	} {
		c := DefaultConfig()
		set(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %q", err, want)
		}
	}
}

type noStack struct{ UseStack }

func (noStack) Pages() *StackPages { return &StackPages{} }

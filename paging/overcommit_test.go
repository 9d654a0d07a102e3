package paging

import "testing"

// Overcommit, after Linux 6.1 mm/util.c:__vm_enough_memory, vm_commit_limit, and
// its callers: mmap_region, do_brk_flags, acct_stack_growth, vma_to_resize,
// move_vma, mprotect_fixup, dup_mmap, shmem_acct_size;
// Documentation/mm/overcommit-accounting.rst.

// With a ratio of 50 % of 2240 pages the limit is 1120 pages. The reserve for an
// administrator is 1/32 of memory, 70 pages; that for others at most as much, a
// 32nd of what the process has mapped. Promises have to stay below.
const (
	commitRAM   = 2240 * PageSize
	commitBelow = 1050
)

func never(t *testing.T) *Task {
	return limited(t, func(c *Config) {
		c.Overcommit, c.RAM, c.OvercommitRatio = OvercommitNever, commitRAM, 50
	})
}

func mmapErrno(tk *Task, addr, pages uint64, prot Prot, flags MapFlags) Errno {
	_, errno := tk.Mmap(MmapArgs{Addr: addr, Len: pages * PageSize, Prot: prot, Flags: flags | MapFixed | MapAnonymous})
	return errno
}

func committed(t *testing.T, tk *Task, what string, want int64) {
	t.Helper()
	check(t, tk.machine)
	if got := tk.machine.commit.pages.Load(); got != want {
		t.Errorf("%s: %d pages promised, want %d", what, got, want)
	}
}

func TestOvercommitModes(t *testing.T) {
	for _, c := range []struct {
		mode                    Overcommit
		ram                     uint64
		all, more, twice, lazyR Errno // all memory; a page more; all of it once again; twice as much with MAP_NORESERVE
	}{
		{OvercommitGuess, NoLimit, 0, 0, 0, 0},
		{OvercommitGuess, commitRAM, 0, ENOMEM, 0, 0}, // each request for itself
		{OvercommitAlways, commitRAM, 0, 0, 0, 0},
		{OvercommitNever, commitRAM, ENOMEM, ENOMEM, ENOMEM, ENOMEM}, // half of it at most, MAP_NORESERVE or not (do_mmap)
	} {
		tk := limited(t, func(cfg *Config) { cfg.Overcommit, cfg.RAM = c.mode, c.ram })
		for what, got := range map[string][2]Errno{
			"all memory":            {mmapErrno(tk, far, 2240, rw, MapPrivate), c.all},
			"a page more":           {mmapErrno(tk, far<<1, 2241, rw, MapPrivate), c.more},
			"all, once again":       {mmapErrno(tk, callBase, 2240, rw, MapPrivate), c.twice},
			"shared, a page more":   {mmapErrno(tk, callBase>>1, 2241, rw, MapShared), c.more},
			"MAP_NORESERVE":         {mmapErrno(tk, callBase>>2, 4480, rw, MapPrivate|MapNoReserve), c.lazyR},
			"MAP_NORESERVE, shared": {mmapErrno(tk, callBase>>3, 4480, rw, MapShared|MapNoReserve), c.lazyR},
			"read-only":             {mmapErrno(tk, callBase>>4, 4480, ProtRead, MapPrivate), 0},
		} {
			if got[0] != got[1] {
				t.Errorf("mode %v, %s: %v, want %v", c.mode, what, got[0], got[1])
			}
		}
		check(t, tk.machine)
	}
}

func TestOvercommitNever(t *testing.T) {
	tk := never(t)
	is := func(what string, got, want Errno) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if got := tk.machine.CommitLimit(); got != 1120*PageSize {
		t.Errorf("CommitLimit %d pages", got/PageSize)
	}
	// The process has mapped nothing yet, so its reserve is 0.
	is("as much as the limit", mmapErrno(tk, far, commitBelow, rw, MapPrivate), ENOMEM)
	is("a page less", mmapErrno(tk, far, commitBelow-1, rw, MapPrivate), 0)
	committed(t, tk, "after it", commitBelow-1)
	// 1049 pages mapped: a reserve of 32 pages, so 1018 and more is too much.
	is("MAP_FIXED onto it: what was there is given up before, and gone", mmapErrno(tk, far, commitBelow, rw, MapPrivate), ENOMEM)
	committed(t, tk, "after it", 0)
	is("again", mmapErrno(tk, far, 640, rw, MapPrivate), 0) // reserve 20: below 1030
	is("389 more", mmapErrno(tk, callBase, 390, rw, MapPrivate), ENOMEM)
	is("388 more", mmapErrno(tk, callBase, 389, rw, MapPrivate), 0)
	is("munmap", tk.Munmap(callBase, 389*PageSize), 0)
	committed(t, tk, "munmap gives back", 640)

	// mprotect: what becomes writable is charged once, and not given back
	is("read-only memory", mmapErrno(tk, callBase, 320, ProtRead, MapPrivate), 0) // 960 mapped: reserve 30: below 1020
	committed(t, tk, "costs nothing", 640)
	is("some of it writable", tk.Mprotect(callBase, 100*PageSize, rw), 0)
	committed(t, tk, "is charged", 740)
	is("read-only again", tk.Mprotect(callBase, 100*PageSize, ProtRead), 0)
	committed(t, tk, "stays charged", 740)
	is("writable again", tk.Mprotect(callBase, 100*PageSize, rw), 0)
	committed(t, tk, "once", 740)
	is("all of it", tk.Mprotect(callBase, 320*PageSize, rw), 0)
	committed(t, tk, "is charged", 960)
	is("munmap", tk.Munmap(callBase, 320*PageSize), 0)

	// brk
	tk.SetBrk(far<<1, far<<1)
	if got := tk.Brk(far<<1 + 390*PageSize); got != far<<1 {
		t.Errorf("brk by 390 pages: %#x", got)
	}
	if got := tk.Brk(far<<1 + 389*PageSize); got != far<<1+389*PageSize {
		t.Errorf("brk by 389 pages: %#x", got)
	}
	tk.Brk(far << 1)
	committed(t, tk, "brk gives back", 640)

	// mremap
	_, errno := tk.Mremap(far, 640*PageSize, 1030*PageSize, 0, 0, 0)
	is("in place by 390", errno, ENOMEM)
	_, errno = tk.Mremap(far, 640*PageSize, 1029*PageSize, 0, 0, 0)
	is("in place by 389", errno, 0)
	committed(t, tk, "is charged", 1029)
	_, errno = tk.Mremap(far, 1029*PageSize, 640*PageSize, 0, 0, 0)
	is("shrunk", errno, 0)
	committed(t, tk, "is given back", 640)
	_, errno = tk.Mremap(far, 640*PageSize, 640*PageSize, mremapMayMove|mremapFixed, callBase, 0)
	is("moved", errno, 0)
	committed(t, tk, "costs nothing", 640)
	_, errno = tk.Mremap(callBase, 640*PageSize, 640*PageSize, mremapMayMove|mremapDontUnmap, 0, 0)
	is("moved, the old range stays", errno, ENOMEM)
	_, errno = tk.Mremap(callBase, 380*PageSize, 380*PageSize, mremapMayMove|mremapDontUnmap, 0, 0)
	is("a part", errno, 0)
	committed(t, tk, "is charged twice", 1020)
}

// dup_mmap charges mapping by mapping; MADV_DONTFORK and shared memory cost
// nothing more.
func TestOvercommitFork(t *testing.T) {
	tk := never(t)
	mmapErrno(tk, far, 512, rw, MapPrivate)
	mmapErrno(tk, callBase, 80, rw, MapShared)
	committed(t, tk, "private and shared", 592)
	if errno := tk.MayFork(); errno != ENOMEM { // 1104 of at most 1050-18
		t.Errorf("fork: %v", errno)
	}
	tk.Madvise(far, 100*PageSize, madvDontFork)
	if errno := tk.MayFork(); errno != 0 { // 1004
		t.Errorf("without 100 pages: %v", errno)
	}
	child := tk.Fork(2, 2, 1)
	committed(t, tk, "both", 1004)
	tk.Munmap(callBase, 80*PageSize)
	committed(t, tk, "the object is the child's now", 1004)
	child.Exit()
	committed(t, tk, "the child is gone", 512)
	tk.Exec()
	committed(t, tk, "exec", 0)
}

func TestOvercommitStackAndSegments(t *testing.T) {
	tk := never(t)
	tk.MapRegion(Region{Start: far - PageSize, End: far, Prot: rw, Kind: Stack})
	mmapErrno(tk, callBase, 960, rw, MapPrivate) // mapped 961: reserve 30, below 1020
	if a, b := tk.Access(far-60*PageSize, Write), tk.Access(far-59*PageSize, Write); a != SIGSEGV || b != Minor {
		t.Errorf("a stack that is 60 pages: %v, 59: %v", a, b)
	}
	committed(t, tk, "the stack", 1019)
	tk.Munmap(callBase, 960*PageSize)
	// System V: newseg; SHM_NORESERVE is ignored in this mode
	if _, errno := tk.Shmget(ShmArgs{Size: 991 * PageSize, Flags: shmNoReserve, ID: -1}); errno != ENOMEM {
		t.Errorf("shmget of 991 pages: %v", errno) // 59 mapped: reserve 1, below 1049
	}
	if _, errno := tk.Shmget(ShmArgs{Size: 990*PageSize - 1, ID: -1}); errno != ENOMEM {
		t.Errorf("shmget of 990 pages: %v", errno)
	}
	id := seg(t, tk, 1, 989*PageSize, ipcCreat)
	committed(t, tk, "the segment", 59+989)
	tk.machine.Shmrm(id)
	committed(t, tk, "removed", 59)
	if got := tk.machine.Stats().CommitRefused; got != 3 {
		t.Errorf("%d requests refused, want 3", got)
	}
}

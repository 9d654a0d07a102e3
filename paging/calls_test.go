package paging

import "testing"

// What each call answers. The expected values are those of the functions named,
// Linux 6.1; the man pages agree unless a comment says otherwise.

const (
	callBase = 0x30_0000_0000
	far      = 0x40_0000_0000
)

// world is a process with: 8 pages read-write at callBase, a hole of 8 pages, 4
// pages read-only, 4 pages of a shared file of 2 pages; brk begins at far.
func world(t *testing.T) (*Task, *File) {
	t.Helper()
	tk := task(t)
	f := tk.machine.File(1, 1, 2*PageSize, "file")
	tk.pages(t, 8, MmapArgs{Addr: callBase, Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, 4, MmapArgs{Addr: callBase + 16*PageSize, Prot: ProtRead, Flags: anon | MapFixed})
	tk.pages(t, 4, MmapArgs{Addr: callBase + 20*PageSize, Prot: rw, Flags: MapShared | MapFixed, File: f})
	tk.SetBrk(far, far)
	return tk, f
}

func page(n uint64) uint64 { return callBase + n*PageSize }

func TestMmapErrors(t *testing.T) {
	tk, f := world(t)
	for _, c := range []struct {
		what string
		a    MmapArgs
		want Errno
	}{
		{"length 0 (do_mmap)", MmapArgs{Prot: rw, Flags: anon}, EINVAL},
		{"length that rounds up to 0 (do_mmap)", MmapArgs{Len: 1<<64 - 1, Prot: rw, Flags: anon}, ENOMEM},
		{"length above user memory (get_unmapped_area)", MmapArgs{Len: 1 << 48, Prot: rw, Flags: anon}, ENOMEM},
		{"offset not of whole pages (sys_x86_64.c)", MmapArgs{Len: 1, Prot: rw, Flags: MapPrivate, File: f, Offset: 1}, EINVAL},
		{"no file comes before everything else (ksys_mmap_pgoff)", MmapArgs{Prot: rw, Flags: MapPrivate}, EBADF},
		{"neither shared nor private", MmapArgs{Len: 1, Flags: MapAnonymous}, EINVAL},
		{"neither shared nor private, file", MmapArgs{Len: 1, File: f}, EINVAL},
		{"MAP_SHARED_VALIDATE is for files", MmapArgs{Len: 1, Flags: MapSharedValidate | MapAnonymous}, EINVAL},
		{"MAP_SHARED_VALIDATE with a flag it does not know", MmapArgs{Len: 1, Flags: MapSharedValidate | 0x80000, File: f}, EOPNOTSUPP},
		{"MAP_SHARED ignores such a flag", MmapArgs{Len: 1, Flags: MapShared | 0x80000, File: f}, 0},
		{"growing down and shared", MmapArgs{Len: 1, Flags: MapShared | MapAnonymous | MapGrowsDown}, EINVAL},
		{"growing down and a file", MmapArgs{Len: 1, Flags: MapPrivate | MapGrowsDown, File: f}, EINVAL},
		{"end of the file offset (file_mmap_ok)", MmapArgs{Len: PageSize, Flags: MapPrivate, File: f, Offset: 1<<63 - PageSize}, EOVERFLOW},
		{"fixed and unaligned (get_unmapped_area)", MmapArgs{Addr: 1<<20 + 1, Len: 1, Flags: anon | MapFixed}, EINVAL},
		{"fixed, unaligned and outside: outside comes first", MmapArgs{Addr: window64 + 1, Len: 1, Flags: anon | MapFixed}, ENOMEM},
		{"fixed at the very end", MmapArgs{Addr: window64 - PageSize, Len: PageSize, Flags: anon | MapFixed}, 0},
		{"fixed beyond the end", MmapArgs{Addr: window64, Len: PageSize, Flags: anon | MapFixed}, ENOMEM},
		{"fixed below vm.mmap_min_addr (security_mmap_addr)", MmapArgs{Addr: PageSize, Len: PageSize, Flags: anon | MapFixed}, EPERM},
		{"MAP_FIXED_NOREPLACE on something", MmapArgs{Addr: page(7), Len: 2 * PageSize, Flags: anon | MapFixedNoReplace}, EEXIST},
		{"MAP_FIXED_NOREPLACE beside it", MmapArgs{Addr: page(8), Len: PageSize, Flags: anon | MapFixedNoReplace}, 0},
		{"more locked memory than allowed (mlock_future_check)", MmapArgs{Len: 8<<20 + 1, Flags: anon | MapLocked}, EAGAIN},
		{"as much as allowed", MmapArgs{Len: 8 << 20, Prot: rw, Flags: anon | MapLocked | MapFixed, Addr: far}, 0},
		{"huge pages, the pool is empty (hugetlb_file_setup)", MmapArgs{Len: 1, Flags: anon | mapHugeTLB}, ENOMEM},
		{"huge pages of an ordinary file", MmapArgs{Len: 1, Flags: MapPrivate | mapHugeTLB, File: f}, EINVAL},
		{"an imposed address that is taken", MmapArgs{Len: 1, Flags: anon, At: page(0)}, ENOMEM},
	} {
		if _, got := tk.Mmap(c.a); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	check(t, tk.machine)
}

// Addresses, after arch/x86/kernel/sys_x86_64.c and arch/x86/mm/mmap.c. The two
// bases are those that setarch -R shows in /proc/PID/maps.
func TestPlacement(t *testing.T) {
	const base = 0x7ffff7fff000
	tk := task(t)
	for _, c := range []struct {
		what string
		a    MmapArgs
		want uint64
	}{
		{"top down from mmap_base", MmapArgs{Len: 2 * PageSize}, base - 2*PageSize},
		{"below the last", MmapArgs{Len: PageSize}, base - 3*PageSize},
		{"a hint is cut to whole pages (do_mmap: round_hint_to_min)", MmapArgs{Addr: 1<<32 + 100, Len: PageSize}, 1 << 32},
		{"a hint that is taken is passed over", MmapArgs{Addr: 1 << 32, Len: PageSize}, base - 4*PageSize},
		{"a hint below vm.mmap_min_addr is lifted", MmapArgs{Addr: PageSize, Len: PageSize}, mmapMinAddr},
		{"MAP_32BIT: from 1 GiB upwards", MmapArgs{Len: PageSize, Flags: map32Bit}, 0x40000000},
		{"MAP_32BIT has 1 GiB", MmapArgs{Len: 1<<30 + PageSize, Flags: map32Bit}, 0},
		{"the guard gap of a stack is kept (vm_start_gap)", MmapArgs{Addr: 1<<33 - PageSize, Len: PageSize}, base - 5*PageSize},
	} {
		if c.what[:5] == "the g" {
			tk.MapRegion(Region{Start: 1 << 33, End: 1<<33 + PageSize, Prot: rw, Kind: Stack})
		}
		a := c.a
		a.Prot, a.Flags = rw, a.Flags|anon
		got, errno := tk.Mmap(a)
		if got != c.want || errno != 0 && c.want != 0 {
			t.Errorf("%s: %#x (%v), want %#x", c.what, got, errno, c.want)
		}
	}
	// With the middle taken there is no room below mmap_base.
	tk = task(t)
	tk.pages(t, 1, MmapArgs{Addr: base / 2 &^ pageMask, Prot: rw, Flags: anon | MapFixed})
	if got, _ := tk.Mmap(MmapArgs{Len: base/2 + 64<<20, Prot: rw, Flags: anon}); got != base/2&^pageMask+PageSize {
		t.Errorf("bottom up: %#x, want just above the mapping in the middle", got)
	}
	if tk.machine.layout.bottomUp != 0x2aaaaaaab000 {
		t.Errorf("TASK_UNMAPPED_BASE is %#x", tk.machine.layout.bottomUp)
	}
}

func TestMunmapErrors(t *testing.T) { // do_mas_munmap
	tk, _ := world(t)
	for _, c := range []struct {
		what      string
		addr, len uint64
		want      Errno
	}{
		{"unaligned", page(0) + 1, PageSize, EINVAL},
		{"length 0", page(0), 0, EINVAL},
		{"length that rounds up to 0", page(0), 1<<64 - 1, EINVAL},
		{"outside", window64 - PageSize, 2 * PageSize, EINVAL},
		{"nothing there", far, PageSize, 0},
		{"a length of less than a page", page(7), 1, 0},
		{"over holes", page(0), 64 * PageSize, 0},
	} {
		if got := tk.Munmap(c.addr, c.len); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	if n := len(tk.space.list()); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
}

func TestMprotectErrors(t *testing.T) { // do_mprotect_pkey
	for _, c := range []struct {
		what      string
		addr, len uint64
		prot      Prot
		want      Errno
	}{
		{"unaligned", page(0) + 1, PageSize, rw, EINVAL},
		{"length 0", far, 0, rw, 0},
		{"wraps", page(0), 1<<64 - 1, rw, ENOMEM},
		{"unknown bits (arch_validate_prot)", page(0), PageSize, 0x40, EINVAL},
		{"PROT_SEM is known", page(0), PageSize, rw | 8, 0},
		{"both directions", page(0), PageSize, rw | protGrowsDown | protGrowsUp, EINVAL},
		{"PROT_GROWSDOWN where nothing grows", page(0), PageSize, rw | protGrowsDown, EINVAL},
		{"PROT_GROWSUP on x86", page(0), PageSize, rw | protGrowsUp, EINVAL},
		{"nothing there", far, PageSize, rw, ENOMEM},
		{"runs into a hole", page(6), 4 * PageSize, ProtRead, ENOMEM},
	} {
		tk, _ := world(t)
		if got := tk.Mprotect(c.addr, c.len, c.prot); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	tk, _ := world(t)
	tk.Mprotect(page(6), 4*PageSize, ProtRead)
	if v := tk.space.list().at(page(7)); v.prot() != ProtRead {
		t.Errorf("what came before the hole is %v, want r--", v.prot())
	}
	tk.MapRegion(Region{Start: far, End: far + 4*PageSize, Prot: rw, Kind: Stack})
	if got := tk.Mprotect(far+2*PageSize, PageSize, ProtRead|protGrowsDown); got != 0 || tk.space.list().at(far).prot() != ProtRead {
		t.Errorf("PROT_GROWSDOWN: %v, and the start of the stack is %v", got, tk.space.list().at(far).prot())
	}
}

func TestMremapErrors(t *testing.T) { // mremap, mremap_to, vma_to_resize
	const both = mremapMayMove | mremapFixed
	for _, c := range []struct {
		what                string
		old, oldLen, newLen uint64
		flags, to           uint64
		want                Errno
		addr                uint64
	}{
		{what: "unknown flag", old: page(0), oldLen: PageSize, newLen: PageSize, flags: 8, want: EINVAL},
		{what: "fixed without maymove", old: page(0), oldLen: PageSize, newLen: PageSize, flags: mremapFixed, to: far, want: EINVAL},
		{what: "dontunmap without maymove", old: page(0), oldLen: PageSize, newLen: PageSize, flags: mremapDontUnmap, want: EINVAL},
		{what: "dontunmap resizes", old: page(0), oldLen: PageSize, newLen: 2 * PageSize, flags: mremapDontUnmap | mremapMayMove, want: EINVAL},
		{what: "dontunmap looks at the new address too", old: page(0), oldLen: PageSize, newLen: PageSize, flags: mremapDontUnmap | mremapMayMove, to: 1, want: EINVAL},
		{what: "unaligned", old: page(0) + 1, oldLen: PageSize, newLen: PageSize, want: EINVAL},
		{what: "new length 0", old: page(0), oldLen: PageSize, want: EINVAL},
		{what: "nothing there", old: far, oldLen: PageSize, newLen: PageSize, want: EFAULT},
		{what: "old length leaves the mapping", old: page(4), oldLen: 5 * PageSize, newLen: 6 * PageSize, want: EFAULT},
		{what: "old length 0, private", old: page(0), newLen: PageSize, flags: mremapMayMove, want: EINVAL},
		{what: "overlap", old: page(0), oldLen: 2 * PageSize, newLen: 2 * PageSize, flags: both, to: page(1), want: EINVAL},
		{what: "unaligned new address", old: page(0), oldLen: PageSize, newLen: PageSize, flags: both, to: far + 1, want: EINVAL},
		{what: "new address outside", old: page(0), oldLen: PageSize, newLen: PageSize, flags: both, to: window64, want: EINVAL},
		{what: "new address below vm.mmap_min_addr", old: page(0), oldLen: PageSize, newLen: PageSize, flags: both, to: PageSize, want: EPERM},
		{what: "no room to grow", old: page(0), oldLen: 8 * PageSize, newLen: 17 * PageSize, want: ENOMEM},
		{what: "not at its end: may not move", old: page(0), oldLen: 4 * PageSize, newLen: 5 * PageSize, want: ENOMEM},
		{what: "room to grow", old: page(0), oldLen: 8 * PageSize, newLen: 16 * PageSize, addr: page(0)},
		{what: "shrinks", old: page(0), oldLen: 8 * PageSize, newLen: PageSize, addr: page(0)},
		{what: "shrinks over what is not its own", old: page(0), oldLen: 32 * PageSize, newLen: PageSize, addr: page(0)},
		{what: "equal lengths", old: page(2), oldLen: PageSize, newLen: 1, addr: page(2)},
		{what: "moves", old: page(0), oldLen: 4 * PageSize, newLen: 4 * PageSize, flags: both, to: far, addr: far},
		{what: "old length 0, shared: a second mapping", old: page(20), newLen: 2 * PageSize, flags: both, to: far, addr: far},
	} {
		tk, _ := world(t)
		tk.touchAll(t, page(0), 8, Write)
		got, errno := tk.Mremap(c.old, c.oldLen, c.newLen, c.flags, c.to, 0)
		if errno != c.want || got != c.addr {
			t.Errorf("%s: %#x, %v; want %#x, %v", c.what, got, errno, c.addr, c.want)
		}
		check(t, tk.machine)
	}
	tk, _ := world(t)
	tk.Mlock(page(0), PageSize)
	if _, errno := tk.Mremap(page(0), PageSize, 8<<20+PageSize, mremapMayMove, 0, 0); errno != EAGAIN {
		t.Errorf("locked memory grows above the limit: %v, want EAGAIN", errno)
	}
}

func TestBrk(t *testing.T) { // mm/mmap.c:brk
	tk, _ := world(t)
	tk.pages(t, 1, MmapArgs{Addr: far + 64*PageSize, Prot: rw, Flags: anon | MapFixed})
	for _, c := range []struct {
		what       string
		addr, want uint64
	}{
		{"asks", 0, far},
		{"below the start", far - 1, far},
		{"a few bytes", far + 10, far + 10},
		{"within the page", far + 20, far + 20},
		{"grows", far + 4*PageSize, far + 4*PageSize},
		{"a free page must stay before the next mapping", far + 64*PageSize, far + 4*PageSize},
		{"up to that", far + 63*PageSize, far + 63*PageSize},
		{"shrinks", far + PageSize, far + PageSize},
		{"outside", 1<<64 - 1, far + PageSize},
	} {
		if got := tk.Brk(c.addr); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
	tk.Munmap(far, PageSize)
	if got := tk.Brk(far); got != far+PageSize {
		t.Errorf("down over pages that are gone: %#x, want a refusal", got)
	}
	tk.MapRegion(Region{Start: far + 300*PageSize, End: far + 301*PageSize, Prot: rw, GrowsDown: true})
	tk.Munmap(far+64*PageSize, PageSize)
	if got := tk.Brk(far + 44*PageSize); got != far+PageSize {
		t.Errorf("into the guard gap of a stack: %#x, want a refusal", got)
	}
	if got := tk.Brk(far + 43*PageSize); got != far+43*PageSize {
		t.Errorf("up to the guard gap of a stack: %#x", got)
	}
	check(t, tk.machine)
}

func TestMadviseErrors(t *testing.T) { // do_madvise and what it calls
	for _, c := range []struct {
		what      string
		addr, len uint64
		advice    int
		want      Errno
	}{
		{"unknown advice", page(0), PageSize, 99, EINVAL},
		{"unaligned", page(0) + 1, PageSize, madvDontNeed, EINVAL},
		{"length that rounds up to 0", page(0), 1<<64 - 1, madvDontNeed, EINVAL},
		{"wraps", page(0), 1<<64 - 2*PageSize, madvDontNeed, EINVAL},
		{"length 0", far, 0, madvDontNeed, 0},
		{"nothing there", far, PageSize, madvDontNeed, ENOMEM},
		{"a hole", page(6), 12 * PageSize, madvDontNeed, ENOMEM},
		{"DONTNEED on locked memory", page(4), PageSize, madvDontNeed, EINVAL},
		{"DONTNEED_LOCKED on locked memory", page(4), PageSize, madvDontNeedLock, 0},
		{"FREE", page(0), PageSize, madvFree, 0},
		{"FREE on locked memory", page(4), PageSize, madvFree, EINVAL},
		{"FREE on a file", page(20), PageSize, madvFree, EINVAL},
		{"COLD on locked memory", page(4), PageSize, madvCold, EINVAL},
		{"PAGEOUT on locked memory", page(4), PageSize, madvPageOut, EINVAL},
		{"REMOVE on anonymous memory", page(0), PageSize, madvRemove, EINVAL},
		{"REMOVE on a shared file", page(20), PageSize, madvRemove, 0},
		{"WIPEONFORK on a file", page(20), PageSize, madvWipeOnFork, EINVAL},
		{"WIPEONFORK", page(0), PageSize, madvWipeOnFork, 0},
		{"WILLNEED on anonymous memory, kernel with swap", page(0), PageSize, madvWillNeed, 0},
		{"POPULATE_READ beyond the end of the file", page(20), 4 * PageSize, madvPopulateRead, EFAULT},
		{"POPULATE_WRITE on read-only memory", page(16), PageSize, madvPopulateWrite, EINVAL},
		{"POPULATE_WRITE over a hole: the mapped parts are done", page(6), 4 * PageSize, madvPopulateWrite, ENOMEM},
		{"HWPOISON without the privilege", page(0), PageSize, madvHWPoison, EPERM},
		{"HUGEPAGE", page(0), PageSize, madvHugePage, 0},
		{"SEQUENTIAL", page(20), PageSize, madvSequential, 0},
	} {
		tk, _ := world(t)
		if errno := tk.Mlock(page(4), PageSize); errno != 0 {
			t.Fatal(errno)
		}
		if got := tk.Madvise(c.addr, c.len, c.advice); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		check(t, tk.machine)
	}
}

func TestMlockErrors(t *testing.T) { // mm/mlock.c
	const limit = 8 << 20
	for _, c := range []struct {
		what string
		do   func(*Task) Errno
		want Errno
	}{
		{"mlock", func(tk *Task) Errno { return tk.Mlock(page(0)+5, PageSize) }, 0},
		{"a hole: what came before is locked", func(tk *Task) Errno { return tk.Mlock(page(6), 4*PageSize) }, ENOMEM},
		{"nothing there", func(tk *Task) Errno { return tk.Mlock(far, PageSize) }, ENOMEM},
		{"length 0", func(tk *Task) Errno { return tk.Mlock(far, 0) }, 0},
		// the man page says EINVAL, the kernel rounds first: nothing is left to lock
		{"length that rounds up to 0", func(tk *Task) Errno { return tk.Mlock(page(0), 1<<64-1) }, 0},
		{"wraps: the limit comes first", func(tk *Task) Errno { return tk.Mlock(page(0), 1<<64-PageSize) }, ENOMEM},
		{"munlock wraps", func(tk *Task) Errno { return tk.Munlock(page(0), 1<<64-PageSize) }, EINVAL},
		{"beyond the end of the file (__mlock_posix_error_return)", func(tk *Task) Errno { return tk.Mlock(page(20), 4*PageSize) }, ENOMEM},
		{"unknown flag", func(tk *Task) Errno { return tk.Mlock2(page(0), PageSize, 2) }, EINVAL},
		{"MLOCK_ONFAULT beyond the end of the file", func(tk *Task) Errno { return tk.Mlock2(page(20), 4*PageSize, mlockOnFault) }, 0},
		{"no access", func(tk *Task) Errno {
			tk.Mprotect(page(0), PageSize, 0)
			return tk.Mlock(page(0), PageSize)
		}, ENOMEM},
		{"above the limit", func(tk *Task) Errno {
			return tk.Mlock(tk.mustMmap(limit+PageSize), limit+PageSize)
		}, ENOMEM},
		{"what is locked already does not count twice", func(tk *Task) Errno {
			a := tk.mustMmap(limit)
			if errno := tk.Mlock(a, limit); errno != 0 {
				return errno
			}
			return tk.Mlock(a, limit)
		}, 0},
		{"one page above the limit, part by part", func(tk *Task) Errno {
			tk.Mlock(page(0), PageSize)
			return tk.Mlock(tk.mustMmap(limit), limit)
		}, ENOMEM},
		{"munlock frees the limit", func(tk *Task) Errno {
			tk.Mlock(page(0), PageSize)
			tk.Munlock(page(0), PageSize)
			return tk.Mlock(tk.mustMmap(limit), limit)
		}, 0},
		{"mlockall without flags", func(tk *Task) Errno { return tk.Mlockall(0) }, EINVAL},
		{"mlockall, only MCL_ONFAULT", func(tk *Task) Errno { return tk.Mlockall(mclOnFault) }, EINVAL},
		{"mlockall", func(tk *Task) Errno { return tk.Mlockall(mclCurrent) }, 0},
		{"mlockall above the limit", func(tk *Task) Errno {
			tk.mustMmap(limit)
			return tk.Mlockall(mclCurrent)
		}, ENOMEM},
		{"MCL_FUTURE alone does not look at what is mapped", func(tk *Task) Errno {
			tk.mustMmap(limit)
			return tk.Mlockall(mclFuture)
		}, 0},
	} {
		tk, _ := world(t)
		if got := c.do(tk); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		check(t, tk.machine)
	}
	c := DefaultConfig()
	c.LockedLimit = NoLimit
	m, _ := New(c)
	tk := m.NewProcess(1, 1, 0)
	if errno := tk.Mlock(tk.mustMmap(limit+PageSize), limit+PageSize); errno != 0 {
		t.Errorf("without a limit: %v", errno)
	}
}

// mustMmap maps private anonymous memory.
func (t *Task) mustMmap(length uint64) uint64 {
	addr, errno := t.Mmap(MmapArgs{Len: length, Prot: rw, Flags: anon})
	if errno != 0 {
		panic(errno)
	}
	return addr
}

// What locking makes present: populate_vma_page_range.
func TestLockedMemoryIsPresent(t *testing.T) {
	tk, _ := world(t)
	m := tk.machine
	faults := func(what string, do func(), want map[FaultKind]uint64) {
		t.Helper()
		expect(t, what, kinds(m, do), want)
		check(t, m)
	}
	faults("mlock writes private memory", func() { tk.Mlock(page(0), 4*PageSize) }, map[FaultKind]uint64{DemandZero: 4})
	faults("and reads what may only be read", func() { tk.Mlock(page(16), 4*PageSize) }, map[FaultKind]uint64{ZeroPage: 4})
	faults("made writable, it is written at once (mprotect_fixup)", func() { tk.Mprotect(page(16), 2*PageSize, rw) }, map[FaultKind]uint64{CowZero: 2})
	faults("MLOCK_ONFAULT", func() { tk.Mlock2(page(4), 4*PageSize, mlockOnFault) }, map[FaultKind]uint64{})
	faults("brk under MCL_FUTURE", func() {
		tk.Mlockall(mclFuture)
		tk.Brk(far + 3*PageSize)
	}, map[FaultKind]uint64{DemandZero: 3})
	faults("mremap of locked memory", func() { tk.Mremap(page(0), PageSize, PageSize, mremapMayMove|mremapFixed, far+64*PageSize, 0) }, map[FaultKind]uint64{})
	faults("that grows", func() { tk.Mremap(far+64*PageSize, PageSize, 3*PageSize, 0, 0, 0) }, map[FaultKind]uint64{DemandZero: 2})
	child := tk.Fork(2, 2, 1)
	faults("locks are not inherited", func() {
		if n := child.space.list().lockedPages(); n != 0 {
			t.Errorf("the child has %d locked pages", n)
		}
		child.Brk(far + 4*PageSize)
	}, map[FaultKind]uint64{})
}

func TestMsyncErrors(t *testing.T) { // mm/msync.c
	tk, _ := world(t)
	for _, c := range []struct {
		what      string
		addr, len uint64
		flags     int
		want      Errno
	}{
		{"unknown flag", page(0), PageSize, 8, EINVAL},
		{"unaligned", page(0) + 1, PageSize, msSync, EINVAL},
		{"both kinds", page(0), PageSize, msSync | msAsync, EINVAL},
		{"wraps", page(0), 1<<64 - PageSize, msSync, ENOMEM},
		{"length 0", far, 0, msSync, 0},
		{"nothing there", far, PageSize, msSync, ENOMEM},
		{"a hole", page(6), 12 * PageSize, msSync, ENOMEM},
		{"a file", page(20), 4 * PageSize, msSync, 0},
		{"locked", page(0), PageSize, msInvalidate, EBUSY},
	} {
		if c.want == EBUSY {
			tk.Mlock(page(0), PageSize)
		}
		if got := tk.Msync(c.addr, c.len, c.flags); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

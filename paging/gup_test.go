package paging

import "testing"

// What get_user_pages answers, and the faults it takes. The rules are those of
// Linux 6.1 mm/gup.c, in the functions named.

func TestGUPChecks(t *testing.T) { // check_vma_flags, get_gate_page
	const at = callBase
	for _, c := range []struct {
		what  string
		prot  Prot
		flags MapFlags
		gup   gupFlags
		want  Errno
	}{
		{"read", ProtRead, MapPrivate, 0, 0},
		{"read of what may only be executed", ProtExec, MapPrivate, 0, EFAULT},
		{"the same by force", ProtExec, MapPrivate, gupForce, 0},
		{"read of PROT_NONE", 0, MapPrivate, 0, EFAULT},
		{"the same by force", 0, MapPrivate, gupForce, 0},
		{"write", rw, MapPrivate, gupWrite, 0},
		{"write to read-only memory", ProtRead, MapPrivate, gupWrite, EFAULT},
		{"the same by force", ProtRead, MapPrivate, gupWrite | gupForce, 0},
		{"write to PROT_NONE by force", 0, MapPrivate, gupWrite | gupForce, 0},
		{"write to shared read-only memory by force: not a COW mapping", ProtRead, MapShared, gupWrite | gupForce, EFAULT},
		{"write to shared memory", rw, MapShared, gupWrite, 0},
	} {
		tk := task(t)
		tk.pages(t, 1, MmapArgs{Addr: at, Prot: c.prot, Flags: c.flags | MapAnonymous | MapFixed})
		n, got := tk.getUserPages(at, 1, c.gup)
		if got != c.want || (n == 1) != (c.want == 0) {
			t.Errorf("%s: %d pages, %v, want %v", c.what, n, got, c.want)
		}
		check(t, tk.machine)
		if n, got := tk.getUserPages(at+PageSize, 1, c.gup); n != 0 || got != EFAULT {
			t.Errorf("nothing mapped: %d pages, %v", n, got)
		}
	}
	tk := task(t)
	tk.MapRegion(Region{Start: at, End: at + PageSize, Prot: ProtRead, Kind: VVar}) // VM_PFNMAP
	if _, got := tk.getUserPages(at, 1, gupForce); got != EFAULT {
		t.Errorf("memory without struct pages: %v", got)
	}
}

// A partial count hides the error; the next call meets it.
func TestGUPPartial(t *testing.T) {
	tk := task(t)
	f := tk.machine.File(1, 1, 3*PageSize, "f")
	at := tk.pages(t, 8, MmapArgs{Prot: ProtRead, Flags: MapShared, File: f})
	if n, errno := tk.getUserPages(at, 8, 0); n != 3 || errno != 0 {
		t.Errorf("beyond the end of a file: %d pages, %v, want 3", n, errno)
	}
	if n, errno := tk.getUserPages(at+3*PageSize, 5, 0); n != 0 || errno != EFAULT {
		t.Errorf("from there: %d pages, %v", n, errno)
	}
	tk.Munmap(at+PageSize, PageSize)
	if n, errno := tk.getUserPages(at, 8, 0); n != 1 || errno != 0 {
		t.Errorf("up to a hole: %d pages, %v, want 1", n, errno)
	}
	// SIGKILL (fatal_signal_pending): EINTR, or the count so far; pages that are
	// there do not help. mlock hands EINTR on (__mlock_posix_error_return).
	anonymous := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.Access(anonymous, Write)
	tk.machine.OnFault(func(f *FaultInfo) { f.Task.Kill() })
	if n, errno := tk.getUserPages(anonymous, 4, gupWrite); n != 1 || errno != 0 {
		t.Errorf("killed at the second page: %d pages, %v, want 1", n, errno)
	}
	if n, errno := tk.getUserPages(anonymous, 4, gupWrite); n != 0 || errno != EINTR {
		t.Errorf("killed: %d pages, %v, want EINTR", n, errno)
	}
	if got := tk.Mlock(anonymous, 4*PageSize); got != EINTR {
		t.Errorf("mlock: %v, want EINTR", got)
	}
	if got := tk.Madvise(anonymous, 4*PageSize, madvPopulateWrite); got != EINTR {
		t.Errorf("MADV_POPULATE_WRITE: %v, want EINTR", got)
	}
	if addr, errno := tk.Mmap(MmapArgs{Len: PageSize, Prot: rw, Flags: anon | MapPopulate}); errno != 0 || tk.followPage(tk.space.list().at(addr), addr>>pageShift, 0) != gupMissing {
		t.Errorf("MAP_POPULATE ignores errors (mm_populate): %v", errno)
	}
}

// A forced write breaks COW on a read-only mapping: a page of its own, that the
// program still may not write (can_follow_write_pte); once is enough. After
// mprotect the program writes it without a fault if the copy made it dirty
// (wp_page_copy, do_cow_fault), with one if not (do_anonymous_page leaves
// memory that may not be written clean).
func TestForcedWrite(t *testing.T) {
	for _, c := range []struct {
		what   string
		before func(tk *Task) uint64
		want   FaultKind
		after  map[FaultKind]uint64
	}{
		{"anonymous memory", func(tk *Task) uint64 {
			return tk.pages(t, 1, MmapArgs{Prot: ProtRead, Flags: anon})
		}, DemandZero, map[FaultKind]uint64{CowReuse: 1}},
		{"where the zero page is", func(tk *Task) uint64 {
			at := tk.pages(t, 1, MmapArgs{Prot: ProtRead, Flags: anon})
			tk.Access(at, Read)
			return at
		}, CowZero, map[FaultKind]uint64{}},
		{"a file", func(tk *Task) uint64 {
			return tk.pages(t, 1, MmapArgs{Prot: ProtRead | ProtExec, Flags: MapPrivate, File: tk.machine.File(1, 1, PageSize, "f")})
		}, FileCOW, map[FaultKind]uint64{}},
		{"a page of a file that is there", func(tk *Task) uint64 {
			at := tk.pages(t, 1, MmapArgs{Prot: ProtRead, Flags: MapPrivate, File: tk.machine.File(1, 1, PageSize, "f")})
			tk.Access(at, Read)
			return at
		}, CowCopy, map[FaultKind]uint64{}},
		{"PROT_NONE with the zero page", func(tk *Task) uint64 {
			at := tk.pages(t, 1, MmapArgs{Prot: ProtRead, Flags: anon})
			tk.Access(at, Read)
			tk.Mprotect(at, PageSize, 0)
			return at
		}, CowZero, map[FaultKind]uint64{}},
	} {
		m := machine(t)
		tk, debugger := m.NewProcess(1, 1, 0), m.NewProcess(2, 2, 1)
		at := c.before(tk)
		var seen *Task
		m.OnFault(func(f *FaultInfo) { seen = f.Task })
		got := kinds(m, func() {
			if n := debugger.AccessRemote(tk, at+8, 8, true); n != 8 {
				t.Errorf("%s: %d bytes", c.what, n)
			}
		})
		expect(t, c.what, got, map[FaultKind]uint64{c.want: 1})
		if minor, _ := debugger.Faults(); minor != 1 || seen != debugger {
			t.Errorf("%s: the debugger has %d faults", c.what, minor)
		}
		got = kinds(m, func() { debugger.AccessRemote(tk, at, 8, true) })
		expect(t, c.what+", again", got, map[FaultKind]uint64{})
		if out := tk.Access(at, Write); out != SIGSEGV {
			t.Errorf("%s: the program's own write: %v", c.what, out)
		}
		check(t, m)
		tk.Mprotect(at, PageSize, rw)
		got = kinds(m, func() { tk.Access(at, Write) })
		expect(t, c.what+", after mprotect", got, c.after)
		check(t, m)
	}
}

// process_vm_readv pins what it reads: a page shared with another process since
// fork becomes the target's own (gup_must_unshare), without being made
// writable; process_vm_writev copies it for writing.
func TestProcessVM(t *testing.T) {
	m := machine(t)
	parent := m.NewProcess(1, 1, 0)
	at := parent.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	parent.touchAll(t, at, 2, Write)
	child, other := parent.Fork(2, 2, 1), m.NewProcess(3, 3, 2)
	local := other.pages(t, 8, MmapArgs{Prot: rw, Flags: anon})
	step := func(what string, do func(), want map[FaultKind]uint64) {
		t.Helper()
		expect(t, what, kinds(m, do), want)
		check(t, m)
	}
	copyOf := func(target *Task, remote, length uint64, write bool, want uint64, errno Errno) func() {
		return func() {
			t.Helper()
			if n, e := other.ProcessVM(target, local, remote, length, write); n != want || e != errno {
				t.Errorf("%d bytes (%v), want %d (%v)", n, e, want, errno)
			}
		}
	}
	step("reading the child's", copyOf(child, at, PageSize, false, PageSize, 0), map[FaultKind]uint64{Unshare: 1, DemandZero: 1})
	step("again", copyOf(child, at, PageSize, false, PageSize, 0), map[FaultKind]uint64{})
	step("the child's write: it is its own, but read-only", func() { child.Access(at, Write) }, map[FaultKind]uint64{CowReuse: 1})
	step("reading the parent's: nobody else has it", copyOf(parent, at, PageSize, false, PageSize, 0), map[FaultKind]uint64{Unshare: 1})
	step("writing", copyOf(child, at+PageSize, 8, true, 8, 0), map[FaultKind]uint64{CowCopy: 1})
	step("two untouched pages", copyOf(child, at+2*PageSize+8, PageSize, false, PageSize, 0), map[FaultKind]uint64{ZeroPage: 2})
	step("up to the end of the mapping", copyOf(child, at+3*PageSize+8, 2*PageSize, false, PageSize-8, 0), map[FaultKind]uint64{})
	step("nothing there", copyOf(child, at+4*PageSize, PageSize, false, 0, EFAULT), map[FaultKind]uint64{})
	child.Mprotect(at, PageSize, ProtRead)
	step("writing to read-only memory is not forced", copyOf(child, at, 8, true, 0, EFAULT), map[FaultKind]uint64{})
	other.Mprotect(local, PageSize, ProtRead)
	step("a local buffer that cannot be written", copyOf(parent, at, 8, false, 0, EFAULT), map[FaultKind]uint64{FaultSegv: 1})
}

// A debugger makes the stack grow (mm/memory.c:__access_remote_vm).
func TestAccessRemoteStack(t *testing.T) {
	m := machine(t)
	tk, debugger := m.NewProcess(1, 1, 0), m.NewProcess(2, 2, 1)
	const top = 1 << 40
	if err := tk.MapRegion(Region{Start: top - PageSize, End: top, Prot: rw, Kind: Stack}); err != nil {
		t.Fatal(err)
	}
	if n := debugger.AccessRemote(tk, top-4*PageSize, 4*PageSize, true); n != 4*PageSize {
		t.Errorf("%d bytes", n)
	}
	if n, errno := debugger.ProcessVM(tk, 0, top-8*PageSize, 8, true); n != 0 || errno != EFAULT {
		t.Errorf("get_user_pages itself does not: %d bytes, %v", n, errno)
	}
	check(t, m)
}

// get_dump_page leaves holes for what reads as zeros and is not there
// (no_page_table, follow_page_pte).
func TestDumpPage(t *testing.T) {
	tk := task(t)
	f := tk.machine.File(1, 1, PageSize, "f")
	at := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.Access(at, Write)
	tk.Access(at+PageSize, Read)
	file := tk.pages(t, 2, MmapArgs{Prot: 0, Flags: MapPrivate, File: f})
	shared := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: MapShared | MapAnonymous})
	for _, c := range []struct {
		what string
		addr uint64
		want bool
		kind map[FaultKind]uint64
	}{
		{"a page that was written", at, true, map[FaultKind]uint64{}},
		{"the zero page", at + PageSize, false, map[FaultKind]uint64{}},
		{"anonymous memory never touched, in a table that is there", at + 2*PageSize, false, map[FaultKind]uint64{}},
		{"a file is read, whatever its protection", file, true, map[FaultKind]uint64{FileRead: 1}},
		{"beyond its end", file + PageSize, false, map[FaultKind]uint64{FaultBus: 1}},
		{"shared memory is made", shared, true, map[FaultKind]uint64{FileRead: 1}},
		{"nothing mapped", 1 << 20, false, map[FaultKind]uint64{}},
	} {
		got := kinds(tk.machine, func() {
			if ok := tk.DumpPage(c.addr); ok != c.want {
				t.Errorf("%s: %v, want %v", c.what, ok, c.want)
			}
		})
		expect(t, c.what, got, c.kind)
	}
	check(t, tk.machine)
}

// The vsyscall page (arch/x86/entry/vsyscall/vsyscall_64.c): fetches are
// emulated but in mode none, reads work in mode emulate, nothing can write, not
// even by force; get_user_pages finds an entry in mode emulate only
// (map_vsyscall). 32-bit programs have none.
func TestVsyscallPage(t *testing.T) {
	const page = 0xffffffffff600000
	for _, c := range []struct {
		mode             VsyscallMode
		compat           bool
		read, write, run Outcome
		gup              Errno
	}{
		{VsyscallXOnly, false, SIGSEGV, SIGSEGV, OK, EFAULT},
		{VsyscallEmulate, false, OK, SIGSEGV, OK, 0},
		{VsyscallNone, false, SIGSEGV, SIGSEGV, SIGSEGV, EFAULT},
		{VsyscallEmulate, true, SIGSEGV, SIGSEGV, SIGSEGV, EFAULT},
	} {
		cfg := DefaultConfig()
		cfg.Vsyscall, cfg.Compat = c.mode, c.compat
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tk := m.NewProcess(1, 1, 0)
		for a, want := range map[Access]Outcome{Read: c.read, Write: c.write, Exec: c.run} {
			if got := tk.Access(page+0x400, a); got != want {
				t.Errorf("%v, compat %v: %v: %v, want %v", c.mode, c.compat, a, got, want)
			}
		}
		if _, got := tk.getUserPages(page, 1, 0); got != c.gup {
			t.Errorf("%v, compat %v: get_user_pages: %v, want %v", c.mode, c.compat, got, c.gup)
		}
		if _, got := tk.getUserPages(page, 1, gupWrite|gupForce); got != EFAULT {
			t.Errorf("%v: a forced write: %v", c.mode, got)
		}
		if minor, _ := tk.Faults(); minor != 0 {
			t.Errorf("%v: %d faults", c.mode, minor)
		}
	}
}

// What is populated (populate_vma_page_range): private writable memory is
// written, shared read; MAP_LOCKED and MAP_POPULATE, but not with MAP_NONBLOCK,
// which MAP_LOCKED does not mind (do_mmap); memory that can only be executed is
// made present by force, PROT_NONE is not.
func TestPopulate(t *testing.T) {
	for _, c := range []struct {
		what  string
		prot  Prot
		flags MapFlags
		want  map[FaultKind]uint64
	}{
		{"MAP_POPULATE", rw, anon | MapPopulate, map[FaultKind]uint64{DemandZero: 4}},
		{"with MAP_NONBLOCK", rw, anon | MapPopulate | MapNonBlock, map[FaultKind]uint64{}},
		{"MAP_LOCKED", rw, anon | MapLocked, map[FaultKind]uint64{DemandZero: 4}},
		{"with MAP_NONBLOCK", rw, anon | MapLocked | MapNonBlock, map[FaultKind]uint64{DemandZero: 4}},
		{"read-only", ProtRead, anon | MapPopulate, map[FaultKind]uint64{ZeroPage: 4}},
		{"executable only", ProtExec, anon | MapPopulate, map[FaultKind]uint64{ZeroPage: 4}},
		{"PROT_NONE", 0, anon | MapLocked, map[FaultKind]uint64{}},
		{"shared", rw, MapShared | MapAnonymous | MapPopulate, map[FaultKind]uint64{FileRead: 4}},
	} {
		tk := task(t)
		got := kinds(tk.machine, func() { tk.pages(t, 4, MmapArgs{Prot: c.prot, Flags: c.flags}) })
		expect(t, c.what, got, c.want)
		check(t, tk.machine)
	}
}

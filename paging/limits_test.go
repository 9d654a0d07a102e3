package paging

import "testing"

func limited(t *testing.T, change func(c *Config)) *Task {
	t.Helper()
	c := DefaultConfig()
	change(&c)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m.NewProcess(1, 1, 0)
}

// RLIMIT_AS and RLIMIT_DATA: setrlimit(2), and Linux 6.1 mm/mmap.c:
// may_expand_vm, mmap_region, do_brk_flags, check_data_rlimit; mm/mremap.c:
// vma_to_resize, mremap_to; mm/mprotect.c:mprotect_fixup.
func TestLimits(t *testing.T) {
	const at = callBase
	for _, c := range []struct {
		what string
		set  func(c *Config)
	}{
		{"RLIMIT_AS", func(c *Config) { c.AddressLimit = 10 * PageSize }},
		{"RLIMIT_DATA", func(c *Config) { c.DataLimit = 10 * PageSize }},
	} {
		tk := limited(t, c.set)
		as := c.what == "RLIMIT_AS"
		tk.SetBrk(far, far)
		is := func(what string, got, want Errno) {
			t.Helper()
			if got != want {
				t.Errorf("%s, %s: %v, want %v", c.what, what, got, want)
			}
		}
		onlyAS := func(e Errno) Errno {
			if as {
				return e
			}
			return 0
		}
		mmap := func(addr, n uint64, prot Prot, flags MapFlags) Errno {
			_, errno := tk.Mmap(MmapArgs{Addr: addr, Len: n * PageSize, Prot: prot, Flags: flags | MapFixed | MapAnonymous})
			return errno
		}
		is("8 of 10 pages", mmap(at, 8, rw, MapPrivate), 0)
		is("3 more", mmap(at+64*PageSize, 3, rw, MapPrivate), ENOMEM)
		is("3 in place of 2 and 1 more", mmap(at+6*PageSize, 3, rw, MapPrivate), 0)
		is("9 in place of 9", mmap(at, 9, rw, MapPrivate), 0)
		_, errno := tk.Mremap(at, 9*PageSize, 11*PageSize, mremapMayMove, 0, 0)
		is("mremap by 2", errno, ENOMEM)
		_, errno = tk.Mremap(at, 4*PageSize, 4*PageSize, mremapMayMove|mremapDontUnmap, 0, 0)
		is("mremap that leaves the old range", errno, ENOMEM)
		if got := tk.Brk(far + 2*PageSize); got != far {
			t.Errorf("%s: brk by 2 pages: %#x", c.what, got)
		}
		if got := tk.Brk(far + PageSize); got != far+PageSize {
			t.Errorf("%s: brk by 1 page: %#x", c.what, got)
		}
		is("read-only memory is no data", mmap(at+64*PageSize, 4, ProtRead, MapPrivate), onlyAS(ENOMEM))
		is("nor is shared memory", mmap(at+80*PageSize, 4, rw, MapShared), onlyAS(ENOMEM))
		if !as {
			is("mprotect that makes it data", tk.Mprotect(at+64*PageSize, PageSize, rw), ENOMEM)
			is("shared memory stays what it is", tk.Mprotect(at+80*PageSize, PageSize, ProtRead), 0)
		}
		is("munmap makes room", tk.Munmap(at, PageSize), 0)
		is("for one page", mmap(at, 1, rw, MapPrivate), 0)
		check(t, tk.machine)
	}
	// brk is held against RLIMIT_DATA by bytes
	tk := limited(t, func(c *Config) { c.DataLimit = 100 })
	tk.SetBrk(far, far)
	if got := tk.Brk(far + 101); got != far {
		t.Errorf("brk by 101 bytes of 100: %#x", got)
	}
}

// RLIMIT_STACK bounds the stack (acct_stack_growth) and moves mmap_base: the
// limit and a guard gap of 1 MiB below the end, but at most five sixths of user
// memory (arch/x86/mm/mmap.c:mmap_base).
func TestStackLimit(t *testing.T) {
	for _, c := range []struct {
		limit, base uint64
		deep        Outcome // 16 MiB below the top
	}{
		{8 << 20, 0x7ffff7fff000, SIGSEGV},
		{256 << 20, 0x7ffffffff000 - 257<<20, Minor},
		{NoLimit, pageUp(0x7ffffffff000 - 0x7ffffffff000/6*5), Minor},
	} {
		tk := limited(t, func(cfg *Config) { cfg.StackLimit = c.limit })
		const top = 0x7ffffffff000
		if err := tk.MapRegion(Region{Start: top - PageSize, End: top, Prot: rw, Kind: Stack}); err != nil {
			t.Fatal(err)
		}
		if got := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon}); got != c.base-PageSize {
			t.Errorf("limit %#x: placed at %#x, want %#x", c.limit, got, c.base-PageSize)
		}
		if got := tk.Access(top-16<<20, Write); got != c.deep {
			t.Errorf("limit %#x: 16 MiB down: %v, want %v", c.limit, got, c.deep)
		}
	}
	tk := limited(t, func(c *Config) { c.AddressLimit = 4 * PageSize })
	tk.MapRegion(Region{Start: far - PageSize, End: far, Prot: rw, Kind: Stack})
	if a, b := tk.Access(far-4*PageSize, Write), tk.Access(far-5*PageSize, Write); a != Minor || b != SIGSEGV {
		t.Errorf("RLIMIT_AS of 4 pages: %v at the fourth, %v at the fifth", a, b)
	}
}

// The legacy layout: upwards from TASK_UNMAPPED_BASE (arch_get_unmapped_area,
// generic_get_unmapped_area).
func TestBottomUp(t *testing.T) {
	for levels, base := range map[int]uint64{2: 0x40000000, 3: 0x40000000, 4: 0x2aaaaaaab000, 5: 0x2aaaaaaab000} {
		tk := limited(t, func(c *Config) { c.Levels, c.BottomUp = levels, true })
		for i, hint := range []uint64{0, 0, base} {
			if got := tk.pages(t, 1, MmapArgs{Addr: hint, Prot: rw, Flags: anon | MapNoReserve}); got != base+uint64(i)*PageSize {
				t.Errorf("%d levels: mapping %d is at %#x", levels, i, got)
			}
		}
		if got := tk.pages(t, 1, MmapArgs{Addr: 1 << 29, Prot: rw, Flags: anon}); got != 1<<29 {
			t.Errorf("%d levels: a hint: %#x", levels, got)
		}
		tk.Munmap(base, PageSize)
		if got := tk.pages(t, 2, MmapArgs{Prot: rw, Flags: anon}); got != base+3*PageSize {
			t.Errorf("%d levels: two pages do not fit into a hole of one: %#x", levels, got)
		}
		if got := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon}); got != base {
			t.Errorf("%d levels: one does: %#x", levels, got)
		}
		check(t, tk.machine)
	}
}

// mm/mmap.c:remap_file_pages, an emulation by mappings since 4.0.
func TestRemapFilePages(t *testing.T) {
	tk := task(t)
	f := tk.machine.File(1, 1, 16*PageSize, "f")
	at := uint64(callBase)
	tk.pages(t, 4, MmapArgs{Addr: at, Prot: rw, Flags: MapShared | MapFixed, File: f})
	tk.pages(t, 4, MmapArgs{Addr: at + 8*PageSize, Prot: rw, Flags: anon | MapFixed})
	for _, c := range []struct {
		what               string
		addr, pages, pgoff uint64
		prot               Prot
		flags              MapFlags
		want               Errno
	}{
		{"a protection", at, 1, 5, ProtRead, 0, EINVAL},
		{"no size", at, 0, 5, 0, 0, EINVAL},
		{"a size that wraps", at, 1 << 52, 5, 0, 0, EINVAL},
		{"an offset that wraps", at, 4, 1<<64 - 1, 0, 0, EINVAL},
		{"private memory", at + 8*PageSize, 1, 5, 0, 0, EINVAL},
		{"nothing mapped", at + 64*PageSize, 1, 5, 0, 0, EINVAL},
		{"over the end of the mapping", at + 3*PageSize, 2, 5, 0, 0, EINVAL},
		{"page 9 of the file in place of page 1", at + PageSize, 1, 9, 0, 0, 0},
		{"over three mappings of the same file", at, 4, 4, 0, MapNonBlock, 0},
	} {
		if got := tk.RemapFilePages(c.addr, c.pages*PageSize, c.prot, c.pgoff, c.flags); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		check(t, tk.machine)
	}
	tk = task(t)
	tk.pages(t, 4, MmapArgs{Addr: at, Prot: rw, Flags: MapShared | MapFixed, File: tk.machine.File(1, 1, 16*PageSize, "f")})
	got := kinds(tk.machine, func() { tk.RemapFilePages(at+PageSize, PageSize, 0, 9, 0) })
	expect(t, "it is populated (MAP_POPULATE)", got, map[FaultKind]uint64{FileRead: 1})
	if l := tk.space.list(); len(l) != 3 || l[1].pgoff != 9 || l[2].pgoff != 2 {
		t.Errorf("%d mappings", len(l))
	}
	got = kinds(tk.machine, func() { tk.RemapFilePages(at+PageSize, PageSize, 0, 1, MapNonBlock) })
	expect(t, "not with MAP_NONBLOCK", got, map[FaultKind]uint64{})
	if l := tk.space.list(); len(l) != 1 {
		t.Errorf("%d mappings: back where they were they merge", len(l))
	}
	check(t, tk.machine)
}

package paging

import (
	"fmt"
	"testing"
)

// levelMachine is the default machine with another number of levels.
func levelMachine(t testing.TB, levels int, compat bool) *Machine {
	t.Helper()
	c := DefaultConfig()
	c.Levels, c.Compat = levels, compat
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Where user memory ends and placement begins. TASK_SIZE is that of
// arch/x86/include/asm/page_32_types.h (__PAGE_OFFSET with CONFIG_VMSPLIT_3G)
// and page_64_types.h; mmap_base 128 MiB below TASK_SIZE, or the 47-bit window
// (arch/x86/mm/mmap.c:mmap_base, SIZE_128M); TASK_UNMAPPED_BASE a third of it,
// rounded up to pages (processor.h).
func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		levels                 int
		compat                 bool
		end, topDown, bottomUp uint64
	}{
		{2, false, 0xc0000000, 0xb8000000, 0x40000000},
		{3, false, 0xc0000000, 0xb8000000, 0x40000000},
		{4, false, 0x7ffffffff000, 0x7ffff7fff000, 0x2aaaaaaab000},
		{5, false, 0xfffffffffff000, 0x7ffff7fff000, 0x2aaaaaaab000},
		{4, true, 0xffffe000, 0xf7ffe000, 0x55555000},
		{5, true, 0xffffe000, 0xf7ffe000, 0x55555000},
		{2, true, 0xffffe000, 0xf7ffe000, 0x55555000},
	} {
		m := levelMachine(t, c.levels, c.compat)
		tk := m.NewProcess(1, 1, 0)
		what := fmt.Sprintf("%d levels, compat %v", c.levels, c.compat)
		if got := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon}); got != c.topDown-PageSize {
			t.Errorf("%s: the first mapping is at %#x, want %#x", what, got, c.topDown-PageSize)
		}
		if got := m.layout.bottomUp; got != c.bottomUp {
			t.Errorf("%s: TASK_UNMAPPED_BASE is %#x, want %#x", what, got, c.bottomUp)
		}
		last := tk.pages(t, 1, MmapArgs{Addr: c.end - PageSize, Prot: rw, Flags: anon | MapFixed})
		if out := tk.Access(last, Write); out != Minor {
			t.Errorf("%s: the last page of user memory: %v", what, out)
		}
		if _, errno := tk.Mmap(MmapArgs{Addr: c.end, Len: PageSize, Prot: rw, Flags: anon | MapFixed}); errno != ENOMEM {
			t.Errorf("%s: a mapping at TASK_SIZE: %v", what, errno)
		}
		if errno := tk.Munmap(last, 2*PageSize); errno != EINVAL {
			t.Errorf("%s: munmap beyond TASK_SIZE: %v", what, errno)
		}
		if n, out := tk.Copy(last, PageSize+1, true); n != 0 || out != SIGSEGV {
			t.Errorf("%s: copy_to_user beyond TASK_SIZE: %d bytes, %v", what, n, out)
		}
		check(t, m)
	}
}

// Placement with 5 levels: above 47 bits only with a hint there
// (arch/x86/kernel/sys_x86_64.c, arch/x86/mm/mmap.c:mmap_address_hint_valid).
func TestFiveLevelHints(t *testing.T) {
	const (
		base   = 0x7ffff7fff000
		border = 1 << 47
		top    = base + 1<<56 - 1<<47 // high_limit += TASK_SIZE_MAX - DEFAULT_MAP_WINDOW
	)
	tk := levelMachine(t, 5, false).NewProcess(1, 1, 0)
	for _, c := range []struct {
		what   string
		hint   uint64
		length uint64
		want   uint64
	}{
		{"no hint", 0, PageSize, base - PageSize},
		{"a hint that crosses the border is passed over", border - 2*PageSize, 4 * PageSize, base - 5*PageSize},
		{"a hint up to the window", border - 3*PageSize, 2 * PageSize, border - 3*PageSize},
		{"a hint above is followed", 1 << 52, PageSize, 1 << 52},
		{"one that is taken leads to the top of all addresses", 1 << 52, PageSize, top - PageSize},
		{"and below that", 1 << 52, PageSize, top - 2*PageSize},
		{"a hint beyond the end too (no hint is valid there)", 1 << 57, PageSize, top - 3*PageSize},
		{"what does not fit below the border needs a hint", 0, 1 << 48, 0},
		{"with one it is placed", 1 << 52, 1 << 48, top - 3*PageSize - 1<<48},
	} {
		got, errno := tk.Mmap(MmapArgs{Addr: c.hint, Len: c.length, Prot: rw, Flags: anon | MapNoReserve})
		if got != c.want || (errno != 0) != (c.want == 0) {
			t.Errorf("%s: %#x (%v), want %#x", c.what, got, errno, c.want)
		}
	}
	if got, errno := tk.Mmap(MmapArgs{Addr: 1 << 50, Len: PageSize, Prot: rw, Flags: anon | MapFixed}); got != 1<<50 || errno != 0 {
		t.Errorf("MAP_FIXED above the border: %#x, %v", got, errno)
	}
	check(t, tk.machine)
}

// Page tables of each format, Intel SDM volume 3, sections 4.3 (10+10 bits), 4.4
// (2+9+9) and 4.5 (9 each). The root is not counted; PAE has its three
// directories for user memory from the beginning (arch/x86/mm/pgtable.c:
// preallocate_pmds), and an unmap may free one of them (free_pmd_range).
func TestTableBytes(t *testing.T) {
	const at = 0x40000000
	for _, c := range []struct {
		levels                      int
		empty, one, near, far, gone uint64 // tables
		reach                       uint64 // bytes below one leaf table
	}{
		{2, 0, 1, 1, 2, 0, 4 << 20},
		{3, 3, 4, 4, 5, 2, 2 << 20},
		{4, 0, 3, 3, 4, 0, 2 << 20},
		{5, 0, 4, 4, 5, 0, 2 << 20},
	} {
		m := levelMachine(t, c.levels, false)
		tk := m.NewProcess(1, 1, 0)
		tk.pages(t, 4096, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed})
		is := func(what string, want uint64) {
			t.Helper()
			if got := tk.PageTableBytes() / PageSize; got != want {
				t.Errorf("%d levels, %s: %d tables, want %d", c.levels, what, got, want)
			}
			check(t, m)
		}
		is("nothing touched", c.empty)
		tk.Access(at, Write)
		is("one page", c.one)
		tk.Access(at+c.reach-PageSize, Write)
		is("the last page of the same table", c.near)
		tk.Access(at+c.reach, Write)
		is("the first of the next", c.far)
		tk.Munmap(at, 4096*PageSize)
		is("all unmapped", c.gone)
	}
}

// Freeing a directory of PAE makes the flush a full one (arch/x86/mm/pgtable.c:
// ___pmd_free_tlb sets need_flush_all); freeing a leaf table does not.
func TestPAEFlush(t *testing.T) {
	const at = 0x40000000
	tk := levelMachine(t, 3, false).NewProcess(1, 1, 0)
	tk.pages(t, 1, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, 1, MmapArgs{Addr: at + 16<<20, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, at, 1, Write)
	tk.touchAll(t, at+16<<20, 1, Write)
	got := flushes(tk.machine, func() { tk.Munmap(at, PageSize) })
	if want := ranged(1, 0); got[FlushMunmap] != want {
		t.Errorf("a leaf table: %+v, want %+v", got[FlushMunmap], want)
	}
	got = flushes(tk.machine, func() { tk.Munmap(at+16<<20, PageSize) })
	if want := full(0); got[FlushMunmap] != want {
		t.Errorf("a directory: %+v, want %+v", got[FlushMunmap], want)
	}
}

// The window of fault-around ends with the leaf table (mm/memory.c:
// do_fault_around): at 4 MiB with 2 levels, at 2 MiB with more.
func TestFaultAroundEndsWithTheTable(t *testing.T) {
	for levels, want := range map[int]uint64{2: 512, 3: 256, 4: 256, 5: 256} {
		c := DefaultConfig()
		c.Levels, c.FaultAround = levels, 2<<20
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		tk := m.NewProcess(1, 1, 0)
		const at = 0x40000000 + 1<<20 // the window of the first page begins with the mapping
		tk.pages(t, 1024, MmapArgs{Addr: at, Prot: ProtRead, Flags: MapShared | MapFixed, File: m.File(1, 1, 4<<20, "f")})
		tk.Access(at, Read)
		if got := tk.RSS().File / PageSize; got != want {
			t.Errorf("%d levels: %d pages mapped around, want %d", levels, got, want)
		}
	}
}

// Without PAE entries cannot forbid fetches (Intel SDM volume 3, section 4.6.1).
func TestFetchWithoutNX(t *testing.T) {
	for levels, want := range map[int]Outcome{2: Minor, 3: SIGSEGV, 4: SIGSEGV, 5: SIGSEGV} {
		tk := levelMachine(t, levels, false).NewProcess(1, 1, 0)
		data := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon})
		if got := tk.Access(data, Exec); got != want {
			t.Errorf("%d levels: a fetch from data: %v, want %v", levels, got, want)
		}
		none := tk.pages(t, 1, MmapArgs{Flags: anon})
		if got := tk.Access(none, Exec); got != SIGSEGV {
			t.Errorf("%d levels: a fetch from PROT_NONE: %v", levels, got)
		}
	}
}

// Addresses that are not canonical are refused by the processor without a page
// fault: bits 63 to 47 have to be equal with 4 levels, 63 to 56 with 5 (Intel
// SDM volume 1, section 3.3.7.1).
func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		levels int
		addr   uint64
		want   FaultKind
	}{
		{4, 1<<47 - PageSize, FaultSegv}, {4, 1 << 47, FaultGP}, {4, 1 << 56, FaultGP}, {4, 1<<64 - 1<<47 - PageSize, FaultGP}, {4, 1<<64 - 1<<47, FaultSegv}, {4, 1<<64 - PageSize, FaultSegv},
		{5, 1 << 47, FaultSegv}, {5, 1<<56 - PageSize, FaultSegv}, {5, 1 << 56, FaultGP}, {5, 1<<64 - 1<<56 - PageSize, FaultGP}, {5, 1<<64 - 1<<56, FaultSegv},
		{2, 0xfffff000, FaultSegv}, {3, 0xc0000000, FaultSegv},
	} {
		tk := levelMachine(t, c.levels, false).NewProcess(1, 1, 0)
		got := kinds(tk.machine, func() {
			if out := tk.Access(c.addr, Read); out != SIGSEGV {
				t.Errorf("%d levels, %#x: %v", c.levels, c.addr, out)
			}
		})
		expect(t, fmt.Sprintf("%d levels, %#x", c.levels, c.addr), got, map[FaultKind]uint64{c.want: 1})
	}
}

// Page numbers of 5 levels that differ only in their highest bits are different
// pages to the TLB.
func TestWideTags(t *testing.T) {
	tk := levelMachine(t, 5, false).NewProcess(1, 1, 0)
	low := tk.pages(t, 1, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(low, Write)
	for bit := 47; bit < 56; bit++ {
		if out := tk.Access(low|1<<bit, Write); out != SIGSEGV {
			t.Errorf("bit %d: %v", bit, out)
		}
		high := tk.pages(t, 1, MmapArgs{Addr: low | 1<<bit, Prot: rw, Flags: anon | MapFixed})
		if out := tk.Access(high, Write); out != Minor {
			t.Errorf("bit %d, mapped: %v", bit, out)
		}
	}
	check(t, tk.machine)
}

// On a 32-bit kernel an unsigned long holds 32 bits: a range that wraps at 4 GiB
// is refused as a whole (do_mprotect_pkey, madvise, msync, mlock), one on a 64-bit
// kernel for its hole, after the part that was mapped. A file may have 2^44 bytes
// there (include/linux/fs.h:MAX_LFS_FILESIZE).
func TestWrap32(t *testing.T) {
	const at, length = 0xb0000000, 0x60000000
	for _, c := range []struct {
		levels    int
		compat    bool
		madvise   Errno
		mlock     Errno
		protected Prot
		file      Errno
	}{
		{2, false, EINVAL, EINVAL, rw, EOVERFLOW},
		{3, false, EINVAL, EINVAL, rw, EOVERFLOW},
		{4, true, ENOMEM, ENOMEM, ProtRead, 0},
	} {
		m := levelMachine(t, c.levels, c.compat)
		tk := m.NewProcess(1, 1, 0)
		tk.pages(t, 1, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed})
		if got := tk.Mprotect(at, length, ProtRead); got != ENOMEM || tk.space.list()[0].prot() != c.protected {
			t.Errorf("%d levels: mprotect: %v, protection now %v", c.levels, got, tk.space.list()[0].prot())
		}
		if got := tk.Madvise(at, length, madvNormal); got != c.madvise {
			t.Errorf("%d levels: madvise: %v, want %v", c.levels, got, c.madvise)
		}
		if got := tk.Munlock(at, length); got != c.mlock {
			t.Errorf("%d levels: munlock: %v, want %v", c.levels, got, c.mlock)
		}
		if got := tk.Msync(at, length, msAsync); got != ENOMEM {
			t.Errorf("%d levels: msync: %v", c.levels, got)
		}
		if _, got := tk.Mmap(MmapArgs{Len: 2 * PageSize, Prot: ProtRead, Flags: MapShared, File: m.File(1, 1, 1, "f"), Offset: 1<<44 - PageSize}); got != c.file {
			t.Errorf("%d levels: mmap at the end of the largest file: %v, want %v", c.levels, got, c.file)
		}
	}
}

// mremap moves whole leaf tables (mm/mremap.c:move_normal_pmd) of the format's
// size, and with 4 levels whole directories (move_normal_pud).
func TestMoveWholeTables(t *testing.T) {
	for levels, reach := range map[int]uint64{2: 4 << 20, 3: 2 << 20, 4: 2 << 20, 5: 2 << 20} {
		m := levelMachine(t, levels, false)
		tk := m.NewProcess(1, 1, 0)
		const from, to = 0x40000000, 0x60000000
		tk.pages(t, 2*reach/PageSize, MmapArgs{Addr: from, Prot: rw, Flags: anon | MapFixed})
		tk.touchAll(t, from, 2*reach/PageSize, Write)
		got := flushes(m, func() { tk.Mremap(from, 2*reach, 2*reach, mremapMayMove|mremapFixed, to, 0) })[FlushMremap]
		if got.Full < 2 { // a full flush each: more than 33 pages
			t.Errorf("%d levels: %+v", levels, got)
		}
		for i := range 2 * reach / PageSize {
			if out := tk.Access(to+i*PageSize, Write); out != OK {
				t.Fatalf("%d levels: page %d after the move: %v", levels, i, out)
			}
		}
		check(t, m)
	}
}

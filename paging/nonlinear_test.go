package paging

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Non-linear mappings as Linux 2.6.32 has them; expected values are those of the
// functions named, and of remap_file_pages(2). mm/fremap.c and zap_pte_range of
// mm/memory.c were read for them; what is said of the other functions of
// mm/memory.c, of mm/madvise.c and of mm/rmap.c was not held against that source.

// oldKernel is a process on 2.6.32 with pages of a memfd of 16 pages at callBase.
func oldKernel(t *testing.T, pages uint64, change func(*Config)) (*Task, *File) {
	t.Helper()
	c := DefaultConfig()
	if err := c.SetProfile("linux-2.6.32"); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk, f := m.NewProcess(1, 1, 0), m.SharedFile(1, 1, 16*PageSize, "/memfd:x")
	f.Hold()
	if pages > 0 {
		tk.pages(t, pages, MmapArgs{Addr: callBase, Prot: rw, Flags: MapShared | MapFixed, File: f})
	}
	return tk, f
}

// ptes is the entries of n pages from page(first) on in the notation, cut short:
// "-", "9" for a page of the file that is named, "=9" for one that is mapped.
func ptes(tk *Task, f *File, first, n uint64) string {
	var out []string
	for i := range n {
		text := tk.machine.DescribeEntry(tk.peek((callBase >> pageShift) + first + i))
		if name, ok := strings.CutPrefix(text, "file "); ok {
			text = name
		}
		var pfn uint32
		if _, err := fmt.Sscanf(text, "frame %d shmem", &pfn); err == nil {
			for index := range f.pages() {
				if f.slot(index).Load() == pfn {
					text = fmt.Sprint("=", index)
				}
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestNonLinearErrors(t *testing.T) { // sys_remap_file_pages
	tk, _ := oldKernel(t, 4, nil)
	tk.pages(t, 4, MmapArgs{Addr: page(8), Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, 4, MmapArgs{Addr: page(16), Prot: rw, Flags: MapShared | MapAnonymous | MapFixed})
	tk.pages(t, 4, MmapArgs{Addr: page(24), Prot: rw, Flags: MapPrivate | MapFixed, File: tk.machine.File(1, 1, 0, "")})
	for _, c := range []struct {
		what        string
		addr, bytes uint64
		pgoff       uint64
		prot        Prot
		want        Errno
	}{
		{"a protection", page(0), PageSize, 5, ProtRead, EINVAL},
		{"no whole page", page(0), PageSize - 1, 5, 0, EINVAL},
		{"a size that wraps", page(0), 1<<64 - PageSize, 5, 0, EINVAL},
		{"nothing mapped", page(64), PageSize, 5, 0, EINVAL},
		{"begins before the mapping", page(0) - PageSize, 2 * PageSize, 5, 0, EINVAL},
		{"over the end of the mapping", page(3), 2 * PageSize, 5, 0, EINVAL},
		{"over the end by the bytes that are cut off later", page(3), PageSize + 1, 5, 0, EINVAL},
		{"private anonymous memory", page(8), PageSize, 5, 0, EINVAL},
		{"private memory of a file", page(24), PageSize, 5, 0, EINVAL},
		{"shared anonymous memory (shmem_zero_setup: no VM_CAN_NONLINEAR)", page(16), PageSize, 5, 0, EINVAL},
		{"an offset that fits into no entry (PTE_FILE_MAX_BITS)", page(0), PageSize, 1<<46 - 1, 0, EINVAL},
		{"the last that does", page(0), PageSize, 1<<46 - 2, 0, 0},
		{"what is there already", page(0), 4 * PageSize, 0, 0, 0},
		{"an address inside a page (start & PAGE_MASK)", page(1) + 5, PageSize, 5, 0, 0},
	} {
		if got := tk.RemapFilePages(c.addr, c.bytes, c.prot, c.pgoff, MapNonBlock); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
		check(t, tk.machine)
	}
	for levels, bits := range map[int]uint{2: 29, 3: 32} {
		tk, f := oldKernel(t, 0, func(c *Config) { c.Levels = levels })
		at := tk.pages(t, 2, MmapArgs{Prot: rw, Flags: MapShared, File: f})
		if got := tk.RemapFilePages(at, PageSize, 0, 1<<bits-1, MapNonBlock); got != EINVAL {
			t.Errorf("%d levels: %v for an offset of more than %d bits", levels, got, bits)
		}
		if got := tk.RemapFilePages(at, PageSize, 0, 1<<bits-2, MapNonBlock); got != 0 {
			t.Errorf("%d levels: %v for an offset of %d bits", levels, got, bits)
		}
		if out := tk.Access(at, Read); out != SIGBUS {
			t.Errorf("%d levels: the page there is %v", levels, out)
		}
		check(t, tk.machine)
	}
}

// One mapping after another, each step with the entries that it leaves.
func TestNonLinear(t *testing.T) {
	tk, f := oldKernel(t, 8, nil)
	remap := func(first, n, pgoff uint64, flags MapFlags) func() {
		return func() {
			if got := tk.RemapFilePages(page(first), n*PageSize, 0, pgoff, flags); got != 0 {
				t.Errorf("remap_file_pages: %v", got)
			}
		}
	}
	touch := func(n uint64, a Access, want Outcome) func() {
		return func() {
			if got := tk.Access(page(n), a); got != want {
				t.Errorf("access to page %d: %v, want %v", n, got, want)
			}
		}
	}
	steps := []struct {
		what    string
		do      func()
		faults  map[FaultKind]uint64
		entries string // of the first 8 pages
	}{
		{"two pages are there", func() { tk.touchAll(t, page(0), 2, Write) }, map[FaultKind]uint64{FileShared: 2}, "=0 =1 - - - - - -"},
		{"the linear place: nothing happens", remap(2, 4, 2, 0), nil, "=0 =1 - - - - - -"},
		{"entries are installed, over what was there (install_file_pte)", remap(1, 3, 9, MapNonBlock), nil, "=0 9 10 11 - - - -"},
		{"without MAP_NONBLOCK pages become present (make_pages_present)", remap(4, 2, 12, 0), map[FaultKind]uint64{NonLinear: 2}, "=0 9 10 11 =12 =13 - -"},
		{"a read of a page that is named (do_nonlinear_fault)", touch(1, Read, Minor), map[FaultKind]uint64{NonLinear: 1}, "=0 =9 10 11 =12 =13 - -"},
		{"and a write", touch(2, Write, Minor), map[FaultKind]uint64{NonLinear: 1}, "=0 =9 =10 11 =12 =13 - -"},
		{"an empty entry is the linear place still (do_linear_fault)", touch(6, Write, Minor), map[FaultKind]uint64{FileShared: 1}, "=0 =9 =10 11 =12 =13 =6 -"},
		{"the same page twice", remap(7, 1, 9, 0), map[FaultKind]uint64{NonLinear: 1}, "=0 =9 =10 11 =12 =13 =6 =9"},
		{"MADV_DONTNEED keeps the places (madvise_dontneed)", func() { tk.Madvise(page(0), 3*PageSize, madvDontNeed) }, nil, "- 9 10 11 =12 =13 =6 =9"},
		{"truncation goes by the page and keeps the place (zap_pte_range)", func() { f.Truncate(13 * PageSize) }, nil, "- 9 10 11 =12 13 =6 =9"},
		{"which is beyond the end now", touch(5, Read, SIGBUS), map[FaultKind]uint64{FaultBus: 1}, "- 9 10 11 =12 13 =6 =9"},
		{"and back when the file has grown", func() { f.Truncate(16 * PageSize); touch(5, Write, Minor)() }, map[FaultKind]uint64{NonLinear: 1}, "- 9 10 11 =12 =13 =6 =9"},
		{"a linear page that is cut leaves nothing", func() { f.Truncate(6 * PageSize); f.Truncate(16 * PageSize) }, nil, "- 9 10 11 12 13 - 9"},
		{"mprotect leaves what is named alone (change_pte_range)", func() { tk.Mprotect(page(2), 2*PageSize, ProtRead) }, nil, "- 9 10 11 12 13 - 9"},
		{"and it keeps to the protection", touch(2, Write, SIGSEGV), map[FaultKind]uint64{FaultSegv: 1}, "- 9 10 11 12 13 - 9"},
		{"the three mappings merge again (VM_NONLINEAR in all)", func() { tk.Mprotect(page(2), 2*PageSize, rw) }, nil, "- 9 10 11 12 13 - 9"},
		{"MADV_REMOVE is refused (madvise_remove)", func() {
			if got := tk.Madvise(page(0), PageSize, madvRemove); got != EINVAL {
				t.Errorf("MADV_REMOVE: %v", got)
			}
		}, nil, "- 9 10 11 12 13 - 9"},
		{"back at its linear place it stays non-linear", remap(1, 1, 1, MapNonBlock), nil, "- 1 10 11 12 13 - 9"},
		{"mremap takes entries along (move_ptes)", func() {
			tk.Mremap(page(0), 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, page(16), 0)
		}, nil, "- - - - 12 13 - 9"},
		{"munmap (zap_pte_range)", func() { tk.Munmap(page(4), 2*PageSize) }, nil, "- - - - - - - 9"},
	}
	for _, s := range steps {
		if s.faults == nil {
			s.faults = map[FaultKind]uint64{}
		}
		expect(t, s.what, kinds(tk.machine, s.do), s.faults)
		if got := ptes(tk, f, 0, 8); got != s.entries {
			t.Errorf("%s: entries %s, want %s", s.what, got, s.entries)
		}
		check(t, tk.machine)
		if s.what[:3] == "the" && s.what[4] == 't' && len(tk.space.list()) != 1 {
			t.Errorf("%s: %d mappings", s.what, len(tk.space.list()))
		}
	}
	if got := ptes(tk, f, 16, 4); got != "- 1 10 11" {
		t.Errorf("moved entries: %s", got)
	}
}

// Fork copies the tables of a non-linear mapping (copy_page_range: VM_NONLINEAR),
// what is named and what is present; both sides then share the pages.
func TestNonLinearFork(t *testing.T) {
	tk, f := oldKernel(t, 4, nil)
	tk.RemapFilePages(page(0), 2*PageSize, 0, 5, MapNonBlock)
	tk.Access(page(1), Write)
	child := tk.Fork(2, 2, 1)
	if got := ptes(child, f, 0, 4); got != "5 =6 - -" {
		t.Errorf("the child has %s", got)
	}
	expect(t, "the child", kinds(tk.machine, func() { child.touchAll(t, page(0), 2, Write) }), map[FaultKind]uint64{NonLinear: 1})
	check(t, tk.machine)
	child.Exit()
	check(t, tk.machine)
}

// A page that reclaim takes out of memory leaves its place behind
// (try_to_unmap_cluster), and the fault on it reads it from swap.
func TestNonLinearReclaim(t *testing.T) {
	tk, f := oldKernel(t, 4, func(c *Config) { c.Memory, c.Swap = 64*PageSize, 1<<20 })
	tk.RemapFilePages(page(0), 2*PageSize, 0, 5, 0)
	tk.touchAll(t, page(2), 2, Write)
	hog := tk.pages(t, 200, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, hog, 200, Write)
	if got := ptes(tk, f, 0, 4); got != "5 6 - -" {
		t.Errorf("under pressure: %s", got)
	}
	check(t, tk.machine)
	if out := tk.Access(page(1), Read); out != Major {
		t.Errorf("the fault on it is %v", out)
	}
	if got := ptes(tk, f, 1, 1); got != "=6" {
		t.Errorf("and maps %s", got)
	}
	check(t, tk.machine)
}

// Locked memory: with MAP_NONBLOCK nothing becomes present, without it does.
func TestNonLinearLocked(t *testing.T) {
	tk, _ := oldKernel(t, 4, nil)
	tk.Mlock(page(0), 4*PageSize)
	expect(t, "MAP_NONBLOCK", kinds(tk.machine, func() { tk.RemapFilePages(page(0), 2*PageSize, 0, 5, MapNonBlock) }), map[FaultKind]uint64{})
	expect(t, "none", kinds(tk.machine, func() { tk.RemapFilePages(page(2), 2*PageSize, 0, 5, 0) }), map[FaultKind]uint64{NonLinear: 2})
	check(t, tk.machine)
}

// A file that accounts for dirty pages gets linear mappings, by mmap_region and
// with no flag but MAP_NONBLOCK: nothing becomes present unless it is locked.
func TestNonLinearEmulated(t *testing.T) {
	tk, _ := oldKernel(t, 0, nil)
	tk.pages(t, 4, MmapArgs{Addr: callBase, Prot: rw, Flags: MapShared | MapFixed, File: tk.machine.File(1, 9, 16*PageSize, "f")})
	expect(t, "not populated", kinds(tk.machine, func() { tk.RemapFilePages(page(1), PageSize, 0, 9, 0) }), map[FaultKind]uint64{})
	if l := tk.space.list(); len(l) != 3 || l[1].pgoff != 9 || l[2].pgoff != 2 {
		t.Errorf("%d mappings", len(l))
	}
	if got := tk.RemapFilePages(page(0), 2*PageSize, 0, 4, 0); got != EINVAL {
		t.Errorf("over two mappings: %v", got)
	}
	tk.Mlock(page(1), PageSize)
	expect(t, "locked", kinds(tk.machine, func() { tk.RemapFilePages(page(1), PageSize, 0, 3, MapNonBlock) }), map[FaultKind]uint64{FileRead: 1})
	check(t, tk.machine)
}

func TestNonLinearExplained(t *testing.T) {
	tk, _ := oldKernel(t, 4, nil)
	tk.machine.TellEntries()
	var told []string
	tk.machine.OnFault(func(f *FaultInfo) { told = f.Explain() })
	tk.RemapFilePages(page(0), PageSize, 0, 9, MapNonBlock)
	tk.Access(page(0), Write)
	want := `VMA 0x3000000000-0x3000004000 rw- shared /memfd:x
path a write is permitted by rw- -> the entry names a page of the file -> that page of the cache (do_nonlinear_fault)
before PTE 0x3000000000 file 9
after  PTE 0x3000000000 frame 257 shmem 1 PW-AD-
minor, non_linear, 1 entry made present`
	if got := strings.Join(told, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Several tasks at once on one non-linear mapping, with every locking design: what
// comes out depends on who is faster, but all accounts hold.
func TestNonLinearStress(t *testing.T) {
	for _, locking := range []Locking{LockPerTable, LockMM, LockGlobal} {
		tk, f := oldKernel(t, 64, func(c *Config) { c.Locking = locking })
		var all sync.WaitGroup
		for i := range uint64(4) {
			worker := tk.Clone(uint32(2+i), int(i))
			all.Go(func() {
				defer worker.Exit()
				for n := range uint64(3000) {
					at := page(n * (7 + i) % 64)
					switch {
					case i == 0 && n%50 == 0:
						f.Truncate((4 + n%12) * PageSize)
					case i == 1 && n%20 == 0:
						worker.Madvise(at&^(8*PageSize-1), 8*PageSize, madvDontNeed)
					case n%10 == i:
						worker.RemapFilePages(at, PageSize, 0, n%16, MapNonBlock)
					default:
						worker.Access(at, []Access{Read, Write}[n%2])
					}
				}
			})
		}
		all.Wait()
		check(t, tk.machine)
	}
}

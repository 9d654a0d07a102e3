package paging

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Images that are built as fs/exec.c and fs/binfmt_elf.c of Linux 6.1 build them;
// the expected values follow from the functions named. exec_kernel_test.go asks
// the live kernel.

// program is one that may lie anywhere, with a loader: code, then data whose .bss
// begins inside a page and goes on for two more.
func program(m *Machine) *Image {
	return &Image{
		ELF: ELF{File: m.File(1, 1, 5*PageSize, "prog"), Dyn: true, Segments: []Segment{
			{Offset: 0, Vaddr: 0, FileSize: 0x1800, MemSize: 0x1800, Align: PageSize, Prot: ProtRead | ProtExec},
			{Offset: 0x2e00, Vaddr: 0x3e00, FileSize: 0x300, MemSize: 0x2300, Align: PageSize, Prot: rw},
		}},
		Interp: &ELF{File: m.File(1, 2, 8*PageSize, "ld.so"), Dyn: true, Segments: []Segment{
			{Offset: 0, Vaddr: 0, FileSize: 0x3000, MemSize: 0x3000, Prot: ProtRead | ProtExec},
			{Offset: 0x3000, Vaddr: 0x3000, FileSize: 0x800, MemSize: 0x900, Prot: rw},
		}},
		Path: 10, Args: []uint64{5, 6}, Env: []uint64{20}, VVar: 4, VDSO: 2,
	}
}

// vmas is the mappings without their entries.
func vmas(tk *Task) string {
	var out []string
	for line := range strings.Lines(tk.Dump()) {
		if strings.HasPrefix(line, "VMA") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

func TestExecImage(t *testing.T) {
	tk := task(t)
	tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	thread := tk.Clone(2, 1)
	var st Started
	var errno Errno
	// One page of the stack; the page in which .bss begins, of the program
	// (elf_load) and of the loader (load_elf_interp).
	expect(t, "exec", kinds(tk.machine, func() { st, errno = tk.ExecImage(program(tk.machine)) }), map[FaultKind]uint64{DemandZero: 1, FileCOW: 2})
	if errno != 0 || st.Dead {
		t.Fatal(errno)
	}
	// ELF_ET_DYN_BASE is two thirds of 2^47 - 4096; the loader, then the vdso come
	// top down from mmap_base; 128 KiB below the arguments belong to the stack.
	want := `VMA 0x555555554000-0x555555556000 r-x private prog
VMA 0x555555557000-0x555555559000 rw- private prog
VMA 0x555555559000-0x55555555b000 rw- private [anon]
VMA 0x7ffff7ff5000-0x7ffff7ff9000 r-- private [vvar]
VMA 0x7ffff7ff9000-0x7ffff7ffb000 r-x private [vdso]
VMA 0x7ffff7ffb000-0x7ffff7ffe000 r-x private ld.so
VMA 0x7ffff7ffe000-0x7ffff7fff000 rw- private ld.so
VMA 0x7ffffffde000-0x7ffffffff000 rw- private [stack]`
	if got := vmas(tk); got != want {
		t.Errorf("mappings\n%s\nwant\n%s", got, want)
	}
	// 8 for the last word, 41 of strings; down to 16 bytes; "x86_64" and 16 random
	// bytes; 21 pairs and 2+1+1+1+1 words; down to 16 bytes (create_elf_tables).
	sp := uint64(0x7ffffffff000) - 8 - 41
	sp = sp&^15 - 7 - 16
	sp = (sp - 21*16 - 6*8) &^ 15
	if st != (Started{Stack: sp, Bias: 0x555555554000, Interp: 0x7ffff7ffb000, Brk: 0x55555555b000}) {
		t.Errorf("%+v, the stack pointer should be %#x", st, sp)
	}
	if n := len(tk.siblings()); n != 0 || thread.space == tk.space {
		t.Errorf("%d other threads are left", n)
	}
	if got := tk.Brk(st.Brk + 10); got != st.Brk+10 {
		t.Errorf("brk: %#x", got)
	}
	check(t, tk.machine)
}

// The stack moves to its place with the tables below it (shift_arg_pages): with
// randomisation, and with 5 levels, where it begins at the end of 56 bits.
func TestExecShift(t *testing.T) {
	for _, c := range []struct {
		levels int
		shift  uint64
		top    uint64
	}{
		{4, 0, 0x7ffffffff000},
		{4, PageSize, 0x7fffffffe000},           // old and new place overlap
		{4, 1<<21 + 3*PageSize, 0x7fffffdfc000}, // another table
		{4, 1 << 30, 0x7fffbffff000},            // another directory
		{5, 0, 0x7ffffffff000},                  // TASK_SIZE_LOW
		{3, 0, 0xc0000000}, {2, 16, 0xc0000000}, // 16 bytes: the page stays (PAGE_ALIGN)
		{2, 3 * PageSize, 0xbfffd000},
	} {
		cfg := DefaultConfig()
		cfg.Levels = c.levels
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tk := m.NewProcess(1, 1, 0)
		im := program(m)
		im.Shift, im.Args = c.shift, []uint64{3 * PageSize}
		// four pages of strings (the top one holds the path, too)
		expect(t, fmt.Sprint(c), kinds(m, func() {
			if _, errno := tk.ExecImage(im); errno != 0 {
				t.Error(errno)
			}
		}), map[FaultKind]uint64{DemandZero: 4, FileCOW: 2})
		if v := tk.space.list().at(c.top - 1); v.end != c.top || v.start != c.top-4*PageSize-stackExpand {
			t.Errorf("%v: the stack is %#x-%#x", c, v.start, v.end)
		}
		expect(t, "the strings are there", kinds(m, func() { tk.touchAll(t, c.top-4*PageSize, 4, Write) }), map[FaultKind]uint64{})
		check(t, m)
	}
}

func TestExecErrors(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(c *Config)
		image  func(im *Image)
		want   Errno
		dead   bool
	}{
		{"no program header (load_elf_phdrs)", nil, func(im *Image) { im.Segments = nil }, ENOEXEC, false},
		{"more of them than a page holds", nil, func(im *Image) { im.Segments = make([]Segment, PageSize/56+1) }, ENOEXEC, false},
		{"the same of the loader", nil, func(im *Image) { im.Interp.Segments = nil }, ELIBBAD, false},
		{"a string over 128 KiB (MAX_ARG_STRLEN)", nil, func(im *Image) { im.Args[0] = 32*PageSize + 1 }, E2BIG, false},
		{"one of 128 KiB", nil, func(im *Image) { im.Args[0] = 32 * PageSize }, 0, false},
		{"a quarter of the stack's limit", nil, func(im *Image) { im.Args = strings128K(16) }, E2BIG, false},
		{"less than that", nil, func(im *Image) { im.Args = strings128K(15) }, 0, false},
		{"three quarters of _STK_LIM", func(c *Config) { c.StackLimit = 1 << 30 }, func(im *Image) { im.Args = strings128K(48) }, E2BIG, false},
		{"less than that", func(c *Config) { c.StackLimit = 1 << 30 }, func(im *Image) { im.Args = strings128K(47) }, 0, false},
		{"pointers count (bprm_stack_limits)", nil, func(im *Image) { im.Args = make([]uint64, 2<<20/8) }, E2BIG, false},
		{"ARG_MAX is always allowed, but not a stack above its limit (expand_downwards)", func(c *Config) { c.StackLimit = 64 << 10 }, func(im *Image) { im.Args[0] = 100 << 10 }, E2BIG, false},
		{"no frame for the arguments (get_arg_page)", func(c *Config) { c.Memory = 2 * PageSize }, func(im *Image) { im.Args[0] = 4 * PageSize }, E2BIG, false},
		{"the stack would leave user memory (setup_arg_pages)", nil, func(im *Image) { im.Shift = window64 - PageSize }, ENOMEM, true},
		{"no room for 128 KiB below the arguments (expand_stack)", func(c *Config) { c.AddressLimit = 30 * PageSize }, nil, EFAULT, true},
		{"a smaller stack is as large as it may be", func(c *Config) { c.StackLimit = 64 << 10 }, nil, 0, false},
		{"but the pointers do not fit there (create_elf_tables)", func(c *Config) { c.StackLimit = 100 << 10 }, func(im *Image) { im.Args = slices.Repeat([]uint64{1}, 14000) }, EFAULT, true},
		{"no room for the loader", func(c *Config) { c.AddressLimit = 40 * PageSize }, nil, ENOMEM, true},
		{"no argument: the kernel adds an empty one", nil, func(im *Image) { im.Args = nil }, 0, false},
		{"a segment of zeros alone", nil, func(im *Image) {
			im.Segments = append(im.Segments, Segment{Vaddr: 0x8000, MemSize: 0x2000, Prot: rw})
		}, 0, false},
		{"no file part may be larger than its segment", nil, func(im *Image) { im.Segments[0].MemSize = 0x1000 }, EINVAL, true},
		{"the loader's: ENOMEM", nil, func(im *Image) { im.Interp.Segments[0].MemSize = 0x1000 }, ENOMEM, true},
		{"an offset unlike its address", nil, func(im *Image) { im.Segments[1].Offset++ }, EINVAL, true},
		{"where the stack is (MAP_FIXED_NOREPLACE)", nil, func(im *Image) { im.Dyn, im.Segments[0].Vaddr = false, 0x7fffffff0000 }, EEXIST, true},
		{"the loader's .bss cannot be cleared (padzero)", nil, func(im *Image) { im.Interp.Segments[1].Prot = ProtRead }, EFAULT, true},
		{"the program's need not be", nil, func(im *Image) { im.Segments[1].Prot = ProtRead }, 0, false},
		{"no memory may be promised", func(c *Config) { c.Overcommit, c.RAM, c.OvercommitRatio = OvercommitNever, 1<<20, 0 }, nil, ENOMEM, false},
	} {
		cfg := DefaultConfig()
		if c.change != nil {
			c.change(&cfg)
		}
		m, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tk := m.NewProcess(1, 1, 0)
		old := tk.space
		im := program(m)
		if c.image != nil {
			c.image(im)
		}
		st, errno := tk.ExecImage(im)
		if errno != c.want || st.Dead != c.dead {
			t.Errorf("%s: %v, dead %v; want %v, %v", c.what, errno, st.Dead, c.want, c.dead)
		}
		if kept := tk.space == old; kept != (errno != 0 && !c.dead) {
			t.Errorf("%s: the old image is there: %v", c.what, kept)
		}
		check(t, m)
	}
	tk := task(t)
	tk.Kill()
	if _, errno := tk.ExecImage(program(tk.machine)); errno != EINTR {
		t.Errorf("while it is being killed: %v", errno)
	}
}

// strings128K is strings of the largest size.
func strings128K(n int) []uint64 {
	var out []uint64
	for range n {
		out = append(out, 128<<10)
	}
	return out
}

// A loader started by itself lies among the mappings, and the heap where programs
// do (ELF_ET_DYN_BASE), so that they do not meet.
func TestExecStaticPIE(t *testing.T) {
	tk := task(t)
	im := program(tk.machine)
	im.Interp, im.VDSO = nil, 0
	st, errno := tk.ExecImage(im)
	if errno != 0 || st.Bias != 0x7ffff7ff8000 || st.Brk != 0x555555555000 {
		t.Errorf("%v, %+v", errno, st)
	}
	im.Segments[1].Align = 1 << 21 // larger than a page: bound by it
	if st, errno = tk.ExecImage(im); errno != 0 || st.Bias != 0x7ffff7e00000 {
		t.Errorf("%v, %+v", errno, st)
	}
	im.Segments[1].Align, im.ExecStack = 0, true
	if _, errno = tk.ExecImage(im); errno != 0 || tk.space.list().at(0x7fffffffe000).prot() != rw|ProtExec {
		t.Errorf("%v, an executable stack", errno)
	}
	check(t, tk.machine)
}

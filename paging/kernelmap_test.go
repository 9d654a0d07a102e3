package paging

import (
	"slices"
	"testing"
)

func high(t *testing.T, levels, cpus int) *Task {
	return limited(t, func(c *Config) { c.Levels, c.HighMem, c.CPUs = levels, true, cpus })
}

const lowBase = 0x2000_0000 // below 3 GiB

// Every zeroed frame is mapped once, every copied one twice, in places of the CPU
// whose entries it flushes by itself (Linux 6.1 include/linux/highmem.h:
// clear_user_highpage, copy_user_highpage; arch/x86/include/asm/highmem.h:
// arch_kmap_local_post_unmap).
func TestKmapLocal(t *testing.T) {
	for _, c := range []struct {
		what string
		maps uint64
		do   func(tk *Task)
	}{
		{"zero page", 0, func(tk *Task) { tk.Access(lowBase, Read) }},
		{"zeroed frame in its place (wp_page_copy)", 1, func(tk *Task) { tk.Access(lowBase, Read); tk.Access(lowBase, Write) }},
		{"zeroed frame", 1, func(tk *Task) { tk.Access(lowBase, Write) }},
		{"page of a file", 0, func(tk *Task) { tk.Access(lowBase+16*PageSize, Read) }},
		{"copy of one (do_cow_fault)", 2, func(tk *Task) { tk.Access(lowBase+16*PageSize, Write) }},
		{"shared memory (shmem_get_folio)", 1, func(tk *Task) { tk.Access(lowBase+32*PageSize, Read) }},
		{"after fork (wp_page_copy)", 3, func(tk *Task) { tk.Access(lowBase, Write); tk.Fork(2, 2, 1).Access(lowBase, Write) }},
		{"reuse", 1, func(tk *Task) { tk.Access(lowBase, Write); tk.Fork(2, 2, 1).Exit(); tk.Access(lowBase, Write) }},
	} {
		tk := high(t, 2, 2)
		m := tk.machine
		tk.pages(t, 4, MmapArgs{Addr: lowBase, Prot: rw, Flags: anon | MapFixed})
		tk.pages(t, 4, MmapArgs{Addr: lowBase + 16*PageSize, Prot: rw, Flags: MapPrivate | MapFixed, File: m.File(1, 1, 4*PageSize, "f")})
		tk.pages(t, 4, MmapArgs{Addr: lowBase + 32*PageSize, Prot: rw, Flags: MapShared | MapAnonymous | MapFixed})
		c.do(tk)
		s := m.Stats()
		if want := (FlushStats{Requests: c.maps, Pages: c.maps, Ranged: c.maps, Local: c.maps}); s.Kernel.KmapLocals != c.maps || s.Flushes[FlushKmapLocal] != want {
			t.Errorf("%s: %d mapped, %+v, want %d", c.what, s.Kernel.KmapLocals, s.Flushes[FlushKmapLocal], c.maps)
		}
		check(t, m)
	}
	c := DefaultConfig()
	c.HighMem = true
	if _, err := New(c); err == nil {
		t.Error("64-bit kernels have no high memory")
	}
}

// mm/highmem.c:map_new_virtual: places 1 to LAST_PKMAP-1 are given out, then the
// pool comes round and every CPU flushes all (the range is above the ceiling of
// 33 pages). ptrace maps the pages that it reads so (mm/memory.c:
// __access_remote_vm).
func TestKmapPool(t *testing.T) {
	for _, c := range []struct {
		levels int
		size   uint64
	}{{2, 1024}, {3, 512}} {
		tk := high(t, c.levels, 3)
		m := tk.machine
		tk.pages(t, 2*c.size, MmapArgs{Addr: lowBase, Prot: rw, Flags: anon | MapFixed | MapPopulate})
		other := m.NewProcess(2, 2, 1)
		other.pages(t, 1, MmapArgs{Addr: lowBase, Prot: rw, Flags: anon | MapFixed})
		other.Access(lowBase, Write)
		peek := func(pages uint64) {
			if n := tk.AccessRemote(tk, lowBase, pages*PageSize, false); n != pages*PageSize {
				t.Fatalf("read %d pages", n/PageSize)
			}
		}
		peek(c.size - 1)
		peek(c.size - 1) // they are mapped still
		misses := m.Stats().TLB.Misses()
		other.Access(lowBase, Write)
		if s := m.Stats(); s.Kernel.Kmaps != c.size-1 || s.Kernel.KmapWraps != 0 || s.TLB.Misses() != misses {
			t.Errorf("%d levels: %+v, another process missed: %v", c.levels, s.Kernel, s.TLB.Misses() != misses)
		}
		peek(c.size)
		s := m.Stats()
		if want := (FlushStats{Requests: 1, Full: 1, Local: 1, IPIs: 2}); s.Kernel.KmapWraps != 1 || s.Flushes[FlushKmap] != want {
			t.Errorf("%d levels: %+v, %+v", c.levels, s.Kernel, s.Flushes[FlushKmap])
		}
		if other.Access(lowBase, Write); m.Stats().TLB.Misses() != s.TLB.Misses()+1 {
			t.Errorf("%d levels: the other process kept its TLB entries", c.levels)
		}
		check(t, m)
	}
}

// kernel/fork.c: a CPU keeps two stacks of dead threads for its new ones; others
// are unmapped.
func TestThreadStacks(t *testing.T) {
	tk := limited(t, func(c *Config) { c.CPUs = 2 })
	m := tk.machine
	is := func(what string, made, reused, freed, bytes uint64) {
		t.Helper()
		k := m.Stats().Kernel
		if k.StacksMade != made || k.StacksReused != reused || k.StacksFreed != freed || k.VmallocBytes != bytes {
			t.Errorf("%s: %+v", what, k)
		}
	}
	is("the first thread", 1, 0, 0, 16<<10)
	var threads []*Task
	for i := range uint32(4) {
		threads = append(threads, tk.Clone(10+i, 0))
	}
	is("four more", 5, 0, 0, 5*16<<10)
	for _, th := range threads {
		th.Exit()
	}
	is("they end: two stacks are kept, mapped", 5, 0, 2, 3*16<<10)
	a := tk.Clone(20, 1) // its stack is taken on the CPU of its parent
	b := tk.Fork(2, 2, 1)
	is("both are used again", 5, 2, 2, 3*16<<10)
	c := tk.VFork(3, 3, 1)
	is("and then a new one is made", 6, 2, 2, 4*16<<10)
	a.Exit()
	b.Exit()
	c.Exit()
	is("kept by the other CPU", 6, 2, 3, 3*16<<10)
	if k := m.Stats().Kernel; k.PeakBytes != 5*16<<10 || k.PageTableBytes != 2*PageSize {
		t.Errorf("peak %d, page tables %d: a leaf table and its directory", k.PeakBytes, k.PageTableBytes)
	}
	if tk := high(t, 2, 1); tk.machine.Stats().Kernel.StacksMade != 0 {
		t.Error("32-bit kernels do not have CONFIG_VMAP_STACK")
	}
}

// mm/vmalloc.c: areas wait for a flush until they are more than 32 MiB for each
// bit of the number of CPUs (lazy_max_pages); an area of a stack is 5 pages with
// its guard. Then every CPU flushes all, and the lowest areas are used again.
func TestVunmapIsLazy(t *testing.T) {
	tk := limited(t, func(c *Config) { c.CPUs = 2 }) // fls(2) = 2: 16384 pages, 3276 areas
	m := tk.machine
	const areas = 3276
	var threads []*Task
	for i := range uint32(areas + 3) {
		threads = append(threads, tk.Clone(10+i, 0))
	}
	for _, th := range threads[:areas+2] {
		th.Exit()
	}
	if k := m.Stats().Kernel; k.StacksFreed != areas || k.Purges != 0 {
		t.Fatalf("%d areas: %+v", areas, k)
	}
	if got := tk.Clone(1, 0).stack; got != 1 {
		t.Errorf("a kept stack: %d", got)
	}
	tk.Clone(2, 0)
	if got := tk.Clone(3, 0).stack; got != areas+4 {
		t.Errorf("an area that waits for its flush is not used again: %d", got)
	}
	extra := []*Task{tk.Clone(4, 0), tk.Clone(5, 0), threads[areas+2]}
	for _, th := range extra {
		th.Exit()
	}
	s := m.Stats()
	if want := (FlushStats{Requests: 1, Full: 1, Local: 1, IPIs: 1}); s.Kernel.Purges != 1 || s.Flushes[FlushVunmap] != want {
		t.Errorf("one more: %+v, %+v", s.Kernel, s.Flushes[FlushVunmap])
	}
	tk.Clone(6, 0)
	tk.Clone(7, 0)
	if got := tk.Clone(8, 0).stack; got != 3 {
		t.Errorf("the lowest is used first: %d, want 3", got)
	}
	check(t, m)
}

func TestAreaHeap(t *testing.T) {
	var h areaHeap
	in := []uint64{5, 1, 9, 0, 3, 3, 8, 2}
	for _, n := range in {
		h.push(n)
	}
	slices.Sort(in)
	for _, want := range in {
		if got := h.pop(); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
}

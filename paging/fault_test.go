package paging

import (
	"fmt"
	"sync"
	"testing"
)

const (
	rw   = ProtRead | ProtWrite
	anon = MapPrivate | MapAnonymous
)

func machine(t testing.TB) *Machine {
	t.Helper()
	m, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func task(t testing.TB) *Task { return machine(t).NewProcess(1, 1, 0) }

func check(t testing.TB, m *Machine) {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
}

// pages maps n pages and returns their address.
func (t *Task) pages(tb testing.TB, n uint64, a MmapArgs) uint64 {
	tb.Helper()
	a.Len = n * PageSize
	addr, errno := t.Mmap(a)
	if errno != 0 {
		tb.Fatal(errno)
	}
	return addr
}

// touchAll accesses n pages in order.
func (t *Task) touchAll(tb testing.TB, addr, n uint64, a Access) {
	tb.Helper()
	for i := range n {
		if out := t.Access(addr+i*PageSize, a); out.Fatal() {
			tb.Fatalf("page %d: %v", i, out)
		}
	}
}

// kinds runs f and returns the faults it took, by kind.
func kinds(m *Machine, f func()) map[FaultKind]uint64 {
	before := m.Stats().Faults
	f()
	after := m.Stats().Faults
	out := map[FaultKind]uint64{}
	for k := range after {
		if n := after[k] - before[k]; n != 0 {
			out[FaultKind(k)] = n
		}
	}
	return out
}

func expect(t *testing.T, what string, got, want map[FaultKind]uint64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: faults %v, want %v", what, got, want)
	}
}

// Faults of one page after another through every leaf of the tree. The expected
// leaves are those of Linux 6.1 mm/memory.c:handle_pte_fault, named at each.
func TestFaultTree(t *testing.T) {
	type step struct {
		what string
		do   func(*Task)
		want map[FaultKind]uint64
	}
	const n = 64
	run := func(name string, prepare func(*Task) uint64, steps func(addr uint64) []step) {
		t.Run(name, func(t *testing.T) {
			tk := task(t)
			addr := prepare(tk)
			for _, s := range steps(addr) {
				expect(t, s.what, kinds(tk.machine, func() { s.do(tk) }), s.want)
				check(t, tk.machine)
			}
		})
	}
	all := func(addr uint64, a Access) func(*Task) { return func(tk *Task) { tk.touchAll(t, addr, n, a) } }
	run("anonymous", func(tk *Task) uint64 { return tk.pages(t, n, MmapArgs{Prot: rw, Flags: anon}) },
		func(a uint64) []step {
			return []step{
				{"read: do_anonymous_page maps the zero page", all(a, Read), map[FaultKind]uint64{ZeroPage: n}},
				{"read again", all(a, Read), map[FaultKind]uint64{}},
				{"write: wp_page_copy from the zero page", all(a, Write), map[FaultKind]uint64{CowZero: n}},
				{"write again", all(a, Write), map[FaultKind]uint64{}},
			}
		})
	run("anonymous write first", func(tk *Task) uint64 { return tk.pages(t, n, MmapArgs{Prot: rw, Flags: anon}) },
		func(a uint64) []step {
			return []step{{"write: a zeroed frame, dirty and writable", all(a, Write), map[FaultKind]uint64{DemandZero: n}},
				{"read", all(a, Read), map[FaultKind]uint64{}}}
		})
	run("anonymous, MADV_FREE and mprotect", func(tk *Task) uint64 { return tk.pages(t, n, MmapArgs{Prot: rw, Flags: anon}) },
		func(a uint64) []step {
			cycle := func(tk *Task) {
				tk.Mprotect(a, n*PageSize, ProtRead)
				tk.Mprotect(a, n*PageSize, rw)
				tk.touchAll(t, a, n, Write)
			}
			return []step{
				{"write", all(a, Write), map[FaultKind]uint64{DemandZero: n}},
				{"to read-only and back: exclusive and dirty, so writable (can_change_pte_writable)", cycle, map[FaultKind]uint64{}},
				{"MADV_FREE: still writable", func(tk *Task) {
					tk.Madvise(a, n*PageSize, madvFree)
					tk.touchAll(t, a, n, Write)
				}, map[FaultKind]uint64{}},
				{"MADV_FREE, to read-only and back: exclusive but clean, so reused at the write", func(tk *Task) {
					tk.Madvise(a, n*PageSize, madvFree)
					cycle(tk)
				}, map[FaultKind]uint64{CowReuse: n}},
			}
		})
	file := func(flags MapFlags) func(*Task) uint64 {
		return func(tk *Task) uint64 {
			f := tk.machine.File(1, 1, n*PageSize, "data")
			return tk.pages(t, n, MmapArgs{Addr: 0x10000000, Prot: rw, Flags: flags | MapFixed, File: f})
		}
	}
	run("private file", file(MapPrivate), func(a uint64) []step {
		return []step{
			// 64 KiB windows: FACTS of the live kernel say 4096 pages are 256 faults.
			{"read: do_read_fault with fault-around of 16 pages", all(a, Read), map[FaultKind]uint64{FileRead: n / 16}},
			{"write: wp_page_copy from the page cache", all(a, Write), map[FaultKind]uint64{CowCopy: n}},
		}
	})
	run("private file written first", file(MapPrivate), func(a uint64) []step {
		return []step{{"write: do_cow_fault", all(a, Write), map[FaultKind]uint64{FileCOW: n}}}
	})
	run("shared file", file(MapShared), func(a uint64) []step {
		return []step{
			{"read: do_read_fault, mapped read-only for write notice", all(a, Read), map[FaultKind]uint64{FileRead: n / 16}},
			{"write: wp_page_shared", all(a, Write), map[FaultKind]uint64{MkWrite: n}},
			{"msync cleans and protects (page_mkclean), the next write is noticed", func(tk *Task) {
				if e := tk.Msync(a, n*PageSize, msSync); e != 0 {
					t.Fatal(e)
				}
				tk.touchAll(t, a, n, Write)
			}, map[FaultKind]uint64{MkWrite: n}},
		}
	})
	run("shared file written first", file(MapShared), func(a uint64) []step {
		return []step{{"write: do_shared_fault", all(a, Write), map[FaultKind]uint64{FileShared: n}}}
	})
	run("shared anonymous memory", func(tk *Task) uint64 {
		return tk.pages(t, n, MmapArgs{Prot: rw, Flags: MapShared | MapAnonymous})
	}, func(a uint64) []step {
		return []step{
			{"read: pages are not in the cache, so nothing is mapped around", all(a, Read), map[FaultKind]uint64{FileRead: n}},
			{"write: no write notice for shmem, entries are writable", all(a, Write), map[FaultKind]uint64{}},
		}
	})
}

// After fork both sides share the pages; a write copies until one owner is
// left, who reuses (mm/memory.c:do_wp_page).
func TestForkCopyOnWrite(t *testing.T) {
	const n = 32
	parent := task(t)
	m := parent.machine
	a := parent.pages(t, n, MmapArgs{Prot: rw, Flags: anon})
	f := m.File(1, 1, n*PageSize, "lib")
	clean := parent.pages(t, n, MmapArgs{Addr: 0x10000000, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: f})
	parent.touchAll(t, a, n, Write)
	parent.touchAll(t, clean, n, Read)
	child := parent.Fork(2, 2, 1)
	check(t, m)
	if got := child.RSS(); got.Anon != n*PageSize || got.File != 0 {
		t.Errorf("child begins with %+v; tables of clean file mappings are not copied (vma_needs_copy)", got)
	}
	expect(t, "child reads the file again", kinds(m, func() { child.touchAll(t, clean, n, Read) }), map[FaultKind]uint64{FileRead: 2})
	expect(t, "child reads", kinds(m, func() { child.touchAll(t, a, n, Read) }), map[FaultKind]uint64{})
	expect(t, "child writes: copies", kinds(m, func() { child.touchAll(t, a, n, Write) }), map[FaultKind]uint64{CowCopy: n})
	expect(t, "parent writes: sole owner", kinds(m, func() { parent.touchAll(t, a, n, Write) }), map[FaultKind]uint64{CowReuse: n})
	check(t, m)
	second := parent.Fork(3, 3, 2)
	second.ExitGroup()
	expect(t, "parent writes after the child is gone: reuse, no copy", kinds(m, func() { parent.touchAll(t, a, n, Write) }), map[FaultKind]uint64{CowReuse: n})
	// n anonymous pages and n of the file: a copy takes the place of a page
	if got, want := parent.PeakRSS(), uint64(2*n*PageSize); got != want {
		t.Errorf("the parent's peak is %d bytes, want %d", got, want)
	}
	child.ExitGroup()
	parent.ExitGroup()
	check(t, m)
	if s := m.Stats(); s.RSS.Total() != 0 || s.PageTableBytes != 0 {
		t.Errorf("after the last exit: %+v resident, %d bytes of tables", s.RSS, s.PageTableBytes)
	}
}

func TestRefused(t *testing.T) {
	tk := task(t)
	ro := tk.pages(t, 1, MmapArgs{Prot: ProtRead, Flags: anon})
	none := tk.pages(t, 1, MmapArgs{Flags: anon})
	wo := tk.pages(t, 1, MmapArgs{Prot: ProtWrite, Flags: anon})
	f := tk.machine.File(1, 1, PageSize+1, "short")
	file := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: MapShared, File: f})
	for _, c := range []struct {
		what string
		addr uint64
		a    Access
		want Outcome
	}{
		{"no mapping", 0x1000, Read, SIGSEGV},
		{"the end of user memory", window64, Read, SIGSEGV},
		{"a kernel address whose low bits are mapped", ro | 0xffff<<48, Read, SIGSEGV},
		{"read of vsyscall", 0xffffffffff600000, Read, SIGSEGV},
		{"write to read-only", ro, Write, SIGSEGV},
		{"fetch from no-exec", ro, Exec, SIGSEGV},
		{"PROT_NONE", none, Read, SIGSEGV},
		{"write-only memory can be read on x86 (access_error)", wo, Read, Minor},
		{"last page of the file, half of it", file + PageSize, Write, Minor},
		{"beyond the file (filemap_fault)", file + 2*PageSize, Read, SIGBUS},
	} {
		if got := tk.Access(c.addr, c.a); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	tk.Access(file, Write)
	tk.machine.File(1, 1, 0, "short") // truncate
	check(t, tk.machine)
	if got := tk.Access(file, Read); got != SIGBUS {
		t.Errorf("after truncate: %v, want SIGBUS", got)
	}
}

// The stack grows to RLIMIT_STACK and keeps 256 pages from what lies below
// (mm/mmap.c:expand_downwards, acct_stack_growth).
func TestStackGrowth(t *testing.T) {
	const top = 0x7ffffffff000
	tk := task(t)
	if err := tk.MapRegion(Region{Start: top - 0x21000, End: top, Prot: rw, Kind: Stack}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		below uint64
		want  Outcome
	}{{0x21000, Minor}, {0x22000, Minor}, {8 << 20, Minor}, {8<<20 + PageSize, SIGSEGV}} {
		if got := tk.Access(top-c.below, Write); got != c.want {
			t.Errorf("%#x below the top: %v, want %v", c.below, got, c.want)
		}
	}
	check(t, tk.machine)
	other := task(t)
	other.MapRegion(Region{Start: top - 0x21000, End: top, Prot: rw, Kind: Stack})
	other.pages(t, 1, MmapArgs{Addr: top - 4<<20, Prot: rw, Flags: anon | MapFixed})
	gap := uint64(top - 4<<20 + PageSize + stackGap)
	if got := other.Access(gap, Write); got != Minor {
		t.Errorf("just above the guard gap: %v", got)
	}
	if got := other.Access(gap-PageSize, Write); got != SIGSEGV {
		t.Errorf("inside the guard gap: %v", got)
	}
}

// Eight threads fault into one address space: every page exactly once, in
// every locking design; no fault is lost and none is counted twice.
func TestConcurrentFaults(t *testing.T) {
	const threads, n = 8, 4096
	for _, locking := range []Locking{LockPerTable, LockMM, LockGlobal} {
		t.Run(locking.String(), func(t *testing.T) {
			c := DefaultConfig()
			c.CPUs, c.Locking = threads, locking
			m, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			main := m.NewProcess(1, 1, 0)
			a := main.pages(t, n, MmapArgs{Prot: rw, Flags: anon})
			tasks := []*Task{main}
			for i := 1; i < threads; i++ {
				tasks = append(tasks, main.Clone(uint32(i+1), i))
			}
			var wg sync.WaitGroup
			for i, tk := range tasks {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for j := range uint64(n) { // all touch all, beginning at different places
						p := (j + uint64(i)*n/threads) % n
						if out := tk.Access(a+p*PageSize, Write); out.Fatal() {
							t.Errorf("page %d: %v", p, out)
							return
						}
					}
				}()
			}
			wg.Wait()
			check(t, m)
			s := m.Stats()
			if s.Faults[DemandZero] != n || s.RSS.Anon != n*PageSize {
				t.Errorf("%d zeroed frames and %d resident bytes for %d pages", s.Faults[DemandZero], s.RSS.Anon, n)
			}
			if s.Minor != s.Faults[DemandZero]+s.Faults[Spurious] {
				t.Errorf("%d minor faults: %v", s.Minor, s.Faults)
			}
		})
	}
}

// Threads map, unmap, protect and fault at once; when all is quiet the recount
// agrees.
func TestConcurrentChanges(t *testing.T) {
	const threads, rounds = 4, 300
	c := DefaultConfig()
	c.CPUs = threads
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	main := m.NewProcess(1, 1, 0)
	shared := main.pages(t, 512, MmapArgs{Prot: rw, Flags: anon})
	var wg sync.WaitGroup
	for i := threads - 1; i >= 0; i-- { // the first thread makes the others before it runs: one goroutine uses a task at a time
		tk := main
		if i > 0 {
			tk = main.Clone(uint32(i+1), i)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range uint64(rounds) {
				own, errno := tk.Mmap(MmapArgs{Len: 64 * PageSize, Prot: rw, Flags: anon})
				if errno != 0 {
					t.Error(errno)
					return
				}
				tk.touchAll(t, own, 64, Write)
				tk.Mprotect(own, 32*PageSize, ProtRead)
				tk.Munmap(own, 64*PageSize)
				p := shared + (r*37+uint64(i)*128)%512*PageSize
				switch r % 4 {
				case 0:
					tk.Madvise(p, 8*PageSize, madvDontNeed)
				case 1:
					tk.Mprotect(p, PageSize, ProtRead)
				case 2:
					tk.Mprotect(shared, 512*PageSize, rw)
				case 3:
					child := tk.Fork(uint32(1000+i*rounds)+uint32(r), uint32(1000+i*rounds)+uint32(r), i)
					child.Access(p, Write)
					child.ExitGroup()
				}
				tk.Access(p, Read) // may be refused where another thread protects
			}
		}()
	}
	wg.Wait()
	check(t, m)
}

// A fault, told to an observer, and a reference in steady state allocate nothing
// but page tables.
func TestSteadyStateAllocations(t *testing.T) {
	tk := task(t)
	tk.machine.OnFault(func(*FaultInfo) {})
	const n = 512
	a := tk.pages(t, n, MmapArgs{Prot: rw, Flags: anon})
	refs := make([]Ref, n)
	for i := range refs {
		refs[i] = ref(t, a>>pageShift+uint64(i), Write, 0, 1, 0)
	}
	tk.Run(refs)
	if got := testing.AllocsPerRun(20, func() { tk.Run(refs) }); got != 0 {
		t.Errorf("%v allocations per %d present references", got, n)
	}
	if got := testing.AllocsPerRun(20, func() {
		tk.Madvise(a, n*PageSize, madvDontNeed)
		tk.Run(refs)
	}); got > 20 { // of the flush and the visit, not of the faults
		t.Errorf("%v allocations per %d faults", got, n)
	}
}

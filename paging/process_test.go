package paging

import "testing"

// One page needs a leaf, a PMD and a PUD table; the root is not counted
// (mm_pgtables_bytes). They go with the mapping (free_pgtables).
func TestPageTableMemory(t *testing.T) {
	tk := task(t)
	const gib = 1 << 30
	at := func(a uint64) {
		tk.pages(t, 1, MmapArgs{Addr: a, Prot: rw, Flags: anon | MapFixed})
		tk.touchAll(t, a, 1, Write)
	}
	want := func(what string, n uint64) {
		t.Helper()
		if got := tk.PageTableBytes() / PageSize; got != n {
			t.Errorf("%s: %d tables, want %d", what, got, n)
		}
		check(t, tk.machine)
	}
	at(gib)
	want("one page", 3)
	at(gib + PageSize)
	want("the next page", 3)
	at(gib + 2<<20)
	want("2 MiB on: another leaf", 4)
	at(2 * gib)
	want("1 GiB on: another PMD table and leaf", 6)
	at(600 * gib)
	want("512 GiB on: all three", 9)
	tk.Madvise(gib, 4*PageSize, madvDontNeed)
	want("MADV_DONTNEED frees none", 9)
	tk.Munmap(gib, 2*PageSize)
	want("munmap frees the leaf; the PMD table is in use", 8)
	tk.Munmap(600*gib, PageSize)
	want("the end of the address space: leaf, PMD and PUD table", 5)
	tk.Munmap(0, window64)
	want("all", 0)
	if s := tk.machine.Stats(); s.PeakPageTableBytes != 9*PageSize || s.PeakRSS != 5*PageSize {
		t.Errorf("peaks of %d tables and %d pages, want 9 and 5", s.PeakPageTableBytes/PageSize, s.PeakRSS/PageSize)
	}
}

// What a child gets (dup_mmap, vma_needs_copy).
func TestForkInherits(t *testing.T) {
	tk := task(t)
	m := tk.machine
	part := func(i uint64) uint64 { return 1<<32 + i*64*PageSize }
	f := m.File(1, 1, 64*PageSize, "f")
	for i := range uint64(5) {
		tk.pages(t, 8, MmapArgs{Addr: part(i), Prot: rw, Flags: anon | MapFixed})
		if i > 0 {
			tk.touchAll(t, part(i), 8, Write)
		}
	}
	tk.touchAll(t, part(0), 8, Read) // the zero page, no anon_vma
	tk.pages(t, 8, MmapArgs{Addr: part(5), Prot: rw, Flags: MapPrivate | MapFixed, File: f})
	tk.touchAll(t, part(5), 8, Read)
	tk.touchAll(t, part(5), 1, Write) // a private copy: the whole mapping is copied
	tk.pages(t, 8, MmapArgs{Addr: part(6), Prot: rw, Flags: MapShared | MapFixed, File: f})
	tk.touchAll(t, part(6), 8, Write)
	for i, kind := range []RegionKind{VDSO, VVar} {
		if err := tk.MapRegion(Region{Start: part(uint64(7 + i)), End: part(uint64(7+i)) + PageSize, Prot: ProtRead | ProtExec, Kind: kind}); err != nil {
			t.Fatal(err)
		}
		tk.touchAll(t, part(uint64(7+i)), 1, Read)
	}
	tk.Madvise(part(2), 8*PageSize, madvDontFork)
	tk.Madvise(part(3), 8*PageSize, madvWipeOnFork)
	tk.Mlock(part(4), PageSize)
	child := tk.Fork(2, 2, 1)
	check(t, m)
	if got, want := child.RSS(), (RSS{Anon: 17 * PageSize, File: 7 * PageSize}); got != want {
		t.Errorf("the child begins with %+v, want %+v", got, want)
	}
	for _, c := range []struct {
		what string
		i    uint64
		a    Access
		want map[FaultKind]uint64
	}{
		{"zero pages are read again", 0, Read, map[FaultKind]uint64{ZeroPage: 8}},
		{"written memory is there", 1, Read, map[FaultKind]uint64{}},
		{"MADV_WIPEONFORK", 3, Read, map[FaultKind]uint64{ZeroPage: 8}},
		{"locked memory is there", 4, Read, map[FaultKind]uint64{}},
		{"private file with a copy: all of it is there", 5, Read, map[FaultKind]uint64{}},
		{"shared file: mapped again, dirty entries and all", 6, Read, map[FaultKind]uint64{FileRead: 1}},
		{"vdso: faults again", 7, Read, map[FaultKind]uint64{FileRead: 1}},
		{"vvar (VM_PFNMAP): copied", 8, Read, map[FaultKind]uint64{}},
	} {
		n := uint64(8)
		if c.i >= 7 {
			n = 1
		}
		expect(t, c.what, kinds(m, func() { child.touchAll(t, part(c.i), n, c.a) }), c.want)
	}
	if out := child.Access(part(2), Read); out != SIGSEGV {
		t.Errorf("MADV_DONTFORK: %v", out)
	}
	check(t, m)
}

// vfork shares the address space until exec; exec begins with nothing; threads
// die with exec and the space with its last user.
func TestExecAndExit(t *testing.T) {
	parent := task(t)
	m := parent.machine
	a := parent.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	parent.touchAll(t, a, 2, Write)
	child := parent.VFork(2, 2, 1)
	child.touchAll(t, a, 4, Write)
	if got := parent.RSS().Anon; got != 4*PageSize {
		t.Errorf("what the vfork child wrote: the parent has %d bytes", got)
	}
	child.Exec()
	check(t, m)
	if got := child.RSS().Total(); got != 0 || child.PageTableBytes() != 0 || child.Access(a, Read) != SIGSEGV {
		t.Errorf("after exec: %d bytes", got)
	}
	if got := parent.RSS().Anon; got != 4*PageSize {
		t.Errorf("the parent has %d bytes after the child's exec", got)
	}
	thread := parent.Clone(3, 2)
	thread.touchAll(t, a, 1, Read)
	thread.Exit()
	if got := parent.RSS().Anon; got != 4*PageSize {
		t.Errorf("the parent has %d bytes after a thread's exit", got)
	}
	parent.Clone(4, 3)
	parent.Exec()
	check(t, m)
	if s := m.Stats(); s.RSS.Total() != 0 || len(m.tasks) != 2 {
		t.Errorf("%+v, %d tasks; the other thread dies in exec", s.RSS, len(m.tasks))
	}
	child.ExitGroup()
	parent.ExitGroup()
	check(t, m)
	s := m.Stats()
	if s.Minor != 4 || len(m.tasks) != 0 || m.tables.Load() != 0 {
		t.Errorf("at the end: %d faults, %d tasks, %d tables", s.Minor, len(m.tasks), m.tables.Load())
	}
}

// ref makes a reference that counts its first access.
func ref(t *testing.T, vpn uint64, first Access, reads, writes, execs uint32) Ref {
	t.Helper()
	r, ok := MakeRef(vpn, first, reads, writes, execs)
	if !ok {
		t.Fatalf("no reference: %v of %d, %d, %d", first, reads, writes, execs)
	}
	return r
}

// A reference is its first access, then one write and one fetch if there are
// any; the rest are hits.
func TestRunCounts(t *testing.T) {
	tk := task(t)
	m := tk.machine
	a := tk.pages(t, 2, MmapArgs{Prot: rw | ProtExec, Flags: anon})
	vpn := a >> pageShift
	n, out := tk.Run([]Ref{
		ref(t, vpn, Read, 5, 3, 2),
		ref(t, vpn+1, Write, 0, 4, 0),
		ref(t, vpn, Exec, 0, 0, 7),
		ref(t, 1, Read, 1, 0, 0),
		ref(t, vpn, Read, 1, 0, 0),
	})
	tk.Count(5+3+4, 2+7)
	if n != 4 || out != SIGSEGV {
		t.Errorf("%d references, %v; want to stop at the fourth", n, out)
	}
	s := m.Stats()
	if s.TLB.Lookups() != 5+3+2+4+7+1 {
		t.Errorf("%d lookups", s.TLB.Lookups())
	}
	expect(t, "faults", map[FaultKind]uint64{ZeroPage: s.Faults[ZeroPage], CowZero: s.Faults[CowZero], DemandZero: s.Faults[DemandZero], FaultSegv: s.Faults[FaultSegv]},
		map[FaultKind]uint64{ZeroPage: 1, CowZero: 1, DemandZero: 1, FaultSegv: 1})
	check(t, m)
}

// Without the zero page a read of fresh memory gets a frame, writable where the
// mapping is (do_anonymous_page, mm_forbids_zeropage).
func TestNoZeroPage(t *testing.T) {
	c := DefaultConfig()
	c.NoZeroPage = true
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 8, MmapArgs{Prot: rw, Flags: anon})
	expect(t, "read", kinds(m, func() { tk.touchAll(t, a, 8, Read) }), map[FaultKind]uint64{DemandZero: 8})
	expect(t, "write", kinds(m, func() { tk.touchAll(t, a, 8, Write) }), map[FaultKind]uint64{})
	check(t, m)
	if got := tk.RSS().Anon; got != 8*PageSize {
		t.Errorf("%d bytes resident", got)
	}
}

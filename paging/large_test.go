package paging

import (
	"strings"
	"testing"
)

func hugeMachine(t *testing.T, set func(*Config)) (*Machine, *Task) {
	t.Helper()
	c := DefaultConfig()
	set(&c)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.NewProcess(1, 1, 0)
}

const gig = 1 << 30

// A page of 1 GiB is one entry of a PUD table, with nothing below it: map, fork, copy,
// protect, move and unmap (mm/hugetlb.c with a hstate of PUD_SIZE).
func TestGiantPages(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.GiantPages = 3 })
	const at, to, size = 1 << 32, 1 << 40, gig / PageSize
	flags := anon | MapFixed | mapHugeTLB | 30<<mapHugeShift
	tk.pages(t, 2*size, MmapArgs{Addr: at, Prot: rw, Flags: flags})
	tables := tk.PageTableBytes()
	for _, a := range []uint64{at, at + gig - PageSize, at + gig} {
		tk.Access(a, Write)
	}
	if minor, _ := tk.Faults(); minor != 2 || tk.PageTableBytes()-tables != PageSize { // the PUD table
		t.Errorf("%d faults, %d bytes of tables", minor, tk.PageTableBytes()-tables)
	}
	c := tk.Fork(2, 2, 1)
	if a, b := c.Access(at+5*PageSize, Read), c.Access(at+5*PageSize, Write); a != OK || b != Minor {
		t.Errorf("the child reads (%v) and copies (%v)", a, b)
	}
	check(t, m)
	c.ExitGroup()
	tk.Mprotect(at, gig, ProtRead)
	tk.Mprotect(at, gig, rw)
	if out := tk.Access(at, Write); out != Minor { // hugetlb_change_protection leaves it read-only
		t.Errorf("after mprotect: %v", out)
	}
	// two mappings since mprotect: those of hugetlb do not merge (VM_SPECIAL)
	if _, errno := tk.Mremap(at, 2*gig, 2*gig, mremapMayMove|mremapFixed, to, 0); errno != EFAULT {
		t.Error(errno)
	}
	for _, part := range []uint64{0, gig} {
		if _, errno := tk.Mremap(at+part, gig, gig, mremapMayMove|mremapFixed, to+part, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	if a, b := tk.Access(to+7*PageSize, Write), tk.Access(at, Read); a != OK || b != SIGSEGV {
		t.Errorf("after the move: %v there, %v here", a, b)
	}
	check(t, m)
	if errno := tk.Munmap(to, 2*gig); errno != 0 {
		t.Fatal(errno)
	}
	if p := m.Stats().HugeTLB[1]; p.Free != 3 || p.Reserved != 0 || tk.PageTableBytes() != tables {
		t.Errorf("%+v, %d bytes of tables", p, tk.PageTableBytes())
	}
	check(t, m)
}

// Without an entry in the way directories move whole (mm/mremap.c:move_normal_pud).
func TestMoveDirectory(t *testing.T) {
	tk := task(t)
	const at, to = 1 << 40, 1 << 41
	tk.pages(t, gig/PageSize, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed})
	tk.Access(at, Write)
	tk.Access(at+gig-PageSize, Write)
	flushes := tk.machine.Stats().Flushes[FlushMremap].Requests
	if _, errno := tk.Mremap(at, gig, gig, mremapMayMove|mremapFixed, to, 0); errno != 0 {
		t.Fatal(errno)
	}
	if got := tk.machine.Stats().Flushes[FlushMremap].Requests - flushes; got != 2 { // the directory, and the tables that are freed
		t.Errorf("%d flushes", got)
	}
	if a, b := tk.Access(to, Write), tk.Access(to+gig-PageSize, Write); a != OK || b != OK {
		t.Errorf("after the move: %v, %v", a, b)
	}
	check(t, tk.machine)
}

// The pool grows by surplus pages up to nr_overcommit_hugepages, for a reservation or for a
// fault without one, and they go when they are free (mm/hugetlb.c:gather_surplus_pages,
// alloc_surplus_huge_page, free_huge_page). On i386 pages are of 4 MiB.
func TestSurplus(t *testing.T) {
	for levels, size := range map[int]uint64{2: 4 << 20, 3: 2 << 20, 4: 2 << 20} {
		m, tk := hugeMachine(t, func(c *Config) { c.Levels, c.HugePages, c.HugeOvercommit = levels, 1, 2 })
		const at = 0x40000000
		pool := func() HugeTLBStats { return m.Stats().HugeTLB[0] }
		n := size / PageSize
		tk.pages(t, 2*n, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed | mapHugeTLB})
		if p := pool(); p.PageBytes != size || p.Total != 2 || p.Surplus != 1 || p.Reserved != 2 {
			t.Errorf("levels %d, two reserved: %+v", levels, p)
		}
		tk.pages(t, 2*n, MmapArgs{Addr: 2 * at, Prot: rw, Flags: anon | MapFixed | mapHugeTLB | MapNoReserve})
		if a, b := tk.Access(2*at, Write), tk.Access(2*at+size, Write); a != Minor || b != SIGBUS {
			t.Errorf("levels %d: %v with a surplus page left, %v without", levels, a, b)
		}
		check(t, m)
		tk.Munmap(2*at, 2*size)
		tk.Munmap(at, 2*size)
		if p := pool(); p.Total != 1 || p.Surplus != 0 || p.Free != 1 {
			t.Errorf("levels %d, all given back: %+v", levels, p)
		}
		check(t, m)
	}
}

// An object of hugetlbfs: a writable mapping makes it longer, a hole and a smaller size
// give pages back (hugetlbfs_file_mmap, hugetlbfs_punch_hole, hugetlb_vmtruncate).
// Shared mappings become writable again with mprotect.
func TestHugeTLBObject(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.HugePages = 4 })
	const at, size = 1 << 32, 2 << 20
	if m.HugeFile(1, 8, 0, "x", 1<<22) != nil {
		t.Error("there are pages of 4 MiB")
	}
	f := m.HugeFile(1, 9, 0, "/memfd:x", size)
	f.Hold()
	tk.pages(t, 3*size/PageSize, MmapArgs{Addr: at, Prot: rw, Flags: MapShared | MapFixed, File: f})
	if f.Size() != 3*size {
		t.Errorf("the object has %d bytes", f.Size())
	}
	for i := range uint64(3) {
		tk.Access(at+i*size, Write)
	}
	tk.Mprotect(at, size, ProtRead)
	tk.Mprotect(at, size, rw)
	if out := tk.Access(at, Write); out != OK {
		t.Errorf("shared memory after mprotect: %v", out)
	}
	if errno := tk.Msync(at, size, msSync); errno != 0 {
		t.Error(errno)
	}
	if errno := tk.Madvise(at+size, size, madvRemove); errno != 0 {
		t.Fatal(errno)
	}
	if p := m.Stats().HugeTLB[0]; p.Free != 2 {
		t.Errorf("after the hole: %+v", p)
	}
	if out := tk.Access(at+size, Read); out != Minor {
		t.Errorf("in the hole: %v", out)
	}
	check(t, m)
}

// MADV_COLLAPSE under a limit that a huge page does not fit in is EBUSY
// (SCAN_CGROUP_CHARGE_FAIL); a fault gets a small page then (THP_FAULT_FALLBACK_CHARGE).
func TestHugeDoesNotFit(t *testing.T) {
	m := underLimit(t, "linux", 256, func(c *Config) { c.THP = THPAlways })
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 2*kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(a, Write)
	s := m.Stats()
	if s.Huge.FaultFallback != 1 || s.Faults[DemandZero] != 1 {
		t.Errorf("%+v, faults %v", s.Huge, s.Faults)
	}
	if errno := tk.Madvise(a, kernelHB, madvCollapse); errno != EBUSY {
		t.Errorf("MADV_COLLAPSE: %v", errno)
	}
	// the errors of what cannot be huge (hugepage_vma_check)
	if errno := tk.Madvise(a+kernelHB, kernelHB, madvCollapse); errno != EINVAL {
		t.Errorf("MADV_COLLAPSE of nothing: %v", errno)
	}
	check(t, m)
}

// The notation of large pages and of swap (dump.go).
func TestDumpLarge(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.THP, c.HugePages = THPAlways, 1 })
	tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, kernelH, MmapArgs{Addr: 1 << 33, Prot: rw, Flags: anon | MapFixed | mapHugeTLB})
	tk.Access(1<<32, Write)
	tk.Access(1<<33, Write)
	want := []string{"PMD 0x100000000 frame 512 anon 1 PW-ADE", "PMD 0x200000000 frame 1024 hugetlb 1 PW-ADE"}
	for _, w := range want {
		if got := tk.Dump(); !strings.Contains(got, w) {
			t.Errorf("%s\nwant %q", got, w)
		}
	}
	check(t, m)
	m = underLimit(t, "fifo", 1, func(*Config) {})
	tk = m.NewProcess(1, 1, 0)
	a := tk.pages(t, 2, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(a, Write)
	tk.Access(a+PageSize, Write)
	// a task takes frames from the pool 256 at a time and uses the last first
	if got := tk.Dump(); !strings.Contains(got, "PTE 0x100000000 swap 257 E") {
		t.Errorf("%s\nthe first page is in swap", got)
	}
}

// Entries of large pages in the TLB: ways of their own in the first level, which the
// second level fills again, and one entry for each (tlb_large.go).
func TestLargeTLB(t *testing.T) {
	c, err := ParseTLB("l1d-2m=2x2,l1i-2m=2x2,l1-1g=1x1,l2-1g=2x2,l2=4x4")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseTLB(c.String()); err != nil || again != c {
		t.Errorf("%v, %v: not what was printed", again, err)
	}
	l := newTLB(c, 9)
	page := func(i uint64) uint64 { return i << 9 }
	e := tlbEntry{pfn: 512, flags: tlbWrite | tlbDirty | tlbExec}
	for i := range uint64(3) {
		if l.lookup(1, page(i), Read) != tlbMiss {
			t.Fatalf("page %d is there", i)
		}
		l.insertLarge(tlbLarge, 1, page(i)+i, Read, e)
	}
	// 0 was the first to leave the two ways of the first level; the second has it
	before := l.stats
	if got := l.lookup(1, page(0)+511, Write); got != tlbFound || l.stats.L1Misses() != before.L1Misses()+1 || l.stats.Misses() != before.Misses() {
		t.Errorf("%v, %+v", got, l.stats)
	}
	if got := l.lookup(1, page(2), Exec); got != tlbFound { // from the second level as well
		t.Errorf("a fetch: %v", got)
	}
	l.flushRange(1, page(2)+7, page(2)+8)
	if a, b := l.lookup(1, page(2), Read), l.lookup(1, page(0), Read); a != tlbMiss || b != tlbFound {
		t.Errorf("after a flush of one page in it: %v, its neighbour %v", a, b)
	}
	l.insertLarge(tlbGiant, 1, 1<<18, Read, e)
	l.insertLarge(tlbGiant, 1, 1<<18, Exec, tlbEntry{pfn: 512})
	if got := l.lookup(1, 1<<18+12345, Write); got != tlbCheck { // the one for data was brought up to date
		t.Errorf("a page of 1 GiB: %v", got)
	}
	l.flushASID(1)
	if got := l.lookup(1, 1<<18, Read); got != tlbMiss {
		t.Errorf("after a flush of everything: %v", got)
	}
}

// khugepaged takes address spaces in turn, from where it was
// (khugepaged_scan_mm_slot), and leaves alone what does not pay.
func TestBackgroundCollapse(t *testing.T) {
	m, first := hugeMachine(t, func(c *Config) { c.THP = THPMadvise })
	second, third := m.NewProcess(2, 2, 1), m.NewProcess(3, 3, 2)
	const places = scanBlocks + 2
	for _, tk := range []*Task{first, second, third} {
		a := tk.pages(t, (places+1)*kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
		for i := range uint64(places) {
			tk.Access(a+i*kernelHB, Write) // small: nobody asked yet
		}
		tk.Madvise(a, (places+1)*kernelHB, madvHugePage)
		tk.Access(a+places*kernelHB, Write) // a huge page: on the list
	}
	every := uint64(m.cfg.CollapseEvery)
	m.Pass(every - 1)
	if got := m.Stats().Huge.Collapsed; got != 0 {
		t.Errorf("%d collapsed before the time", got)
	}
	for scan, want := range []uint64{scanBlocks, 2*scanBlocks - 1} { // the huge page of the first counts as a place
		m.Pass(uint64(scan+1) * every)
		if got := m.Stats().Huge.Collapsed; got != want {
			t.Errorf("after scan %d: %d collapsed, want %d", scan+1, got, want)
		}
	}
	check(t, m)
	first.ExitGroup() // one that was before the place of the scan
	m.Pass(20 * every)
	if got, want := m.Stats().Huge.Collapsed, uint64(3*places); got != want {
		t.Errorf("%d collapsed in the end, want %d", got, want)
	}
	// read-only pages do not pay (SCAN_PAGE_RO), nor do those nobody used (SCAN_LACK_REFERENCED_PAGE)
	b := second.pages(t, 2*kernelH, MmapArgs{Addr: 1 << 34, Prot: rw, Flags: anon | MapFixed})
	second.Access(b, Write)
	second.Access(b+kernelHB, Write)
	second.Madvise(b+kernelHB, kernelHB, madvCold)
	second.Mprotect(b, kernelHB, ProtRead)
	second.Madvise(b, 2*kernelHB, madvHugePage)
	m.Pass(60 * every)
	if got, want := m.Stats().Huge.Collapsed, uint64(3*places); got != want {
		t.Errorf("%d collapsed, want %d", got, want)
	}
	check(t, m)
}

// The huge page of zeros moves with its table; under a limit nothing is charged or
// known of it.
func TestHugeZeroPageMoves(t *testing.T) {
	m := underLimit(t, "linux", 2000, func(c *Config) { c.THP = THPAlways })
	tk := m.NewProcess(1, 1, 0)
	from := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, from, 1, Read)
	to := uint64(2 << 32)
	if _, errno := tk.Mremap(from, kernelHB, kernelHB, mremapMayMove|mremapFixed, to, 0); errno != 0 {
		t.Fatal(errno)
	}
	if out := tk.Access(to, Read); out != OK {
		t.Errorf("a read where it moved: %v", out)
	}
	if n := len(m.memory.pages.chunks); n > 64 {
		t.Errorf("an account of %d chunks of pages, %d frames", n, m.frames.next)
	}
	check(t, m)
}

// The accessed bit of a huge page speaks for each of its pages once, whichever is asked
// first (mm/rmap.c:folio_referenced_one asks for the huge page as a whole).
func TestYoungHuge(t *testing.T) {
	m := underLimit(t, "linux", 2000, func(c *Config) { c.THP = THPAlways })
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, a, 1, Write)
	entry := tk.entry(a >> pageShift)
	head := ptePFN(*entry)
	young := func(what string, page uint32, want int) {
		t.Helper()
		m.memory.mu.Lock()
		defer m.memory.mu.Unlock()
		if got := m.memory.young(head + page); got != want {
			t.Errorf("%s: page %d was used %d times, want %d", what, page, got, want)
		}
	}
	young("written", 7, 1)
	if *entry&pteA != 0 {
		t.Errorf("the entry is %#x", *entry)
	}
	young("asked again", 7, 0)
	young("of the same bit", 500, 1)
	*entry |= pteA
	young("used again", 0, 1)
	young("used again", 7, 1)
	young("used once more", 7, 0)
}

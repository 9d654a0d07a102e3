package paging

import (
	"testing"
	"time"
)

// Leaves and turns that no other test takes, each with the function of Linux 6.1 it
// follows.

// A pin of a huge page that fork has shared makes it the mapping's own when the other
// owner is gone, and splits it when it is not (do_huge_pmd_wp_page with
// FAULT_FLAG_UNSHARE).
func TestPinHugePage(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.THP = THPAlways })
	by := m.NewProcess(2, 2, 1)
	local := by.pages(t, 1, MmapArgs{Prot: rw, Flags: anon})
	a := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(a, Write)
	pin := func() {
		t.Helper()
		if got, errno := by.ProcessVM(tk, local, a, 8, false); got != 8 {
			t.Fatal(got, errno)
		}
	}
	tk.Fork(3, 3, 2).ExitGroup()
	pin()
	if s := m.Stats(); s.Faults[Unshare] != 1 || s.Huge.SplitPMD != 0 || tk.Access(a, Write) != Minor {
		t.Errorf("a sole owner: %+v, faults %v", s.Huge, s.Faults)
	}
	c := tk.Fork(4, 4, 2)
	pin()
	if s := m.Stats(); s.Faults[Unshare] != 2 || s.Huge.SplitPMD != 1 {
		t.Errorf("shared: %+v, faults %v", s.Huge, s.Faults)
	}
	check(t, m)
	c.ExitGroup()
	check(t, m)
}

// Frames of a huge page that is free serve small pages when there are no others.
func TestFreeHugePageServes(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.THP = THPAlways })
	a := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(a, Write)
	tk.Munmap(a, kernelHB)
	next := m.frames.next
	tk.SetTHPDisable(true)
	tk.pages(t, 1000, MmapArgs{Addr: 1 << 33, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, 1<<33, 1000, Write)
	if m.frames.next > next+64 {
		t.Errorf("%d frames more although 512 were free beside the 510 below them", m.frames.next-next)
	}
	check(t, m)
}

// A child that did not make the mapping gets SIGBUS for a copy when the pool is empty
// (hugetlb_wp: vmf_error of ENOSPC).
func TestHugeTLBCopyDenied(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.HugePages = 1 })
	a := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed | mapHugeTLB})
	tk.Access(a, Write)
	c := tk.Fork(2, 2, 1)
	if out := c.Access(a, Write); out != SIGBUS {
		t.Errorf("the child's copy: %v", out)
	}
	if p := m.Stats().HugeTLB[0]; p.Denied != 1 {
		t.Errorf("%+v", p)
	}
	check(t, m)
}

// The reverse map follows mremap for each of the mappings of a page.
func TestMovedUnderLimit(t *testing.T) {
	m := underLimit(t, "linux", 64, func(*Config) {})
	tk := m.NewProcess(1, 1, 0)
	tk.pages(t, 4, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, 1<<32, 4, Write)
	c := tk.Fork(2, 2, 1)
	for i, one := range []*Task{c, tk} {
		if _, errno := one.Mremap(1<<32, 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, 1<<33+uint64(i)*PageSize, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	check(t, m)
}

// What was moved away from the heap is no heap, and MREMAP_DONTUNMAP leaves what is
// behind its range locked (move_vma, VM_LOCKED_CLEAR_MASK).
func TestMovedParts(t *testing.T) {
	tk := limited(t, func(c *Config) { c.LockedLimit = NoLimit })
	tk.SetBrk(1<<32, 1<<32)
	tk.Brk(1<<32 + 4*PageSize)
	if _, errno := tk.Mremap(1<<32, 2*PageSize, 2*PageSize, mremapMayMove|mremapFixed, 1<<33, 0); errno != 0 {
		t.Fatal(errno)
	}
	if name := tk.space.list().at(1 << 33).Name(); name != "[anon]" {
		t.Error(name)
	}
	const at = 1 << 34
	tk.pages(t, 4, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed | MapLocked})
	if _, errno := tk.Mremap(at, 2*PageSize, 2*PageSize, mremapMayMove|mremapFixed|mremapDontUnmap, 1<<35, 0); errno != 0 {
		t.Fatal(errno)
	}
	for addr, locked := range map[uint64]bool{at: false, at + 2*PageSize: true, 1 << 35: true} {
		if got := tk.space.list().at(addr).flags&vmLocked != 0; got != locked {
			t.Errorf("%#x locked: %v", addr, got)
		}
	}
	check(t, tk.machine)
}

// mlockall passes over pages without a struct page (mm/gup.c:__mm_populate, VM_PFNMAP),
// and remap_file_pages of locked memory locks what it maps (mm/mmap.c).
func TestLockedTurns(t *testing.T) {
	tk := limited(t, func(c *Config) { c.LockedLimit = NoLimit })
	if err := tk.MapRegion(Region{Start: 1 << 40, End: 1<<40 + 4*PageSize, Prot: ProtRead, Kind: VVar}); err != nil {
		t.Fatal(err)
	}
	if errno := tk.Mlockall(mclCurrent); errno != 0 {
		t.Fatal(errno)
	}
	if minor, _ := tk.Faults(); minor != 0 {
		t.Errorf("%d faults", minor)
	}
	f := tk.machine.File(1, 1, 8*PageSize, "f")
	a := tk.pages(t, 8, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: MapShared | MapFixed | MapLocked, File: f})
	if errno := tk.RemapFilePages(a, PageSize, 0, 4, 0); errno != 0 {
		t.Fatal(errno)
	}
	if v := tk.space.list().at(a); v.flags&vmLocked == 0 || v.pgoff != 4 {
		t.Error(v.describe())
	}
	check(t, tk.machine)
}

// A machine for a sample makes only chosen pages present (Config.Only).
func TestPopulateOnly(t *testing.T) {
	tk := limited(t, func(c *Config) { c.Only = func(_, page uint64) bool { return page%4 == 0 } })
	a := tk.pages(t, 16, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed | MapPopulate})
	if got := tk.RSS().Anon; got != 4*PageSize {
		t.Errorf("%d bytes resident, of 16 pages 4 are chosen", got)
	}
	if !tk.Chosen(a>>pageShift) || tk.Chosen(a>>pageShift+1) {
		t.Error("Chosen says something else")
	}
}

// A policy that is told of every reference is told of data and instructions of one
// reference, and not of the vsyscall page, which no frame holds. MADV_COLLAPSE does nothing
// under it.
func TestExactTurns(t *testing.T) {
	m := underLimit(t, "lru", 8, func(c *Config) { c.Vsyscall = VsyscallEmulate })
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw | ProtExec, Flags: anon | MapFixed})
	refs := []Ref{}
	for _, vpn := range []uint64{a >> pageShift, gateVPN} {
		r, ok := MakeRef(vpn, Read, 1, 0, 1)
		if !ok {
			t.Fatal("no reference")
		}
		refs = append(refs, r)
	}
	if n, out := tk.Run(refs); n != 2 || out != OK {
		t.Errorf("%d references, %v", n, out)
	}
	tk.Access(a, Write)
	if errno := tk.Madvise(a, kernelHB, madvCollapse); errno != 0 || m.Stats().Huge.Collapsed != 0 {
		t.Error(errno)
	}
	check(t, m)
}

// A level with more than 256 ways, and a preset by its name.
func TestWideTLB(t *testing.T) {
	if c, err := ParseTLB("zen2"); err != nil || c.L1D.Ways != 64 {
		t.Error(c, err)
	}
	l := newTLB(TLBConfig{L1I: TLBGeometry{4, 4}, L1D: TLBGeometry{512, 512}, L2: TLBGeometry{512, 512}}, 9)
	for vpn := range uint64(513) {
		l.lookup(1, vpn, Read)
		l.fill(1, vpn, Read, tlbEntry{pfn: 2})
	}
	if a, b := l.lookup(1, 1, Read), l.lookup(1, 0, Read); a != tlbFound || b != tlbMiss {
		t.Errorf("the second page %v, the oldest %v", a, b)
	}
}

// A number that a recorded program got is passed over for a new segment
// (ipc/util.c:ipc_idr_alloc).
func TestImposedShmIdentifier(t *testing.T) {
	tk := task(t)
	for _, c := range []struct{ impose, want int32 }{{0, 0}, {-1, 1}} {
		id, errno := tk.Shmget(ShmArgs{Key: ipcPrivate, Size: PageSize, Flags: 0600, ID: c.impose})
		if errno != 0 || id != c.want {
			t.Errorf("%d, %v, want %d", id, errno, c.want)
		}
	}
}

// Recycling leaves shared memory alone; WILLNEED of a warm file is for nothing.
func TestRecycleTurns(t *testing.T) {
	m := machine(t)
	shm := m.SharedFile(1, 1, PageSize, "/dev/shm/x")
	shm.Hold()
	a, b := m.File(1, 2, PageSize, "a"), m.File(1, 3, PageSize, "b")
	tk := m.NewProcess(1, 1, 0)
	for i, f := range []*File{shm, a, b} {
		addr := tk.pages(t, 1, MmapArgs{Addr: uint64(i+1) << 32, Prot: ProtRead, Flags: MapShared | MapFixed, File: f})
		tk.Access(addr, Read)
	}
	a.WillNeed(0, 1)
	if n, got := shm.DontNeed(0, 1), m.Recycle(); n != 0 || got != 2 {
		t.Errorf("%d and %d pages", n, got)
	}
	check(t, m)
}

// msync under a limit writes dirty pages of files (mm/memcontrol.c counts nothing for it,
// mm/page-writeback.c:write_cache_pages does the writing).
func TestMsyncUnderLimit(t *testing.T) {
	m := underLimit(t, "linux", 64, func(*Config) {})
	tk := m.NewProcess(1, 1, 0)
	f := m.File(1, 1, 4*PageSize, "f")
	a := tk.pages(t, 4, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: MapShared | MapFixed, File: f})
	tk.Access(a, Write)
	tk.Access(a+PageSize, Read)
	for range 2 { // the second finds nothing to write
		if errno := tk.Msync(a, 4*PageSize, msSync); errno != 0 {
			t.Fatal(errno)
		}
	}
	if got := m.Stats().Reclaim.FileOut; got != 1 {
		t.Errorf("%d pages written", got)
	}
	check(t, m)
}

// mlockall(MCL_FUTURE) makes the pages of a segment present when it is attached
// (ipc/shm.c:do_shmat, mm_populate).
func TestShmatLocked(t *testing.T) {
	tk := limited(t, func(c *Config) { c.LockedLimit = NoLimit })
	id, errno := tk.Shmget(ShmArgs{Key: ipcPrivate, Size: 3 * PageSize, Flags: 0600, ID: -1})
	if errno != 0 {
		t.Fatal(errno)
	}
	tk.Mlockall(mclFuture)
	if _, errno := tk.Shmat(id, 0, 0, 0); errno != 0 || tk.RSS().Shmem != 3*PageSize {
		t.Errorf("%v, %d bytes resident", errno, tk.RSS().Shmem)
	}
	check(t, tk.machine)
}

// khugepaged leaves a place alone of which more than half the pages have other owners
// (max_ptes_shared, 256), and takes one with as many (hpage_collapse_scan_pmd).
func TestCollapseShared(t *testing.T) {
	for shared, want := range map[uint64]uint64{256: 1, 257: 0} {
		m, tk := hugeMachine(t, func(c *Config) { c.THP = THPMadvise })
		a := tk.pages(t, 2*kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
		tk.touchAll(t, a, kernelH, Write)
		child := tk.Fork(2, 2, 1)
		tk.touchAll(t, a+shared*PageSize, kernelH-shared, Write) // copies of its own
		tk.Madvise(a, 2*kernelHB, madvHugePage)
		tk.Access(a+kernelHB, Write)
		m.Pass(uint64(m.cfg.CollapseEvery))
		if got := m.Stats().Huge.Collapsed; got != want {
			t.Errorf("%d pages shared: %d collapsed, want %d", shared, got, want)
		}
		check(t, m)
		child.ExitGroup()
		check(t, m)
	}
}

// A huge page that a mapping is about to begin inside of is split once, also when a
// fault, which does not wait for the mmap lock, does so after it was seen and before
// its table is locked.
func TestSplitAtAgain(t *testing.T) {
	m, tk := hugeMachine(t, func(c *Config) { c.THP = THPAlways })
	base := tk.pages(t, kernelH, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
	tk.Access(base, Write)
	tab := tk.space.table.find(base >> pageShift)
	if tab.large() == 0 {
		t.Fatal("no huge page")
	}
	other := tk.Clone(2, 1)
	tab.lock(tk)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tk.space.splitAt(other, base+1<<pageShift)
	}()
	time.Sleep(10 * time.Millisecond) // it has seen the huge page, and waits
	tk.space.split(tk, tab, base>>pageShift)
	tab.unlock(tk)
	<-done
	check(t, m)
	if n := m.Stats().Huge.SplitPMD; n != 1 {
		t.Errorf("split %d times", n)
	}
}

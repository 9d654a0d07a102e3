package paging

import "testing"

// vm.max_map_count is 65530 (include/linux/mm.h:DEFAULT_MAX_MAP_COUNT). A call that
// would need one mapping more fails: mm/mmap.c:do_mmap ("Too many mappings?"),
// do_mas_align_munmap and split_vma (ENOMEM), mm/mremap.c:move_vma ("we could
// exceed the limit", three below it), mremap_to, and mm/madvise.c, which makes EAGAIN of
// ENOMEM.
func TestMapCount(t *testing.T) {
	c := DefaultConfig()
	c.LockedLimit = NoLimit
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	const at = 1 << 32
	page := func(i uint64) uint64 { return at + i*PageSize }
	// mappings of 4 pages each, which differ from their neighbours
	fill := func(n int) {
		s := tk.begin()
		l := make(vmaList, 0, n)
		for i := range uint64(n) {
			v := &vma{start: page(4 * i), end: page(4*i + 4), flags: vmRead | vmMayAll, pgoff: page(4*i) >> pageShift}
			if i%2 == 0 {
				v.flags |= vmWrite | vmAccount
			}
			l = append(l, v)
		}
		s.publish(l)
		s.unlock(tk)
	}
	is := func(what string, got, want Errno) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	mmap := func(addr uint64, flags MapFlags) Errno {
		_, errno := tk.Mmap(MmapArgs{Addr: addr, Len: PageSize, Prot: ProtExec, Flags: anon | flags})
		return errno
	}
	remap := func(old, n, flags, to uint64) Errno {
		_, errno := tk.Mremap(old, n*PageSize, n*PageSize, flags, to, 0)
		return errno
	}
	fill(maxMapCount)
	is("munmap in the middle", tk.Munmap(page(1), PageSize), ENOMEM)
	is("mprotect in the middle", tk.Mprotect(page(1), PageSize, ProtRead), ENOMEM)
	is("madvise in the middle", tk.Madvise(page(1), PageSize, madvDontFork), EAGAIN)
	is("mlock in the middle", tk.Mlock(page(1), PageSize), ENOMEM)
	_, errno := tk.Mremap(page(0), 3*PageSize, PageSize, 0, 0, 0)
	is("mremap that shrinks in the middle", errno, ENOMEM)
	is("mmap over the middle", mmap(page(1), MapFixed), ENOMEM)
	is("mremap", remap(page(0), 4, mremapMayMove|mremapFixed, 1<<40), ENOMEM)
	if len(tk.space.list()) != maxMapCount {
		t.Errorf("%d mappings are left of %d", len(tk.space.list()), maxMapCount)
	}
	is("munmap of a whole mapping", tk.Munmap(page(4), 4*PageSize), 0)
	is("munmap in the middle with one to spare", tk.Munmap(page(1), PageSize), 0)
	is("mmap up to the limit", mmap(1<<40, MapFixed), 0)
	is("mmap beyond it", mmap(1<<41, MapFixed), ENOMEM)
	fill(maxMapCount - 4)
	is("mremap to a place", remap(page(0), 4, mremapMayMove|mremapFixed, 1<<40), ENOMEM)
	fill(maxMapCount - 3)
	_, errno = tk.Mremap(page(0), 4*PageSize, 8*PageSize, mremapMayMove, 0, 0)
	is("mremap that has to move", errno, ENOMEM)
	fill(2)
	check(t, m)
}

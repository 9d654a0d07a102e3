package paging

import "testing"

// get_user_pages on hugetlb, by Linux 6.1 mm/gup.c:check_vma_flags ("hugetlb does not
// support FOLL_FORCE|FOLL_WRITE"), mm/hugetlb.c:follow_hugetlb_page and hugetlb_wp.
func TestHugeTLBByGetUserPages(t *testing.T) {
	c := DefaultConfig()
	c.HugePages = 8
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	const a, b = 1 << 32, 1<<32 + 64*kernelHB
	tk.pages(t, 2*kernelH, MmapArgs{Addr: a, Prot: rw, Flags: anon | MapFixed | mapHugeTLB})
	tk.pages(t, kernelH, MmapArgs{Addr: b, Prot: ProtRead, Flags: anon | MapFixed | mapHugeTLB})
	by := m.NewProcess(2, 2, 1)
	local := by.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	by.touchAll(t, local, 4, Write)

	// populating takes one fault for each large page
	if errno := tk.Madvise(a, kernelHB, madvPopulateWrite); errno != 0 {
		t.Fatal(errno)
	}
	if minor, _ := tk.Faults(); minor != 1 {
		t.Errorf("MADV_POPULATE_WRITE took %d faults", minor)
	}
	// what was never touched is a hole in a core dump
	if !tk.DumpPage(a) || tk.DumpPage(a+kernelHB) {
		t.Error("a core dump holds the page that is there, and a hole for the other")
	}
	// a debugger reads what may not be written, and cannot force a write
	if got := by.AccessRemote(tk, b, 8, false); got != 8 {
		t.Errorf("a forced read reached %d bytes", got)
	}
	if got := by.AccessRemote(tk, b, 8, true); got != 0 {
		t.Errorf("a forced write reached %d bytes", got)
	}
	// after fork a pin makes the page the mapping's own
	child := tk.Fork(3, 3, 2)
	before := m.Stats().Faults[Unshare]
	if got, errno := by.ProcessVM(tk, local, a, 16, false); got != 16 || errno != 0 {
		t.Errorf("process_vm_readv: %d, %v", got, errno)
	}
	if got := m.Stats().Faults[Unshare] - before; got != 0 { // told as a copy, not as an unshared small page
		t.Errorf("%d faults of kind unshare", got)
	}
	if got := m.Stats().Faults[HugeTLBCopy]; got != 1 {
		t.Errorf("%d copies, want 1", got)
	}
	if out := tk.Access(a, Write); out != Minor { // its own, but not writable yet
		t.Errorf("a write after the pin: %v", out)
	}
	child.ExitGroup()
	check(t, m)
}

// A large page of hugetlb that is unmapped beside another, so that no table is freed,
// and mapped again is found by the task that remembers where it was.
func TestHugeTLBMappedAgain(t *testing.T) {
	c := DefaultConfig()
	c.HugePages = 4
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	args := MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed | mapHugeTLB}
	tk.pages(t, 2*kernelH, args)
	for range 3 {
		if out := tk.Access(args.Addr, Write); out != Minor {
			t.Fatalf("the first write: %v", out)
		}
		tk.Munmap(args.Addr, kernelHB)
		tk.pages(t, kernelH, args)
	}
	check(t, m)
}

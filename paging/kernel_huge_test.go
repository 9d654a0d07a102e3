package paging

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// thp.c and hugetlb.c on the live kernel and on the model, as in kernel_test.go.

const kernelH = 512 // pages of a huge page

// explainedHuge are the cases in which the live kernel may differ, and why.
var explainedHuge = map[string]explanation{
	"thp_zero_page_written":      {2 * kernelH, "since Linux 6.13 the first write to a huge zero page gets a huge page (do_huge_zero_wp_pmd); 6.1 splits it"},
	"thp_mprotect_write":         {1, "since Linux 6.3 mprotect makes huge pages writable as well (can_change_pmd_writable)"},
	"thp_dontneed_write":         {kernelH + 1, "since Linux 6.14 MADV_DONTNEED frees tables that it leaves empty (CONFIG_PT_RECLAIM), so that a huge page fits again"},
	"thp_dontneed_huge":          {1, "the same"},
	"hugetlb_dontneed_reserved":  {0, "since Linux 6.9 a page that is unmapped is reserved again for the process that made the mapping (__unmap_hugepage_range)"},
	"hugetlb_memfd_cut_reserved": {0, "the same"},
	"hugetlb_fixed_part_errno":   {int64(ENOMEM), "later kernels return the error of the unmapping, 6.1 always ENOMEM (mmap_region)"},
	"thp_mprotect_part_write":    {60, "since Linux 6.2 mprotect makes clean exclusive pages writable as well; a split leaves entries clean"},
}

func (s *steps) huge(addr, pages uint64) uint64 {
	a := s.mmap(addr, pages, rw, anon, nil)
	s.madvise(a, pages, madvHugePage)
	return a
}

func (s *steps) madvise(a, pages uint64, advice int) {
	s.t.Helper()
	if errno := s.tk.Madvise(a, pages*PageSize, advice); errno != 0 {
		s.t.Fatalf("advice %d: %v", advice, errno)
	}
}

// mapped is how many huge pages the process maps.
func (s *steps) mapped(name string) {
	n := int64(0)
	s.tk.space.table.tables(0, s.tk.space.table.limit(), func(base uint64, tab *table) {
		if tab.ptes != nil && tab.huge != 0 && ptePFN(tab.huge) != hugeZeroPFN {
			n++
		}
	})
	s.got[name] = n
}

func (s *steps) value(name string, errno Errno) { s.got[name] = int64(errno) }

var thpCases = []func(s *steps){
	func(s *steps) {
		a := s.huge(kernelBase, 4*kernelH)
		s.count("thp_write", func() { s.wr(a, 4*kernelH, 1) })
		s.mapped("thp_write_huge")
		s.count("thp_write_again", func() { s.wr(a, 4*kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.count("thp_read", func() { s.rd(a, 2*kernelH, 1) })
		s.count("thp_zero_page_written", func() { s.wr(a, 2*kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase+100*PageSize, 2*kernelH)
		s.count("thp_unaligned_write", func() { s.wr(a, 2*kernelH, 1) })
		s.mapped("thp_unaligned_huge")
	},
	func(s *steps) {
		a := s.mmap(kernelBase, 2*kernelH, rw, anon, nil)
		s.madvise(a, 2*kernelH, madvNoHugePage)
		s.count("thp_nohugepage_write", func() { s.wr(a, 2, 1) })
		s.madvise(a, 2*kernelH, madvHugePage)
		s.count("thp_after_small_write", func() { s.wr(a, 2*kernelH, 1) })
		s.mapped("thp_after_small_huge")
	},
	func(s *steps) {
		s.tk.SetTHPDisable(true)
		a := s.huge(kernelBase, kernelH)
		s.count("thp_disabled_write", func() { s.wr(a, kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.wr(a, 2*kernelH, 1)
		c := s.fork()
		c.count("thp_child_read", func() { c.rd(a, 2*kernelH, 1) })
		c.count("thp_child_write", func() { c.wr(a, kernelH, 1) })
		c.mapped("thp_child_huge")
		c.tk.ExitGroup()
		s.count("thp_parent_write_after", func() { s.wr(a, 2*kernelH, 1) })
		s.mapped("thp_parent_huge")
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.wr(a, 2*kernelH, 1)
		c := s.fork()
		s.count("thp_parent_write", func() { s.wr(a, kernelH, 1) })
		s.mapped("thp_parent_write_huge")
		c.tk.ExitGroup()
		s.count("thp_parent_write_rest", func() { s.wr(a, 2*kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, kernelH)
		s.wr(a, kernelH, 1)
		s.madvise(a, 1, madvDontNeed)
		s.fork().tk.ExitGroup()
		s.count("thp_part_write_after_fork", func() { s.wr(a, kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.wr(a, 2*kernelH, 1)
		s.madvise(a+100*PageSize, 50, madvDontNeed)
		s.mapped("thp_dontneed_part_huge")
		s.count("thp_dontneed_part_write", func() { s.wr(a, 2*kernelH, 1) })
		s.madvise(a, 2*kernelH, madvDontNeed)
		s.count("thp_dontneed_write", func() { s.wr(a, 2*kernelH, 1) })
		s.mapped("thp_dontneed_huge")
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.wr(a, 2*kernelH, 1)
		s.madvise(a, kernelH+7, madvFree)
		s.mapped("thp_free_huge")
		s.count("thp_free_write", func() { s.wr(a, 2*kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, 2*kernelH)
		s.wr(a, 2*kernelH, 1)
		s.tk.Mprotect(a, kernelH*PageSize, ProtRead)
		s.tk.Mprotect(a, kernelH*PageSize, rw)
		s.mapped("thp_mprotect_huge")
		s.count("thp_mprotect_write", func() { s.wr(a, kernelH, 1) })
		s.tk.Mprotect(a+kernelH*PageSize, 60*PageSize, ProtRead)
		s.mapped("thp_mprotect_part_huge")
		s.tk.Mprotect(a+kernelH*PageSize, 60*PageSize, rw)
		s.count("thp_mprotect_part_write", func() { s.wr(a+kernelH*PageSize, kernelH, 1) })
	},
	func(s *steps) {
		a, b := s.huge(kernelBase, 2*kernelH), uint64(kernelBase+64*kernelH*PageSize)
		s.wr(a, 2*kernelH, 1)
		s.mremap(a, 2*kernelH, 2*kernelH, mremapMayMove|mremapFixed, b)
		s.mapped("thp_mremap_huge")
		s.count("thp_mremap_write", func() { s.wr(b, 2*kernelH, 1) })
		a += PageSize
		s.mremap(b, 2*kernelH, 2*kernelH, mremapMayMove|mremapFixed, a)
		s.mapped("thp_mremap_unaligned_huge")
		s.count("thp_mremap_unaligned_write", func() { s.wr(a, 2*kernelH, 1) })
	},
	func(s *steps) {
		a := s.huge(kernelBase, 4*kernelH)
		s.wr(a, 4*kernelH, 1)
		s.tk.Munmap(a+kernelH/2*PageSize, 2*kernelH*PageSize)
		s.mapped("thp_munmap_huge")
		s.count("thp_munmap_write", func() {
			s.wr(a, kernelH/2, 1)
			s.wr(a+(2*kernelH+kernelH/2)*PageSize, kernelH+kernelH/2, 1)
		})
		s.tk.Mlock(a+3*kernelH*PageSize, 10*PageSize)
		s.mapped("thp_mlock_part_huge")
	},
	func(s *steps) {
		a := s.huge(kernelBase, 3*kernelH)
		s.count("thp_populate_write", func() { s.madvise(a, 2*kernelH, madvPopulateWrite) })
		s.count("thp_populated_write", func() { s.wr(a, 3*kernelH, 1) })
	},
	func(s *steps) {
		a := s.mmap(kernelBase, 3*kernelH, rw, anon, nil)
		s.madvise(a, 3*kernelH, madvNoHugePage)
		s.wr(a, kernelH, 2)
		s.rd(a+kernelH*PageSize, kernelH, 2)
		s.madvise(a, 3*kernelH, madvHugePage)
		s.value("thp_collapse_errno", s.tk.Madvise(a, kernelH*PageSize, madvCollapse))
		s.mapped("thp_collapse_huge")
		s.count("thp_collapse_write", func() { s.wr(a, kernelH, 1) })
		s.value("thp_collapse_nothing_errno", s.tk.Madvise(a+2*kernelH*PageSize, kernelH*PageSize, madvCollapse))
		s.value("thp_collapse_again_errno", s.tk.Madvise(a, kernelH*PageSize, madvCollapse))
	},
}

// compareHuge runs a program on the live kernel and its cases on the model. Where the
// live kernel cannot (why is not empty), what it printed on Linux 6.18 in November 2026,
// kept beside the program, is the judge.
func compareHuge(t *testing.T, program, why string, c Config, cases []func(*steps)) {
	live := map[string]int64{}
	if why == "" {
		if live = runMicro(t, compiler(t), t.TempDir(), program); t.Failed() {
			return
		}
	} else {
		t.Logf("%s: compared with what was printed before", why)
		kept, err := os.ReadFile(filepath.Join("testdata", "kernel", program+".6.18"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(kept)) {
			name, n, _ := strings.Cut(strings.TrimSpace(line), " ")
			if live[name], err = strconv.ParseInt(n, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	judge(t, program, c, cases, live, explainedHuge, 0)
}

func TestTHPAgainstKernel(t *testing.T) {
	why := ""
	set, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(set), "[never]") {
		why = "the live kernel has no transparent huge pages: set /sys/kernel/mm/transparent_hugepage/enabled to madvise"
	}
	c := DefaultConfig()
	c.THP = THPMadvise
	compareHuge(t, "thp", why, c, thpCases)
}

const nrHugePages = "/proc/sys/vm/nr_hugepages"

// livePool gives the live kernel a pool of n huge pages for a test, or says why it
// cannot.
func livePool(t *testing.T, n int) (why string) {
	old, err := os.ReadFile(nrHugePages)
	if err != nil {
		return "the live kernel has no hugetlb: " + err.Error()
	}
	if err := os.WriteFile(nrHugePages, []byte(strconv.Itoa(n)), 0); err != nil {
		return "the pool of huge pages can only be set by root: " + err.Error()
	}
	t.Cleanup(func() { os.WriteFile(nrHugePages, old, 0) })
	now, _ := os.ReadFile(nrHugePages)
	if got := strings.TrimSpace(string(now)); got != strconv.Itoa(n) {
		return "the live kernel found " + got + " huge pages, not " + strconv.Itoa(n)
	}
	return ""
}

const kernelHB = kernelH * PageSize // bytes of a huge page

func (s *steps) tlb(addr, n uint64, flags MapFlags) uint64 {
	return s.mmap(addr, n*kernelH, rw, flags|MapAnonymous|mapHugeTLB, nil)
}

// pool notes how many pages of the pool are free and reserved.
func (s *steps) pool(name string) {
	p := s.tk.machine.Stats().HugeTLB[0]
	s.got[name+"_free"], s.got[name+"_reserved"] = int64(p.Free), int64(p.Reserved)
}

func (s *steps) try(name string, a MmapArgs) {
	_, errno := s.tk.Mmap(a)
	s.value(name, errno)
}

func (s *steps) tryRemap(name string, old, oldLen, newLen uint64) {
	_, errno := s.tk.Mremap(old, oldLen, newLen, mremapMayMove, 0, 0)
	s.value(name, errno)
}

// signal is the signal that an access ends in.
func (s *steps) signal(name string, addr uint64, a Access) {
	s.got[name] = 0
	if s.tk.Access(addr, a) == SIGBUS {
		s.got[name] = 7
	}
}

var hugetlbCases = []func(s *steps){
	func(s *steps) {
		a := s.tlb(kernelBase, 4, MapPrivate)
		s.pool("hugetlb_mapped")
		s.count("hugetlb_read", func() { s.rd(a, 2*kernelH, 1) })
		s.count("hugetlb_write", func() { s.wr(a, 4*kernelH, 1) })
		s.pool("hugetlb_written")
		s.tk.Munmap(a, 2*kernelHB)
		s.pool("hugetlb_unmapped")
		s.count("hugetlb_write_again", func() { s.wr(a+2*kernelHB, 2*kernelH, 1) })
	},
	func(s *steps) {
		a := s.tlb(kernelBase, 3, MapShared)
		s.count("hugetlb_shared_read", func() { s.rd(a, 2*kernelH, 1) })
		s.count("hugetlb_shared_write", func() { s.wr(a, 3*kernelH, 1) })
		c := s.fork()
		c.count("hugetlb_shared_child_write", func() { c.wr(a, 3*kernelH, 1) })
		c.tk.ExitGroup()
		s.pool("hugetlb_shared")
	},
	func(s *steps) {
		a := s.tlb(kernelBase, 3, MapPrivate)
		s.wr(a, 2*kernelH, 1)
		c := s.fork()
		c.count("hugetlb_child_read", func() { c.rd(a, 3*kernelH, 1) })
		c.count("hugetlb_child_write", func() { c.wr(a, kernelH, 1) })
		c.pool("hugetlb_child")
		c.tk.ExitGroup()
		s.count("hugetlb_parent_write_after", func() { s.wr(a, 3*kernelH, 1) })
		s.pool("hugetlb_parent")
	},
	func(s *steps) {
		a := s.tlb(kernelBase, 12, MapPrivate)
		s.wr(a, 12*kernelH, 1)
		c := s.fork()
		s.count("hugetlb_stolen_write", func() { s.wr(a, kernelH, 1) })
		c.signal("hugetlb_stolen_signal", a, Read)
	},
	func(s *steps) {
		a := s.tlb(kernelBase, 10, MapPrivate)
		s.try("hugetlb_too_big_errno", MmapArgs{Addr: kernelBase + 64*kernelHB, Len: 3 * kernelHB, Prot: rw, Flags: anon | mapHugeTLB})
		c := s.fork()
		b := c.tlb(kernelBase+64*kernelHB, 3, MapPrivate|MapNoReserve)
		c.count("hugetlb_noreserve_write", func() { c.wr(b, 2*kernelH, 1) })
		c.signal("hugetlb_noreserve_signal", b+2*kernelHB, Write)
		c.tk.ExitGroup()
		s.count("hugetlb_reserved_write", func() { s.wr(a, 10*kernelH, 1) })
	},
	func(s *steps) {
		a := s.tlb(kernelBase, 4, MapPrivate)
		far := MmapArgs{Addr: kernelBase + 64*kernelHB + PageSize, Len: kernelHB, Prot: rw, Flags: anon | mapHugeTLB}
		s.value("hugetlb_munmap_part_errno", s.tk.Munmap(a+PageSize, kernelHB))
		s.value("hugetlb_munmap_end_errno", s.tk.Munmap(a, PageSize))
		s.value("hugetlb_mprotect_part_errno", s.tk.Mprotect(a, PageSize, ProtRead))
		s.value("hugetlb_dontneed_part_errno", s.tk.Madvise(a+PageSize, kernelHB, madvDontNeed))
		s.value("hugetlb_free_errno", s.tk.Madvise(a, kernelHB, madvFree))
		s.value("hugetlb_cold_errno", s.tk.Madvise(a, kernelHB, madvCold))
		s.value("hugetlb_collapse_errno", s.tk.Madvise(a, kernelHB, madvCollapse))
		s.value("hugetlb_dontfork_part_errno", s.tk.Madvise(a, PageSize, madvDontFork))
		s.tryRemap("hugetlb_mremap_grow_errno", a, 2*kernelHB, 3*kernelHB)
		s.tryRemap("hugetlb_mremap_part_errno", a+PageSize, kernelHB, kernelHB)
		s.value("hugetlb_mlock_part_errno", s.tk.Mlock(a, PageSize))
		s.try("hugetlb_fixed_part_errno", MmapArgs{Addr: a + PageSize, Len: PageSize, Prot: rw, Flags: anon | MapFixed})
		fixed, odd, giant, none := far, far, far, far
		fixed.Flags |= MapFixed
		odd.Flags |= 22 << mapHugeShift
		giant.Flags |= 30 << mapHugeShift
		none.Len = 0
		s.try("hugetlb_unaligned_errno", fixed)
		s.try("hugetlb_size_errno", odd)
		s.try("hugetlb_giant_errno", giant)
		s.try("hugetlb_no_length_errno", none)
		far.Len = PageSize
		s.got["hugetlb_hint_misses"] = 1
		if got, _ := s.tk.Mmap(far); got == kernelBase+65*kernelHB {
			s.got["hugetlb_hint_misses"] = 0
		}
	},
	func(s *steps) {
		a, b := s.tlb(kernelBase, 4, MapPrivate), uint64(kernelBase+64*kernelHB)
		s.wr(a, 4*kernelH, 1)
		s.tk.Mprotect(a, 2*kernelHB, ProtRead)
		s.tk.Mprotect(a, 2*kernelHB, rw)
		s.count("hugetlb_mprotect_write", func() { s.wr(a, 4*kernelH, 1) })
		s.madvise(a, kernelH+kernelH/2, madvDontNeed)
		s.pool("hugetlb_dontneed")
		s.count("hugetlb_dontneed_write", func() { s.wr(a, 4*kernelH, 1) })
		s.mremap(a, 2*kernelH, 2*kernelH, mremapMayMove|mremapFixed, b)
		s.count("hugetlb_mremap_write", func() { s.wr(b, 2*kernelH, 1) })
		s.pool("hugetlb_mremap")
	},
	func(s *steps) {
		m := s.tk.machine
		f := m.HugeFile(1, 9, 4*kernelHB, "/memfd:pages", 0)
		f.Hold()
		s.pool("hugetlb_memfd")
		a, b := s.mmap(kernelBase, 2*kernelH, rw, MapShared, f), s.mmap(kernelBase+64*kernelHB, 3*kernelH, rw, MapPrivate, f)
		s.pool("hugetlb_memfd_mapped")
		s.count("hugetlb_memfd_write", func() { s.wr(a, 2*kernelH, 1) })
		s.count("hugetlb_memfd_private_read", func() { s.rd(b, 3*kernelH, 1) })
		s.count("hugetlb_memfd_private_write", func() { s.wr(b, 3*kernelH, 1) })
		s.pool("hugetlb_memfd_written")
		s.try("hugetlb_memfd_offset_errno", MmapArgs{Len: kernelHB, Prot: rw, Flags: MapShared, File: f, Offset: PageSize})
		f.Truncate(kernelHB)
		s.pool("hugetlb_memfd_cut")
		s.tk.Munmap(b, 3*kernelHB)
		s.tk.Munmap(a, 2*kernelHB)
		f.Release()
		id, errno := s.tk.Shmget(ShmArgs{Key: ipcPrivate, Size: kernelHB + PageSize, Flags: 0600 | shmHugeTLB, ID: -1})
		if errno != 0 {
			s.t.Fatal(errno)
		}
		s.pool("hugetlb_shm")
		if _, errno := s.tk.Shmat(id, kernelBase, 0, 0); errno != 0 {
			s.t.Fatal(errno)
		}
		m.Shmrm(id)
		s.count("hugetlb_shm_write", func() { s.wr(kernelBase, 2*kernelH, 1) })
		s.tk.Shmdt(kernelBase)
		s.pool("hugetlb_shm_gone")
	},
}

func TestHugeTLBAgainstKernel(t *testing.T) {
	c := DefaultConfig()
	c.HugePages = 12
	compareHuge(t, "hugetlb", livePool(t, 12), c, hugetlbCases)
}

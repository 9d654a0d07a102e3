package paging

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Transparent huge pages: anonymous memory that gets a huge page with the first
// fault where 2 MiB of its mapping are empty, after Linux 6.1 mm/huge_memory.c.
// What changes a part of one splits its mapping first (large.go); small pages
// become a huge one in the background (collapse.go). Memory that is not anonymous
// gets none: shmem_enabled is "never", and files have none without
// CONFIG_READ_ONLY_THP_FOR_FS.

// THP says which memory gets transparent huge pages.
type THP uint8

// The settings of /sys/kernel/mm/transparent_hugepage/enabled.
const (
	THPNever   THP = iota
	THPMadvise     // memory with MADV_HUGEPAGE
	THPAlways      // all but that with MADV_NOHUGEPAGE
)

var thpNames = []string{"never", "madvise", "always"}

func (h THP) String() string { return name(thpNames, int(h)) }

// ParseTHP reads "never", "madvise" or "always".
func ParseTHP(s string) (THP, error) { return parse[THP](thpNames, s) }

// HugeStats counts what became of transparent huge pages, as /proc/vmstat does
// under the names given.
type HugeStats struct {
	FaultAlloc    uint64 // faults that got a huge page (thp_fault_alloc)
	FaultFallback uint64 // that got a small one, for want of a huge one or of room for it (thp_fault_fallback)
	ZeroMapped    uint64 // faults that got the huge zero page
	SplitPMD      uint64 // mappings of huge pages that were split (thp_split_pmd)
	SplitPage     uint64 // huge pages that became small ones (thp_split_page)
	Collapsed     uint64 // small pages that became a huge one (thp_collapse_alloc), by whatever asked
	Scanned       uint64 // pages looked at in the background (khugepaged/pages_to_scan)
}

func (h *HugeStats) add(o *HugeStats) {
	h.FaultAlloc += o.FaultAlloc
	h.FaultFallback += o.FaultFallback
	h.ZeroMapped += o.ZeroMapped
	h.SplitPMD += o.SplitPMD
	h.SplitPage += o.SplitPage
	h.Collapsed += o.Collapsed
	h.Scanned += o.Scanned
}

// validateHuge checks what has to do with large pages.
func (c Config) validateHuge(p profile) error {
	switch {
	case int(c.THP) >= len(thpNames):
		return fmt.Errorf("transparent huge pages out of range: there are %v", thpNames)
	case c.THP == THPNever:
	case !p.thp:
		return fmt.Errorf("transparent huge pages: %s has none (they came with 2.6.38)", p.name)
	case c.CollapseEvery < time.Microsecond:
		return fmt.Errorf("a scan for huge pages every %v: the least is 1us", c.CollapseEvery)
	case c.Only != nil:
		return fmt.Errorf("transparent huge pages: a sample of the pages does not know them")
	case c.Stack != nil:
		return fmt.Errorf("transparent huge pages: faults at every size of memory are only known for small ones")
	case (c.Memory > 0 || c.ReclaimExact) && !policyBatched(c.Reclaim):
		return fmt.Errorf("transparent huge pages under a limit: only the policies of a kernel (linux, mglru) know them, not %q", c.Reclaim)
	}
	if c.GiantPages > 0 && c.Levels < 4 {
		return fmt.Errorf("%d pages of 1 GiB with %d levels: an entry maps so much only with 4 or 5", c.GiantPages, c.Levels)
	}
	if c.HugePages > maxHugePages || c.GiantPages > maxHugePages || c.HugeOvercommit > maxHugePages {
		return fmt.Errorf("pools of hugetlb hold at most %d pages", maxHugePages)
	}
	return nil
}

// SetTHPDisable is prctl(PR_SET_THP_DISABLE): the address space, and those forked
// from it, get no huge pages from then on.
func (t *Task) SetTHPDisable(off bool) { t.space.noHuge.Store(off) }

// mayHuge says whether the mapping can have huge pages (mm/huge_memory.c:
// hugepage_vma_check); by the setting, or because MADV_COLLAPSE asks.
func (s *Space) mayHuge(v *vma, asked bool) bool {
	switch {
	case v.flags&(vmNoHuge|vmSpecial|vmHugeTLB) != 0, s.noHuge.Load(), v.file != nil:
		return false
	case asked:
		return true
	}
	return s.machine.cfg.THP == THPAlways || s.machine.cfg.THP == THPMadvise && v.flags&vmHuge != 0
}

// hugeFits says whether the huge page around a page lies in the mapping
// (transhuge_vma_suitable).
func (s *Space) hugeFits(v *vma, vpn uint64) bool {
	size := s.machine.layout.hugePages()
	base := vpn &^ (size - 1)
	return base >= v.first() && base+size <= v.last()
}

// wantsHuge says whether a fault where there is no leaf table gets a huge page.
func (t *Task) wantsHuge(v *vma, vpn uint64) bool {
	return t.machine.cfg.THP != THPNever && t.space.mayHuge(v, false) && t.space.hugeFits(v, vpn)
}

// hugeFault is do_huge_pmd_anonymous_page. ok is false when the fault is to go on
// with a small page.
func (t *Task) hugeFault(v *vma, vpn uint64, a Access) (kind FaultKind, pages int, ok bool) {
	s, m := t.space, t.machine
	if m.cfg.Locking != LockMM {
		s.rlock(t)
		defer s.runlock(t)
	}
	now, size := s.list(), m.layout.hugePages()
	base := vpn &^ (size - 1)
	if v.gone.Load() || s.table.find(vpn) != nil {
		return 0, 0, false
	}
	t.prepareAnon(now, v)
	m.collapse.enter(s)
	tab := s.table.newTable()
	head, bits := uint32(hugeZeroPFN), t.bits(v, false)
	if kind = HugeZero; a == Write || m.cfg.NoZeroPage || m.cfg.NoHugeZero {
		if kind, head = HugeDemand, t.allocHuge(v); head == 0 {
			t.stats.huge.FaultFallback++
			return 0, 0, false
		}
		bits = t.bits(v, true) | pteExclusive
	}
	tab.huge = mkPTE(head, bits|pteHuge)
	put, grown := s.table.putHuge(vpn, tab)
	s.countTables(grown)
	if !put {
		if head != hugeZeroPFN {
			t.freeHuge(head)
		}
		return 0, 0, false
	}
	s.huge.Add(1)
	if kind == HugeZero {
		t.stats.huge.ZeroMapped++
		return kind, 1, true
	}
	t.stats.huge.FaultAlloc++
	s.countHuge(1)
	for i := range size {
		m.memory.link(head+uint32(i), mapping{tab, base + i})
	}
	t.charge(rssAnon, int64(size))
	return kind, int(size), true
}

// allocHuge takes a huge page, 0 when there is none or no room for it under the
// limit. Room is made only for memory that asks for huge pages (defrag is
// "madvise": vma_thp_gfp_mask).
func (t *Task) allocHuge(v *vma) uint32 {
	m := t.machine
	head, size := m.frames.allocBlock(frameAnon, 1), uint32(m.layout.hugePages())
	switch {
	case head == 0:
		return 0
	case m.memory.admitHuge(head, size):
		return head
	case v.flags&vmHuge != 0 && t.makeRoom(int(size), 0) && m.memory.admitHuge(head, size):
		return head
	}
	m.frames.freeBlock(head)
	return 0
}

// freeHuge gives back a huge page that was charged and never mapped.
func (t *Task) freeHuge(head uint32) {
	if t.machine.memory == nil {
		t.machine.frames.freeBlock(head)
		return
	}
	for i := range uint32(t.machine.layout.hugePages()) {
		t.frames.release(head + i)
	}
}

// writeHuge is do_huge_pmd_wp_page: a huge page with a sole owner becomes
// writable; any other is split, and the fault goes on with the small page. With
// unshare the page only has to become the mapping's own. Precondition: tab.mu.
func (t *Task) writeHuge(v *vma, tab *table, vpn uint64, unshare bool) (kind FaultKind, ok bool) {
	e := tab.large()
	head := ptePFN(e)
	if head == hugeZeroPFN || e&pteExclusive == 0 && !t.soleHuge(head) {
		t.space.split(t, tab, vpn&^(tab.pages()-1))
		return 0, false
	}
	tab.updateHuge(func(e uint64) uint64 {
		e |= pteExclusive
		if unshare {
			return e
		}
		if v.flags&vmWrite != 0 {
			e |= pteW
		}
		return e | pteA | pteD
	})
	if unshare {
		return Unshare, true
	}
	return HugeReuse, true
}

// soleHuge says whether a huge page is held by one mapping of the whole of it.
func (t *Task) soleHuge(head uint32) bool {
	return t.machine.frames.block(head).refs.Load() == 1
}

// zapHuge takes a huge page and the table below it out (zap_huge_pmd). It returns
// how many resident pages went. Preconditions: tab.mu, s.mu for writing.
func (s *Space) zapHuge(g *gather, tab *table, base uint64) (gone int64) {
	e := atomic.SwapUint64(&tab.huge, 0)
	g.large(base, tab.pages())
	s.huge.Add(-1)
	if ptePFN(e) != hugeZeroPFN {
		g.task.unlinkHuge(tab, base, e)
		gone = int64(tab.pages())
		g.frame()
	}
	s.dropTable(tab, base)
	return gone
}

// copyHuge gives a child the parent's huge page (copy_huge_pmd). It returns how
// many pages are resident there. Preconditions: both tables are locked.
func (s *Space) copyHuge(to *Space, src, dst *table, base uint64) int64 {
	_, e := src.updateHuge(func(e uint64) uint64 { return e &^ (pteW | pteExclusive) })
	dst.huge = e &^ pteA
	to.huge.Add(1)
	if ptePFN(e) == hugeZeroPFN {
		return 0
	}
	dst.linkHuge(src, ptePFN(e), base)
	return int64(src.pages())
}

// ageHuge clears bits of the entry of a huge page that nobody else maps; where only a
// part of it is meant it becomes small pages, and the answer is false
// (madvise_free_huge_pmd, madvise_cold_or_pageout_pte_range). Precondition:
// tab.mu.
func (s *Space) ageHuge(g *gather, tab *table, base uint64, whole bool, bits uint64) (done bool) {
	head := ptePFN(tab.large())
	if head == hugeZeroPFN || s.machine.frames.at(head).mapcount.Load() != 1 {
		return true
	}
	if !whole {
		s.splitPage(g.task, tab, base)
		return false
	}
	if old, now := tab.updateHuge(func(e uint64) uint64 { return e &^ bits }); old != now {
		g.large(base, tab.pages())
	}
	return true
}

// splitPage makes small pages of a huge one that this table maps
// (split_huge_page). Precondition: tab.mu.
func (s *Space) splitPage(t *Task, tab *table, base uint64) {
	head := ptePFN(tab.large())
	s.split(t, tab, base)
	if head != hugeZeroPFN {
		s.machine.frames.detachAll(head)
		t.stats.huge.SplitPage++
	}
}

// reprotectHuge brings the entry of a huge page in line with its mapping
// (change_huge_pmd): a write has to fault once more. Precondition: tab.mu.
func (s *Space) reprotectHuge(g *gather, v *vma, tab *table, base uint64) {
	old, now := tab.updateHuge(func(e uint64) uint64 { return s.permit(v, e) })
	if needsFlush(old, now) {
		g.large(base, tab.pages())
	}
}

package paging

import (
	"slices"
	"testing"
)

// flushes runs f and returns what it flushed, by cause.
func flushes(m *Machine, f func()) map[FlushCause]FlushStats {
	before := m.Stats().Flushes
	f()
	after := m.Stats().Flushes
	out := map[FlushCause]FlushStats{}
	for i := range after {
		a, b := after[i], before[i]
		if a != b {
			out[FlushCause(i)] = FlushStats{a.Requests - b.Requests, a.Pages - b.Pages, a.Full - b.Full, a.Ranged - b.Ranged, a.Local - b.Local, a.IPIs - b.IPIs}
		}
	}
	return out
}

// ranged is one flush of n pages on the CPU that asks and on others; full is one
// of everything.
func ranged(n, others uint64) FlushStats { return FlushStats{1, n, 0, 1, 1, others} }
func full(others uint64) FlushStats      { return FlushStats{1, 0, 1, 0, 1, others} }

// Counts worked out from Linux 6.1: flush_tlb_mm_range (more than 33 pages are
// all), mmu_gather (one flush for what a call removed, from the first to the
// last page and freed table), and the function named in each case.
//
// The space has 40 pages at flushBase, written, in a leaf table that a
// neighbour far away keeps, and runs on two CPUs.
const flushBase = 0x10_0000_0000 + 64*PageSize

func TestFlushes(t *testing.T) {
	const n = 40
	at := func(p uint64) uint64 { return flushBase + p*PageSize }
	type world struct {
		t          *testing.T
		m          *Machine
		tk, thread *Task
		f          *File
	}
	for _, c := range []struct {
		what    string
		prepare func(w *world)
		do      func(w *world)
		want    map[FlushCause]FlushStats
	}{
		{"munmap of 3 pages", nil, func(w *world) { w.tk.Munmap(at(0), 3*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: ranged(3, 1)}},
		{"munmap of 33 pages", nil, func(w *world) { w.tk.Munmap(at(0), 33*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: ranged(33, 1)}},
		{"munmap of 34 pages", nil, func(w *world) { w.tk.Munmap(at(0), 34*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: full(1)}},
		{"munmap of pages never touched", func(w *world) { w.tk.Madvise(at(0), 4*PageSize, madvDontNeed) },
			func(w *world) { w.tk.Munmap(at(0), 4*PageSize) }, map[FlushCause]FlushStats{}},
		{"munmap counts from the first to the last page that was there", func(w *world) { w.tk.Madvise(at(1), 3*PageSize, madvDontNeed) },
			func(w *world) { w.tk.Munmap(at(0), 5*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: ranged(5, 1)}},
		{"munmap that frees the leaf table reaches back to where that began (pte_free_tlb)", func(w *world) {
			w.tk.Munmap(at(4), (n-4)*PageSize)
			w.tk.Munmap(flushBase-64*PageSize, PageSize)
			w.tk.Munmap(at(400), PageSize)
		}, func(w *world) { w.tk.Munmap(at(0), 4*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: full(1)}},
		{"MAP_FIXED in place of 2 pages", nil, func(w *world) {
			w.tk.Mmap(MmapArgs{Addr: at(2), Len: 2 * PageSize, Prot: rw, Flags: anon | MapFixed})
		}, map[FlushCause]FlushStats{FlushMunmap: ranged(2, 1)}},
		{"mprotect takes write permission away", nil, func(w *world) { w.tk.Mprotect(at(0), 10*PageSize, ProtRead) }, map[FlushCause]FlushStats{FlushMprotect: ranged(10, 1)}},
		{"mprotect gives it back: the write bit changes (pte_flags_need_flush)", func(w *world) { w.tk.Mprotect(at(0), 10*PageSize, ProtRead) },
			func(w *world) { w.tk.Mprotect(at(0), 10*PageSize, rw) }, map[FlushCause]FlushStats{FlushMprotect: ranged(10, 1)}},
		{"mprotect from no access: nothing was present", func(w *world) { w.tk.Mprotect(at(0), 10*PageSize, 0) },
			func(w *world) { w.tk.Mprotect(at(0), 10*PageSize, rw) }, map[FlushCause]FlushStats{}},
		{"mprotect of the zero page to writable: it stays read-only", func(w *world) {
			w.tk.Mprotect(at(0), 4*PageSize, ProtRead)
			w.tk.Madvise(at(0), 4*PageSize, madvDontNeed)
			w.tk.touchAll(w.t, at(0), 4, Read)
		}, func(w *world) { w.tk.Mprotect(at(0), 4*PageSize, rw) }, map[FlushCause]FlushStats{}},
		{"mprotect over three mappings is one flush (mmu_gather, MERGE_VMAS)", func(w *world) {
			w.tk.Mprotect(at(1), PageSize, ProtRead)
			w.tk.Mprotect(at(3), PageSize, 0)
		}, func(w *world) { w.tk.Mprotect(at(0), 5*PageSize, ProtRead) }, map[FlushCause]FlushStats{FlushMprotect: ranged(5, 1)}},
		{"MADV_DONTNEED", nil, func(w *world) { w.tk.Madvise(at(0), 8*PageSize, madvDontNeed) }, map[FlushCause]FlushStats{FlushMadvise: ranged(8, 1)}},
		{"MADV_FREE", nil, func(w *world) { w.tk.Madvise(at(0), 8*PageSize, madvFree) }, map[FlushCause]FlushStats{FlushMadvise: ranged(8, 1)}},
		{"MADV_FREE again: clean already", func(w *world) { w.tk.Madvise(at(0), 8*PageSize, madvFree) },
			func(w *world) { w.tk.Madvise(at(0), 8*PageSize, madvFree) }, map[FlushCause]FlushStats{}},
		{"MADV_COLD leaves shared pages alone", func(w *world) { w.tk.Fork(50, 50, 1) },
			func(w *world) { w.tk.Madvise(at(0), 8*PageSize, madvCold) }, map[FlushCause]FlushStats{}},
		{"fork (dup_mmap: flush_tlb_mm)", nil, func(w *world) { w.tk.Fork(50, 50, 1) }, map[FlushCause]FlushStats{FlushFork: full(1)}},
		{"copy-on-write: each page by itself (ptep_clear_flush)", func(w *world) { w.tk.Fork(50, 50, 1) },
			func(w *world) { w.tk.touchAll(w.t, at(0), 3, Write) }, map[FlushCause]FlushStats{FlushCOW: {3, 3, 0, 3, 3, 3}}},
		{"reuse does not flush (ptep_set_access_flags)", func(w *world) { w.tk.Fork(50, 50, 1).ExitGroup(); w.thread.RunOn(1) },
			func(w *world) { w.tk.touchAll(w.t, at(0), 3, Write) }, map[FlushCause]FlushStats{}},
		{"mremap moves 5 pages and frees no table", func(w *world) {
			w.tk.pages(w.t, 1, MmapArgs{Addr: 0x20_0000_0000 + 400*PageSize, Prot: rw, Flags: anon | MapFixed})
		},
			func(w *world) {
				w.tk.Mremap(at(0), 5*PageSize, 5*PageSize, mremapMayMove|mremapFixed, 0x20_0000_0000, 0)
			}, map[FlushCause]FlushStats{FlushMremap: ranged(5, 1)}},
		{"mremap flushes the range, not only what was there (move_ptes)", func(w *world) { w.tk.Madvise(at(1), 3*PageSize, madvDontNeed) },
			func(w *world) {
				w.tk.Mremap(at(0), 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, 0x20_0000_0000, 0)
			}, map[FlushCause]FlushStats{FlushMremap: ranged(4, 1)}},
		{"brk down", func(w *world) {
			w.tk.SetBrk(0x20_0000_0000, 0x20_0000_0000)
			w.tk.Brk(0x20_0000_0000 + 64*PageSize)
			w.tk.touchAll(w.t, 0x20_0000_0000, 64, Write)
		}, func(w *world) { w.tk.Brk(0x20_0000_0000 + 60*PageSize) }, map[FlushCause]FlushStats{FlushBrk: ranged(4, 1)}},
		{"msync: each dirty page by itself (page_vma_mkclean_one)", func(w *world) {
			a := w.tk.pages(w.t, 8, MmapArgs{Addr: 0x20_0000_0000, Prot: rw, Flags: MapShared | MapFixed, File: w.f})
			w.tk.touchAll(w.t, a, 8, Read)
			w.tk.touchAll(w.t, a, 3, Write)
		}, func(w *world) { w.tk.Msync(0x20_0000_0000, 8*PageSize, msSync) }, map[FlushCause]FlushStats{FlushWriteProtect: {3, 3, 0, 3, 3, 3}}},
		{"munmap of dirty file pages: at the end of each leaf table (zap_pte_range)", func(w *world) {
			const edge = 0x20_0000_0000 + 508*PageSize // 4 pages in one table, 4 in the next
			a := w.tk.pages(w.t, 8, MmapArgs{Addr: edge, Prot: rw, Flags: MapShared | MapFixed, File: w.f})
			w.tk.pages(w.t, 1, MmapArgs{Addr: edge - 16*PageSize, Prot: rw, Flags: anon | MapFixed})
			w.tk.pages(w.t, 1, MmapArgs{Addr: edge + 16*PageSize, Prot: rw, Flags: anon | MapFixed})
			w.tk.touchAll(w.t, a, 8, Write)
		}, func(w *world) { w.tk.Munmap(0x20_0000_0000+508*PageSize, 8*PageSize) }, map[FlushCause]FlushStats{FlushMunmap: {2, 8, 0, 2, 2, 2}}},
		{"truncate reaches every process (unmap_mapping_range)", func(w *world) {
			a := w.tk.pages(w.t, 8, MmapArgs{Addr: 0x20_0000_0000, Prot: ProtRead, Flags: MapShared | MapFixed, File: w.f})
			w.tk.touchAll(w.t, a, 8, Read)
		}, func(w *world) { w.m.File(1, 1, 2*PageSize, "f") }, map[FlushCause]FlushStats{FlushTruncate: {1, 6, 0, 1, 0, 2}}},
		{"the list of freed pages is full after 9698 (mmu_gather: 8 + 19 batches of 510)", func(w *world) {
			a := w.tk.pages(w.t, 9699, MmapArgs{Addr: 0x20_0000_0000, Prot: rw, Flags: anon | MapFixed})
			w.tk.touchAll(w.t, a, 9699, Write)
		}, func(w *world) { w.tk.Madvise(0x20_0000_0000, 9699*PageSize, madvDontNeed) }, map[FlushCause]FlushStats{FlushMadvise: {2, 1, 1, 1, 2, 2}}},
		{"the zero page is on no such list", func(w *world) {
			a := w.tk.pages(w.t, 10000, MmapArgs{Addr: 0x20_0000_0000, Prot: rw, Flags: anon | MapFixed})
			w.tk.touchAll(w.t, a, 10000, Read)
		}, func(w *world) { w.tk.Madvise(0x20_0000_0000, 10000*PageSize, madvDontNeed) }, map[FlushCause]FlushStats{FlushMadvise: full(1)}},
		{"exec leaves the address space, the thread is gone before (exit_mmap)", nil, func(w *world) { w.tk.Exec() },
			map[FlushCause]FlushStats{FlushExec: {1, 0, 1, 0, 0, 1}, FlushSwitch: {1, 0, 1, 0, 1, 0}}},
		{"exit", nil, func(w *world) { w.tk.ExitGroup() }, map[FlushCause]FlushStats{FlushExit: full(1)}},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := machine(t)
			w := &world{t: t, m: m, tk: m.NewProcess(1, 1, 0)}
			w.f = m.File(1, 1, 64*PageSize, "f")
			for _, p := range []uint64{flushBase - 64*PageSize, at(400)} { // these keep the table
				w.tk.pages(t, 1, MmapArgs{Addr: p, Prot: rw, Flags: anon | MapFixed})
			}
			w.tk.pages(t, n, MmapArgs{Addr: at(0), Prot: rw, Flags: anon | MapFixed})
			w.tk.touchAll(t, at(0), n, Write)
			w.thread = w.tk.Clone(2, 1)
			w.thread.RunOn(1)
			if c.prepare != nil {
				c.prepare(w)
				w.thread.RunOn(1)
			}
			w.tk.RunOn(0)
			got := flushes(m, func() { c.do(w) })
			if len(got) != len(c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			for cause, want := range c.want {
				if got[cause] != want {
					t.Errorf("%v: got %+v, want %+v", cause, got[cause], want)
				}
			}
			check(t, m)
		})
	}
}

// Only the CPUs that run the space now are interrupted (mm_cpumask).
func TestFlushGoesToWhoRuns(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	other := m.NewProcess(2, 2, 2)
	a := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, a, 4, Write)
	threads := []*Task{tk.Clone(11, 1), tk.Clone(12, 2), tk.Clone(13, 3)}
	for _, th := range threads {
		th.touchAll(t, a, 4, Read)
	}
	other.RunOn(2)
	got := flushes(m, func() { tk.Munmap(a, PageSize) })
	if got[FlushMunmap] != ranged(1, 2) {
		t.Errorf("%+v, want CPU 0 itself and CPUs 1 and 3", got)
	}
	// CPU 2 finds out when it comes back.
	got = flushes(m, func() { threads[1].Access(a+PageSize, Read) })
	if got[FlushSwitch] != (FlushStats{1, 0, 1, 0, 1, 0}) {
		t.Errorf("on the return: %+v", got)
	}
	for _, th := range threads {
		if out := th.Access(a, Read); out != SIGSEGV {
			t.Errorf("CPU %d still reads the page: %v", th.onCPU, out)
		}
	}
	check(t, m)
}

// Requests that overtake one another: a CPU that has missed one drops the whole
// ASID (flush_tlb_func, conditions 1 and 2 of its comment).
func TestFlushOutOfOrder(t *testing.T) {
	c := &cpu{tlb: newTLB(small, 9)}
	c.slots[0] = asidUse{id: 5, gen: 1}
	fill := func() {
		for vpn := range uint64(4) {
			c.tlb.look(1, vpn, Read)
		}
	}
	left := func() (pages []uint64) {
		c.tlb.each(func(_ uint16, _ tlbClass, vpn uint64, _ tlbEntry) { pages = append(pages, vpn) })
		slices.Sort(pages)
		return slices.Compact(pages)
	}
	for _, s := range []struct {
		what string
		r    flushRequest
		want []uint64
		gen  uint64
	}{
		{"in turn: the page", flushRequest{id: 5, gen: 2, start: 1, end: 2}, []uint64{0, 2, 3}, 2},
		{"one was missed: everything", flushRequest{id: 5, gen: 4, start: 1, end: 2}, nil, 4},
		{"the missed one arrives: seen to already", flushRequest{id: 5, gen: 3, start: 1, end: 2}, []uint64{0, 1, 2, 3}, 4},
		{"of another space", flushRequest{id: 6, gen: 9}, []uint64{0, 1, 2, 3}, 4},
		{"in turn: all", flushRequest{id: 5, gen: 5}, nil, 5},
	} {
		fill()
		c.enqueue(s.r)
		c.apply()
		if got := left(); !slices.Equal(got, s.want) || c.slots[0].gen != s.gen || c.pending.Load() {
			t.Errorf("%s: pages %v are left and the CPU has seen %d, want %v and %d", s.what, got, c.slots[0].gen, s.want, s.gen)
		}
	}
}

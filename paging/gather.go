package paging

// gather collects what one call takes out of a page table and flushes it in one
// piece, as the mmu_gather of Linux 6.1 does (mm/mmu_gather.c, with
// CONFIG_MMU_GATHER_MERGE_VMAS as on x86): the range grows over everything that
// was removed, and finish flushes it once. It is flushed earlier when its list
// of pages is full, and by zap.
type gather struct {
	space *Space
	task  *Task
	cause FlushCause
	whole bool // of an address space that goes: flushes are full (mmu_gather.fullmm)

	start, end uint64 // pages to flush
	stride     uint64 // pages that the smallest entry of them maps, 0 for none (tlb_get_unmap_shift)
	all        bool   // the flush has to be full (mmu_gather.need_flush_all)
	frames     int    // on the list
}

// gatherFrames is how many pages the list takes: MMU_GATHER_BUNDLE and 19
// batches of 510 (include/asm-generic/tlb.h:MAX_GATHER_BATCH_COUNT,
// MAX_GATHER_BATCH).
const gatherFrames = 8 + 19*510

func (s *Space) gather(t *Task, cause FlushCause) gather {
	return gather{space: s, task: t, cause: cause}
}

// entry adds the page of a changed entry (tlb_remove_tlb_entry,
// tlb_flush_pte_range).
func (g *gather) entry(vpn uint64) { g.extend(vpn, vpn+1, 1) }

// large adds the pages of a changed entry of a large page (tlb_remove_pmd_tlb_entry,
// tlb_flush_pmd_range).
func (g *gather) large(base, pages uint64) { g.extend(base, base+pages, pages) }

// table adds a freed page table (pte_free_tlb and so on: one page, where what
// it mapped begins). A directory of PAE is known to the processor by an entry of
// the root, which only a full flush reads again (___pmd_free_tlb).
func (g *gather) table(base uint64, level int) {
	g.extend(base, base+1, g.space.table.span(level+1))
	g.all = g.all || level == 1 && g.space.table.levels == 3
}

func (g *gather) extend(start, end, stride uint64) {
	if g.stride == 0 || stride < g.stride {
		g.stride = stride
	}
	if g.start == g.end {
		g.start, g.end = start, end
		return
	}
	g.start, g.end = min(g.start, start), max(g.end, end)
}

// frame adds a page to the list and says whether that flushed.
func (g *gather) frame() bool {
	if g.frames++; g.frames < gatherFrames {
		return false
	}
	g.flush()
	return true
}

// flush flushes what has been collected, if anything has.
func (g *gather) flush() {
	g.frames = 0
	if g.start == g.end {
		return
	}
	if g.whole || g.all || g.space.machine.profile.gatherWhole {
		g.start, g.end = 0, 0
	}
	g.space.flushBy(g.task, g.cause, g.start, g.end, g.stride)
	g.start, g.end, g.stride, g.all = 0, 0, 0, false
}

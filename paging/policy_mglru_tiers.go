package paging

import "math/bits"

// Tiers of the multi-generational LRU (include/linux/mmzone.h: MAX_NR_TIERS,
// mm/vmscan.c:get_tier_idx, mm/workingset.c:lru_gen_refault). A page has been accessed so
// often through something else than its entries; by twice the number it is a tier
// higher. When its generation is evicted a page of a tier above the one that the
// controller chose is protected: it is in the next generation then, and of the first
// tier again. The controller compares how much of each tier came back.
//
// The model does not see read and write of files, which tiers were made for. What it
// sees is counted as the kernel does:
//
//   - A mapping of a page of a file or of shared memory goes, and the page was used by it
//     (mm/memory.c:zap_pte_range); get_user_pages finds a page (mm/gup.c:
//     follow_page_pte with FOLL_TOUCH). So a page that one process after the other maps
//     and uses, such as one of a library, rises.
//   - A page that comes back while its generation is still the oldest is of the last tier
//     until an entry of its is found to have been used; so what was read ahead stays for
//     one generation more.
//
// Differs from Linux: that a mapping is advised MADV_SEQUENTIAL or MADV_RANDOM makes no
// difference (vma->vm_flags & VM_SEQ_READ, lru_gen_enter_fault), and all pages come back
// as in a fault.

const (
	mglruTiers = 4                     // MAX_NR_TIERS
	mglruRefs  = 1<<(mglruTiers-2) - 1 // the most that LRU_REFS_MASK counts
)

// mglruPage is what is known of a page, in its pageInfo.mark: a number of accesses up to
// mglruRefs (LRU_REFS_MASK), and flags.
type mglruPage uint8

const (
	mglruReferenced mglruPage = 1 << (iota + mglruTiers - 2) // PG_referenced
	mglruWorkingset                                          // PG_workingset
)

// access counts one (mm/swap.c:folio_inc_refs).
func (i *mglruPage) access() {
	switch {
	case *i&mglruReferenced == 0:
		*i |= mglruReferenced
	case *i&mglruWorkingset == 0:
		*i |= mglruWorkingset
	case *i&mglruRefs < mglruRefs:
		*i++
	}
}

// count is how many accesses there were beyond the first (folio_lru_refs).
func (i mglruPage) count() int {
	n := int(i & mglruRefs)
	if i&mglruWorkingset != 0 {
		n++
	}
	return n
}

// tierOf is the tier of so many accesses (lru_tier_from_refs).
func tierOf(count int) int { return bits.Len(uint(count)) }

// isolate is what is left when a page is about to leave (isolate_folio).
func (i *mglruPage) isolate() {
	if *i&mglruReferenced == 0 {
		*i = 0
	}
	*i &^= mglruReferenced
}

// mglruControl is what the controller knows of a kind, by tier (lru_gen_struct).
type mglruControl struct {
	refaulted, evicted, protected [mglruTiers]int // since the oldest generation is that
	avgRefaulted, avgTotal        [mglruTiers]int
}

// total is how many pages of a tier have been evicted or protected (read_ctrl_pos).
func (c *mglruControl) total(tier int) int {
	return c.avgTotal[tier] + c.evicted[tier] + c.protected[tier]
}

func (c *mglruControl) back(tier int) int { return c.avgRefaulted[tier] + c.refaulted[tier] }

// advance makes what is known a part of the averages (reset_ctrl_pos).
func (c *mglruControl) advance() {
	var next mglruControl
	for tier := range mglruTiers {
		next.avgRefaulted[tier] = c.back(tier) / 2
		next.avgTotal[tier] = c.total(tier) / 2
	}
	*c = next
}

// lower says whether few pages came back of a tier, or a smaller share than of the first
// tier of another kind or the same, each weighed by its gain (positive_ctrl_err).
func lower(c *mglruControl, tier, gain int, than *mglruControl, thanGain int) bool {
	return c.back(tier) < mglruBatch ||
		c.back(tier)*(than.total(0)+mglruBatch)*thanGain <= (than.back(0)+1)*c.total(tier)*gain
}

// highest is the highest tier that is not protected, beside the first tier of a kind.
func (c *mglruControl) highest(gain int, than *mglruControl, thanGain int) int {
	tier := 1
	for tier < mglruTiers && lower(c, tier, gain, than, thanGain) {
		tier++
	}
	return tier - 1
}

// alone is highest, where no other kind is asked (get_tier_idx).
func (c *mglruControl) alone() int { return c.highest(2, c, 1) }

// accessed notes that a page was used, but not by an entry that is still there
// (mm/swap.c:folio_mark_accessed). Precondition: g.mu.
func (l *mglruPolicy) accessed(p uint32) { l.page(p).access() }

// accessedPolicy is a policy that wants to know of such uses.
type accessedPolicy interface{ accessed(p uint32) }

// accessed tells the policy that a page in memory was used by a mapping that goes, or by
// the kernel.
func (g *memory) accessed(pfn uint32) {
	if g == nil || g.marks == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.info(pfn).state&(pageResident|pageAside|pageHeld) == pageResident {
		g.marks.accessed(pfn)
	}
}

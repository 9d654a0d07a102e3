package report

import (
	"fmt"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// perLookups is what TLB misses are counted against.
const perLookups = 1000

// tlbFigure is the miss rate of the TLBs over time.
func tlbFigure(run *result.Run) *drawing {
	lookups, misses := seriesNamed(run, "tlb.lookups"), seriesNamed(run, "tlb.misses")
	if lookups == nil || misses == nil {
		return nil
	}
	cols := newColumns(run)
	rate := cols.sum(misses.Values)
	for i, n := range cols.sum(lookups.Values) {
		if n > 0 {
			rate[i] *= perLookups / n
		}
	}
	t := run.Totals.TLB
	return &drawing{
		title: "TLB miss rate over time",
		sentence: fmt.Sprintf("Accesses, of a thousand, that missed in every level of the TLB (%s) and walked the page table. "+
			"In all %s of %s.", run.Config.TLB, plural(t.Misses, "miss", "misses"), plural(t.Lookups, "access", "accesses")),
		height: 2.2*vg.Inch + axisSpace,
		body: func(c draw.Canvas) {
			drawRows(c, run, cols, []row{{label: "misses per 1000 accesses", top: rate}})
		},
	}
}

package report

import (
	"fmt"

	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// reclaimRows are the rows of the figure.
var reclaimRows = []struct{ series, label string }{
	{"reclaim.evictions", "evictions: pages that left memory"},
	{"reclaim.kswapd", "of these by kswapd, in the background"},
	{"reclaim.refaults", "refaults: pages that came back"},
}

// reclaimFigure is how often pages left memory and came back over time. There is
// none where nothing left memory.
func reclaimFigure(run *result.Run) *drawing {
	if run.Totals.Reclaim.Evictions == 0 {
		return nil
	}
	cols := newColumns(run)
	var rows []row
	for _, r := range reclaimRows {
		if s := seriesNamed(run, r.series); s != nil {
			top := cols.rate(s.Values, perAccesses)
			rows = append(rows, row{label: fmt.Sprintf("%s; at most %s per million accesses", r.label, Count(uint64(highest(top)))), top: top})
		}
	}
	t := &run.Totals
	return &drawing{
		title: "Evictions and refaults over time",
		sentence: fmt.Sprintf("Pages per million accesses, in columns of %s accesses; each row has its own scale. In all %s left memory and %s came back: where both are high, memory is too small for what the program is doing.",
			SI(uint64(cols.width(0))), plural(t.Reclaim.Evictions, "page", "pages"), Count(t.Reclaim.Refaults)),
		height: rowsHeight(len(rows)),
		body:   func(c draw.Canvas) { drawRows(c, run, cols, rows) },
	}
}

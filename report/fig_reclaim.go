package report

import (
	"fmt"

	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// reclaimRows are the rows of the figure: series, unit for one and for many.
var reclaimRows = []struct{ series, label string }{
	{"reclaim.evictions", "pages that left memory"},
	{"reclaim.refaults", "pages that came back"},
	{"swap.out", "bytes written to swap"},
	{"swap.in", "bytes read from swap"},
	{"file.in", "bytes read from files"},
	{"file.out", "bytes written back to files"},
}

// reclaimFigure is what memory pressure did over time. There is none where
// nothing left memory.
func reclaimFigure(run *result.Run) *drawing {
	if run.Totals.Reclaim.Evictions == 0 {
		return nil
	}
	cols := newColumns(run)
	var rows []row
	for _, r := range reclaimRows {
		if s := seriesNamed(run, r.series); s != nil {
			top := cols.sum(s.Values)
			rows = append(rows, row{label: fmt.Sprintf("%s, at most %s in a column", r.label, amount(s.Unit, highest(top))), top: top})
		}
	}
	t := &run.Totals
	return &drawing{
		title: "Memory pressure over time",
		sentence: fmt.Sprintf("What happened in each column of %s accesses; each row has its own scale. In all %s left memory and %s came back.",
			SI(uint64(cols.width(0))), plural(t.Reclaim.Evictions, "page", "pages"), Count(t.Reclaim.Refaults)),
		height: rowsHeight(len(rows)),
		body:   func(c draw.Canvas) { drawRows(c, run, cols, rows) },
	}
}

func amount(unit string, v float64) string {
	if unit == "bytes" {
		return Bytes(uint64(v))
	}
	return Count(uint64(v))
}

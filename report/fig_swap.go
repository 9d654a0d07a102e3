package report

import (
	"fmt"

	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// swapRows are the rows of the figure.
var swapRows = []struct{ series, label string }{
	{"swap.out", "written to swap"},
	{"swap.in", "read from swap"},
	{"file.out", "written back to files"},
	{"file.in", "read from files"},
}

// swapFigure is the traffic of swap and of files over time. There is none where
// nothing left memory.
func swapFigure(run *result.Run) *drawing {
	t := &run.Totals
	if t.Reclaim.Evictions == 0 {
		return nil
	}
	cols := newColumns(run)
	var rows []row
	for _, r := range swapRows {
		if s := seriesNamed(run, r.series); s != nil {
			top := cols.rate(s.Values, perAccesses)
			rows = append(rows, row{label: fmt.Sprintf("%s; at most %s per million accesses", r.label, Bytes(uint64(highest(top)))), top: top, bytes: true})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return &drawing{
		title: "Traffic of swap and files over time",
		sentence: fmt.Sprintf("Bytes per million accesses, in columns of %s accesses; each row has its own scale. In all %s went to swap and %s came from it, %s were written back to files and %s read from them.",
			SI(uint64(cols.width(0))), Bytes(t.Swap.OutBytes), Bytes(t.Swap.InBytes), Bytes(t.Reclaim.FileOutBytes), Bytes(t.Reclaim.FileInBytes)),
		height: rowsHeight(len(rows)),
		body:   func(c draw.Canvas) { drawRows(c, run, cols, rows) },
	}
}

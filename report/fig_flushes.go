package report

import (
	"fmt"

	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// flushesFigure is the TLB flushes over time, a row for each cause.
func flushesFigure(run *result.Run) *drawing {
	list := seriesOf(run, "tlb.flushes.")
	if len(list) == 0 {
		return nil
	}
	cols := newColumns(run)
	rows := rowsOf(list, cols.sum, "flush", "flushes")
	f := run.Totals.TLB.Flushes
	return &drawing{
		title: "TLB flushes over time, by cause",
		sentence: fmt.Sprintf("Flushes in each column of %s accesses; each row has its own scale. In all %s, of which %s emptied an "+
			"address space; other processors were interrupted %s.", SI(uint64(cols.width(0))), plural(f.Total, "flush", "flushes"), Count(f.Full),
			plural(f.IPIs, "time", "times")),
		height: rowsHeight(len(rows)),
		body:   func(c draw.Canvas) { drawRows(c, run, cols, rows) },
	}
}

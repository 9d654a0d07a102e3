package report

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// perAccesses is what fault rates are counted against.
const perAccesses = 1e6

// faultsFigure is the fault rate over time, a row for each kind.
func faultsFigure(run *result.Run) *drawing {
	list := seriesOf(run, "faults.")
	if len(list) == 0 {
		return nil
	}
	cols := newColumns(run)
	rows := rowsOf(list, func(v []uint64) []float64 { return cols.rate(v, perAccesses) }, "fault", "faults")
	return &drawing{
		title: "Page faults over time, by kind",
		sentence: fmt.Sprintf("Faults per million accesses, most frequent kind first; each row has its own scale. "+
			"In all %s minor and %s major.", plural(run.Totals.Faults.Minor, "fault was", "faults were"), Count(run.Totals.Faults.Major)),
		height: rowsHeight(len(rows)),
		body:   func(c draw.Canvas) { drawRows(c, run, cols, rows) },
	}
}

// rowsOf makes a row of each series, the largest total first; one and many name
// what is counted.
func rowsOf(list []result.Series, values func([]uint64) []float64, one, many string) []row {
	totals := map[string]uint64{}
	for _, s := range list {
		for _, v := range s.Values {
			totals[s.Name] += v
		}
	}
	slices.SortFunc(list, func(a, b result.Series) int {
		return cmp.Or(cmp.Compare(totals[b.Name], totals[a.Name]), cmp.Compare(a.Name, b.Name))
	})
	var rows []row
	for _, s := range list {
		rows = append(rows, row{label: describe(s.Name) + " (" + plural(totals[s.Name], one, many) + ")", top: values(s.Values)})
	}
	return rows
}

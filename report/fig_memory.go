package report

import (
	"fmt"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// memoryFigure is what is charged against the limit over time, with the limit.
// There is none without a limit.
func memoryFigure(run *result.Run) *drawing {
	s := seriesNamed(run, "memory.charged")
	limit := float64(run.Config.MemoryBytes)
	if s == nil || limit == 0 {
		return nil
	}
	cols := newColumns(run)
	top := cols.peak(s.Values)
	p := newPlot()
	timeAxis(p)
	p.X.Min, p.X.Max = 0, cols.edges[len(cols.edges)-1]
	p.Y.Min, p.Y.Max = 0, max(limit, highest(top))*1.1
	p.Y.Tick.Marker = ticks{5, 2, bytesLabel}
	p.Y.Label.Text = "charged memory"
	line := draw.LineStyle{Color: signal, Width: vg.Points(1.2), Dashes: []vg.Length{4, 2}}
	p.Add(&steps{edges: cols.edges, base: make([]float64, len(top)), top: top, fill: shades[0]}, &outline{cols.edges, level(limit, len(top)), line}, &marks{run.Marks, true})
	entries := []keyEntry{{label: "charged: anonymous, shared and file pages", fill: shades[0]}, {label: "limit", line: &line}}
	return &drawing{
		title: "Charged memory over time, against the limit",
		sentence: fmt.Sprintf("Pages that count against the limit of %s; each counts once, however many processes map it. The most was %s; %s.",
			Bytes(run.Config.MemoryBytes), Bytes(run.Totals.Reclaim.PeakBytes), outcomeInWords(&run.Totals)),
		height: 2.8 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyWidth = 130
			p.Draw(draw.Crop(c, 0, -keyWidth-10, 0, -10))
			key(draw.Crop(c, c.Max.X-c.Min.X-keyWidth, 0, 0, -10), entries)
		},
	}
}

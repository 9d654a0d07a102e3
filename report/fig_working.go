package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// workingFigure is the working set over time, with the limit. There is none where
// it was not counted.
func workingFigure(run *result.Run) *drawing {
	s := seriesNamed(run, "working_set")
	if s == nil {
		return nil
	}
	cols := newColumns(run)
	top := cols.peak(s.Values)
	limit := float64(run.Config.MemoryBytes)
	p := newPlot()
	timeAxis(p)
	p.X.Min, p.X.Max = 0, cols.edges[len(cols.edges)-1]
	p.Y.Min, p.Y.Max = 0, highest(top)*1.1
	p.Y.Tick.Marker = ticks{5, 2, bytesLabel}
	p.Y.Label.Text = "working set"
	p.Add(&steps{edges: cols.edges, top: top, fill: shades[1]}, &marks{run.Marks, true})
	entries := []keyEntry{{label: "pages used", fill: shades[1]}}
	above := 0
	for _, v := range top {
		if v > limit {
			above++
		}
	}
	end := fmt.Sprintf("It is above the limit of %s in %d of %d columns, where pages have to come and go.", Bytes(run.Config.MemoryBytes), above, len(top))
	if limit > 4*highest(top) {
		end = fmt.Sprintf("The limit of %s is not drawn: it is more than four times as high.", Bytes(run.Config.MemoryBytes))
	} else {
		p.Y.Max = math.Max(p.Y.Max, limit*1.1)
		line := draw.LineStyle{Color: signal, Width: vg.Points(1.2), Dashes: []vg.Length{4, 2}}
		p.Add(&outline{cols.edges, level(limit, len(top)), line})
		entries = append(entries, keyEntry{label: "limit", line: &line})
	}
	return &drawing{
		title: "Working set over time",
		sentence: fmt.Sprintf("How much memory the program uses within windows of %s accesses, one after the other. %s",
			SI(run.Timeline.WorkingSetAccesses), end),
		height: 2.8 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyWidth = 130
			p.Draw(draw.Crop(c, 0, -keyWidth-10, 0, -10))
			key(draw.Crop(c, c.Max.X-c.Min.X-keyWidth, 0, 0, -10), entries)
		},
	}
}

// level is one value in n columns.
func level(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

package report

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// rssKinds are the layers of resident memory, lowest first.
var rssKinds = []struct{ series, label string }{
	{"rss.anon", "anonymous: heap, stack, private copies"},
	{"rss.file", "file pages"},
	{"rss.shmem", "shared memory"},
}

// rssFigure is resident memory over time, the kinds stacked, with the page
// tables as a line.
func rssFigure(run *result.Run) *drawing {
	cols := newColumns(run)
	var layers []*steps
	var entries []keyEntry
	base := make([]float64, len(cols.last))
	for i, k := range rssKinds {
		s := seriesNamed(run, k.series)
		if s == nil {
			continue
		}
		top := cols.peak(s.Values)
		for j := range top {
			top[j] += base[j]
		}
		layers = append(layers, &steps{edges: cols.edges, base: base, top: top, fill: shades[i]})
		entries = append([]keyEntry{{label: k.label, fill: shades[i]}}, entries...)
		base = top
	}
	if len(layers) == 0 {
		return nil
	}
	p := newPlot()
	timeAxis(p)
	p.X.Min, p.X.Max = 0, cols.edges[len(cols.edges)-1]
	p.Y.Min, p.Y.Max = 0, highest(base)*1.05
	p.Y.Tick.Marker = ticks{5, 2, bytesLabel}
	p.Y.Label.Text = "resident memory"
	for _, l := range layers {
		p.Add(l)
	}
	if t := seriesNamed(run, "page_tables"); t != nil {
		line := draw.LineStyle{Color: signal, Width: vg.Points(1.2), Dashes: []vg.Length{4, 2}}
		p.Add(&outline{cols.edges, cols.peak(t.Values), line})
		entries = append(entries, keyEntry{label: "page tables (not part of RSS)", line: &line})
	}
	if t := seriesNamed(run, "huge"); t != nil {
		line := draw.LineStyle{Color: bright, Width: vg.Points(1.6)}
		p.Add(&outline{cols.edges, cols.peak(t.Values), line})
		entries = append(entries, keyEntry{label: "of it in huge pages", line: &line})
	}
	p.Add(&marks{run.Marks, true})
	return &drawing{
		title: "Resident memory over time, by kind",
		sentence: fmt.Sprintf("Resident set size of all processes added up, kinds on top of one another. Its peak is %s, and page tables take up to %s.",
			Bytes(run.Totals.RSS.PeakBytes), Bytes(run.Totals.PageTableBytes)),
		height: 3.4 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyWidth = 130
			p.Draw(draw.Crop(c, 0, -keyWidth-10, 0, -10))
			key(draw.Crop(c, c.Max.X-c.Min.X-keyWidth, 0, 0, -10), entries)
		},
	}
}

// outline draws the tops of columns as a line.
type outline struct {
	edges, top []float64
	style      draw.LineStyle
}

// Plot implements plot.Plotter.
func (o *outline) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var pts []vg.Point
	for i, v := range o.top {
		pts = append(pts, vg.Point{X: x(o.edges[i]), Y: y(v)}, vg.Point{X: x(o.edges[i+1]), Y: y(v)})
	}
	c.StrokeLines(o.style, pts)
}

package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// curveFigure is faults against memory, both axes logarithmic, with the knees.
func curveFigure(c *result.Curve) *drawing {
	p := logPlot(float64(c.Points[0].Bytes), float64(c.Points[len(c.Points)-1].Bytes), powers{4, bytesLabel})
	p.X.Label.Text = "memory"
	p.Y.Label.Text = "faults of the whole run"
	major := draw.LineStyle{Color: shades[0], Width: vg.Points(1.8)}
	minor := draw.LineStyle{Color: shades[2], Width: vg.Points(1.2), Dashes: []vg.Length{5, 3}}
	low, high := math.Inf(1), 10.0
	if c.Sample != nil {
		band := area{fill: shades[3], edge: shades[1]}
		for _, pt := range c.Points {
			band.x = append(band.x, float64(pt.Bytes))
			band.low, band.high = append(band.low, max(1, float64(pt.MajorLow))), append(band.high, max(1, float64(pt.MajorHigh)))
			low, high = min(low, max(1, float64(pt.MajorLow))), max(high, float64(pt.MajorHigh))
		}
		p.Add(&band)
	}
	line := func(value func(result.CurvePoint) uint64, style draw.LineStyle) {
		l := stairs{style: style}
		for _, pt := range c.Points {
			l.x = append(l.x, float64(pt.Bytes))
			l.y = append(l.y, max(1, float64(value(pt))))
			low, high = min(low, l.y[len(l.y)-1]), max(high, l.y[len(l.y)-1])
		}
		p.Add(&l)
	}
	line(func(pt result.CurvePoint) uint64 { return pt.Minor }, minor)
	line(func(pt result.CurvePoint) uint64 { return pt.Major }, major)
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), high*2
	p.Add(&kneeMarks{c.Knees})
	entries := []keyEntry{{label: "major: read from swap or a file", line: &major}, {label: "minor: resolved without reading", line: &minor}}
	if c.Sample != nil {
		entries = append(entries, keyEntry{label: "major: lowest to highest of the samples", fill: shades[3]})
	}
	return &drawing{
		title:    estimated(c, "Page faults against memory"),
		sentence: curveSentence(c) + " Exact LRU replacement; a count of 0 is drawn at 1.",
		height:   4 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyWidth = 130
			p.Draw(draw.Crop(c, 0, -keyWidth-10, 0, -20))
			key(draw.Crop(c, c.Max.X-c.Min.X-keyWidth, 0, 0, -20), entries)
		},
	}
}

// workingSetFigure is the mean working set against its window.
func workingSetFigure(c *result.Curve) *drawing {
	low, high := 1.0, 2.0
	l := stairs{style: draw.LineStyle{Color: shades[0], Width: vg.Points(1.8)}, straight: true}
	for _, w := range c.WorkingSet {
		l.x = append(l.x, float64(w.Refs))
		l.y = append(l.y, max(1, w.Pages)*4096)
		high = max(high, float64(w.Refs))
	}
	p := logPlot(low, high, powers{10, countLabel})
	p.Y.Min = 4096
	p.Y.Max = 8192
	for _, y := range l.y {
		p.Y.Max = max(p.Y.Max, y*1.5)
	}
	p.Y.Tick.Marker = powers{4, bytesLabel}
	p.X.Label.Text = "window: references to pages"
	p.Y.Label.Text = "mean working set"
	p.Add(&l)
	return &drawing{
		title: estimated(c, "Working set against its window"),
		sentence: "How much memory the program uses, on average, within so many references (runs of accesses to one page). Where the line is flat " +
			"the program stays within what it has; where it rises it moves on.",
		height: 3 * vg.Inch,
		body:   func(c draw.Canvas) { p.Draw(draw.Crop(c, 0, -20, 0, -10)) },
	}
}

// logPlot is a plot with logarithmic axes, x from low to high.
func logPlot(low, high float64, x plot.Ticker) *plot.Plot {
	p := newPlot()
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Min, p.X.Max = low, max(high, low*2)
	p.Y.Min = 1
	p.X.Tick.Marker, p.Y.Tick.Marker = x, powers{10, countLabel}
	return p
}

// powers marks the powers of a base; every other one, or fewer, where there are
// many.
type powers struct {
	base  float64
	label func(float64) string
}

// Ticks implements plot.Ticker.
func (t powers) Ticks(low, high float64) []plot.Tick {
	first, last := math.Ceil(math.Log(low)/math.Log(t.base)-1e-9), math.Floor(math.Log(high)/math.Log(t.base)+1e-9)
	step := math.Ceil((last - first + 1) / 10)
	var out []plot.Tick
	for e := first; e <= last; e += max(1, step) {
		v := math.Round(math.Pow(t.base, e))
		out = append(out, plot.Tick{Value: v, Label: t.label(v)})
	}
	return out
}

// stairs draws a function that keeps its value up to the next point, or a straight
// line between points.
type stairs struct {
	x, y     []float64
	style    draw.LineStyle
	straight bool
}

// Plot implements plot.Plotter.
func (s *stairs) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var pts []vg.Point
	for i := range s.x {
		if i > 0 && !s.straight {
			pts = append(pts, vg.Point{X: x(s.x[i]), Y: y(s.y[i-1])})
		}
		pts = append(pts, vg.Point{X: x(s.x[i]), Y: y(s.y[i])})
	}
	c.StrokeLines(s.style, pts)
}

// kneeMarks are dashed lines at the knees, each with its size above.
type kneeMarks struct{ knees []result.CurvePoint }

// Plot implements plot.Plotter.
func (m *kneeMarks) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	line := draw.LineStyle{Color: signal, Width: vg.Points(0.8), Dashes: []vg.Length{3, 2}}
	s := style(8, signal, false)
	free := vg.Length(math.Inf(-1))
	for _, k := range m.knees {
		at := x(float64(k.Bytes))
		c.StrokeLine2(line, at, c.Min.Y, at, c.Max.Y)
		label := Bytes(k.Bytes)
		if left := min(at-s.Width(label)/2, c.Max.X-s.Width(label)); left >= free {
			c.FillText(s, vg.Point{X: left, Y: c.Max.Y + 11}, label)
			free = left + s.Width(label) + 6
		}
	}
}

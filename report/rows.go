package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// row is one quantity of a figure of rows: its own scale, its name above it.
type row struct {
	label string
	top   []float64
	bytes bool // top is in bytes, otherwise a count
}

const (
	rowHeight = 0.62 * vg.Inch
	rowLabel  = 15 // points above a row for its name
	axisSpace = 34 // points below the last row for the time axis
)

// rowsHeight is the height of the body of a figure of n rows.
func rowsHeight(n int) vg.Length { return vg.Length(n)*(rowHeight+rowLabel) + axisSpace }

// drawRows draws rows one below the other over a common time axis.
func drawRows(c draw.Canvas, run *result.Run, cols columns, rows []row) {
	plots := make([][]*plot.Plot, len(rows))
	for i, r := range rows {
		p := newPlot()
		high := highest(r.top)
		p.Y.Min, p.Y.Max = 0, high*1.05
		p.Y.Tick.Marker = topTick{r.bytes}
		p.X.Min, p.X.Max = 0, cols.edges[len(cols.edges)-1]
		p.Add(&marks{run.Marks, i == 0}, &steps{edges: cols.edges, top: r.top, fill: shades[2]})
		if i == len(rows)-1 {
			timeAxis(p)
		} else {
			p.X.Tick.Marker = plot.ConstantTicks{}
		}
		plots[i] = []*plot.Plot{p}
	}
	// Rows are tiles of their own height: the last holds the axis too.
	height := (c.Max.Y - c.Min.Y - axisSpace) / vg.Length(len(rows))
	label := style(9, ink, false)
	left := widestTick(plots)
	for i, r := range rows {
		top := c.Max.Y - vg.Length(i)*height
		tile := c
		tile.Max.Y = top - rowLabel
		tile.Min.Y = top - height
		p := plots[i][0]
		if i == len(rows)-1 {
			tile.Min.Y -= axisSpace
		}
		c.FillText(label, vg.Point{X: c.Min.X + left, Y: top - 2}, fit(label, r.label, c.Max.X-c.Min.X-left))
		drawAligned(p, tile, left)
	}
}

// widestTick is the room that the labels of the vertical axes take.
func widestTick(plots [][]*plot.Plot) vg.Length {
	var w vg.Length
	for _, r := range plots {
		for _, t := range r[0].Y.Tick.Marker.Ticks(r[0].Y.Min, r[0].Y.Max) {
			w = max(w, r[0].Y.Tick.Label.Width(t.Label))
		}
	}
	return w + 8
}

// rightEdge is the room right of the data, for half of the last tick label.
const rightEdge = 20

// drawAligned draws the plot so that its data begin at left and end rightEdge
// before the end of c.
func drawAligned(p *plot.Plot, c draw.Canvas, left vg.Length) {
	data := p.DataCanvas(c)
	p.Draw(draw.Crop(c, left-(data.Min.X-c.Min.X), c.Max.X-data.Max.X-rightEdge, 0, 0))
}

func highest(v []float64) float64 {
	high := 0.0
	for _, x := range v {
		high = max(high, x)
	}
	if high == 0 {
		return 1
	}
	return high
}

// timeAxis makes the horizontal axis count accesses.
func timeAxis(p *plot.Plot) {
	p.X.Label.Text = "accesses of the program"
	p.X.Tick.Marker = ticks{8, 10, countLabel}
}

// marks draws the labelled points of a trace as dashed lines.
type marks struct {
	list  []result.Mark
	label bool
}

// Plot implements plot.Plotter.
func (m *marks) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	line := draw.LineStyle{Color: signal, Width: vg.Points(0.6), Dashes: []vg.Length{3, 2}}
	s := style(7, signal, false)
	free := vg.Length(math.Inf(-1)) // where the next label may begin
	for _, mk := range m.list {
		at := x(float64(mk.Accesses))
		c.StrokeLine2(line, at, c.Min.Y, at, c.Max.Y)
		if m.label && at >= free {
			c.FillText(s, vg.Point{X: at + 2, Y: c.Max.Y + 8}, mk.Label)
			free = at + s.Width(mk.Label) + 6
		}
	}
}

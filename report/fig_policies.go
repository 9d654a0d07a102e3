package report

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// policiesFigure is major faults against memory with the policies side by side.
// There is none where none were simulated.
func policiesFigure(c *result.Curve) *drawing {
	if len(c.Policies) == 0 {
		return nil
	}
	points := c.Policies[0].Points
	p := logPlot(float64(points[0].Bytes), float64(points[len(points)-1].Bytes), powers{2, bytesLabel})
	p.X.Label.Text = "memory"
	p.Y.Label.Text = "major faults of the whole run"
	low, high := math.Inf(1), 10.0
	var entries []keyEntry
	for i := range c.Policies {
		pol := &c.Policies[i]
		l := stairs{style: policyLine(i), straight: true}
		for _, pt := range pol.Points {
			if pt.OOMKills > 0 {
				continue // it did not run to its end
			}
			l.x, l.y = append(l.x, float64(pt.Bytes)), append(l.y, max(1, float64(pt.Major)))
			low, high = min(low, max(1, float64(pt.Major))), max(high, float64(pt.Major))
		}
		p.Add(&l)
		entries = append(entries, keyEntry{label: pol.Policy, line: &l.style})
	}
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), high*2
	p.Add(&kneeMarks{within(c.Knees, points)})
	return &drawing{
		title:    estimated(c, "Major faults against memory, by reclaim policy"),
		sentence: policiesSentence(c),
		height:   4.2 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyWidth = 110
			p.Draw(draw.Crop(c, 0, -keyWidth-10, 0, -20))
			key(draw.Crop(c, c.Max.X-c.Min.X-keyWidth, 0, 0, -20), entries)
		},
	}
}

// policyLine is the line of the i-th policy: colours and dashes together tell more
// policies apart than there are.
func policyLine(i int) draw.LineStyle {
	colors := []color.Color{shades[0], signal, shades[2], ink}
	dashes := [][]vg.Length{nil, {6, 3}, {2, 2}}
	return draw.LineStyle{Color: colors[i%len(colors)], Width: vg.Points(1.5), Dashes: dashes[i/len(colors)%len(dashes)]}
}

// within are the knees that lie within the points.
func within(knees, points []result.CurvePoint) []result.CurvePoint {
	var out []result.CurvePoint
	for _, k := range knees {
		if k.Bytes >= points[0].Bytes && k.Bytes <= points[len(points)-1].Bytes {
			out = append(out, k)
		}
	}
	return out
}

// policiesSentence says how the policies compare in the middle of the figure.
func policiesSentence(c *result.Curve) string {
	at := len(c.Policies[0].Points) / 2
	killed := ""
	best, worst := &c.Policies[0], &c.Policies[0]
	for i := range c.Policies {
		p := &c.Policies[i]
		for _, pt := range p.Points {
			if pt.OOMKills > 0 {
				killed = " Where a line begins late, processes were killed for lack of memory with less."
			}
		}
		if p.Points[at].Major < best.Points[at].Major {
			best = p
		}
		if p.Points[at].Major > worst.Points[at].Major {
			worst = p
		}
	}
	s := []string{fmt.Sprintf("With %s of memory %s takes the fewest major faults (%s) and %s the most (%s).", Bytes(best.Points[at].Bytes),
		best.Policy, Count(best.Points[at].Major), worst.Policy, Count(worst.Points[at].Major))}
	if len(c.Policies) == 1 {
		s[0] = fmt.Sprintf("With %s of memory %s takes %s.", Bytes(best.Points[at].Bytes), best.Policy, plural(best.Points[at].Major, "major fault", "major faults"))
	}
	s = append(s, fmt.Sprintf("Simulated at %d sizes, with straight lines between them; lower is better. A count of 0 is drawn at 1, and dashed red lines are knees of lru.%s", len(c.Policies[0].Points), killed))
	if c.Sample != nil {
		s = append(s, fmt.Sprintf("Miniature simulations of %s %% of the pages, the mean of %s.", trimZeros(three(100*c.Sample.Rate)), plural(uint64(c.Sample.Seeds), "sample", "samples")))
	}
	return strings.Join(s, " ")
}

// area is the room between two lines over x, which keep their values up to the
// next point.
type area struct {
	x, low, high []float64
	fill, edge   color.Color
}

// Plot implements plot.Plotter.
func (a *area) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	edge := func(v []float64) []vg.Point {
		var pts []vg.Point
		for i := range a.x {
			if i > 0 {
				pts = append(pts, vg.Point{X: x(a.x[i]), Y: y(v[i-1])})
			}
			pts = append(pts, vg.Point{X: x(a.x[i]), Y: y(v[i])})
		}
		return pts
	}
	upper, lower := edge(a.high), edge(a.low)
	outline := upper[:len(upper):len(upper)]
	for i := len(lower) - 1; i >= 0; i-- {
		outline = append(outline, lower[i])
	}
	c.FillPolygon(a.fill, outline)
	line := draw.LineStyle{Color: a.edge, Width: vg.Points(0.6)}
	c.StrokeLines(line, upper, lower)
}

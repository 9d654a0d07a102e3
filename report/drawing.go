package report

import (
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawing is a figure before it has a format.
type drawing struct {
	title    string
	sentence string // what it shows and how to read it
	foot     string
	height   vg.Length // of the body
	body     func(c draw.Canvas)
}

const (
	titleSize, sentenceSize, footSize = 14, 10, 8
	lineSpace                         = 1.3
)

// write renders the drawing in a format of Formats.
func (d *drawing) write(w io.Writer, format string) error {
	lead := style(sentenceSize, soft, false)
	lines := wrap(lead, d.sentence, figureWidth-2*margin)
	foot := wrap(style(footSize, soft, false), d.foot, figureWidth-2*margin)
	head := vg.Length(titleSize*lineSpace + float64(len(lines))*sentenceSize*lineSpace + 8)
	tail := vg.Length(float64(len(foot))*footSize*lineSpace + 6)
	height := head + tail + d.height + 2*margin
	canvas := newCanvas(format, figureWidth, height)
	c := draw.New(canvas)
	c.FillPolygon(color.White, []vg.Point{{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y}})
	c = draw.Crop(c, margin, -margin, margin, -margin)
	y := c.Max.Y
	c.FillText(style(titleSize, ink, true), vg.Point{X: c.Min.X, Y: y}, d.title)
	y -= titleSize * lineSpace
	writeLines(c, lead, y, lines)
	writeLines(c, style(footSize, soft, false), c.Min.Y+tail-6, foot)
	d.body(draw.Crop(c, 0, 0, tail, -head))
	_, err := canvas.WriteTo(w)
	return err
}

func newCanvas(format string, w, h vg.Length) vg.CanvasWriterTo {
	if format == "svg" {
		return vgsvg.NewWith(vgsvg.UseWH(w, h), vgsvg.EmbedFonts(true))
	}
	return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi))}
}

func writeLines(c draw.Canvas, s text.Style, y vg.Length, lines []string) {
	for _, l := range lines {
		c.FillText(s, vg.Point{X: c.Min.X, Y: y}, l)
		y -= s.Font.Size * lineSpace
	}
}

// wrap breaks a text into lines of at most width. A word that is wider alone
// is cut with an ellipsis.
func wrap(s text.Style, txt string, width vg.Length) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(txt) {
		word = fit(s, word, width)
		switch next := line + " " + word; {
		case line == "":
			line = word
		case s.Width(next) <= width:
			line = next
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// fit cuts the beginning of a text that is too wide: the ends of paths tell more.
func fit(s text.Style, txt string, width vg.Length) string {
	if s.Width(txt) <= width {
		return txt
	}
	r := []rune(txt)
	for len(r) > 1 && s.Width("…"+string(r)) > width {
		r = r[1:]
	}
	return "…" + string(r)
}

// steps is one quantity over the columns, drawn as steps from base up.
type steps struct {
	edges []float64
	base  []float64 // nil: zero
	top   []float64
	fill  color.Color
}

// Plot implements plot.Plotter.
func (s *steps) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	outline := make([]vg.Point, 0, 4*len(s.top))
	for i, v := range s.top {
		outline = append(outline, vg.Point{X: x(s.edges[i]), Y: y(v)}, vg.Point{X: x(s.edges[i+1]), Y: y(v)})
	}
	area := outline[:len(outline):len(outline)]
	for i := len(s.top) - 1; i >= 0; i-- {
		area = append(area, vg.Point{X: x(s.edges[i+1]), Y: y(s.below(i))}, vg.Point{X: x(s.edges[i]), Y: y(s.below(i))})
	}
	c.FillPolygon(s.fill, area)
	c.StrokeLines(draw.LineStyle{Color: ink, Width: vg.Points(0.6)}, outline)
}

func (s *steps) below(i int) float64 {
	if s.base == nil {
		return 0
	}
	return s.base[i]
}

// keyEntry is one line of a key beside a plot.
type keyEntry struct {
	label string
	fill  color.Color     // nil for a line
	line  *draw.LineStyle // nil for an area
}

// key draws entries from the top of c down, in the order in which the layers
// lie above one another.
func key(c draw.Canvas, entries []keyEntry) {
	s := style(9, ink, false)
	const box, gap = 10, 6
	left := vg.Length(box) // where text begins: behind boxes, or behind lines that show their dashes
	for _, e := range entries {
		if e.fill == nil {
			left = 2 * box
		}
	}
	y := c.Max.Y
	for _, e := range entries {
		if e.fill != nil {
			pts := []vg.Point{{X: c.Min.X, Y: y}, {X: c.Min.X + box, Y: y}, {X: c.Min.X + box, Y: y - box}, {X: c.Min.X, Y: y - box}}
			c.FillPolygon(e.fill, pts)
			c.StrokeLines(draw.LineStyle{Color: ink, Width: vg.Points(0.6)}, append(pts, pts[0]))
		} else {
			c.StrokeLine2(*e.line, c.Min.X, y-box/2, c.Min.X+left, y-box/2)
		}
		for _, l := range wrap(s, e.label, c.Max.X-c.Min.X-left-gap) {
			c.FillText(s, vg.Point{X: c.Min.X + left + gap, Y: y + 2}, l)
			y -= s.Font.Size * lineSpace
		}
		y -= gap
	}
}

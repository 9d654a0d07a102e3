package report

import (
	"fmt"
	"image/color"
	"path"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

const (
	mappingBars = 15 // mappings drawn
	barHeight   = 17 // points for a bar and its space
)

// mappingsFigure is the mappings with the most faults as bars.
func mappingsFigure(run *result.Run) *drawing {
	list := run.Mappings
	if len(list) == 0 {
		return nil
	}
	list = list[:min(len(list), mappingBars)]
	sentence := "Minor faults, and major ones behind them in red, on the mappings of one name and protection in one process."
	if rest := run.Mappings[len(list):]; len(rest) > 0 {
		var n uint64
		for i := range rest {
			n += rest[i].Minor + rest[i].Major
		}
		sentence += fmt.Sprintf(" %s more with %s are not drawn; the page lists them.", Count(uint64(len(rest))), plural(n, "fault", "faults"))
	}
	return &drawing{
		title:    "Where the page faults are: mappings",
		sentence: sentence,
		height:   vg.Length(len(list)*barHeight + 4),
		body:     func(c draw.Canvas) { drawBars(c, list, len(run.Processes) > 1) },
	}
}

// mappingLabel names a mapping: the file without its folder, the protection,
// and the process where there are several.
func mappingLabel(m *result.Mapping, withPID bool) string {
	name := m.Name
	if path.IsAbs(name) {
		name = path.Base(name)
	}
	name += " " + m.Prot
	if withPID {
		name += fmt.Sprintf(", process %d", m.PID)
	}
	if m.Foreign {
		name += " (recorder's)"
	}
	return name
}

func drawBars(c draw.Canvas, list []result.Mapping, withPID bool) {
	label := style(9, ink, false)
	var left vg.Length
	for i := range list {
		left = max(left, label.Width(mappingLabel(&list[i], withPID)))
	}
	left = min(left, 240)
	label.XAlign = draw.XRight
	value := style(9, ink, false)
	most := float64(list[0].Minor + list[0].Major)
	room := c.Max.X - c.Min.X - left - 8 - 70
	for i := range list {
		m := &list[i]
		top := c.Max.Y - vg.Length(i*barHeight)
		c.FillText(label, vg.Point{X: c.Min.X + left, Y: top - 2}, fit(label, mappingLabel(m, withPID), left))
		x := c.Min.X + left + 8
		minor := room * vg.Length(float64(m.Minor)/most)
		major := room * vg.Length(float64(m.Major)/most)
		bar(&c, x, top, minor, shades[2])
		bar(&c, x+minor, top, major, signal)
		c.FillText(value, vg.Point{X: x + minor + major + 5, Y: top - 2}, Count(m.Minor+m.Major))
	}
}

func bar(c *draw.Canvas, x, top, width vg.Length, fill color.Color) {
	if width <= 0 {
		return
	}
	pts := []vg.Point{{X: x, Y: top - 1}, {X: x + width, Y: top - 1}, {X: x + width, Y: top - barHeight + 4}, {X: x, Y: top - barHeight + 4}}
	c.FillPolygon(fill, pts)
	c.StrokeLines(draw.LineStyle{Color: ink, Width: vg.Points(0.6)}, append(pts, pts[0]))
}

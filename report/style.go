package report

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The look of all figures.
const (
	figureWidth = 10 * vg.Inch
	dpi         = 144 // of PNG: sharp on common screens, small on disk
	margin      = 14 * vg.Millimeter / 2
)

var (
	ink    = color.Gray{0x22}
	soft   = color.Gray{0x66}
	bright = color.RGBA{0xf0, 0xa8, 0x30, 0xff} // a line that is seen on every shade
	signal = color.RGBA{0xb0, 0x3a, 0x2e, 0xff} // what should catch the eye

	// shades differ in brightness as much as in hue: neighbours can be told
	// apart in black and white.
	shades = []color.Color{
		color.RGBA{0x1b, 0x4f, 0x72, 0xff},
		color.RGBA{0x9c, 0xc9, 0xe8, 0xff},
		color.RGBA{0x4d, 0x8d, 0xba, 0xff},
		color.RGBA{0xe6, 0xf0, 0xf8, 0xff},
	}
)

// style is a text style of the figures.
func style(size vg.Length, c color.Color, bold bool) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = 3 // golang.org/x/image/font.WeightBold - WeightNormal
	}
	return text.Style{Color: c, Font: f, XAlign: draw.XLeft, YAlign: draw.YTop, Handler: plot.DefaultTextHandler}
}

// newPlot is a plot in the look of the figures, without title.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle = draw.LineStyle{Color: soft, Width: vg.Points(0.5)}
		a.Tick.LineStyle = a.LineStyle
		a.Tick.Length = vg.Points(3)
		a.Padding = 0
		f := style(9, ink, false)
		a.Tick.Label.Font, a.Tick.Label.Color = f.Font, ink
		a.Label.TextStyle.Font, a.Label.TextStyle.Color = f.Font, ink
	}
	return p
}

// ticks marks round values and writes them with label. At most about n are
// labelled.
type ticks struct {
	n     int
	base  float64 // 10 or 2: what is round
	label func(float64) string
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	step := niceStep((high-low)/float64(t.n), t.base)
	var out []plot.Tick
	for i := math.Ceil(low / step); i*step <= high*(1+1e-9); i++ {
		out = append(out, plot.Tick{Value: i * step, Label: t.label(i * step)})
	}
	return out
}

// topTick marks 0 and the largest round value below the top: enough for a low
// row.
type topTick struct{ bytes bool }

// Ticks implements plot.Ticker.
func (t topTick) Ticks(_, high float64) []plot.Tick {
	if t.bytes {
		top := math.Pow(2, math.Floor(math.Log2(high)))
		return []plot.Tick{{Value: 0, Label: "0"}, {Value: top, Label: bytesLabel(top)}}
	}
	p := math.Pow(10, math.Floor(math.Log10(high)))
	top := p
	for _, m := range []float64{2, 5} {
		if m*p <= high*(1+1e-9) {
			top = m * p
		}
	}
	return []plot.Tick{{Value: 0, Label: "0"}, {Value: top, Label: countLabel(top)}}
}

// niceStep rounds a step up to 1, 2 or 5 times a power of ten, or to a power
// of two.
func niceStep(raw, base float64) float64 {
	if raw <= 0 || math.IsInf(raw, 0) || math.IsNaN(raw) {
		return 1
	}
	if base == 2 {
		return math.Pow(2, math.Ceil(math.Log2(raw)))
	}
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// countLabel writes tick values that may be below 1.
func countLabel(v float64) string {
	if v != 0 && v < 1 {
		return trimZeros(three(v))
	}
	s, prefix := scale(v, 1000, "kMGTPE")
	return trimZeros(three(s)) + spaced(prefix)
}

func bytesLabel(v float64) string {
	s, prefix := scale(v, 1024, "KMGTPE")
	if prefix == "" {
		return trimZeros(three(s)) + " B"
	}
	return trimZeros(three(s)) + " " + prefix + "iB"
}

func spaced(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " " + prefix
}

// trimZeros turns "2.00" into "2".
func trimZeros(s string) string {
	for i := range s {
		if s[i] == '.' {
			for s[len(s)-1] == '0' {
				s = s[:len(s)-1]
			}
			if s[len(s)-1] == '.' {
				s = s[:len(s)-1]
			}
			break
		}
	}
	return s
}

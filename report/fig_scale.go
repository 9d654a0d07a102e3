package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/vmtrace/vmtrace/replay/result"
)

// ScaleText writes the prediction as a table for people.
func ScaleText(w io.Writer, s *result.Scale) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", programName(&result.Run{Trace: s.Trace}), scaleSentence(s))
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "CPUs\t")
	for _, d := range s.Designs {
		fmt.Fprintf(tw, "%s\t\t\t", d.Name)
	}
	fmt.Fprintln(tw)
	for i, n := range s.CPUs {
		fmt.Fprintf(tw, "%d\t", n)
		for _, d := range s.Designs {
			fmt.Fprintf(tw, "%s/s\t%.1fx\t%.0f%%\t", SI(uint64(d.FaultsPerSecond[i])), d.FaultsPerSecond[i]/d.FaultsPerSecond[0], 100*d.Efficiency[i])
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	b.WriteString("\nFor each design: faults a second, how many times the first row that is, and its\nefficiency: the part that it is of as many times the faults of one CPU.\n\n")
	for _, d := range s.Designs {
		fmt.Fprintf(&b, "%-8s%s\n%8s%s\n", d.Name, d.Meaning, "", waitText(s, &d))
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// waitText says what threads wait for longest on the most CPUs.
func waitText(s *result.Scale, d *result.ScaleDesign) string {
	last := len(s.CPUs) - 1
	on := plural(uint64(s.CPUs[last]), "CPU", "CPUs")
	if w := d.Waits[last]; w.Share >= 0.005 {
		return fmt.Sprintf("on %s, %.0f%% of the time waiting for %s", on, 100*w.Share, w.For)
	}
	return fmt.Sprintf("on %s hardly anybody waits", on)
}

// scaleSentence says what was simulated, and where the lines stop.
func scaleSentence(s *result.Scale) string {
	out := fmt.Sprintf("%s of %s in virtual time, by a table of costs (%s).", plural(s.Faults, "fault", "faults"), plural(uint64(s.Threads), "thread", "threads"), s.Costs)
	last := len(s.CPUs) - 1
	for _, d := range s.Designs {
		best := 0
		for i, v := range d.FaultsPerSecond {
			if v > 1.05*d.FaultsPerSecond[best] {
				best = i
			}
		}
		switch {
		case best == last && last > 0:
			out += fmt.Sprintf(" %s grows up to %d CPUs.", d.Name, s.CPUs[last])
		case last > 0:
			out += fmt.Sprintf(" %s does not gain from more than %s.", d.Name, plural(uint64(s.CPUs[best]), "CPU", "CPUs"))
		}
	}
	return out
}

// scaleFigure is the rate of faults against CPUs, a line for each design of locks.
func scaleFigure(s *result.Scale) *drawing {
	p := logPlot(float64(s.CPUs[0]), float64(s.CPUs[len(s.CPUs)-1]), powers{2, countLabel})
	p.X.Label.Text, p.Y.Label.Text = "CPUs", "page faults a second, an estimate"
	low, high := s.Designs[0].FaultsPerSecond[0], 0.0
	styles := []draw.LineStyle{
		{Color: shades[2], Width: vg.Points(1.2), Dashes: []vg.Length{2, 2}},
		{Color: shades[1], Width: vg.Points(1.4), Dashes: []vg.Length{6, 3}},
		{Color: shades[1], Width: vg.Points(1.4)},
		{Color: shades[0], Width: vg.Points(2)},
	}
	var entries []keyEntry
	for i, d := range s.Designs {
		l := stairs{style: styles[i%len(styles)], straight: true}
		for k, v := range d.FaultsPerSecond {
			l.x, l.y = append(l.x, float64(s.CPUs[k])), append(l.y, v)
			low, high = min(low, v), max(high, v)
		}
		p.Add(&l)
		entries = append(entries, keyEntry{label: d.Name + ": " + d.Meaning + "; " + waitText(s, &d), line: &l.style})
	}
	p.Y.Min, p.Y.Max = low/1.5, high*1.2
	return &drawing{
		title:    "Page faults against CPUs",
		sentence: scaleSentence(s),
		height:   4 * vg.Inch,
		body: func(c draw.Canvas) {
			const keyHeight = 70
			p.Draw(draw.Crop(c, 0, -10, keyHeight, 0))
			key(draw.Crop(c, 40, 0, 0, -(c.Max.Y-c.Min.Y-keyHeight+6)), entries)
		},
	}
}

// WriteScale writes the figure to the folder as scale.png.
func WriteScale(dir string, s *result.Scale) error {
	d := scaleFigure(s)
	d.foot = fmt.Sprintf("%s: %s, %s.", programName(&result.Run{Trace: s.Trace}), plural(uint64(s.Threads), "thread", "threads"), plural(s.Faults, "fault", "faults"))
	for _, w := range s.Warnings {
		d.foot += " Warning: " + w + "."
	}
	png, err := d.render("png")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "scale.png"), png, 0o644)
}

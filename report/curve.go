package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/vmtrace/vmtrace/replay/result"
)

// CurveFigure is one picture of a curve.
type CurveFigure struct {
	Name string // of its file

	// draw returns nil where the curve has nothing to show.
	draw func(c *result.Curve) *drawing
}

// CurveFigures is the table of the figures of a curve.
var CurveFigures = []CurveFigure{
	{"curve", curveFigure},
	{"policies", policiesFigure},
	{"working_set", workingSetFigure},
}

// WriteCurve writes every figure of the curve to the folder as PNG and returns how
// many there are.
func WriteCurve(dir string, c *result.Curve) (n int, err error) {
	for _, f := range CurveFigures {
		d := f.draw(c)
		if d == nil {
			continue
		}
		d.foot = foot(&result.Run{Trace: c.Trace, Config: c.Config, Totals: result.Totals{Accesses: c.Trace.Accesses}, Warnings: c.Warnings})
		png, err := d.render("png")
		if err != nil {
			return n, err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name+".png"), png, 0o644); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// CurveText writes the curve as a table for people.
func CurveText(w io.Writer, c *result.Curve) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", programName(&result.Run{Trace: c.Trace}), curveSentence(c))
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	band := func(*result.CurvePoint) string { return "" }
	if c.Sample != nil {
		band = func(p *result.CurvePoint) string {
			return fmt.Sprintf("%s - %s\t", Count(p.MajorLow), Count(p.MajorHigh))
		}
		fmt.Fprintf(tw, "memory\tmajor\tits band\tminor\twritten back\t\n")
	} else {
		fmt.Fprintf(tw, "memory\tmajor\tminor\twritten back\t\n")
	}
	knees := map[uint64]bool{}
	for _, k := range c.Knees {
		knees[k.Bytes] = true
	}
	next := uint64(0)
	for i, p := range c.Points {
		if p.Bytes < next && !knees[p.Bytes] && i < len(c.Points)-1 {
			continue
		}
		if !knees[p.Bytes] {
			next = p.Bytes + p.Bytes/2
		}
		note := ""
		if knees[p.Bytes] {
			note = "  <- knee"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s%s\t%s\t%s\n", Bytes(p.Bytes), Count(p.Major), band(&c.Points[i]), Count(p.Minor), Bytes(p.WriteBackBytes), note)
	}
	tw.Flush()
	if len(c.Policies) > 0 {
		fmt.Fprintf(&b, "\n%s by reclaim policy:\n\n", estimated(c, "Major faults"))
		policiesTable(&b, c)
	}
	if c.Budget != nil {
		fmt.Fprintf(&b, "\n%s\n", budgetSentence(c.Budget))
	}
	for _, warning := range c.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", warning)
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// estimated is a subject, with the word before it where it is one of a sample.
func estimated(c *result.Curve, what string) string {
	if c.Sample == nil {
		return what
	}
	return "Estimated " + strings.ToLower(what[:1]) + what[1:]
}

// policiesTable is the major faults at each size, a column for each policy.
func policiesTable(w io.Writer, c *result.Curve) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer tw.Flush()
	fmt.Fprintf(tw, "memory\t")
	for _, p := range c.Policies {
		fmt.Fprintf(tw, "%s\t", p.Policy)
	}
	fmt.Fprintln(tw)
	for i, point := range c.Policies[0].Points {
		fmt.Fprintf(tw, "%s\t", Bytes(point.Bytes))
		for _, p := range c.Policies {
			if p.Points[i].OOMKills > 0 {
				fmt.Fprint(tw, "killed\t")
				continue
			}
			fmt.Fprintf(tw, "%s\t", Count(p.Points[i].Major))
		}
		fmt.Fprintln(tw)
	}
}

func budgetSentence(b *result.Budget) string {
	if b.Bytes == 0 {
		return fmt.Sprintf("No memory is enough for at most %s: some pages have to be read once.", plural(b.Major, "major fault", "major faults"))
	}
	return fmt.Sprintf("At most %s: %s of memory.", plural(b.Major, "major fault", "major faults"), Bytes(b.Bytes))
}

// curveSentence says what the curve shows.
func curveSentence(c *result.Curve) string {
	last := c.Points[len(c.Points)-1]
	s := ""
	if c.Sample != nil {
		s = fmt.Sprintf("Estimated from %s of %s of the pages. ", plural(uint64(c.Sample.Seeds), "sample", "samples"), trimZeros(three(100*c.Sample.Rate))+" %")
	}
	s += fmt.Sprintf("The program uses %s in all; with that much it takes %s.", Bytes(c.FootprintBytes), plural(last.Major, "major fault", "major faults"))
	if half := pointBelow(c.Points, c.FootprintBytes/2); half != nil {
		s += fmt.Sprintf(" With half of it, %s, it takes %s.", Bytes(half.Bytes), Count(half.Major))
	}
	switch n := len(c.Knees); n {
	case 0:
	case 1:
		s += fmt.Sprintf(" The knee is at %s (%s).", Bytes(c.Knees[0].Bytes), plural(c.Knees[0].Major, "major fault", "major faults"))
	default:
		var at []string
		for _, k := range c.Knees {
			at = append(at, Bytes(k.Bytes))
		}
		s += fmt.Sprintf(" The knees are at %s and %s.", strings.Join(at[:n-1], ", "), at[n-1])
	}
	return s
}

// pointBelow is the last point of at most so much memory, nil when there is none.
func pointBelow(points []result.CurvePoint, bytes uint64) *result.CurvePoint {
	for i := len(points) - 1; i >= 0; i-- {
		if points[i].Bytes <= bytes {
			return &points[i]
		}
	}
	return nil
}

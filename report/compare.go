package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/vmtrace/vmtrace/replay/result"
)

// PoliciesText writes runs of one trace that differ in the reclaim policy as one
// table, a row for each, and their warnings once. There has to be a run.
func PoliciesText(w io.Writer, runs []*result.Run) error {
	var b strings.Builder
	c := &runs[0].Config
	under := "under a limit"
	if c.Watermarks != nil {
		under = "on a machine"
	}
	fmt.Fprintf(&b, "%s\n"+under+" of %s, with %s; times are estimates\n\n", programName(runs[0]), Bytes(c.MemoryBytes), swapName(c))
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "policy\tmajor\tminor\tevictions\twritten back\ttime\t\n")
	for _, run := range runs {
		t := &run.Totals
		note := ""
		if t.Reclaim.Outcome != result.PressureDone {
			note = "  " + outcomeInWords(t)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", run.Config.Reclaim, Count(t.Faults.Major), Count(t.Faults.Minor),
			Count(t.Reclaim.Evictions), Bytes(t.Swap.OutBytes+t.Reclaim.FileOutBytes), Nanoseconds(t.Estimate.Total), note)
	}
	tw.Flush()
	var said []string // warnings, in order
	by := map[string][]string{}
	for _, run := range runs {
		for _, warning := range run.Warnings {
			if by[warning] == nil {
				said = append(said, warning)
			}
			by[warning] = append(by[warning], run.Config.Reclaim)
		}
	}
	for _, warning := range said {
		fmt.Fprintf(&b, "\nwarning: %s (%s)\n", warning, strings.Join(by[warning], ", "))
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

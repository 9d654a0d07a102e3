package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/vmtrace/vmtrace/replay/result"
)

// textMappings is how many mappings the table for the terminal shows.
const textMappings = 10

// Text writes the run as a table for people.
func Text(w io.Writer, run *result.Run) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	t := &run.Totals
	row := func(name string, value any, more string, args ...any) {
		fmt.Fprintf(tw, "%s\t%v\t%s\n", name, value, fmt.Sprintf(more, args...))
	}
	row("program", programName(run), "")
	row("accesses", SI(t.Accesses), "%s in the trace%s", plural(t.Refs, "reference", "references"), reducedBy(run.Trace.Reduce))
	row("minor faults", Count(t.Faults.Minor), "")
	row("major faults", Count(t.Faults.Major), "")
	row("  by kind", "", "%s", kindsLine(t.Faults.Kinds))
	if t.Faults.Foreign > 0 {
		row("  recorder's", Count(t.Faults.Foreign), "on mappings that a native run does not have")
	}
	row("peak RSS", Bytes(t.RSS.PeakBytes), "all processes; page tables up to %s", Bytes(t.PageTableBytes))
	if c := &run.Config; c.Reclaim != "" {
		row(limitKind(c), limitName(c), "%s, %s; most charged %s; %s", policyName(c), swapName(c), Bytes(t.Reclaim.PeakBytes), outcomeInWords(t))
		row("evictions", Count(t.Reclaim.Evictions), "pages left memory, %s came back", Count(t.Reclaim.Refaults))
		if k, d := t.Reclaim.Kswapd, t.Reclaim.Direct; k != nil && d != nil {
			row("  kswapd", Count(k.Stolen), "of them in %s, %s looked at", plural(k.Runs, "run", "runs"), Count(k.Scanned))
			row("  direct", Count(d.Stolen), "in %s of programs, %s looked at", plural(d.Runs, "stall", "stalls"), Count(d.Scanned))
		}
		row("swap", Bytes(t.Swap.InBytes)+" in", "%s out, %s found in memory still", Bytes(t.Swap.OutBytes), plural(t.Swap.CacheHits, "fault", "faults"))
		row("files", Bytes(t.Reclaim.FileInBytes)+" read", "%s written back", Bytes(t.Reclaim.FileOutBytes))
	}
	if w := t.WriteBack; w != nil {
		row("flusher", Bytes(w.OldBytes+w.BackgroundBytes), "written: %s of old files, %s because too much was dirty", Bytes(w.OldBytes), Bytes(w.BackgroundBytes))
	}
	row("TLB misses", SI(t.TLB.Misses), "%s of %s lookups", percent(t.TLB.Misses, t.TLB.Lookups), SI(t.TLB.Lookups))
	f := &t.TLB.Flushes
	row("TLB flushes", Count(f.Total), "%s", kindsLine(f.Causes))
	if f.Total > 0 {
		row("  scope", "", "%s full, %s of ranges (%s), %s", Count(f.Full), Count(f.Ranged), plural(f.Pages, "page", "pages"), plural(f.IPIs, "IPI", "IPIs"))
	}
	if t.Reclaim.Recycled > 0 {
		row("recycled", Count(t.Reclaim.Recycled), "pages of files left the page cache, every %s accesses", SI(run.Config.RecycleEvery))
	}
	if h := &t.Huge; h.FaultAlloc+h.ZeroMapped+h.Collapsed > 0 {
		row("huge pages", Count(h.FaultAlloc+h.Collapsed), "%s by faults, %s collapsed; %s split; most %s", Count(h.FaultAlloc), Count(h.Collapsed), plural(h.SplitPMD, "mapping", "mappings"), Bytes(h.PeakBytes))
	}
	for _, p := range t.Huge.Pools {
		row("hugetlb "+Bytes(p.PageBytes), Count(p.PeakUsed), "of %s at most in use; %s refused", plural(p.Pages, "page", "pages"), plural(p.Denied, "fault", "faults"))
	}
	if k := &t.Kernel; k.StacksMade+k.KmapLocals+k.Kmaps > 0 {
		row("kernel maps", Count(k.StacksMade+k.KmapLocals+k.Kmaps), "%s (%s used again), %s of high memory", plural(k.StacksMade, "thread stack", "thread stacks"), Count(k.StacksReused), plural(k.KmapLocals+k.Kmaps, "mapping", "mappings"))
	}
	if e := &t.Estimate; e.Costs != "" {
		row("estimated time", Nanoseconds(e.Total), "%s", estimateParts(e))
	}
	a := &run.Agreement
	if a.Syscalls.Compared > 0 || a.Segv > 0 {
		row("agreement", agreed(a), "%s compared, %d differ; %s", plural(a.Syscalls.Compared, "call", "calls"), a.Syscalls.Mismatched, plural(a.Segv, "unexplained SIGSEGV", "unexplained SIGSEGVs"))
	}
	if all, taken := lockTotals(run.Timing.Locks); all.Acquired > 0 {
		row("locks", SI(all.Acquired), "%s; %s contended, %s, %s", kindsLine(taken), Count(all.Contended), plural(all.LostRaces, "lost race", "lost races"), plural(all.Retries, "retry", "retries"))
	}
	row("speed", SI(uint64(run.Timing.RefsPerSecond))+" refs/s", "%.2f s, %s", run.Timing.Seconds, run.Timing.Order)
	tw.Flush()
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return textTail(w, run)
}

// textTail writes what follows the totals: processes, mappings, disagreements
// and warnings.
func textTail(w io.Writer, run *result.Run) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(run.Processes) > 1 {
		fmt.Fprintf(tw, "\nprocess\tminor\tmajor\tpeak RSS\tthreads\texit\t\n")
		for i := range run.Processes {
			p := &run.Processes[i]
			fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%d\t%s\t\n", p.PID, Count(p.Faults.Minor), Count(p.Faults.Major), Bytes(p.RSS.PeakBytes), p.Threads, p.Exit)
		}
	}
	tw.Flush()
	if len(run.Mappings) > 0 {
		fmt.Fprintf(tw, "\nminor\tmajor\tprot\t mapping\n")
		for i := range run.Mappings {
			if i == textMappings {
				fmt.Fprintf(tw, "\t\t\t and %d more mappings\n", len(run.Mappings)-i)
				break
			}
			m := &run.Mappings[i]
			fmt.Fprintf(tw, "%s\t%s\t%s\t %s\n", Count(m.Minor), Count(m.Major), m.Prot, m.Name)
		}
	}
	tw.Flush()
	for _, first := range []string{run.Agreement.FirstSegv, run.Agreement.Syscalls.First} {
		if first != "" {
			fmt.Fprintf(&b, "\nfirst disagreement: %s\n", first)
		}
	}
	for _, warning := range run.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func agreed(a *result.Agreement) string {
	if a.Segv == 0 && a.Syscalls.Mismatched == 0 {
		return "yes"
	}
	return "NO"
}

func reducedBy(k int) string {
	if k == 0 {
		return ""
	}
	return fmt.Sprintf(", reduced with K = %d", k)
}

// lockTotals adds up all classes, and says how often each was taken.
func lockTotals(locks map[string]result.Locks) (all result.Locks, taken map[string]uint64) {
	taken = map[string]uint64{}
	for class, n := range locks {
		all.Acquired += n.Acquired
		all.Contended += n.Contended
		all.LostRaces += n.LostRaces
		all.Retries += n.Retries
		taken[class] = n.Acquired
	}
	return all, taken
}

// kindsLine lists counts in one line, most first.
func kindsLine(m map[string]uint64) string {
	var parts []string
	for _, k := range byCount(m) {
		parts = append(parts, k.name+" "+Count(k.n))
	}
	return strings.Join(parts, ", ")
}

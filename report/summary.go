package report

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/replay/result"
)

// programName is the command of the trace in one line of bounded length.
func programName(run *result.Run) string {
	name := strings.Join(run.Trace.Command, " ")
	if name == "" {
		name = run.Trace.Path
	}
	const most = 100
	if r := []rune(name); len(r) > most {
		name = string(r[:most-1]) + "…"
	}
	return name
}

// foot names the run below every figure, and its warnings.
func foot(run *result.Run) string {
	c := &run.Config
	s := fmt.Sprintf("%s: %s accesses. Model: %s, %s, page cache %s.", programName(run), SI(run.Totals.Accesses), c.Profile, plural(uint64(c.CPUs), "processor", "processors"), c.PageCache)
	if c.MemoryBytes > 0 {
		s += fmt.Sprintf(" Memory %s, reclaim %s.", Bytes(c.MemoryBytes), policyName(c))
	}
	for i, w := range run.Warnings {
		if i == 2 {
			s += fmt.Sprintf(" And %d more warnings.", len(run.Warnings)-i)
			break
		}
		s += " Warning: " + w + "."
	}
	return s
}

// Summary says in a few sentences what the run shows.
func Summary(run *result.Run) []string {
	t := &run.Totals
	out := []string{fmt.Sprintf("%s made %s accesses in %s.", programName(run), SI(t.Accesses), inProcesses(run))}
	out = append(out, faultsInWords(run), rssInWords(run))
	if s := memoryInWords(run); s != "" {
		out = append(out, s)
	}
	out = append(out, tlbInWords(t))
	if e := &t.Estimate; e.Costs != "" {
		out = append(out, fmt.Sprintf("By a table of costs (%s) memory management took an estimated %s: %s.", e.Costs, Nanoseconds(e.Total), estimateParts(e)))
	}
	return append(out, agreementInWords(run))
}

func inProcesses(run *result.Run) string {
	threads := 0
	for i := range run.Processes {
		threads += run.Processes[i].Threads
	}
	return plural(uint64(len(run.Processes)), "process", "processes") + " with " + plural(uint64(threads), "thread", "threads")
}

func faultsInWords(run *result.Run) string {
	f := &run.Totals.Faults
	all := f.Minor + f.Major
	s := fmt.Sprintf("It took %s and %s", plural(f.Minor, "minor fault", "minor faults"), plural(f.Major, "major fault", "major faults"))
	kinds := byCount(f.Kinds)
	if len(kinds) > 0 {
		s += fmt.Sprintf("; the most frequent kind is %s (%s)", quoted(kinds[0].name), percent(kinds[0].n, all))
	}
	s += "."
	if len(run.Mappings) > 0 {
		m := &run.Mappings[0]
		s += fmt.Sprintf(" The mapping with the most faults is %s %s (%s).", m.Name, m.Prot, percent(m.Minor+m.Major, all))
	}
	if f.Foreign > 0 {
		s += fmt.Sprintf(" Of these, %s on mappings of the recorder, which a native run does not have.", plural(f.Foreign, "fault was", "faults were"))
	}
	return s
}

// quoted is a kind with its meaning in parentheses.
func quoted(name string) string {
	if w := words[name]; w != "" && w != name {
		return name + ", " + w
	}
	return name
}

func rssInWords(run *result.Run) string {
	t := &run.Totals
	return fmt.Sprintf("Resident memory peaked at %s; the page tables took up to %s.", Bytes(t.RSS.PeakBytes), Bytes(t.PageTableBytes))
}

func tlbInWords(t *result.Totals) string {
	s := fmt.Sprintf("Of its accesses %s missed in the TLB (%s).", SI(t.TLB.Misses), percent(t.TLB.Misses, t.TLB.Lookups))
	f := &t.TLB.Flushes
	if f.Total == 0 {
		return s + " No TLB was flushed."
	}
	causes := byCount(f.Causes)
	s += fmt.Sprintf(" TLBs were flushed in %s, most often for %s (%s)", plural(f.Total, "request", "requests"), causes[0].name, percent(causes[0].n, f.Total))
	if f.IPIs > 0 {
		s += fmt.Sprintf(", which interrupted other processors %s", plural(f.IPIs, "time", "times"))
	}
	return s + "."
}

func agreementInWords(run *result.Run) string {
	a := &run.Agreement
	if a.Syscalls.Compared == 0 && a.Segv == 0 {
		return "The trace holds no recorded results to compare the model with."
	}
	if a.Syscalls.Mismatched == 0 && a.Segv == 0 {
		return fmt.Sprintf("The model agrees with the recording: %s gave the recorded result, and no access was refused that the program made.",
			plural(a.Syscalls.Compared, "memory call", "memory calls"))
	}
	s := fmt.Sprintf("The model disagrees with the recording: %d of %s ended otherwise, %s without explanation.",
		a.Syscalls.Mismatched, plural(a.Syscalls.Compared, "memory call", "memory calls"), plural(a.Segv, "access was refused", "accesses were refused"))
	for _, first := range []string{a.Syscalls.First, a.FirstSegv} {
		if first != "" {
			s += " First: " + first + "."
		}
	}
	return s
}

package replay

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// collect makes the result of a finished replay. fromSource are the warnings of
// the source.
func (e *engine) collect(fromSource []string) *result.Run {
	for _, p := range e.procs {
		e.lastLook(p)
		if !p.row {
			e.others.add(p)
		}
	}
	for _, p := range e.living() {
		e.settle(p, "")
	}
	stats := e.machine.Stats()
	if len(e.procs) > 0 {
		e.finalRSS = stats.RSS.Total()
	}
	e.timeline.finish(e.accesses, stats)
	return &result.Run{
		Schema:    result.Schema,
		Trace:     e.trace(),
		Config:    e.config(),
		Totals:    e.totals(&stats),
		Agreement: result.Agreement{Segv: e.agree.segv, FirstSegv: e.agree.firstSegv, Syscalls: e.agree.calls},
		Processes: e.processes(),
		Mappings:  e.mappings.result(),
		Timeline:  e.timeline.result(),
		Series:    e.timeline.series(),
		Marks:     e.marks,
		Warnings:  e.allWarnings(fromSource, &stats),
		Timing:    result.Timing{Locks: lockNames(&stats)},
	}
}

// lockNames are the counts of the classes of locks that were taken.
func lockNames(s *paging.Stats) map[string]result.Locks {
	out := map[string]result.Locks{}
	for c, n := range s.Locks {
		if n != (paging.LockStats{}) {
			out[paging.LockClass(c).String()] = result.Locks(n)
		}
	}
	return out
}

// living lists the living processes by id.
func (e *engine) living() []*process {
	return slices.SortedFunc(maps.Values(e.procs), func(a, b *process) int { return cmp.Compare(a.pid, b.pid) })
}

func (e *engine) trace() result.Trace {
	h := e.header
	command := make([]string, len(h.Command))
	for i, word := range h.Command {
		command[i] = plain(word)
	}
	return result.Trace{Path: plain(e.opts.Path), Origin: plain(h.Origin), Tool: plain(h.Tool), Command: command,
		Accesses: e.accesses + e.passed.accesses + e.unpicked.accesses, Refs: e.refs + e.passed.refs + e.unpicked.refs, Records: e.records, Reduce: h.Reduce, Lost: e.lost.records}
}

// processes lists the processes in the order they appeared. Those above the limit
// are one row at the end.
func (e *engine) processes() []result.Process {
	out := make([]result.Process, 0, len(e.rows)+1)
	for _, p := range e.rows {
		out = append(out, result.Process{PID: p.pid, Command: p.command, Threads: p.threads,
			Faults: p.faults.result(), Exit: p.exit, Truth: p.truth,
			RSS: result.ProcessRSS{PeakBytes: p.peakRSS, AnonBytes: p.last.Anon, FileBytes: p.last.File, ShmemBytes: p.last.Shmem}})
	}
	if o := &e.others; o.processes > 0 {
		out = append(out, result.Process{Command: fmt.Sprintf("(%d other processes)", o.processes), Threads: o.threads,
			Faults: o.faults.result(), RSS: result.ProcessRSS{PeakBytes: o.peakRSS}})
	}
	return out
}

func (e *engine) config() result.Config {
	c := e.machine.Config()
	out := result.Config{Profile: c.Profile, Levels: c.Levels, CPUs: c.CPUs, TLB: c.TLB.String(),
		FaultAroundBytes: c.FaultAround, PageCache: c.Cache.String(), Locking: c.Locking.String(),
		ZeroPage: !c.NoZeroPage, HighMem: c.HighMem, Compat: c.Compat, BottomUp: c.BottomUp, Vsyscall: c.Vsyscall.String(),
		Overcommit: c.Overcommit.String(), OvercommitRatio: c.OvercommitRatio, RAMBytes: c.RAM,
		AddressLimitBytes: c.AddressLimit, DataLimitBytes: c.DataLimit, StackLimitBytes: c.StackLimit, LockedLimitBytes: c.LockedLimit}
	out.THP, out.HugePages, out.HugeOvercommit, out.GiantPages = c.THP.String(), c.HugePages, c.HugeOvercommit, c.GiantPages
	out.Flusher = c.Flusher
	out.RecycleEvery = e.opts.RecycleEvery
	if c.THP != paging.THPNever {
		out.CollapseEveryNS = uint64(c.CollapseEvery)
	}
	if c.Memory != 0 || c.Swap != 0 {
		out.MemoryBytes, out.SwapBytes, out.SwapDevice = c.Memory, c.Swap, c.SwapDevice.String()
		out.Reclaim, out.ReclaimExact = e.machine.Policy()
		out.Watermarks = e.watermarks()
	}
	return out
}

func (e *engine) totals(s *paging.Stats) result.Totals {
	foreign := e.others.faults
	for _, p := range e.rows {
		foreign.merge(&p.faults)
	}
	t := result.Totals{
		Accesses: e.accesses, Refs: e.refs,
		Faults: result.Faults{Minor: s.Minor, Major: s.Major, Foreign: foreign.foreign, ForeignMajor: foreign.foreignMajor,
			Kinds: kindNames(&s.Faults)},
		RSS:            result.RSS{PeakBytes: s.PeakRSS, FinalBytes: e.finalRSS},
		PageTableBytes: s.PeakPageTableBytes,
		Commit:         result.Commit{LimitBytes: e.machine.CommitLimit(), PeakBytes: s.PeakCommitBytes, Refused: s.CommitRefused},
		TLB: result.TLB{Lookups: s.TLB.Lookups(), L1Misses: s.TLB.L1Misses(), Misses: s.TLB.Misses(), Walks: s.TLB.Walks(),
			DataMisses: s.TLB.DataMisses(), ExecMisses: s.TLB.ExecMisses()},
	}
	k := &s.Kernel
	t.Kernel = result.Kernel{Kmaps: k.Kmaps, KmapWraps: k.KmapWraps, KmapLocals: k.KmapLocals,
		StacksMade: k.StacksMade, StacksReused: k.StacksReused, StacksFreed: k.StacksFreed, StackPeakBytes: k.PeakBytes,
		Purges: k.Purges, PageTableBytes: k.PageTableBytes}
	t.Huge = largePages(s)
	e.pressure(&t, s)
	f := &t.TLB.Flushes
	f.Causes = map[string]uint64{}
	for c := range s.Flushes {
		n := &s.Flushes[c]
		if n.Requests == 0 {
			continue
		}
		f.Causes[paging.FlushCause(c).String()] = n.Requests
		f.Total += n.Requests
		f.Full += n.Full
		f.Ranged += n.Ranged
		f.Pages += n.Pages
		f.IPIs += n.IPIs
	}
	t.Estimate = e.costs.estimate(&t, e.machine.Config().Levels)
	return t
}

// labelWarnings says what a label of the trace's header means for the reader
// of a result.
var labelWarnings = map[string]string{
	"order":    "the order of accesses of different threads in this trace is %s",
	"after":    "recorded from the mark %q on: references before it are not in the trace, events are; pages that only those references brought into memory are not there (cold start)",
	"faults":   "this trace holds faults %s: accesses that did not fault are not in it",
	"regions":  "the mappings of this trace are %s, not recorded",
	"accesses": "accesses in this trace: %s; it tells of system calls only",
	"pages":    "the pages of this trace are %s, not addresses of a program",
}

// allWarnings lists what the trace says about its own limits, what it made the
// replay leave out, and what came up on the way.
func (e *engine) allWarnings(fromSource []string, stats *paging.Stats) []string {
	w := []string{}
	add := func(on bool, format string, args ...any) {
		if on {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	for _, s := range fromSource {
		w = append(w, plain(s))
	}
	for _, key := range []string{"order", "after", "faults", "regions", "accesses", "pages"} {
		v, ok := e.header.Labels[key]
		add(ok, labelWarnings[key], plain(v))
	}
	add(e.lost.places > 0, "%d records are missing in %d places, the first %s: counts from there on are too low", e.lost.records, e.lost.places, e.lost.first)
	add(e.passed.records > 0, "%d records belong to threads that had not started or were dead: passed over, with %d accesses", e.passed.records, e.passed.accesses)
	add(e.accesses == 0, "the trace holds no accesses that could be replayed")
	for _, name := range slices.Sorted(maps.Keys(e.agree.calls.Ignored)) {
		add(unmodelled[name], "%d calls of %s change memory and are not modelled", e.agree.calls.Ignored[name], name)
	}
	add(e.agree.calls.Imposed > 0, "%d calls were refused memory where the recorder had placed something, or huge pages: the refusal is imposed on the model", e.agree.calls.Imposed)
	c := e.machine.Config()
	policy, exact := e.machine.Policy()
	r := e.machine.Stats().Reclaim
	add(c.Stack != nil && r.Lazy > 0, "the program used MADV_FREE, which does not keep to the order of uses: the curve is not exact")
	add(c.Stack != nil && r.Locks > 0, "the program locked memory, which does not leave in its turn: the curve is not exact")
	add(e.header.Reduce > 0 && c.Memory > 0 && policy != "lru", "the trace is reduced with K = %d, which is exact for lru; the policy sees fewer references than the program made", e.header.Reduce)
	add(e.header.Reduce > 0 && exact && c.Memory>>12 < uint64(e.header.Reduce) && c.Memory > 0, "the trace is reduced with K = %d, which is exact from %d pages of memory on", e.header.Reduce, e.header.Reduce)
	add(stats.CommitRefused > 0, "%d requests for memory were refused by overcommit: a program may do something else then than the trace has", stats.CommitRefused)
	add(e.others.processes > 0, "%d processes after the first %d share one row", e.others.processes, e.limits.rows)
	add(e.mappings.full, "mappings after the first %d share one row", e.mappings.limit)
	add(e.names.left > 0, "%d names are left out: together they are longer than %d bytes", e.names.left, e.names.limit)
	return append(w, e.warnings.all()...)
}

package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// collect makes the result of a finished replay.
func (e *engine) collect(src trace.Source) *result.Run {
	for _, p := range e.all {
		if !p.dead {
			e.blame(p)
			e.lastLook(p)
		}
	}
	stats := e.machine.Stats()
	e.timeline.finish(e.accesses, stats)
	e.agree.calls.Ignored = orEmpty(e.agree.calls.Ignored)
	if e.agree.calls.ByCall == nil {
		e.agree.calls.ByCall = map[string]result.Call{}
	}
	r := &result.Run{
		Schema: result.Schema,
		Trace: result.Trace{Path: e.opts.Path, Origin: e.header.Origin, Tool: e.header.Tool, Command: e.header.Command,
			Accesses: e.accesses, Refs: e.refs, Records: e.records, Reduce: e.header.Reduce, Lost: e.lost},
		Config:    e.config(),
		Totals:    e.totals(&stats),
		Agreement: result.Agreement{Segv: e.agree.segv, FirstSegv: e.agree.firstSegv, Syscalls: e.agree.calls},
		Mappings:  e.mappings.result(),
		Timeline:  result.Timeline{EndsAccesses: e.timeline.ends},
		Series:    e.timeline.series(),
		Marks:     e.marks,
	}
	for _, p := range e.all {
		r.Processes = append(r.Processes, result.Process{PID: p.pid, Command: p.command, Threads: p.threads,
			Faults: p.faults.result(), Exit: p.exit,
			RSS: result.ProcessRSS{PeakBytes: p.peakRSS, AnonBytes: p.rss.Anon, FileBytes: p.rss.File, ShmemBytes: p.rss.Shmem}})
	}
	r.Warnings = append(e.traceWarnings(src), e.warnings...)
	return r
}

func orEmpty(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

func (e *engine) config() result.Config {
	c := e.machine.Config()
	return result.Config{Profile: c.Profile, Levels: c.Levels, CPUs: c.CPUs, TLB: c.TLB.String(),
		FaultAroundBytes: c.FaultAround, PageCache: c.Cache.String(), Locking: c.Locking.String()}
}

func (e *engine) totals(s *paging.Stats) result.Totals {
	var foreign uint64
	for _, p := range e.all {
		foreign += p.faults.foreign
	}
	t := result.Totals{
		Accesses: e.accesses, Refs: e.refs,
		Faults:         result.Faults{Minor: s.Minor, Major: s.Major, Foreign: foreign, Kinds: kindNames(&s.Faults)},
		RSS:            result.RSS{PeakBytes: s.PeakRSS, FinalBytes: e.finalRSS},
		PageTableBytes: s.PeakPageTableBytes,
		TLB: result.TLB{Lookups: s.TLB.Lookups(), L1Misses: s.TLB.L1Misses(), Misses: s.TLB.Misses(), Walks: s.TLB.Walks(),
			DataMisses: s.TLB.DataMisses(), ExecMisses: s.TLB.ExecMisses()},
	}
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
	return t
}

// labelWarnings says what a label of the trace's header means for the reader
// of a result.
var labelWarnings = map[string]string{
	"order":   "the order of accesses of different threads in this trace is %s",
	"faults":  "this trace holds faults %s: accesses that did not fault are not in it",
	"regions": "the mappings of this trace are %s, not recorded",
}

// traceWarnings lists what the trace itself says about its limits.
func (e *engine) traceWarnings(src trace.Source) []string {
	w := append([]string{}, src.Warnings()...)
	for _, key := range []string{"order", "faults", "regions"} {
		if v, ok := e.header.Labels[key]; ok {
			w = append(w, fmt.Sprintf(labelWarnings[key], v))
		}
	}
	if e.orphans > 0 {
		w = append(w, fmt.Sprintf("%d records belong to threads that had not started or were dead: passed over", e.orphans))
	}
	if e.accesses == 0 {
		w = append(w, "the trace holds no accesses")
	}
	return w
}

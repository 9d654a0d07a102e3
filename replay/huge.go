package replay

import (
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// What large pages add to a replay: time that passes for the collapse in the
// background, the calls that switch huge pages off, and totals.

// clock is the time of the model in ns: that of the trace's Time records, or, as
// long as there was none, one ns for each access.
type clock struct {
	step uint64 // accesses between two looks at it; 0: nothing wants to know
	next uint64 // accesses at the next look
	told bool   // there was a Time record
}

// clockStep is short against the seconds between two scans.
const clockStep = 1_000_000

func newClock(c paging.Config) clock {
	if c.THP == paging.THPNever {
		return clock{}
	}
	step := min(uint64(clockStep), uint64(c.CollapseEvery))
	return clock{step: step, next: step}
}

// pass lets the model know what time it is.
func (e *engine) pass(ns uint64) {
	if e.clock.step != 0 {
		e.machine.Pass(ns)
	}
}

// tick is for the end of a chunk of references.
func (e *engine) tick() {
	c := &e.clock
	if c.step == 0 || e.accesses < c.next {
		return
	}
	c.next = e.accesses - e.accesses%c.step + c.step
	if !c.told {
		e.pass(e.accesses)
	}
}

// followPrctl follows PR_SET_THP_DISABLE.
func followPrctl(_ *engine, p *process, s *trace.Syscall) error {
	const setTHPDisable = 41
	if th := p.any(); th != nil && uint32(s.Args[0]) == setTHPDisable {
		th.task.SetTHPDisable(s.Args[1] != 0)
	}
	return nil
}

// hugeMemfd is the object of a memfd_create with MFD_HUGETLB, nil for another one
// or where the machine has no pages of that size.
func (e *engine) hugeMemfd(flags uint64) *paging.File {
	const hugeTLB, sizeAt, sizeMask = 4, 26, 0x3f
	if flags&hugeTLB == 0 {
		return nil
	}
	size := uint64(0)
	if log := flags >> sizeAt & sizeMask; log != 0 {
		size = 1 << log
	}
	return e.machine.HugeFile(devMemfd, e.memfds, 0, "/memfd: (deleted)", size)
}

// largePages fills in what became of large pages.
func largePages(s *paging.Stats) result.Huge {
	h := &s.Huge
	out := result.Huge{PeakBytes: s.PeakHugeBytes, FaultAlloc: h.FaultAlloc, FaultFallback: h.FaultFallback, ZeroMapped: h.ZeroMapped,
		SplitPMD: h.SplitPMD, SplitPage: h.SplitPage, Collapsed: h.Collapsed}
	for _, p := range s.HugeTLB {
		if p.Total+p.HighUse+p.Grown+p.Denied > 0 {
			out.Pools = append(out.Pools, result.HugePool{PageBytes: p.PageBytes, Pages: p.Total, PeakUsed: p.HighUse, Reserved: p.Reserved,
				Denied: p.Denied, Stolen: p.Stolen, Grown: p.Grown})
		}
	}
	return out
}

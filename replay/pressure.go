package replay

import (
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// What a limit of memory adds to a replay: processes are killed when there is no
// room, and the trace goes on with what is left.

// makeVictim kills a process for lack of memory, as the kernel would choose it,
// and says whether that was another one than the thread's: then there may be
// room.
func (e *engine) makeVictim(th *thread) bool {
	if e.machine.Config().Memory == 0 {
		return false
	}
	p := e.procs[e.machine.OOMVictim().PID()]
	if p == nil {
		p = th.proc // it has lost its number in a damaged trace
	}
	e.oomKills++
	e.warnings.once("process %d was killed for lack of memory after %d accesses (record %d): what it would have done is missing", p.pid, e.accesses, e.records)
	e.exitProcess(p.any(), "OOM")
	return p != th.proc
}

// pressure fills in what reclaim has done.
func (e *engine) pressure(t *result.Totals, s *paging.Stats) {
	r := &s.Reclaim
	t.Reclaim = result.Reclaim{Evictions: r.Evictions, Refaults: r.Refaults, Dropped: r.Dropped, PeakBytes: s.PeakMemory,
		FileInBytes: r.FileIn * paging.PageSize, FileOutBytes: r.FileOut * paging.PageSize, OOMKills: e.oomKills, Recycled: e.recycled}
	t.Swap = result.Swap{InBytes: r.SwapIn * paging.PageSize, OutBytes: r.SwapOut * paging.PageSize, CacheHits: r.Cached}
	c := e.machine.Config()
	t.WriteBack = writeBack(&c, s)
	if c.Memory == 0 {
		return
	}
	if c.Kswapd {
		kswapd, direct := result.ReclaimRuns(r.Kswapd), result.ReclaimRuns(r.Direct)
		t.Reclaim.Kswapd, t.Reclaim.Direct = &kswapd, &direct
	}
	switch {
	case e.oomKills > 0:
		t.Reclaim.Outcome = result.PressureOOM
	case result.Thrashes(r.Refaults, e.refs):
		t.Reclaim.Outcome = result.PressureThrash
	default:
		t.Reclaim.Outcome = result.PressureDone
	}
}

package replay

import "github.com/vmtrace/vmtrace/paging"

// Work is what a thread had the kernel do to an address space: a page fault, or a
// system call of the model. For whoever wants to know what threads would contend for.
type Work struct {
	PID, TID uint32            // of the thread
	Accesses uint64            // that the thread had performed before
	Fault    *paging.FaultInfo // nil for a call; valid while the function runs
	Call     string            // its name; "fork" for a process that was forked
	Addr     uint64            // the first argument of a call
}

// work hands a call of a thread on.
func (e *engine) work(th *thread, call string, addr uint64) {
	if e.opts.Work != nil {
		e.opts.Work(Work{PID: th.proc.pid, TID: th.tid, Accesses: th.accesses, Call: call, Addr: addr})
	}
}

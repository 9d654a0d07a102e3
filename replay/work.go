package replay

import "github.com/vmtrace/vmtrace/paging"

// Work is what a thread had the kernel do to an address space: a page fault, or a
// system call of the model. For whoever wants to know what threads would contend for.
// Nothing is told of what comes before the part of a trace that was asked for.
type Work struct {
	PID, TID uint32            // of the thread
	Accesses uint64            // that the thread had performed before
	Mappings paging.Mappings   // of its address space now
	Fault    *paging.FaultInfo // nil for a call; valid while the function runs
	Kernel   bool              // the fault is of the kernel, which copies for the thread or does a call of it
	Call     string            // its name; "fork" where the address space is copied
	Args     [6]uint64         // of a call
	Resident uint64            // of a call: bytes of its address space now
	Done     bool              // the call has been done: it was told when it began, and its faults since
}

// tells says whether anybody is told what the thread does now.
func (e *engine) tells() bool { return e.opts.Work != nil && !e.early }

// fault tells of a fault. Precondition: somebody is told.
func (e *engine) fault(i *paging.FaultInfo) {
	if th := e.threads[i.Task.TID()]; th != nil {
		e.opts.Work(Work{PID: th.proc.pid, TID: th.tid, Accesses: th.accesses, Mappings: th.task.Mappings(), Fault: i, Kernel: e.inKernel})
	}
}

// begins tells of a call that begins.
func (e *engine) begins(th *thread, call string, args [6]uint64) {
	e.inKernel = true
	if e.tells() {
		e.opts.Work(Work{PID: th.proc.pid, TID: th.tid, Accesses: th.accesses, Mappings: th.task.Mappings(), Call: call, Args: args, Resident: th.task.RSS().Total()})
	}
}

// ends tells that a call has been done, if the thread has lived to see it.
func (e *engine) ends(th *thread, call string, args [6]uint64) {
	e.inKernel = false
	if e.tells() && !th.proc.dead {
		e.opts.Work(Work{PID: th.proc.pid, TID: th.tid, Accesses: th.accesses, Mappings: th.task.Mappings(), Call: call, Args: args, Resident: th.task.RSS().Total(), Done: true})
	}
}

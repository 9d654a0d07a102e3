package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// thread is one thread of the trace.
type thread struct {
	tid  uint32
	cpu  int
	task *paging.Task
	proc *process
}

// process is one process of the trace, living or gone.
type process struct {
	pid     uint32
	command string
	threads int // ever
	live    map[uint32]*thread
	fds     map[uint64]*paging.File
	heapSet bool // the start of the heap is known
	dead    bool
	exit    string
	refused string // the last refused access, not yet blamed on the model
	faults  faultCounts
	rss     paging.RSS // when it ended
	peakRSS uint64
}

// faultCounts are the faults of a process or mapping.
type faultCounts struct {
	minor, major, foreign uint64
	kinds                 [paging.NumFaultKinds]uint64
}

func (f *faultCounts) add(i *paging.FaultInfo) {
	switch i.Outcome {
	case paging.Minor:
		f.minor++
	case paging.Major:
		f.major++
	}
	if i.Foreign {
		f.foreign++
	}
	f.kinds[i.Kind]++
}

func (f *faultCounts) result() result.Faults {
	return result.Faults{Minor: f.minor, Major: f.major, Foreign: f.foreign, Kinds: kindNames(&f.kinds)}
}

func kindNames(kinds *[paging.NumFaultKinds]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for k, n := range kinds {
		if n != 0 {
			out[paging.FaultKind(k).String()] = n
		}
	}
	return out
}

// nextCPU spreads new threads over the CPUs, one after the other.
func (e *engine) nextCPU() int {
	n := 0
	for _, p := range e.all {
		n += p.threads
	}
	return n % e.machine.CPUs()
}

func (e *engine) newProcess(pid uint32, command string) *process {
	p := &process{pid: pid, command: command, live: map[uint32]*thread{}, fds: map[uint64]*paging.File{}}
	e.procs[pid] = p
	e.all = append(e.all, p)
	return p
}

func (e *engine) newThread(p *process, tid uint32, cpu int, task *paging.Task) *thread {
	th := &thread{tid: tid, cpu: cpu, task: task, proc: p}
	p.threads++
	p.live[tid] = th
	e.threads[tid] = th
	return th
}

// runnable returns the thread, switched in on its CPU, or nil when there is no
// such thread or its process is dead.
func (e *engine) runnable(tid uint32) *thread {
	if e.current != nil && e.current.tid == tid && !e.current.proc.dead {
		return e.current
	}
	th := e.threads[tid]
	if th == nil || th.proc.dead {
		return nil
	}
	th.task.RunOn(th.cpu)
	e.current = th
	return th
}

// process applies a Process event of thread tid.
func (e *engine) process(tid uint32, p trace.Process) error {
	if p.Op == trace.OpStart {
		if e.procs[p.Child] != nil {
			return fmt.Errorf("process %d starts twice", p.Child)
		}
		cpu := e.nextCPU()
		proc := e.newProcess(p.Child, p.Text)
		e.newThread(proc, tid, cpu, e.machine.NewProcess(p.Child, tid, cpu))
		return nil
	}
	th := e.runnable(tid)
	if th == nil {
		e.orphans++
		return nil
	}
	switch p.Op {
	case trace.OpFork, trace.OpVFork:
		e.fork(th, p)
	case trace.OpClone:
		cpu := e.nextCPU()
		e.newThread(th.proc, p.Tid, cpu, th.task.Clone(p.Tid, cpu))
	case trace.OpExec:
		e.exec(th, p.Text)
	case trace.OpExit:
		e.exitThread(th)
	case trace.OpGroup:
		e.exitProcess(th.proc, exitText(p.Status))
	default:
		return fmt.Errorf("process operation %d is unknown", p.Op)
	}
	return nil
}

func (e *engine) fork(th *thread, p trace.Process) {
	cpu := e.nextCPU()
	tid := p.Tid
	if tid == 0 {
		tid = p.Child
	}
	var task *paging.Task
	if p.Op == trace.OpVFork {
		task = th.task.VFork(p.Child, tid, cpu)
	} else {
		task = th.task.Fork(p.Child, tid, cpu)
	}
	child := e.newProcess(p.Child, th.proc.command)
	child.heapSet = th.proc.heapSet
	for fd, f := range th.proc.fds {
		child.fds[fd] = f
	}
	e.newThread(child, tid, cpu, task)
}

func (e *engine) exec(th *thread, command string) {
	p := th.proc
	p.peakRSS = max(p.peakRSS, th.task.PeakRSS())
	th.task.Exec()
	for tid, other := range p.live {
		if other != th {
			delete(p.live, tid)
			delete(e.threads, tid)
		}
	}
	p.heapSet = false
	if command != "" {
		p.command = command
	}
}

func (e *engine) exitThread(th *thread) {
	p := th.proc
	if len(p.live) == 1 {
		e.exitProcess(p, "0")
		return
	}
	th.task.Exit()
	e.forget(th)
}

func (e *engine) forget(th *thread) {
	delete(th.proc.live, th.tid)
	delete(e.threads, th.tid)
	if e.current == th {
		e.current = nil
	}
}

// exitProcess ends every thread of the process and keeps what it held last.
func (e *engine) exitProcess(p *process, how string) {
	if p.dead {
		return
	}
	if how == "SIGSEGV" || how == "SIGBUS" {
		p.refused = "" // that is what killed it
	}
	e.blame(p)
	e.lastLook(p)
	p.exit, p.dead = how, true
	delete(e.procs, p.pid)
	var leader *thread
	for _, th := range p.live {
		leader = th
		e.forget(th)
	}
	if leader != nil {
		leader.task.ExitGroup()
	}
}

// lastLook takes the memory figures of a living process. The total of all
// processes is kept as it was before the last of them went.
func (e *engine) lastLook(p *process) {
	for _, th := range p.live {
		p.rss = th.task.RSS()
		p.peakRSS = max(p.peakRSS, th.task.PeakRSS())
		break
	}
	if rss := e.machine.Stats().RSS; rss.Total() > 0 {
		e.finalRSS = rss.Total()
	}
}

// kill ends a process that the model sent a signal to.
func (e *engine) kill(p *process, how string) {
	e.exitProcess(p, how)
}

// exitText words an exit status as wait(2) gives it.
func exitText(status uint64) string {
	sig := status & 0x7f
	switch sig {
	case 0:
		return fmt.Sprint(status >> 8 & 0xff)
	case 7:
		return "SIGBUS"
	case 11:
		return "SIGSEGV"
	}
	return fmt.Sprintf("signal %d", sig)
}

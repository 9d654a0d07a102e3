package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// thread is one living thread of the trace.
type thread struct {
	tid  uint32
	cpu  int
	task *paging.Task
	proc *process
	refs uint64 // performed

	accesses uint64 // performed
}

// process is one process of the trace, living or gone.
type process struct {
	pid     uint32
	command string
	threads int                // ever
	live    map[uint32]*thread // nil once it is dead
	fds     *descriptorTable
	heap    heap
	dead    bool
	exit    string
	pending *refusal // the last refused access, not yet held against the model
	faults  faultCounts
	last    paging.RSS // when it ended
	peakRSS uint64
	truth   *result.Truth
	row     bool // has a row of its own in the result
}

// heap is what is known of the heap of a process.
type heap struct {
	start, end uint64 // of the region, where a Map record told it
	known      bool   // the model knows where it is
	asked      bool   // brk has been called
}

// any returns a thread of the process, nil when there is none; what it is asked
// for is the same for all of them.
func (p *process) any() *thread {
	for _, th := range p.live {
		return th
	}
	return nil
}

// rss is its resident memory now.
func (p *process) rss() paging.RSS {
	if th := p.any(); th != nil {
		return th.task.RSS()
	}
	return p.last
}

// processSum is many processes in one row.
type processSum struct {
	processes, threads int
	faults             faultCounts
	peakRSS            uint64 // the largest
}

func (s *processSum) add(p *process) {
	s.processes++
	s.threads += p.threads
	s.faults.merge(&p.faults)
	s.peakRSS = max(s.peakRSS, p.peakRSS)
}

// nextCPU spreads new threads over the CPUs, one after the other.
func (e *engine) nextCPU() int { return e.started % e.machine.CPUs() }

// vacant returns an error where a process or thread that is to start is there
// already, or there are too many.
func (e *engine) vacant(pid, tid uint32) error {
	if e.procs[pid] != nil {
		return fmt.Errorf("process %d starts twice", pid)
	}
	return e.vacantThread(tid)
}

func (e *engine) vacantThread(tid uint32) error {
	if e.threads[tid] != nil {
		return fmt.Errorf("thread %d starts twice", tid)
	}
	if len(e.threads) >= e.limits.threads {
		return fmt.Errorf("more than %d threads at once", e.limits.threads)
	}
	return nil
}

func (e *engine) newProcess(pid uint32, command string, fds *descriptorTable) *process {
	p := &process{pid: pid, command: command, live: map[uint32]*thread{}, fds: fds, row: len(e.rows) < e.limits.rows}
	e.procs[pid] = p
	if p.row {
		e.rows = append(e.rows, p)
	}
	return p
}

func (e *engine) newThread(p *process, tid uint32, cpu int, task *paging.Task) {
	th := &thread{tid: tid, cpu: cpu, task: task, proc: p}
	p.threads++
	e.started++
	p.live[tid] = th
	e.threads[tid] = th
}

// runnable returns the thread, switched in on its CPU, or nil when there is no
// such thread or it has ended.
func (e *engine) runnable(tid uint32) *thread {
	if e.current != nil && e.current.tid == tid {
		return e.current
	}
	th := e.threads[tid]
	if th == nil {
		return nil
	}
	th.task.RunOn(th.cpu)
	e.current = th
	return th
}

// process applies a Process event of thread tid.
func (e *engine) process(tid uint32, p trace.Process) error {
	if p.Op == trace.OpStart {
		if err := e.vacant(p.Child, tid); err != nil {
			return err
		}
		cpu := e.nextCPU()
		proc := e.newProcess(p.Child, e.names.keep(p.Text), newDescriptorTable())
		e.newThread(proc, tid, cpu, e.machine.NewProcess(p.Child, tid, cpu))
		return nil
	}
	th := e.runnable(tid)
	if th == nil {
		e.passOver()
		return nil
	}
	switch p.Op {
	case trace.OpFork, trace.OpVFork:
		return e.fork(th, p)
	case trace.OpClone:
		if err := e.vacantThread(p.Tid); err != nil {
			return err
		}
		cpu := e.nextCPU()
		e.newThread(th.proc, p.Tid, cpu, th.task.Clone(p.Tid, cpu))
	case trace.OpExec:
		return e.exec(th, p.Text)
	case trace.OpExit:
		e.exitThread(th, p.Status)
	case trace.OpGroup:
		e.exitProcess(th, exitText(p.Status))
	default:
		return fmt.Errorf("process operation %d is unknown", p.Op)
	}
	return nil
}

// Flags of clone(2).
const (
	cloneVM    = 0x100
	cloneFiles = 0x400
)

// fork starts a process: with a copy of the address space, or, for vfork and
// clone with CLONE_VM, in the same one until it calls exec or ends.
func (e *engine) fork(th *thread, p trace.Process) error {
	tid := p.Tid
	if tid == 0 {
		tid = p.Child
	}
	if err := e.vacant(p.Child, tid); err != nil {
		return err
	}
	fds, err := e.inheritDescriptors(th.proc.fds, p.Flags&cloneFiles != 0)
	if err != nil {
		return err
	}
	cpu := e.nextCPU()
	var task *paging.Task
	if p.Op == trace.OpVFork || p.Flags&cloneVM != 0 {
		task = th.task.VFork(p.Child, tid, cpu)
	} else {
		if th.task.MayFork() != 0 {
			e.warnings.once("overcommit would refuse a fork that the trace has: its child is there all the same")
		}
		e.begins(th, "fork", [6]uint64{})
		task = th.task.Fork(p.Child, tid, cpu)
		e.ends(th, "fork", [6]uint64{})
	}
	child := e.newProcess(p.Child, th.proc.command, fds)
	child.heap = th.proc.heap
	e.newThread(child, tid, cpu, task)
	return nil
}

// exec replaces the image of the process. The other threads die (fs/exec.c:
// de_thread), and a descriptor table that is shared with another process is
// left to that one (begin_new_exec calls unshare_files).
func (e *engine) exec(th *thread, command string) error {
	p := th.proc
	if p.fds.users > 1 {
		fds, err := e.inheritDescriptors(p.fds, false)
		if err != nil {
			return err
		}
		p.fds.users--
		p.fds = fds
	}
	p.peakRSS = max(p.peakRSS, th.task.PeakRSS())
	th.task.Exec()
	for tid, other := range p.live {
		if other != th {
			delete(p.live, tid)
			delete(e.threads, tid)
		}
	}
	p.heap = heap{}
	if command != "" {
		p.command = e.names.keep(command)
	}
	return nil
}

// exitThread ends one thread; with the last one the process ends.
func (e *engine) exitThread(th *thread, status uint64) {
	if len(th.proc.live) == 1 {
		e.exitProcess(th, exitText(status))
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

// exitProcess ends every thread of the process of th, the current thread, and
// keeps what it held last. Th itself takes the address space down.
func (e *engine) exitProcess(th *thread, how string) {
	p := th.proc
	e.settle(p, how)
	e.lastLook(p)
	if len(e.procs) == 1 {
		e.finalRSS = e.machine.Stats().RSS.Total()
	}
	p.exit, p.dead = how, true
	th.task.ExitGroup()
	for _, other := range p.live {
		e.forget(other)
	}
	delete(e.procs, p.pid)
	e.dropDescriptors(p.fds)
	p.live, p.fds = nil, nil
	if !p.row {
		e.others.add(p)
	}
}

// lastLook notes the memory figures of a living process.
func (e *engine) lastLook(p *process) {
	p.last = p.rss()
	p.peakRSS = max(p.peakRSS, p.any().task.PeakRSS())
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

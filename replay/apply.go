package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// event applies one record that is not a reference. It returns an error only
// for a stream that breaks the rules of the trace (trace.Validate) in a way
// that leaves nothing sensible to do.
func (e *engine) event(ev *trace.Event) error {
	e.events++
	if e.opts.Check && e.events%checkEvery == 0 {
		if err := e.machine.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrCheck, err)
		}
	}
	switch ev.Kind {
	case trace.KindSyscall:
		e.syscall(ev.Thread, ev.Syscall())
	case trace.KindUserCopy:
		e.userCopy(ev.Thread, ev.UserCopy())
	case trace.KindMap:
		return e.mapRegion(ev.Thread, ev.Map())
	case trace.KindFile:
		e.file(ev.Thread, ev.File())
	case trace.KindProcess:
		return e.process(ev.Thread, ev.Process())
	case trace.KindSched:
		e.sched(ev.Sched())
	case trace.KindMark:
		e.marks = append(e.marks, result.Mark{Accesses: e.accesses, Label: ev.Mark()})
	case trace.KindLost:
		n, what := ev.Lost()
		e.lost += n
		e.warn("%d records are missing here (%s), after %d accesses: counts from there on are too low", n, what, e.accesses)
	case trace.KindTime, trace.KindTruth, trace.KindFault:
		// Time and Truth serve people and validation. A Fault is what the
		// live kernel did, not what the program asked for.
	default:
		return fmt.Errorf("%w: record kind %d", trace.ErrVersion, ev.Kind)
	}
	return nil
}

const maxWarnings = 50

func (e *engine) warn(format string, args ...any) {
	if len(e.warnings) < maxWarnings {
		e.warnings = append(e.warnings, fmt.Sprintf(format, args...))
	}
}

func (e *engine) sched(s trace.Sched) {
	th := e.threads[s.Thread]
	if th == nil {
		return
	}
	if s.CPU != 0 {
		cpu := int(s.CPU-1) % e.machine.CPUs()
		if cpu != th.cpu {
			th.cpu = cpu
			e.current = nil
		}
	}
	e.runnable(s.Thread)
}

func (e *engine) userCopy(tid uint32, c trace.UserCopy) {
	th := e.runnable(tid)
	if th == nil {
		e.orphans++
		return
	}
	if c.Len == 0 {
		return
	}
	done, out := th.task.Copy(c.Addr, c.Len, c.Write)
	// The kernel answers a bad user pointer with EFAULT, not with a signal;
	// the recorded call did succeed, so on a captured trace it is held
	// against the model all the same.
	if out.Fatal() && (e.imposed || out == paging.OOM) {
		e.refused(th, c.Addr+done, out)
	}
}

func (e *engine) file(tid uint32, f trace.File) {
	file := e.machine.File(f.Dev, f.Ino, f.Size, f.Path)
	e.files[f.ID] = file
	if f.FD == 0 {
		return
	}
	if th := e.threads[tid]; th != nil {
		th.proc.fds[f.FD-1] = file
	}
}

// regionKinds says what a region of the trace is to the model; the first flag
// that is set decides.
var regionKinds = []struct {
	flag trace.MapFlags
	kind paging.RegionKind
}{
	{trace.MapHeap, paging.Heap},
	{trace.MapStack, paging.Stack},
	{trace.MapVDSO, paging.VDSO},
	{trace.MapVVar, paging.VVar},
	{trace.MapVSyscall, paging.VSyscall},
}

func (e *engine) mapRegion(tid uint32, m trace.Map) error {
	th := e.runnable(tid)
	if th == nil {
		e.orphans++
		return nil
	}
	r := paging.Region{
		Start: m.Start, End: m.End, Prot: paging.Prot(m.Prot), Offset: m.Offset, Name: m.Name,
		Shared: m.Flags&trace.MapShared != 0, GrowsDown: m.Flags&trace.MapGrowsDown != 0,
		Foreign: m.Flags&trace.MapRecorder != 0,
	}
	for _, k := range regionKinds {
		if m.Flags&k.flag != 0 {
			r.Kind = k.kind
			break
		}
	}
	if m.File != 0 {
		if r.File = e.files[m.File]; r.File == nil {
			return fmt.Errorf("region %#x-%#x names file %d, which no File record has announced", m.Start, m.End, m.File)
		}
	}
	if r.Kind == paging.Heap {
		th.task.SetBrk(m.Start, m.End)
		th.proc.heapSet = true
	}
	if err := th.task.MapRegion(r); err != nil {
		if e.imposed {
			e.warn("region %#x-%#x (%s) does not fit into the address space: %v", m.Start, m.End, m.Name, err)
			return nil
		}
		return err
	}
	return nil
}

func (e *engine) syscall(tid uint32, s trace.Syscall) {
	th := e.runnable(tid)
	if th == nil {
		e.orphans++
		return
	}
	c, ok := calls[callKey{s.ABI, s.Nr}]
	if !ok {
		e.agree.ignore(trace.SyscallName(s.ABI, s.Nr))
		return
	}
	ret := c.apply(e, th, &s)
	if c.args > 0 {
		e.agree.compare(c.name, s.Args[:c.args], ret, s.Ret)
	}
}

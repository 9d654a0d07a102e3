package replay

import (
	"fmt"
	"path"
	"strings"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// event applies one record that is not a reference. It returns an error only
// for a stream that breaks the rules of the trace (trace.Validate) in a way
// that leaves nothing sensible to do.
func (e *engine) event(ev *trace.Event) error {
	switch ev.Kind {
	case trace.KindSyscall:
		return e.syscall(ev.Thread, ev.Syscall())
	case trace.KindUserCopy:
		e.userCopy(ev.Thread, ev.UserCopy())
	case trace.KindMap:
		return e.mapRegion(ev.Thread, ev.Map())
	case trace.KindFile:
		return e.file(ev.Thread, ev.File())
	case trace.KindProcess:
		return e.process(ev.Thread, ev.Process())
	case trace.KindSched:
		e.sched(ev.Sched())
	case trace.KindMark:
		e.mark(ev.Mark())
	case trace.KindLost:
		e.lost.add(ev, e.accesses)
	case trace.KindTruth:
		e.truth(ev.Truth())
	case trace.KindTime:
		e.clock.told = true
		e.pass(ev.Time().NS)
		e.daemons.tell(ev.Time().NS, e.accesses)
	case trace.KindFault:
		// What the live kernel did, not what the program asked for.
	default:
		return fmt.Errorf("%w: record kind %d", trace.ErrVersion, ev.Kind)
	}
	return nil
}

// passOver counts a record that has no thread to be applied to.
func (e *engine) passOver() { e.passed.records++ }

func (e *engine) mark(label string) {
	if len(e.marks) >= e.limits.rows {
		e.warnings.once("more than %d marks: those after the first are left out", e.limits.rows)
		return
	}
	e.marks = append(e.marks, result.Mark{Accesses: e.accesses, Label: e.names.keep(label)})
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

// truth notes what the live kernel had counted, with the model's counts at the
// same point beside it. The model does not act on it.
func (e *engine) truth(t trace.Truth) {
	p := e.procs[t.PID]
	if p == nil {
		e.passOver()
		return
	}
	p.truth = &result.Truth{
		Accesses: e.accesses,
		Live:     result.Point{Minor: t.Minor, Major: t.Major, RSSBytes: t.RSS},
		Model:    result.Point{Minor: p.faults.minor - p.faults.foreign, Major: p.faults.major - p.faults.foreignMajor, RSSBytes: p.rss().Total()},
	}
}

// maxCopy is the most the kernel copies for one call: MAX_RW_COUNT of Linux
// 6.1 include/linux/fs.h.
const maxCopy = 0x7ffff000

// userCopy is the kernel reading or writing user memory for the thread. It
// answers a bad pointer with EFAULT and not with a signal (arch/x86/mm/fault.c:
// kernelmode_fixup_or_oops), so nothing happens to the process; but a recorder
// notes what was copied, so in a captured trace a copy that the model refuses is
// held against it.
func (e *engine) userCopy(tid uint32, c trace.UserCopy) {
	th := e.runnable(tid)
	if th == nil {
		e.passOver()
		return
	}
	if c.Len == 0 {
		return
	}
	if c.Len > maxCopy {
		e.warnings.once("a usercopy record names more than the %d bytes that the kernel copies for one call: the rest is left out", uint64(maxCopy))
		c.Len = maxCopy
	}
	e.inKernel = true
	defer func() { e.inKernel = false }()
	done, out := e.copy(th, c)
	for out == paging.OOM && e.makeVictim(th) {
		done, out = e.copy(th, c)
	}
	switch {
	case th.proc.dead:

	case out == paging.OOM && !e.imposed:
		e.exitProcess(th, out.String())
	case out.Fatal() && e.imposed:
		e.unexplained(e.describe(th, c.Addr+done, out, e.records))
	}
}

// copy performs a copy, in a sample those pages of it that are chosen.
func (e *engine) copy(th *thread, c trace.UserCopy) (done uint64, out paging.Outcome) {
	if e.opts.Sample == nil {
		return th.task.Copy(c.Addr, c.Len, c.Write)
	}
	for done < c.Len {
		at := c.Addr + done
		n := min(paging.PageSize-at%paging.PageSize, c.Len-done)
		if th.task.Chosen(at / paging.PageSize) {
			if k, out := th.task.Copy(at, n, c.Write); out.Fatal() {
				return done + k, out
			}
		}
		done += n
	}
	return done, paging.OK
}

// knownFile is a file that a File record has announced.
type knownFile struct {
	file     *paging.File
	dev, ino uint64
}

// Devices of files whose identity the trace does not give. No device number of
// Linux has more than 32 bits.
const (
	devByID         = ^uint64(0) - 1 // ino is the id of the File record
	devByDescriptor = ^uint64(0) - 2 // ino is process id<<32 | descriptor
)

// file announces a file, or brings its size up to date, and notes which
// descriptor names it.
func (e *engine) file(tid uint32, f trace.File) error {
	if f.Dev == 0 && f.Ino == 0 { // in traces written by hand: the id tells files apart
		f.Dev, f.Ino = devByID, f.ID
	}
	k := e.files[f.ID]
	switch {
	case k == nil:
		if len(e.files) >= e.limits.files {
			return fmt.Errorf("more than %d files", e.limits.files)
		}
		k = &knownFile{dev: f.Dev, ino: f.Ino}
		e.files[f.ID] = k
	case k.dev != f.Dev || k.ino != f.Ino:
		return fmt.Errorf("file %d was device %#x, inode %d and is now device %#x, inode %d", f.ID, k.dev, k.ino, f.Dev, f.Ino)
	}
	if sharedPath(f.Path) {
		k.file = e.sharedFile(tid, &f, k.file == nil)
	} else {
		k.file = e.machine.File(f.Dev, f.Ino, f.Size, e.names.keep(f.Path))
	}
	// Valgrind preloads libraries of this name into the program it runs.
	if e.imposed && strings.HasPrefix(path.Base(f.Path), "vgpreload_") {
		k.file.SetForeign()
	}
	if f.FD == 0 {
		return nil
	}
	th := e.threads[tid]
	if th == nil {
		e.passOver()
		return nil
	}
	if f.FD-1 > maxDescriptor {
		return fmt.Errorf("descriptor %d: they end at %d", f.FD-1, maxDescriptor)
	}
	return e.openDescriptor(th.proc, int32(f.FD-1), k.file)
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

// mapRegion puts a region of the image into the address space. One that does
// not fit is an error in a trace made for the model, and a warning in a captured
// one, whose layout nobody can change any more.
func (e *engine) mapRegion(tid uint32, m trace.Map) error {
	th := e.runnable(tid)
	if th == nil {
		e.passOver()
		return nil
	}
	r := paging.Region{
		Start: m.Start, End: m.End, Prot: paging.Prot(m.Prot), Offset: m.Offset,
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
		k := e.files[m.File]
		if k == nil {
			return fmt.Errorf("region %#x-%#x names file %d, which no File record has announced", m.Start, m.End, m.File)
		}
		r.File = k.file
	} else if m.Name != "" {
		r.Name = e.names.keep(m.Name)
	}
	if r.Kind == paging.VDSO || r.Kind == paging.VVar { // the kernel's own pages, mapped private
		r.File, r.Shared = nil, false
	}
	if err := th.task.MapRegion(r); err != nil {
		if !e.imposed {
			return fmt.Errorf("region %#x-%#x: %w", m.Start, m.End, err)
		}
		e.warnings.add("region %#x-%#x (%s) does not fit into the address space: %v", m.Start, m.End, e.names.keep(m.Name), err)
		return nil
	}
	if r.Kind == paging.Heap {
		th.task.SetBrk(m.Start, m.End)
		th.proc.heap = heap{start: m.Start, end: m.End, known: true}
	}
	return nil
}

// syscall performs a call in the model, if the model has a part in it, and
// compares its answer with the recorded one.
func (e *engine) syscall(tid uint32, s trace.Syscall) error {
	th := e.runnable(tid)
	if th == nil {
		e.passOver()
		return nil
	}
	if s.ABI == trace.ABII386 {
		narrow(&s)
		if !e.imposed && e.header.ABI != trace.ABII386 {
			e.warnings.once("the trace holds i386 system calls: they run in the address space of x86-64")
		}
	}
	key := callKey{s.ABI, s.Nr}
	if c, ok := calls[key]; ok {
		e.begins(th, c.name, s.Args)
		e.agree.compare(c.name, s.Args[:c.args], c.apply(e, th, &s), s.Ret)
		e.ends(th, c.name, s.Args)
		return nil
	}
	e.agree.ignore(trace.SyscallName(s.ABI, s.Nr))
	if follow, ok := followedCalls[key]; ok && !isErrno(s.Ret) {
		return follow(e, th.proc, &s)
	}
	return nil
}

// narrow makes of the registers of an i386 call what the kernel makes of them:
// arguments of 32 bits without sign (arch/x86/include/asm/syscall_wrapper.h:
// SC_IA32_REGS_TO_ARGS), and an error number that is negative in 64 bits too.
func narrow(s *trace.Syscall) {
	for i := range s.Args {
		s.Args[i] &= 0xffffffff
	}
	if s.Ret>>32 == 0 && isErrno(uint64(int64(int32(s.Ret)))) {
		s.Ret = uint64(int64(int32(s.Ret)))
	}
}

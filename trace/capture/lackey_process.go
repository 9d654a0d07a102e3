package capture

import (
	"strings"

	"github.com/vmtrace/vmtrace/trace"
	grammar "github.com/vmtrace/vmtrace/trace/lackey"
)

// lackeyProcess turns the log of one process into records. It implements
// lineSink.
type lackeyProcess struct {
	rec      *lackeyRecorder
	pid      uint32
	log      string // FIFO that valgrind writes
	fd       int    // of the FIFO
	parser   parser
	threads  threadNames
	current  uint32 // thread that runs
	last     int    // valgrind's number of the thread of the last call
	pending  map[int]*pendingCall
	fds      *fdTable
	cmd      string
	stack    [2]uint64 // until the argument area has been recorded
	building bool      // an image is, and nothing of it has run
	started  bool      // a process event has announced it
	muted    bool      // the image is one that cannot be recorded

	ip     uint64    // of the last instruction
	ref    trace.Ref // open run
	refIP  uint64
	hasRef bool
}

// pendingCall is a call whose result has not been seen.
type pendingCall struct {
	s    trace.Syscall
	text []string // strings behind its pointers
}

func (r *lackeyRecorder) newProcess(pid uint32, fds *fdTable) *lackeyProcess {
	p := &lackeyProcess{rec: r, pid: pid, current: pid, pending: map[int]*pendingCall{}, fds: fds}
	p.threads.reset(pid)
	p.parser.sink = p
	return p
}

// access takes one access. The kernel's own writes to the stack are recorded
// before the first access to it: only then is the stack pointer known.
func (p *lackeyProcess) access(kind byte, addr, size uint64) {
	if !p.started || p.muted || size == 0 {
		return
	}
	a := trace.Read
	switch kind {
	case 'I':
		a = trace.Exec
		p.ip = addr
	case 'S', 'M':
		a = trace.Write
	}
	if a != trace.Exec {
		if p.stack[1] != 0 && addr >= p.stack[0]-stackBelow && addr < p.stack[1] {
			p.argumentArea(kind, addr, size)
		}
		if p.current == 0 {
			p.current = p.threads.byStack(addr)
		}
	}
	p.fold(addr, a)
	if end := addr + size - 1; end>>12 != addr>>12 {
		p.fold(end&^0xfff, a)
	}
}

// fold adds an access to the open run, or begins a new one: a run ends where
// the page changes, or data turns to instructions. An access that crosses into
// another page is one of each.
func (p *lackeyProcess) fold(addr uint64, a trace.Access) {
	r := &p.ref
	if !p.hasRef || r.VPN != addr>>12 || (r.First == trace.Exec) != (a == trace.Exec) || r.Reads|r.Writes|r.Execs >= 1<<31 {
		p.flush()
		*r = trace.Ref{VPN: addr >> 12, Offset: uint16(addr & 0xfff), First: a}
		p.refIP = p.ip
		p.hasRef = true
	}
	switch a {
	case trace.Read:
		r.Reads++
	case trace.Write:
		r.Writes++
	default:
		r.Execs++
	}
	p.rec.accesses++
}

// flush writes the open run.
func (p *lackeyProcess) flush() {
	if p.hasRef {
		p.hasRef = false
		p.settle()
		p.rec.ref(p.current, &p.ref, p.refIP)
	}
}

// settle names a new thread that leaves its first page, or makes a call, before
// it touches its stack.
func (p *lackeyProcess) settle() {
	if p.current == 0 {
		p.current = p.threads.byOrder()
	}
}

func (p *lackeyProcess) event(e trace.Event) {
	p.flush()
	p.rec.event(e)
}

// scheduled says that from here on valgrind runs this thread.
func (p *lackeyProcess) scheduled(n int) {
	if p.started && !p.muted {
		p.flush()
		p.current = p.threads.id(n)
	}
}

func (p *lackeyProcess) command(line string) { p.cmd = line }

// entered comes once for each thread; for the first of an image it says that
// the image is there and that nothing of it has run.
func (p *lackeyProcess) entered(int) {
	if p.building {
		p.building = false
		p.ready()
	}
}

// Numbers of x86-64 calls that need more than the record.
const (
	nrOpen, nrClose, nrMmap, nrDup, nrDup2, nrClone, nrVFork  = 2, 3, 9, 32, 33, 56, 58
	nrExecve, nrExit, nrFcntl, nrFtruncate, nrChdir, nrFchdir = 59, 60, 72, 77, 80, 81
	nrMlockall, nrArchPrctl, nrExitGroup, nrOpenat            = 151, 158, 231, 257
	nrFallocate, nrDup3, nrMemfd, nrExecveat, nrCloseRange    = 285, 292, 319, 322, 436
)

func failed(ret uint64) bool { return ret > ^uint64(4095) }

func (p *lackeyProcess) call(n int, nr uint32, name string, args []string) {
	if !p.started || p.muted {
		return
	}
	p.scheduled(n)
	p.settle()
	p.last = n
	c := &pendingCall{s: trace.Syscall{ABI: trace.ABIX8664, Nr: nr}}
	if strings.HasPrefix(name, "unimplemented") {
		args = nil // valgrind does not print them
	}
	for i := range min(len(args), len(c.s.Args)) {
		v, text := grammar.Argument(args[i], trace.SyscallName(trace.ABIX8664, nr), i)
		c.s.Args[i] = v
		c.text = append(c.text, text)
	}
	if nr == nrExit {
		p.exitThread(n)
		return
	}
	p.pending[n] = c
}

// exitThread records that a thread ends. The end of the last one is that of the
// process, which comes with its status.
func (p *lackeyProcess) exitThread(n int) {
	tid := p.current
	if p.threads.living() == 1 {
		return
	}
	p.event(trace.NewProcess(tid, trace.Process{Op: trace.OpExit, Child: p.pid, Tid: tid}))
	p.threads.end(n)
}

func (p *lackeyProcess) result(n int, ret uint64) {
	if n == 0 {
		n = p.last
	}
	c := p.pending[n]
	if c == nil {
		return // of a fork, which was recorded when it happened
	}
	delete(p.pending, n)
	c.s.Ret = ret
	p.complete(p.threads.id(n), c)
}

// complete records a call with its result and what belongs to it.
func (p *lackeyProcess) complete(tid uint32, c *pendingCall) {
	s := &c.s
	const mapAnonymous = 0x20
	switch {
	case s.Nr == nrExitGroup:
		return // it does not return
	case s.Nr == nrMmap && s.Args[3]&mapAnonymous == 0 && !failed(s.Ret):
		p.announceFile(tid, s)
	}
	if label, ok := trace.CallMark(s.ABI, s.Nr, c.text); ok {
		p.flush()
		p.rec.mark(tid, label)
	}
	p.event(trace.NewSyscall(tid, *s))
	if s.Nr == nrClone && s.Args[0]&cloneThread != 0 && p.newThreadID(s.Ret) {
		p.threads.cloned(uint32(s.Ret), s.Args[1])
		p.event(trace.NewProcess(tid, trace.Process{Op: trace.OpClone, Child: p.pid, Tid: uint32(s.Ret), Flags: s.Args[0]}))
		p.threadIDCopies(tid, uint32(s.Ret), s)
	}
	if !userCopies(s, p.read, func(u trace.UserCopy) { p.event(trace.NewUserCopy(tid, u)) }) {
		p.rec.partial++
	}
	p.descriptors(tid, c)
}

// newThreadID says whether a result of clone can be the id of a new thread.
func (p *lackeyProcess) newThreadID(ret uint64) bool {
	return ret > 0 && ret < 1<<31 && !p.threads.lives(uint32(ret))
}

// Flags of clone(2), include/uapi/linux/sched.h.
const (
	cloneVM           = 0x100
	cloneVFork        = 0x4000
	cloneThread       = 0x10000
	cloneParentSetTID = 0x100000
	cloneChildSetTID  = 0x1000000
)

// threadIDCopies records the kernel's writes of the new thread's id
// (kernel/fork.c:kernel_clone, kernel/sched/core.c:schedule_tail). Parent and
// child each write into their own address space.
func (p *lackeyProcess) threadIDCopies(parent, child uint32, s *trace.Syscall) {
	const sizeTID = 4
	if s.Args[0]&cloneParentSetTID != 0 {
		p.event(trace.NewUserCopy(parent, trace.UserCopy{Addr: s.Args[2], Len: sizeTID, Write: true}))
	}
	if s.Args[0]&cloneChildSetTID != 0 {
		p.event(trace.NewUserCopy(child, trace.UserCopy{Addr: s.Args[3], Len: sizeTID, Write: true}))
	}
}

// forked records that the process, stopped inside a call, has made a child. It
// says whether the caller waits until the child has its own image or is gone.
func (p *lackeyProcess) forked(child uint32) (n *lackeyProcess, waits bool) {
	p.parser.interrupted()
	tid := p.threads.id(max(p.last, 1))
	op, flags := trace.OpFork, uint64(0)
	c := p.pending[p.last]
	delete(p.pending, p.last)
	if c != nil && p.started && !p.muted {
		c.s.Ret = uint64(child)
		if c.s.Nr == nrClone {
			flags = c.s.Args[0]
		}
		if c.s.Nr == nrVFork || flags&(cloneVM|cloneVFork) == cloneVM|cloneVFork {
			op = trace.OpVFork
		}
		p.event(trace.NewSyscall(tid, c.s))
	}
	n = p.rec.newProcess(child, p.fds.clone())
	n.started, n.muted = p.started, p.muted
	n.last = max(p.last, 1) // the child keeps the number of the thread that forked
	n.threads.ids = map[int]uint32{n.last: child}
	if p.started && !p.muted {
		p.event(trace.NewProcess(tid, trace.Process{Op: op, Child: child, Tid: child, Flags: flags}))
		if c != nil {
			p.threadIDCopies(tid, child, &c.s)
		}
	}
	return n, op == trace.OpVFork
}

// execing records the call of a process that stands at its new image.
func (p *lackeyProcess) execing() {
	p.parser.interrupted()
	p.building = true
	c := p.pending[p.last]
	if c == nil || c.s.Nr != nrExecve && c.s.Nr != nrExecveat {
		return // it is valgrind's launcher that starts its tool
	}
	delete(p.pending, p.last)
	tid := p.threads.id(p.last)
	p.event(trace.NewSyscall(tid, c.s))
	if tid != p.pid && !p.threads.lives(p.pid) {
		// The caller takes over the id of the first thread (fs/exec.c:de_thread).
		p.event(trace.NewProcess(tid, trace.Process{Op: trace.OpClone, Child: p.pid, Tid: p.pid}))
	}
}

// gone records the end of the process; status is as wait(2) gives it.
func (p *lackeyProcess) gone(status uint64) {
	if p.started {
		p.event(trace.NewProcess(p.threads.any(), trace.Process{Op: trace.OpGroup, Child: p.pid, Status: status}))
	}
}

// read reads the program's memory as it is now.
func (p *lackeyProcess) read(addr uint64, b []byte) bool { return readMemory(p.pid, addr, b) }

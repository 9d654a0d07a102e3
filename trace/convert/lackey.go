package convert

import (
	"bytes"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
	grammar "github.com/vmtrace/vmtrace/trace/lackey"
)

// The log of valgrind --tool=lackey --trace-mem=yes, of one process; package lackey
// has its grammar.
//
// The lines of calls and of threads are there with --trace-syscalls=yes and
// --trace-sched=yes; without them all accesses are of one thread and nothing is
// known of mappings. t is valgrind's number of the thread: thread 1 has the id
// of the process, and others take, when they first run, the ids that clone
// returned, in order. Valgrind writes a log for each process with
// --log-file=NAME.%p; lines of several processes in one file cannot be told
// apart, and are refused. What the kernel reads and writes for a call is not in
// a log; vmtrace record adds it.
var lackeyFormat = Format{
	Name:    "lackey",
	Help:    "log of valgrind --tool=lackey --trace-mem=yes [--trace-syscalls=yes --trace-sched=yes]",
	Detect:  detectLackey,
	regions: byPage,
	open:    openLackey,
}

type lackey struct {
	lines   lineReader
	pid     uint32 // 0 until a line has told it, or an access came first
	assumed bool   // no line had told it when the first access came
	command string
	th      *thread // that runs
	names   map[int]*thread
	fresh   []*thread // cloned, have not run
	pending map[int]*lackeyCall
	last    int // number of the thread of the last call
}

// lackeyCall is a call whose result has not been seen.
type lackeyCall struct {
	s    trace.Syscall
	text []string
}

const (
	lackeyMost   = 1 << 16 // threads
	lackeyBanner = "== Lackey, an example Valgrind tool"
)

func openLackey(in *input) (decoder, error) {
	return &lackey{lines: lineReader{r: in.body}, names: map[int]*thread{}, pending: map[int]*lackeyCall{}}, nil
}

// lackeyKinds are the accesses of the letters of the log.
var lackeyKinds = [256]trace.Access{'I': trace.Exec, 'L': trace.Read, 'S': trace.Write, 'M': trace.Write}

func detectLackey(head []byte) bool {
	for line := range headLines(head) {
		if bytes.Contains(line, []byte(lackeyBanner)) {
			return true
		}
		if _, _, kind := grammar.Access(line); kind != 0 {
			return true
		}
		if line[0] != '=' && line[0] != '-' && !bytes.HasPrefix(line, []byte(grammar.SyscallPrefix)) && !bytes.HasPrefix(line, []byte(grammar.ResultPrefix)) {
			return false
		}
	}
	return false
}

func (l *lackey) step(b *builder) error {
	line, whole, err := l.lines.next()
	if err != nil {
		return err
	}
	if addr, size, kind := grammar.Access(line); kind != 0 {
		if !whole {
			b.tally(cutOff)
			return nil
		}
		if l.th == nil {
			if err := l.begin(b); err != nil {
				return err
			}
		}
		return l.lines.at(b.access(l.th, addr, size, lackeyKinds[kind]))
	}
	return l.other(b, string(line))
}

// begin starts the process, and returns an error where that is not the first
// thing that the log tells.
func (l *lackey) begin(b *builder) error {
	if l.th != nil {
		return nil
	}
	if l.pid == 0 {
		l.pid, l.assumed = 1, true
	}
	th, err := b.start(l.pid, l.pid, l.command)
	l.th, l.names[1] = th, th
	return l.lines.at(err)
}

// other parses everything that is no access.
func (l *lackey) other(b *builder, s string) error {
	s, sched := grammar.CutSched(s)
	switch {
	case s == "":
	case strings.HasPrefix(s, grammar.SyscallPrefix):
		if err := l.syscall(b, s); err != nil {
			return err
		}
	case strings.HasPrefix(s, grammar.ResultPrefix):
		if err := l.outcome(b, l.last, s); err != nil {
			return err
		}
	case strings.HasPrefix(s, "--"):
		sched = s
	case strings.HasPrefix(s, "=="):
		if err := l.process(grammar.Pid(s, "==")); err != nil {
			return err
		}
		if _, cmd, ok := strings.Cut(s, grammar.Command); ok {
			l.command = cmd
		}
	default:
		b.tally("%d lines are not of lackey and are passed over: give it a log of its own with --log-file")
	}
	return l.scheduled(b, sched)
}

// process notes the process that a line is of.
func (l *lackey) process(pid int) error {
	switch {
	case pid <= 0 || uint32(pid) == l.pid:
	case l.pid == 0:
		l.pid = uint32(pid)
	case l.assumed: // it began as process 1, and stays that in the trace
		l.pid, l.assumed = uint32(pid), false
	default:
		return l.lines.badf("this log is of the processes %d and %d, whose accesses cannot be told apart: record with --log-file=NAME.%%p and convert each file", l.pid, pid)
	}
	return nil
}

// scheduled says that from here on valgrind runs another thread.
func (l *lackey) scheduled(b *builder, s string) error {
	pid, n, what, ok := grammar.Sched(s)
	if !ok || !strings.HasPrefix(what, "acquired lock") {
		return nil
	}
	if err := l.process(pid); err != nil {
		return err
	}
	return l.run(b, n)
}

// run makes the thread of a number the current one.
func (l *lackey) run(b *builder, n int) error {
	if err := l.begin(b); err != nil {
		return err
	}
	th := l.names[n]
	if th == nil {
		if n < 1 || n > lackeyMost {
			return l.lines.badf("thread %d", n)
		}
		if th = l.unnamed(); th == nil {
			var err error
			if th, err = b.clone(l.th.proc.first(), l.pid+uint32(n)-1, 0); err != nil {
				return l.lines.at(err)
			}
		}
		l.names[n] = th
	}
	l.th = th
	return nil
}

// unnamed is the thread that has waited longest for its number.
func (l *lackey) unnamed() *thread {
	if len(l.fresh) == 0 {
		return nil
	}
	th := l.fresh[0]
	l.fresh = l.fresh[1:]
	return th
}

// syscall takes the line of a call.
func (l *lackey) syscall(b *builder, s string) error {
	call, ok := grammar.Syscall(s)
	if !ok {
		return l.lines.badf("%s: expected SYSCALL[pid,thread](number) and the call", quote([]byte(s)))
	}
	if err := l.process(call.Pid); err != nil {
		return err
	}
	if err := l.run(b, call.Thread); err != nil {
		return err
	}
	if call.Async {
		return l.outcome(b, call.Thread, call.Tail)
	}
	name := trace.SyscallName(trace.ABIX8664, call.Nr)
	c := &lackeyCall{s: trace.Syscall{ABI: trace.ABIX8664, Nr: call.Nr}}
	for i := range min(len(call.Args), len(c.s.Args)) {
		v, text := grammar.Argument(call.Args[i], name, i)
		c.s.Args[i] = v
		c.text = append(c.text, text)
	}
	l.last, l.pending[call.Thread] = call.Thread, c
	if name == "exit" {
		return l.exitThread(b, call.Thread)
	}
	return l.outcome(b, call.Thread, call.Tail)
}

// exitThread ends a thread, unless it is the last one.
func (l *lackey) exitThread(b *builder, n int) error {
	delete(l.pending, n)
	if th := l.names[n]; th != nil && len(th.proc.threads) > 1 {
		b.exit(th, 0)
		delete(l.names, n)
		l.th = th.proc.first()
	}
	return nil
}

// outcome completes the call of the thread; s may not have its result yet.
func (l *lackey) outcome(b *builder, n int, s string) error {
	c := l.pending[n]
	v, found, err := grammar.Result(s)
	switch {
	case c == nil || !found && err == nil:
		return nil
	case err != nil:
		return l.lines.badf("%v", err)
	}
	delete(l.pending, n)
	c.s.Ret = v
	return l.lines.at(l.complete(b, l.names[n], c))
}

func (l *lackey) complete(b *builder, th *thread, c *lackeyCall) error {
	name := trace.SyscallName(c.s.ABI, c.s.Nr)
	if name == "exit_group" {
		b.exitAll(th.proc, c.s.Args[0]&0xff<<8)
		l.th = nil
		clear(l.names)
		clear(l.pending)
		return nil
	}
	if err := b.completed(th, c.s, c.text); err != nil {
		return err
	}
	switch {
	case failed(c.s.Ret):
	case name == "clone" && c.s.Args[0]&cloneThread != 0:
		child, err := b.clone(th, uint32(c.s.Ret), c.s.Args[0])
		if err != nil {
			return err
		}
		l.fresh = append(l.fresh, child)
	case name == "fork" || name == "vfork" || name == "clone":
		b.tally("forked processes have logs of their own and are not in this trace (%d)")
	}
	return nil
}

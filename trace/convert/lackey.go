package convert

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// The log of valgrind --tool=lackey --trace-mem=yes, of one process:
//
//	I  addr,size                    instruction (hexadecimal, decimal)
//	 L addr,size   S   M            load, store, modify
//	SYSCALL[pid,t](nr) name ( args ) --> [pre-success] Success(0x0)
//	SYSCALL[pid,t](nr) name ( args ) --> [async] ...
//	SYSCALL[pid,t](nr) ... [async] --> Success(0x0)
//	 --> [pre-success] Success(0x0)  the result of a call whose line was interrupted
//	--pid--   SCHED[t]:  acquired lock (...)
//	==pid== Command: ...
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
	lackeyMost    = 1 << 16 // threads
	lackeyBanner  = "== Lackey, an example Valgrind tool"
	lackeyCommand = "== Command: "
)

func openLackey(in *input) (decoder, error) {
	return &lackey{lines: lineReader{r: in.body}, names: map[int]*thread{}, pending: map[int]*lackeyCall{}}, nil
}

// lackeyAccess parses a line such as " L 1ffeffe7e8,8"; a is 0 where it is none.
func lackeyAccess(line []byte) (addr, size uint64, a trace.Access) {
	if len(line) < 6 || line[2] != ' ' {
		return 0, 0, 0
	}
	switch string(line[:2]) {
	case "I ":
		a = trace.Exec
	case " L":
		a = trace.Read
	case " S", " M":
		a = trace.Write
	default:
		return 0, 0, 0
	}
	hex, dec, _ := bytes.Cut(line[3:], []byte(","))
	addr, ok1 := hexNumber(hex)
	size, ok2 := decNumber(dec)
	if !ok1 || !ok2 {
		return 0, 0, 0
	}
	return addr, size, a
}

func detectLackey(head []byte) bool {
	for line := range headLines(head) {
		if bytes.Contains(line, []byte(lackeyBanner)) {
			return true
		}
		if _, _, a := lackeyAccess(line); a != 0 {
			return true
		}
		if line[0] != '=' && line[0] != '-' && !bytes.HasPrefix(line, []byte("SYSCALL[")) && !bytes.HasPrefix(line, []byte(" --> [")) {
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
	if addr, size, a := lackeyAccess(line); a != 0 {
		if !whole {
			b.tally(cutOff)
			return nil
		}
		if l.th == nil {
			if err := l.begin(b); err != nil {
				return err
			}
		}
		return l.lines.at(b.access(l.th, addr, size, a))
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
	sched := ""
	if i := schedStart(s); i > 0 {
		s, sched = s[:i], s[i:]
	}
	switch {
	case s == "":
	case strings.HasPrefix(s, "SYSCALL["):
		if err := l.syscall(b, s); err != nil {
			return err
		}
	case strings.HasPrefix(s, " --> ["):
		if err := l.outcome(b, l.last, s); err != nil {
			return err
		}
	case strings.HasPrefix(s, "--"):
		sched = s
	case strings.HasPrefix(s, "=="):
		if err := l.process(numberAfter(s, "==")); err != nil {
			return err
		}
		if _, cmd, ok := strings.Cut(s, lackeyCommand); ok {
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

// numberAfter is the number between prefix and what follows the digits, 0 for
// none.
func numberAfter(s, prefix string) int {
	s = s[len(prefix):]
	n := 0
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, _ := strconv.Atoi(s[:n])
	return v
}

// schedStart is where "--pid--   SCHED[" begins, -1 for nowhere: it can begin in
// the middle of the line of a call.
func schedStart(s string) int {
	i := strings.Index(s, "--   SCHED[")
	if i < 0 {
		return -1
	}
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	return max(0, i-len("--"))
}

// scheduled says that from here on valgrind runs another thread.
func (l *lackey) scheduled(b *builder, s string) error {
	_, after, ok := strings.Cut(s, "SCHED[")
	num, what, ok2 := strings.Cut(after, "]:")
	if !ok || !ok2 || !strings.Contains(what, "acquired lock") {
		return nil
	}
	if err := l.process(numberAfter(s, "--")); err != nil {
		return err
	}
	n, err := strconv.Atoi(num)
	if err != nil {
		return l.lines.badf("thread %q", num)
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

// syscall parses "SYSCALL[pid,t](nr) name ( args ) outcome".
func (l *lackey) syscall(b *builder, s string) error {
	head, rest, ok1 := strings.Cut(s[len("SYSCALL["):], "](")
	pid, num, ok2 := strings.Cut(head, ",")
	digits, rest, ok3 := strings.Cut(rest, ")")
	p, err1 := strconv.Atoi(pid)
	n, err2 := strconv.Atoi(num)
	nr, err3 := strconv.ParseUint(digits, 10, 32)
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil {
		return l.lines.badf("%s: expected SYSCALL[pid,thread](number) and the call", quote([]byte(s)))
	}
	if err := l.process(p); err != nil {
		return err
	}
	if err := l.run(b, n); err != nil {
		return err
	}
	rest = strings.TrimSpace(rest)
	if strings.HasPrefix(rest, "... [async]") {
		return l.outcome(b, n, rest)
	}
	args, tail := lackeySplit(rest)
	c := &lackeyCall{s: trace.Syscall{ABI: trace.ABIX8664, Nr: uint32(nr)}}
	if strings.HasPrefix(rest, "unimplemented") {
		args = nil // valgrind does not print them
	}
	for i := range min(len(args), len(c.s.Args)) {
		v, text := lackeyArgument(args[i], trace.SyscallName(trace.ABIX8664, uint32(nr)), i)
		c.s.Args[i] = v
		c.text = append(c.text, text)
	}
	l.last, l.pending[n] = n, c
	if trace.SyscallName(trace.ABIX8664, uint32(nr)) == "exit" {
		return l.exitThread(b, n)
	}
	return l.outcome(b, n, tail)
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

// outcome finds Success(0x...) or Failure(0x...) and completes the call of the
// thread; s has none where the result comes later.
func (l *lackey) outcome(b *builder, n int, s string) error {
	c := l.pending[n]
	num, fail := "", false
	if _, after, ok := strings.Cut(s, "Success("); ok {
		num = after
	} else if _, after, ok := strings.Cut(s, "Failure("); ok {
		num, fail = after, true
	}
	num, _, closed := strings.Cut(num, ")")
	if c == nil || !closed {
		return nil
	}
	v, err := strconv.ParseUint(num, 0, 64)
	if err != nil {
		return l.lines.badf("the result %q", num)
	}
	if fail {
		v = -v
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

// lackeySplit splits "name ( a, b(string), c ) tail" into arguments and tail. What
// is printed in parentheses behind a pointer is a string of the program and may
// hold anything.
func lackeySplit(s string) (args []string, tail string) {
	_, list, ok := strings.Cut(s, "(")
	if !ok {
		return nil, ""
	}
	for _, end := range []string{"[sync] --> ", " --> ["} { // the tail comes last
		if i := strings.LastIndex(list, end); i >= 0 {
			list, tail = list[:i], list[i:]
			break
		}
	}
	list = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(list), ")"))
	for list != "" {
		n := lackeyArgumentEnd(list)
		args = append(args, strings.TrimSpace(list[:n]))
		list = strings.TrimSpace(list[min(n+1, len(list)):])
	}
	return args, tail
}

// lackeyArgumentEnd is the length of the first argument of a list: it ends at a
// comma; if there is a string behind it, at the first comma that follows a
// closing parenthesis and has a number behind it.
func lackeyArgumentEnd(list string) int {
	i := strings.IndexAny(list, ",(")
	if i < 0 {
		return len(list)
	}
	if list[i] == ',' {
		return i
	}
	for ; i+3 < len(list); i++ {
		if strings.HasPrefix(list[i:], "), ") && (list[i+3] == '-' || list[i+3] >= '0' && list[i+3] <= '9') {
			return i + 1
		}
	}
	return len(list)
}

// lackeyArgument is argument i of a call, and the string behind a pointer: 0x...,
// a decimal, which may be negative, or a name, which is 0. Some are printed as
// hexadecimal digits without 0x (%lx in valgrind's PRINT of the call).
func lackeyArgument(s, name string, i int) (v uint64, text string) {
	if i := strings.IndexByte(s, '('); i >= 0 {
		text = strings.TrimSuffix(s[i+1:], ")")
		s = s[:i]
	}
	bare := name == "clone" && i == 0 || name == "mlockall" && i == 0 || name == "arch_prctl" && i == 1
	if bare && !strings.HasPrefix(s, "0x") {
		v, _ = strconv.ParseUint(s, 16, 64)
		return v, text
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), text
	}
	v, _ = strconv.ParseUint(s, 0, 64)
	return v, text
}

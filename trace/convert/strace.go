package convert

import (
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// The text of strace, best with -f and -o: one call a line, with its result,
//
//	7388  mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f14ca46f000
//	7388  wait4(-1,  <unfinished ...>
//	7388  <... wait4 resumed>NULL, 0, NULL) = 7393
//	7393  +++ exited with 0 +++
//
// with time stamps or not. Calls that change mappings, descriptors or processes
// become records, with their results, so that mappings are exact; the others are
// counted. There are no accesses in it, and no addresses of buffers: what the
// image maps at exec is inferred where a call shows that it is there.
var straceFormat = Format{
	Name:    "strace",
	Help:    "text of strace -f: mappings and processes, no accesses",
	Detect:  detectStrace,
	regions: byPage,
	labels:  map[string]string{"accesses": "none"},
	open: func(in *input) (decoder, error) {
		return &strace{lines: lineReader{r: in.body}, pending: map[uint32]*straceCall{}, abi: map[uint32]trace.ABI{}}, nil
	},
}

type strace struct {
	lines   lineReader
	root    uint32 // id that strace did not print: that of the first process
	pending map[uint32]*straceCall
	abi     map[uint32]trace.ABI // of the threads that said so
	command string
	split   *straceCall // whose line goes on with the next one
}

// straceCall is a call that has begun. born says that its child has been seen
// before its result.
type straceCall struct {
	th   *thread
	name string
	text string // what has been printed of it
	born bool
}

const (
	straceAnonymous = 1 // id of a process whose id is not printed
	maxUnfinished   = 1 << 14
	maxPending      = 1 << 12
)

// straceCalls are the calls that become records; true for those that cannot be
// left out: without them the mappings would be wrong.
var straceCalls = map[string]bool{
	"mmap": true, "mmap2": true, "old_mmap": true, "munmap": true, "mprotect": true, "mremap": true, "brk": true, "remap_file_pages": true,
	"madvise": true, "mlock": true, "mlock2": true, "munlock": true, "mlockall": true, "munlockall": true, "msync": true, "pkey_mprotect": true,
	"shmget": false, "shmat": false, "shmdt": false, "open": false, "openat": false, "creat": false, "memfd_create": false,
	"close": false, "close_range": false, "dup": false, "dup2": false, "dup3": false, "fcntl": false, "fcntl64": false,
	"ftruncate": false, "ftruncate64": false, "chdir": false, "execve": false, "execveat": false,
	"clone": false, "clone3": false, "fork": false, "vfork": false,
}

func isBirth(name string) bool {
	return name == "clone" || name == "clone3" || name == "fork" || name == "vfork"
}

// straceLine splits a line into the id of its thread, 0 for none, and what
// follows it and the time stamps.
func straceLine(s string) (tid uint32, rest string) {
	rest = strings.TrimLeft(s, " ")
	if after, ok := strings.CutPrefix(rest, "[pid "); ok {
		num, after, _ := strings.Cut(strings.TrimLeft(after, " "), "]")
		if n, err := strconv.ParseUint(num, 10, 32); err == nil {
			tid, rest = uint32(n), after
		}
	} else if i := strings.IndexByte(rest, ' '); i > 0 {
		if n, err := strconv.ParseUint(rest[:i], 10, 32); err == nil {
			tid, rest = uint32(n), rest[i:]
		}
	}
	for {
		rest = strings.TrimLeft(rest, " ")
		word, after, _ := strings.Cut(rest, " ")
		stamp := strings.Trim(word, "0123456789:.+") == "" && (word == "+" || strings.ContainsAny(word, ":."))
		pointer := len(word) == 18 && word[0] == '[' && word[17] == ']' // -i
		if !stamp && !pointer || after == "" {
			return tid, rest
		}
		rest = after
	}
}

// straceName is the name of the call that a line begins, "" if it begins none.
func straceName(s string) string {
	i := strings.IndexByte(s, '(')
	if i <= 0 || strings.Trim(s[:i], "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return ""
	}
	return s[:i]
}

// detectStrace wants a finished or unfinished call in one of the first lines,
// and no line that strace does not write.
func detectStrace(head []byte) bool {
	calls := 0
	for line := range headLines(head) {
		_, rest := straceLine(string(line))
		switch {
		case straceName(rest) != "" && (strings.Contains(rest, ") ") && strings.Contains(rest, "= ") || strings.HasSuffix(rest, "<unfinished ...>")):
			calls++
		case strings.HasPrefix(rest, "+++ "), strings.HasPrefix(rest, "--- "), strings.HasPrefix(rest, "<... "),
			strings.HasPrefix(rest, "strace: "), strings.HasPrefix(rest, "[ Process PID="):
		case calls == 0:
			return false
		}
	}
	return calls > 0
}

func (s *strace) step(b *builder) error {
	line, whole, err := s.lines.next()
	if err != nil {
		return err
	}
	if !whole {
		b.tally(cutOff)
		return nil
	}
	if c := s.split; c != nil {
		s.split = nil
		return s.goesOn(b, c, string(line))
	}
	tid, rest := straceLine(string(line))
	switch {
	case rest == "" || strings.HasPrefix(rest, "--- "):
		return nil
	case strings.HasPrefix(rest, "strace: Process "):
		return s.attached(b, rest)
	case strings.HasPrefix(rest, "[ Process PID="):
		s.mode(tid, rest)
		return nil
	case strings.HasPrefix(rest, "+++ "):
		return s.ended(b, tid, rest)
	case strings.HasPrefix(rest, "<... "):
		return s.resumed(b, tid, rest)
	}
	return s.begun(b, tid, rest)
}

// who is the thread of an id. One that has not been heard of is the child of the
// call that has not come back yet, or else was there before.
func (s *strace) who(b *builder, tid uint32) (*thread, error) {
	if tid == 0 {
		if s.root == 0 {
			s.root = straceAnonymous
		}
		tid = straceAnonymous
	}
	if th := b.threads[tid]; th != nil {
		return th, nil
	}
	var parent *straceCall
	for _, c := range s.pending {
		if isBirth(c.name) && !c.born && (parent == nil || c.th.tid < parent.th.tid) {
			parent = c
		}
	}
	if parent != nil {
		parent.born = true
		if err := s.birth(b, parent, tid); err != nil {
			return nil, s.lines.at(err)
		}
		return b.threads[tid], nil
	}
	if s.root == straceAnonymous { // with -f and without -o ids are printed only when there are several
		if th := b.threads[straceAnonymous]; th != nil {
			s.root = tid
			b.threads[tid] = th
			return th, nil
		}
	}
	th, err := b.start(tid, tid, s.command)
	return th, s.lines.at(err)
}

// attached is the line "strace: Process 12 attached".
func (s *strace) attached(b *builder, rest string) error {
	n := numberAfter(rest, "strace: Process ")
	if n == 0 || len(s.pending) == 0 {
		return nil
	}
	_, err := s.who(b, uint32(n))
	return err
}

// goesOn takes the rest of a line that "strace: Process 12 attached" has split.
func (s *strace) goesOn(b *builder, c *straceCall, rest string) error {
	before, unfinished := strings.CutSuffix(rest, "<unfinished ...>")
	if c.text += before; len(c.text) > maxUnfinished {
		return s.lines.badf("a call of more than %d bytes", maxUnfinished)
	}
	if unfinished {
		return nil
	}
	delete(s.pending, c.th.tid)
	if c.born {
		return nil // it was recorded when the child appeared
	}
	return s.lines.at(s.whole(b, c))
}

// mode is the line "[ Process PID=12 runs in 32 bit mode. ]".
func (s *strace) mode(tid uint32, rest string) {
	if n := numberAfter(rest, "[ Process PID="); n != 0 {
		tid = uint32(n)
	}
	if len(s.abi) >= maxLiving {
		return
	}
	s.abi[tid] = trace.ABIX8664
	if strings.Contains(rest, "32 bit") {
		s.abi[tid] = trace.ABII386
	}
}

// begun is a line that begins a call.
func (s *strace) begun(b *builder, tid uint32, rest string) error {
	name := straceName(rest)
	if name == "" {
		b.tally("%d lines are not of strace and are passed over")
		return nil
	}
	if b.threads[tid] == nil && name == "execve" {
		s.command = straceCommand(rest)
	}
	fresh := b.threads[tid] == nil && (tid != 0 || s.root == 0)
	th, err := s.who(b, tid)
	if err != nil {
		return err
	}
	if _, ok := straceCalls[name]; !ok {
		b.found++
		b.tally("%d calls that change no mapping, descriptor or process are left out")
		return nil
	}
	call := &straceCall{th: th, name: name, text: rest}
	before, unfinished := strings.CutSuffix(rest, "<unfinished ...>")
	attached := ""
	if i := strings.LastIndex(rest, "strace: Process "); i > 0 && strings.HasSuffix(rest, " attached") {
		before, attached, unfinished = rest[:i], rest[i:], true
		s.split = call
	}
	if unfinished {
		call.text = strings.TrimRight(before, " ")
		if len(call.text) > maxUnfinished || len(s.pending) >= maxPending {
			return s.lines.badf("more or longer unfinished calls than the limits of %d and %d bytes", maxPending, maxUnfinished)
		}
		s.pending[th.tid] = call
		if attached != "" {
			return s.attached(b, attached)
		}
		return nil
	}
	if fresh && name == "execve" {
		b.found++
		return nil // the image that is there at the start
	}
	return s.lines.at(s.whole(b, call))
}

// resumed is a line "<... name resumed>rest".
func (s *strace) resumed(b *builder, tid uint32, rest string) error {
	th := b.threads[tid]
	if th == nil && s.root == straceAnonymous && s.pending[straceAnonymous] != nil {
		th = b.threads[straceAnonymous]
		s.root = tid
		b.threads[tid] = th
	}
	if tid == 0 {
		th = b.threads[straceAnonymous]
	}
	if th == nil {
		return nil // it began before strace was there
	}
	c := s.pending[th.tid]
	_, after, ok := strings.Cut(rest, "resumed>")
	if c == nil || !ok {
		return nil
	}
	delete(s.pending, th.tid)
	if c.born {
		return nil // it was recorded when the child appeared
	}
	c.text += after
	return s.lines.at(s.whole(b, c))
}

// ended is a line "+++ exited with 0 +++" or "+++ killed by SIGSEGV +++".
func (s *strace) ended(b *builder, tid uint32, rest string) error {
	th, err := s.who(b, tid)
	if err != nil {
		return err
	}
	if n, ok := strings.CutPrefix(rest, "+++ superseded by execve in pid "); ok {
		if other := b.threads[uint32(numberAfter(n, ""))]; other != nil && s.pending[other.tid] != nil {
			s.pending[th.tid] = s.pending[other.tid]
			delete(s.pending, other.tid)
		}
		return nil
	}
	status := uint64(0)
	if n, ok := strings.CutPrefix(rest, "+++ exited with "); ok {
		status = uint64(numberAfter(n, "")&0xff) << 8
	} else if n, ok := strings.CutPrefix(rest, "+++ killed by "); ok {
		status = straceSignals[strings.TrimRight(strings.SplitN(n, " ", 2)[0], "+")]
	}
	delete(s.pending, th.tid)
	delete(s.abi, th.tid)
	if s.root == tid {
		s.root = 0
	}
	b.exit(th, status)
	delete(b.threads, tid)
	return nil
}

// straceSignals are the signals that end programs, by number (signal(7)).
var straceSignals = map[string]uint64{"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGTRAP": 5, "SIGABRT": 6, "SIGBUS": 7, "SIGFPE": 8,
	"SIGKILL": 9, "SIGUSR1": 10, "SIGSEGV": 11, "SIGUSR2": 12, "SIGPIPE": 13, "SIGALRM": 14, "SIGTERM": 15, "SIGXCPU": 24, "SIGXFSZ": 25, "SIGSYS": 31}

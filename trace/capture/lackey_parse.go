package capture

import (
	"bytes"
	"strconv"
	"strings"
)

// The log of lackey, line by line:
//
//	I  addr,size                     instruction fetch (hexadecimal, decimal)
//	 L addr,size   S   M             load, store, modify
//	SYSCALL[pid,t](nr) name ( args ) --> [pre-success] Success(0x0)
//	SYSCALL[pid,t](nr) name ( args )[sync] --> Failure(0x2)
//	SYSCALL[pid,t](nr) name ( args ) --> [async] ...
//	SYSCALL[pid,t](nr) ... [async] --> Success(0x0)
//	 --> [pre-success] Success(0x0)  the result of a call whose line was interrupted
//	--pid--   SCHED[t]:  acquired lock (...)
//	==pid== ...
//
// A SCHED line can begin in the middle of the line of a call (clone yields the
// lock before its line is ended), and so can the preamble of the image that an
// exec starts. t is valgrind's number of the thread. parser keeps no line: it
// calls back.

// lineSink takes what the parser finds.
type lineSink interface {
	access(kind byte, addr, size uint64)
	call(vgThread int, nr uint32, name string, args []string)
	result(vgThread int, ret uint64) // vgThread 0: of the last call seen
	scheduled(vgThread int)
	command(line string)  // the command line, from the preamble of an image
	entered(vgThread int) // the thread is about to run its first instruction
}

// parser cuts a log into lines. It keeps at most one partial line.
type parser struct {
	sink lineSink
	rest []byte // beginning of a line whose end has not arrived
}

// maxLine bounds a line: what is longer is cut there. Valgrind's longest are
// those with two paths, of 4096 bytes each.
const maxLine = 1 << 16

// write takes the next piece of the log.
func (p *parser) write(b []byte) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.keep(b)
			return
		}
		if len(p.rest) > 0 {
			p.keep(b[:i])
			p.line(p.rest)
			p.rest = p.rest[:0]
		} else {
			p.line(b[:i])
		}
		b = b[i+1:]
	}
}

func (p *parser) keep(b []byte) {
	p.rest = append(p.rest, b[:min(len(b), maxLine-len(p.rest))]...)
}

// interrupted takes the line that is not complete as it is: the process has
// stopped inside a system call, and the call is what stands there.
func (p *parser) interrupted() {
	if bytes.HasPrefix(p.rest, []byte("SYSCALL[")) {
		p.line(p.rest)
	}
	p.rest = p.rest[:0]
}

func (p *parser) line(b []byte) {
	if len(b) < 4 { // "I  0,1" is the shortest that says something
		return
	}
	switch b[0] {
	case 'I':
		p.access('I', b[3:])
	case ' ':
		switch b[1] {
		case 'L', 'S', 'M':
			p.access(b[1], b[3:])
		default:
			p.other(b)
		}
	default:
		p.other(b)
	}
}

// access parses "addr,size".
func (p *parser) access(kind byte, b []byte) {
	var addr, size uint64
	i := 0
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case c >= '0' && c <= '9':
			addr = addr<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			addr = addr<<4 | uint64(c-'a'+10)
		case c == ',':
			for _, d := range b[i+1:] {
				if d < '0' || d > '9' {
					return
				}
				size = size*10 + uint64(d-'0')
			}
			p.sink.access(kind, addr, size)
			return
		default:
			return
		}
	}
}

// other parses everything that is no access; these lines are rare.
func (p *parser) other(b []byte) {
	s := string(b)
	sched := ""
	if i := schedStart(s); i > 0 {
		s, sched = s[:i], s[i:]
	}
	switch {
	case strings.HasPrefix(s, "SYSCALL["):
		p.syscall(s)
	case strings.HasPrefix(s, " --> ["):
		p.outcome(0, s)
	case strings.HasPrefix(s, "--"):
		p.sched(s)
	case strings.HasPrefix(s, "=="):
		if _, cmd, ok := strings.Cut(s, "== Command: "); ok {
			p.sink.command(cmd)
		}
	}
	p.sched(sched)
}

// schedStart is where "--pid--   SCHED[" begins, -1 for nowhere.
func schedStart(s string) int {
	i := strings.Index(s, "--   SCHED[")
	if i < 0 {
		return -1
	}
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	return i - len("--")
}

func (p *parser) sched(s string) {
	_, after, ok := strings.Cut(s, "SCHED[")
	if !ok {
		return
	}
	num, what, ok := strings.Cut(after, "]:")
	if !ok {
		return
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 1 {
		return
	}
	what = strings.TrimSpace(what)
	switch {
	case strings.HasPrefix(what, "acquired lock"):
		p.sink.scheduled(n)
	case strings.HasPrefix(what, "entering VG_(scheduler)"):
		p.sink.entered(n)
	}
}

// syscall parses "SYSCALL[pid,t](nr) rest".
func (p *parser) syscall(s string) {
	_, s, _ = strings.Cut(s, ",")
	thread, s, ok1 := strings.Cut(s, "](")
	nr, s, ok2 := strings.Cut(s, ")")
	t, err1 := strconv.Atoi(thread)
	n, err2 := strconv.ParseUint(nr, 10, 32)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || t < 1 {
		return
	}
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "... [async]") {
		p.outcome(t, s)
		return
	}
	name, args, tail := splitCall(s)
	p.sink.call(t, uint32(n), name, args)
	p.outcome(t, tail)
}

// splitCall splits "name ( a, b(string), c ) tail". What is printed in
// parentheses behind a pointer is a string of the program and may hold anything.
func splitCall(s string) (name string, args []string, tail string) {
	open := strings.IndexByte(s, '(')
	if open < 0 {
		return s, nil, ""
	}
	name, list := strings.TrimSpace(s[:open]), s[open+1:]
	for _, end := range []string{"[sync] --> ", " --> ["} { // of the tail, which comes last
		if i := strings.LastIndex(list, end); i >= 0 {
			list, tail = list[:i], list[i:]
			break
		}
	}
	list = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(list), ")"))
	for list != "" {
		n := argumentEnd(list)
		args = append(args, strings.TrimSpace(list[:n]))
		list = strings.TrimSpace(list[min(n+1, len(list)):])
	}
	return name, args, tail
}

// argumentEnd is the length of the first argument of a list: it ends at a comma;
// if there is a string behind it, at the first comma that follows a closing
// parenthesis and has a number, a name or another pointer behind it.
func argumentEnd(list string) int {
	i := strings.IndexAny(list, ",(")
	if i < 0 {
		return len(list)
	}
	if list[i] == ',' {
		return i
	}
	for ; i < len(list); i++ {
		if strings.HasPrefix(list[i:], "), ") && i+3 < len(list) && (list[i+3] == '-' || list[i+3] >= '0' && list[i+3] <= '9') {
			return i + 1
		}
	}
	return len(list)
}

// outcome finds Success(0x...) or Failure(0x...) in the rest of a line.
func (p *parser) outcome(thread int, s string) {
	for _, form := range []struct {
		word string
		fail bool
	}{{"Success(", false}, {"Failure(", true}} {
		_, after, ok := strings.Cut(s, form.word)
		if !ok {
			continue
		}
		num, _, _ := strings.Cut(after, ")")
		v, err := strconv.ParseUint(num, 0, 64)
		if err != nil {
			continue
		}
		if form.fail {
			v = -v
		}
		p.sink.result(thread, v)
		return
	}
}

// bareHex tells which arguments valgrind prints as hexadecimal digits without
// "0x" (%lx in its PRINT of the call), by number of the call.
var bareHex = map[uint32]int{
	nrClone:     0,
	nrArchPrctl: 1,
	nrMlockall:  0,
}

// argument is argument i of a call as valgrind prints it, and the string behind
// a pointer: 0x..., a decimal, which may be negative, or a name, which is 0.
func argument(s string, nr uint32, i int) (v uint64, text string) {
	if i := strings.IndexByte(s, '('); i >= 0 {
		text = strings.TrimSuffix(s[i+1:], ")")
		s = s[:i]
	}
	if at, ok := bareHex[nr]; ok && at == i && !strings.HasPrefix(s, "0x") {
		v, _ = strconv.ParseUint(s, 16, 64)
		return v, text
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), text
	}
	v, _ = strconv.ParseUint(s, 0, 64)
	return v, text
}

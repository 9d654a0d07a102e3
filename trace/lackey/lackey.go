package lackey

import (
	"fmt"
	"strconv"
	"strings"
)

// Beginnings of lines, and what stands in them.
const (
	SyscallPrefix = "SYSCALL["
	ResultPrefix  = " --> ["
	Command       = "== Command: "
	sched         = "--   SCHED["
)

// Access parses a line such as " L 1ffeffe7e8,8"; kind is I, L, S or M, and 0
// where it is none. Nothing is allocated.
func Access(line []byte) (addr, size uint64, kind byte) {
	if len(line) < 6 || line[2] != ' ' { // "I  0,1" is the shortest
		return 0, 0, 0
	}
	switch {
	case line[0] == 'I' && line[1] == ' ':
		kind = 'I'
	case line[0] == ' ' && (line[1] == 'L' || line[1] == 'S' || line[1] == 'M'):
		kind = line[1]
	default:
		return 0, 0, 0
	}
	i := 3
	for ; i < len(line) && i < 3+16; i++ {
		c := line[i]
		switch {
		case c >= '0' && c <= '9':
			addr = addr<<4 | uint64(c-'0')
			continue
		case c >= 'a' && c <= 'f':
			addr = addr<<4 | uint64(c-'a'+10)
			continue
		}
		break
	}
	digits := line[min(i+1, len(line)):]
	if i == 3 || i == len(line) || line[i] != ',' || len(digits) == 0 || len(digits) > 9 {
		return 0, 0, 0
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, 0, 0
		}
		size = size*10 + uint64(d-'0')
	}
	return addr, size, kind
}

// CutSched cuts off a SCHED line that begins in the middle of another one.
func CutSched(line string) (rest, scheduled string) {
	i := strings.Index(line, sched)
	if i < 0 {
		return line, ""
	}
	for i > 0 && line[i-1] >= '0' && line[i-1] <= '9' {
		i--
	}
	if i -= len("--"); i <= 0 {
		return line, ""
	}
	return line[:i], line[i:]
}

// Sched parses "--pid--   SCHED[thread]:  what".
func Sched(line string) (pid, thread int, what string, ok bool) {
	head, after, ok1 := strings.Cut(line, "SCHED[")
	num, what, ok2 := strings.Cut(after, "]:")
	thread, err := strconv.Atoi(num)
	return Pid(head, "--"), thread, strings.TrimSpace(what), ok1 && ok2 && err == nil && thread > 0
}

// Pid is the number between prefix and what follows the digits, 0 for none.
func Pid(line, prefix string) int {
	s := strings.TrimPrefix(line, prefix)
	n := 0
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, _ := strconv.Atoi(s[:n])
	return v
}

// Call is the line of a system call. Async is set on one that only brings the
// result of an earlier call.
type Call struct {
	Pid, Thread int
	Nr          uint32
	Async       bool
	Name        string
	Args        []string // as printed, see Argument
	Tail        string   // where its result is, if it is there: see Result
}

// Syscall parses "SYSCALL[pid,thread](nr) name ( args ) tail".
func Syscall(line string) (c Call, ok bool) {
	head, rest, ok1 := strings.Cut(strings.TrimPrefix(line, SyscallPrefix), "](")
	pid, thread, ok2 := strings.Cut(head, ",")
	digits, rest, ok3 := strings.Cut(rest, ")")
	nr, err := strconv.ParseUint(digits, 10, 32)
	var err1, err2 error
	c.Pid, err1 = strconv.Atoi(pid)
	c.Thread, err2 = strconv.Atoi(thread)
	c.Nr = uint32(nr)
	if !ok1 || !ok2 || !ok3 || err != nil || err1 != nil || err2 != nil || c.Thread < 1 {
		return c, false
	}
	rest = strings.TrimSpace(rest)
	if c.Async = strings.HasPrefix(rest, "... [async]"); c.Async {
		c.Tail = rest
		return c, true
	}
	c.Name, c.Args, c.Tail = splitCall(rest)
	if strings.HasPrefix(rest, "unimplemented") { // valgrind does not print its arguments
		c.Args = nil
	}
	return c, true
}

// splitCall splits "name ( a, b(string), c ) tail". What is printed in
// parentheses behind a pointer is a string of the program and may hold anything.
func splitCall(s string) (name string, args []string, tail string) {
	name, list, ok := strings.Cut(s, "(")
	if !ok {
		return s, nil, ""
	}
	for _, end := range []string{"[sync] --> ", ResultPrefix} { // of the tail, which comes last
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
	return strings.TrimSpace(name), args, tail
}

// argumentEnd is the length of the first argument of a list: it ends at a comma;
// if there is a string behind it, at the first comma that follows a closing
// parenthesis and has a number behind it.
func argumentEnd(list string) int {
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

// Result finds Success(0x...) or Failure(0x...), which is negative; found is
// false where there is none.
func Result(tail string) (ret uint64, found bool, err error) {
	num, fail := "", false
	if _, after, ok := strings.Cut(tail, "Success("); ok {
		num = after
	} else if _, after, ok := strings.Cut(tail, "Failure("); ok {
		num, fail = after, true
	}
	num, _, closed := strings.Cut(num, ")")
	if !closed {
		return 0, false, nil
	}
	if ret, err = strconv.ParseUint(num, 0, 64); err != nil {
		return 0, false, fmt.Errorf("the result %q is no number", num)
	}
	if fail {
		ret = -ret
	}
	return ret, true, nil
}

// bareHex tells which arguments are printed as hexadecimal digits without "0x"
// (%lx in valgrind's PRINT of the call).
var bareHex = map[string]int{"clone": 0, "arch_prctl": 1, "mlockall": 0}

// Argument is argument i of the call of that name, as printed in s, and the string
// behind a pointer: 0x..., a decimal, which may be negative, or a name, which is 0.
func Argument(s, call string, i int) (v uint64, text string) {
	if i := strings.IndexByte(s, '('); i >= 0 {
		text = strings.TrimSuffix(s[i+1:], ")")
		s = s[:i]
	}
	if at, ok := bareHex[call]; ok && at == i && !strings.HasPrefix(s, "0x") {
		v, _ = strconv.ParseUint(s, 16, 64)
		return v, text
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(n), text
	}
	v, _ = strconv.ParseUint(s, 0, 64)
	return v, text
}

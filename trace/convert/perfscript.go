package convert

import (
	"io"
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// The text of perf script. Fields differ with its options; needed are thread,
// event and address, and the side band tells the mappings:
//
//	perf script -F comm,pid,tid,time,event,addr,ip,trace --show-mmap-events --show-task-events
//
//	thr  7546/7546   3450.032718: PERF_RECORD_MMAP2 7546/7546: [0x7ffe2a8a2000(0x21000) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]
//	thr  7546/7546   3450.032759:            page-faults:     55703fa53040 ffffffff81775b9a
//	thr  7546/7546   3450.034308: raw_syscalls:sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)
//	thr  7546/7546   3450.034324: raw_syscalls:sys_exit: NR 9 = 139760474542080
//
// The text must be in the order of time, as perf script writes it.
var perfScriptFormat = Format{
	Name:    "perf-script",
	Help:    "text of perf script -F comm,pid,tid,time,event,addr,ip,trace --show-mmap-events --show-task-events",
	Detect:  detectPerfScript,
	regions: byPage,
	labels:  perfLabels,
	open: func(in *input) (decoder, error) {
		return &perfScript{lines: lineReader{r: in.body}, state: newPerfState()}, nil
	},
}

type perfScript struct {
	lines lineReader
	state perfState
}

// scriptLine is a line of perf script, cut into its parts.
type scriptLine struct {
	pid, tid uint32
	cpu      int64 // -1 where it is not printed
	ns       uint64
	event    string // page-faults, raw_syscalls:sys_enter, PERF_RECORD_FORK, ...
	rest     string
}

// parseScript cuts a line. A name of a program may hold spaces, so the numbers are
// looked for from the left: the first word of digits or digits/digits that is
// followed by a processor, a time or an event.
func parseScript(s string) (l scriptLine, ok bool) {
	words := strings.Fields(s)
	for i := 1; i < len(words); i++ {
		if l, ok = scriptFrom(words[i:], s); ok {
			return l, true
		}
	}
	return l, false
}

func scriptFrom(words []string, s string) (l scriptLine, ok bool) {
	first, second, both := strings.Cut(words[0], "/")
	pid, err := strconv.ParseInt(first, 10, 32)
	if err != nil {
		return l, false
	}
	l.pid, l.tid, l.cpu = uint32(pid), uint32(pid), -1
	if both {
		tid, err := strconv.ParseInt(second, 10, 32)
		if err != nil {
			return l, false
		}
		l.tid = uint32(tid)
	}
	words = words[1:]
	if len(words) > 0 && len(words[0]) > 2 && words[0][0] == '[' && words[0][len(words[0])-1] == ']' {
		if l.cpu, err = strconv.ParseInt(strings.Trim(words[0], "[]"), 10, 32); err != nil {
			return l, false
		}
		words = words[1:]
	}
	if len(words) > 0 {
		if ns, ok := scriptTime(words[0]); ok {
			l.ns = ns
			words = words[1:]
		}
	}
	if len(words) > 1 { // period
		if _, ok := decNumber([]byte(words[0])); ok {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return l, false
	}
	word := words[0]
	if strings.HasPrefix(word, "PERF_RECORD_") {
		l.event, _, _ = strings.Cut(word, "(")
		l.event = strings.TrimSuffix(l.event, ":")
		l.rest = s[strings.Index(s, word)+len(l.event):]
		return l, true
	}
	if !strings.HasSuffix(word, ":") || len(word) < 3 {
		return l, false
	}
	l.event = strings.TrimSuffix(word, ":")
	l.rest = strings.TrimSpace(s[strings.Index(s, word)+len(word):])
	return l, true
}

// scriptTime parses "3450.032678:" as ns.
func scriptTime(word string) (uint64, bool) {
	sec, frac, ok := strings.Cut(strings.TrimSuffix(word, ":"), ".")
	if !ok || !strings.HasSuffix(word, ":") || len(frac) < 6 || len(frac) > 9 || len(sec) > 9 {
		return 0, false
	}
	s, ok1 := decNumber([]byte(sec))
	f, ok2 := decNumber([]byte((frac + "000")[:9]))
	return s*1e9 + f, ok1 && ok2
}

// eventName takes the modifiers off: page-faults:u, page-faults:uH.
func eventName(event string) string {
	if base, _, ok := strings.Cut(event, ":"); ok && strings.HasSuffix(base, "-faults") || base == "faults" {
		return base
	}
	return event
}

func detectPerfScript(head []byte) bool {
	known := 0
	for line := range headLines(head) {
		l, ok := parseScript(string(line))
		if !ok {
			if known == 0 && line[0] != '#' {
				return false
			}
			continue
		}
		switch e := eventName(l.event); {
		case strings.HasPrefix(e, "PERF_RECORD_"), strings.HasSuffix(e, "faults"), strings.HasPrefix(e, "raw_syscalls:"),
			strings.HasPrefix(e, "syscalls:sys_"), strings.HasPrefix(e, "exceptions:page_fault"):
			known++
		}
	}
	return known > 0
}

func (p *perfScript) step(b *builder) error {
	line, whole, err := p.lines.next()
	if err == io.EOF {
		p.state.finish(b)
	}
	if err != nil {
		return err
	}
	if !whole {
		b.tally(cutOff)
		return nil
	}
	s := string(line)
	if strings.TrimSpace(s) == "" || s[0] == '#' {
		return nil
	}
	l, ok := parseScript(s)
	if !ok {
		b.tally("%d lines are not of perf script, or of call chains, and are passed over")
		return nil
	}
	return p.lines.at(p.line(b, &l))
}

func (p *perfScript) line(b *builder, l *scriptLine) error {
	if strings.HasPrefix(l.event, "PERF_RECORD_") {
		return p.sideband(b, l)
	}
	do := p.sample(b, l)
	if do == nil {
		b.tally("%d samples of other events are left out")
		return nil
	}
	if !perfUser(l.pid, l.tid) {
		return nil
	}
	th, err := b.thread(l.pid, l.tid)
	if err != nil {
		return err
	}
	p.state.clock(b, th, l.ns)
	if l.cpu >= 0 {
		b.onCPU(th, uint32(l.cpu))
	}
	return do()
}

// sample is what to do about a sample, nil for nothing.
func (p *perfScript) sample(b *builder, l *scriptLine) func() error {
	switch e := eventName(l.event); {
	case strings.HasSuffix(e, "faults"):
		return func() error { return p.fault(b, l, e == "major-faults") }
	case strings.HasPrefix(e, "exceptions:page_fault_"):
		return func() error { return p.codedFault(b, l) }
	case e == "raw_syscalls:sys_enter" || e == "raw_syscalls:sys_exit":
		return func() error { return p.raw(b, l) }
	case strings.HasPrefix(e, "syscalls:sys_enter_"):
		return func() error { return p.enter(b, l, strings.TrimPrefix(e, "syscalls:sys_enter_")) }
	case strings.HasPrefix(e, "syscalls:sys_exit_"):
		return func() error { return p.leave(b, l, strings.TrimPrefix(e, "syscalls:sys_exit_")) }
	}
	return nil
}

// fault is "address [symbol+offset (file)] ip ...".
func (p *perfScript) fault(b *builder, l *scriptLine, major bool) error {
	f := perfFault{major: major}
	n := 0
	for _, word := range strings.Fields(l.rest) {
		v, ok := hexNumber([]byte(word))
		if !ok || len(word) < 4 {
			continue
		}
		if n++; n == 1 {
			f.addr = v
		} else if n == 2 {
			f.ip = v
		}
	}
	if n < 2 {
		return p.lines.badf("a fault without address and instruction: use perf script -F +addr,+ip, after perf record -d")
	}
	return p.state.fault(b, l.pid, l.tid, &f)
}

// codedFault is "address=0x... ip=0x... error_code=0x4".
func (p *perfScript) codedFault(b *builder, l *scriptLine) error {
	f := perfFault{coded: true}
	var ok1, ok2 bool
	f.addr, ok1 = scriptNumber(l.rest, "address=")
	f.code, ok2 = scriptNumber(l.rest, "error_code=")
	f.ip, _ = scriptNumber(l.rest, "ip=") // a symbol for code of the kernel
	if !ok1 || !ok2 {
		return p.lines.badf("a fault without address and error_code")
	}
	return p.state.fault(b, l.pid, l.tid, &f)
}

// scriptNumber is the number behind a name.
func scriptNumber(s, name string) (uint64, bool) {
	_, after, ok := strings.Cut(" "+s, " "+name)
	word, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	v, err := strconv.ParseUint(strings.TrimRight(word, ","), 0, 64)
	return v, ok && err == nil
}

// raw is "NR 9 (0, 2000, 3, 22, ffffffff, 0)" or "NR 9 = 139760474542080".
func (p *perfScript) raw(b *builder, l *scriptLine) error {
	after, ok := strings.CutPrefix(l.rest, "NR ")
	num, after, _ := strings.Cut(after, " ")
	nr, err := strconv.ParseUint(num, 10, 32)
	if !ok || err != nil {
		return nil // NR -1: a call that was given up
	}
	if ret, ok := strings.CutPrefix(after, "= "); ok {
		ret, _, _ = strings.Cut(ret, " ")
		v, err := strconv.ParseInt(ret, 10, 64)
		if err != nil {
			return p.lines.badf("the result %q", ret)
		}
		return p.state.leave(b, l.tid, nr, uint64(v))
	}
	list, _, _ := strings.Cut(strings.TrimPrefix(after, "("), ")")
	var args [6]uint64
	for i, a := range strings.Split(list, ", ") {
		v, ok := hexNumber([]byte(a))
		if !ok || i >= len(args) {
			return p.lines.badf("the arguments %q", list)
		}
		args[i] = v
	}
	return p.state.enter(b, l.pid, l.tid, nr, args)
}

// enter is "addr: 0x00000000, len: 0x00003000, ...".
func (p *perfScript) enter(b *builder, l *scriptLine, name string) error {
	nr, ok := trace.SyscallNumber(trace.ABIX8664, name)
	if !ok {
		return nil
	}
	var args [6]uint64
	for i, a := range strings.SplitN(l.rest, ", ", len(args)) {
		_, value, _ := strings.Cut(a, ": ")
		value, _, _ = strings.Cut(value, " ")
		v, err := strconv.ParseUint(value, 0, 64)
		if err != nil && a != "" {
			return p.lines.badf("the argument %q", a)
		}
		args[i] = v
	}
	return p.state.enter(b, l.pid, l.tid, uint64(nr), args)
}

func (p *perfScript) leave(b *builder, l *scriptLine, name string) error {
	nr, ok := trace.SyscallNumber(trace.ABIX8664, name)
	word, _, _ := strings.Cut(l.rest, " ")
	ret, err := strconv.ParseUint(word, 0, 64)
	if !ok || err != nil {
		return nil
	}
	return p.state.leave(b, l.tid, uint64(nr), ret)
}

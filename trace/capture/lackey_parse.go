package capture

import (
	"bytes"
	"strings"

	grammar "github.com/vmtrace/vmtrace/trace/lackey"
)

// The log of lackey: package lackey has its grammar. A SCHED line can begin in the
// middle of the line of a call, and so can the preamble of the image that an exec
// starts. parser keeps no line: it calls back.

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
	if addr, size, kind := grammar.Access(b); kind != 0 {
		p.sink.access(kind, addr, size)
	} else if len(b) > 0 {
		p.other(string(b))
	}
}

// other parses everything that is no access; these lines are rare.
func (p *parser) other(s string) {
	s, sched := grammar.CutSched(s)
	switch {
	case strings.HasPrefix(s, grammar.SyscallPrefix):
		p.syscall(s)
	case strings.HasPrefix(s, grammar.ResultPrefix):
		p.outcome(0, s)
	case strings.HasPrefix(s, "--"):
		p.sched(s)
	case strings.HasPrefix(s, "=="):
		if _, cmd, ok := strings.Cut(s, grammar.Command); ok {
			p.sink.command(cmd)
		}
	}
	p.sched(sched)
}

func (p *parser) sched(s string) {
	_, n, what, ok := grammar.Sched(s)
	switch {
	case !ok:
	case strings.HasPrefix(what, "acquired lock"):
		p.sink.scheduled(n)
	case strings.HasPrefix(what, "entering VG_(scheduler)"):
		p.sink.entered(n)
	}
}

func (p *parser) syscall(s string) {
	c, ok := grammar.Syscall(s)
	if !ok {
		return
	}
	if !c.Async {
		p.sink.call(c.Thread, c.Nr, c.Name, c.Args)
	}
	p.outcome(c.Thread, c.Tail)
}

func (p *parser) outcome(thread int, s string) {
	if v, found, err := grammar.Result(s); found && err == nil {
		p.sink.result(thread, v)
	}
}

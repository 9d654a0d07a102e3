package convert

import (
	"bytes"

	"github.com/vmtrace/vmtrace/trace"
)

// Text as used in teaching: one access a line, a letter and an address in either
// order, address in hexadecimal:
//
//	R 0x7f001234     W 0x7f001238     X 0x401000
//	0041f7a0 R
//
// R and L read; W, S and M write; X, I and F fetch an instruction. What follows
// the two words is passed over, and so are empty lines and lines that begin with
// #.
var plainFormat = Format{
	Name:   "plain",
	Help:   "text with lines such as R 0x1000 or 0x1000 W",
	Detect: detectPlain,
	open:   func(in *input) (decoder, error) { return &plain{lines: lineReader{r: in.body}}, nil },
}

type plain struct {
	lines lineReader
	th    *thread
}

var plainKinds = [256]trace.Access{
	'R': trace.Read, 'r': trace.Read, 'L': trace.Read, 'l': trace.Read,
	'W': trace.Write, 'w': trace.Write, 'S': trace.Write, 's': trace.Write, 'M': trace.Write, 'm': trace.Write,
	'X': trace.Exec, 'x': trace.Exec, 'I': trace.Exec, 'i': trace.Exec, 'F': trace.Exec, 'f': trace.Exec,
}

// plainLine parses one line. A kind is one letter, an address at least two
// digits, or any number with 0x.
func plainLine(line []byte) (addr uint64, a trace.Access, ok bool) {
	first, rest := word(line)
	second, _ := word(rest)
	if len(first) != 1 {
		first, second = second, first
	}
	if len(first) != 1 || len(second) < 2 {
		return 0, 0, false
	}
	a = plainKinds[first[0]]
	addr, ok = hexNumber(second)
	return addr, a, ok && a != 0
}

// word cuts the first word off a line.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

func comment(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) == 0 || line[0] == '#'
}

func detectPlain(head []byte) bool {
	n := 0
	for line := range headLines(head) {
		if comment(line) {
			continue
		}
		if _, _, ok := plainLine(line); !ok {
			return false
		}
		n++
	}
	return n > 0 && isText(head)
}

func (p *plain) step(b *builder) error {
	line, _, err := p.lines.next()
	if err != nil || comment(line) {
		return err
	}
	addr, a, ok := plainLine(line)
	if !ok {
		return p.lines.badf("%s: expected an access such as R 0x1000", quote(line))
	}
	if p.th == nil {
		if p.th, err = b.start(1, 1, ""); err != nil {
			return err
		}
	}
	return p.lines.at(b.access(p.th, addr, 1, a))
}

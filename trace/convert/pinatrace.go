package convert

import (
	"bytes"

	"github.com/vmtrace/vmtrace/trace"
)

// The text that Pin's example pinatrace.cpp (source/tools/ManualExamples) writes
// with fprintf: instruction, kind and address of each data access; the size is
// not in it, so each is taken for one byte. Its last line is #eof.
//
//	0x7fb6c2d0a103: W 0x7ffd8a5c1a58
//
// The instruction is fetched once for each of its accesses; instructions without
// an access are not in the trace.
var pinatraceFormat = Format{
	Name:   "pinatrace",
	Help:   "text of Pin's example tool pinatrace",
	Detect: detectPinatrace,
	open:   func(in *input) (decoder, error) { return &pinatrace{lines: lineReader{r: in.body}}, nil },
}

type pinatrace struct {
	lines lineReader
	th    *thread
	ended bool
}

var pinEnd = []byte("#eof")

func pinatraceLine(line []byte) (ip, addr uint64, a trace.Access, ok bool) {
	first, rest, found := bytes.Cut(line, []byte(": "))
	ip, ok1 := hexNumber(first)
	if !found || !ok1 || !bytes.HasPrefix(first, []byte("0x")) || len(rest) < 4 || rest[1] != ' ' || rest[0] != 'R' && rest[0] != 'W' {
		return 0, 0, 0, false
	}
	addr, ok = hexNumber(bytes.TrimRight(rest[2:], " "))
	return ip, addr, plainKinds[rest[0]], ok
}

func detectPinatrace(head []byte) bool {
	n := 0
	for line := range headLines(head) {
		if bytes.Equal(line, pinEnd) {
			continue
		}
		if _, _, _, ok := pinatraceLine(line); !ok {
			return false
		}
		n++
	}
	return n > 0
}

func (p *pinatrace) step(b *builder) error {
	line, whole, err := p.lines.next()
	if err != nil {
		if !p.ended && b.found > 0 {
			b.tally("the line #eof is missing: the recording was cut off")
		}
		return err
	}
	if bytes.Equal(line, pinEnd) {
		p.ended = true
		return nil
	}
	if !whole {
		b.tally(cutOff)
		return nil
	}
	ip, addr, a, ok := pinatraceLine(line)
	if !ok {
		return p.lines.badf("%s: expected a line such as 0x401000: R 0x7ffd8a5c1a58", quote(line))
	}
	if p.th == nil {
		if p.th, err = b.start(1, 1, ""); err != nil {
			return err
		}
	}
	if err := b.access(p.th, ip, 1, trace.Exec); err != nil {
		return p.lines.at(err)
	}
	return p.lines.at(b.access(p.th, addr, 1, a))
}

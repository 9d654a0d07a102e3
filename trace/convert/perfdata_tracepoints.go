package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// perfTracepoint is where the fields of a tracepoint stand in its raw data.
type perfTracepoint struct {
	system, name string
	fields       []perfField // in order
}

type perfField struct {
	name         string
	offset, size int
}

const perfMaxPoints = 1 << 12

// tracepoints reads the description of tracepoints
// (tools/perf/util/trace-event-info.c): "\x17\x08Dtracing", version, byte order,
// size of long, page size, "header_page" and "header_event" with a text of given
// size each, a list of texts, then a list of systems with a list of texts each.
// What follows is not needed.
func (p *perfData) tracepoints(data []byte) error {
	t := tracingReader{b: data}
	magic := t.take(10)
	t.str()
	order := t.take(6) // 1 byte order, 1 size of long, 4 page size
	if t.bad || !bytes.Equal(magic, []byte("\x17\x08Dtracing")) || order[0] != 0 {
		return fmt.Errorf("%w: the description of tracepoints does not begin as it should", trace.ErrCorrupt)
	}
	t.str()
	t.text()
	t.str()
	t.text()
	for n := t.u32(); n > 0 && !t.bad; n-- {
		t.text()
	}
	for systems := t.u32(); systems > 0 && !t.bad; systems-- {
		system := t.str()
		for n := t.u32(); n > 0 && !t.bad; n-- {
			id, point := parsePoint(system, string(t.text()))
			if len(p.points) >= perfMaxPoints {
				return fmt.Errorf("%w: more than %d tracepoints", trace.ErrCorrupt, perfMaxPoints)
			}
			p.points[id] = point
		}
	}
	if t.bad {
		return fmt.Errorf("%w: the description of tracepoints ends early", trace.ErrCorrupt)
	}
	return nil
}

type tracingReader struct {
	b   []byte
	bad bool
}

func (t *tracingReader) take(n uint64) []byte {
	if n > uint64(len(t.b)) {
		t.bad = true
		t.b = nil
		return nil
	}
	out := t.b[:n]
	t.b = t.b[n:]
	return out
}

func (t *tracingReader) str() string {
	i := bytes.IndexByte(t.b, 0)
	if i < 0 {
		t.bad = true
		return ""
	}
	return string(t.take(uint64(i + 1))[:i])
}

func (t *tracingReader) u32() uint32 {
	if b := t.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// text is a text behind its length in 8 bytes.
func (t *tracingReader) text() []byte {
	if b := t.take(8); b != nil {
		return t.take(binary.LittleEndian.Uint64(b))
	}
	return nil
}

// parsePoint reads the format of a tracepoint as it stands in tracefs:
//
//	name: sys_enter
//	ID: 443
//	format:
//		field:long id;	offset:8;	size:8;	signed:1;
func parsePoint(system, text string) (id uint64, t *perfTracepoint) {
	t = &perfTracepoint{system: system}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "name: "); ok {
			t.name = name
		} else if num, ok := strings.CutPrefix(line, "ID: "); ok {
			id, _ = strconv.ParseUint(num, 10, 64)
		} else if field, ok := strings.CutPrefix(line, "field:"); ok {
			parts := strings.Split(field, ";")
			if len(parts) < 3 {
				continue
			}
			words := strings.Fields(parts[0])
			offset, err1 := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(parts[1]), "offset:"))
			size, err2 := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(parts[2]), "size:"))
			if len(words) == 0 || err1 != nil || err2 != nil {
				continue
			}
			name, _, _ := strings.Cut(words[len(words)-1], "[")
			t.fields = append(t.fields, perfField{name, offset, size})
		}
	}
	return id, t
}

// number is a field of up to 8 bytes, by name.
func (t *perfTracepoint) number(raw []byte, name string) uint64 {
	i := slices.IndexFunc(t.fields, func(f perfField) bool { return f.name == name })
	if i < 0 {
		return 0
	}
	return t.fields[i].number(raw, 0)
}

// number is element i of a field, as a number without sign.
func (f *perfField) number(raw []byte, i int) uint64 {
	var b [8]byte
	if at := f.offset + 8*i; at >= 0 && at < len(raw) {
		copy(b[:min(8, max(f.size, 0))], raw[at:])
	}
	return binary.LittleEndian.Uint64(b[:])
}

// sample works on a sample of the tracepoint.
func (t *perfTracepoint) sample(b *builder, p *perfState, s *perfSampleFields) error {
	switch {
	case t.system == "exceptions" && strings.HasPrefix(t.name, "page_fault_"):
		return p.fault(b, s.pid, s.tid, &perfFault{addr: t.number(s.raw, "address"), ip: t.number(s.raw, "ip"), code: t.number(s.raw, "error_code"), coded: true})
	case t.system == "raw_syscalls" && t.name == "sys_enter":
		var args [6]uint64
		for _, f := range t.fields {
			for i := range args {
				if f.name == "args" {
					args[i] = f.number(s.raw, i)
				}
			}
		}
		return p.enter(b, s.pid, s.tid, t.number(s.raw, "id"), args)
	case t.system == "raw_syscalls" && t.name == "sys_exit":
		return p.leave(b, s.tid, t.number(s.raw, "id"), t.number(s.raw, "ret"))
	case t.system == "syscalls" && strings.HasPrefix(t.name, "sys_enter_"):
		return p.enter(b, s.pid, s.tid, t.number(s.raw, "__syscall_nr"), t.arguments(s.raw))
	case t.system == "syscalls" && strings.HasPrefix(t.name, "sys_exit_"):
		return p.leave(b, s.tid, t.number(s.raw, "__syscall_nr"), t.number(s.raw, "ret"))
	}
	b.tally("%d samples of other events are left out")
	return nil
}

// arguments are the fields behind the number of the call.
func (t *perfTracepoint) arguments(raw []byte) (args [6]uint64) {
	i := 0
	for _, f := range t.fields {
		if !strings.HasPrefix(f.name, "common_") && f.name != "__syscall_nr" && i < len(args) {
			args[i] = f.number(raw, 0)
			i++
		}
	}
	return args
}

package convert

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// sideband is a line of --show-mmap-events, --show-task-events or
// --show-lost-events.
func (p *perfScript) sideband(b *builder, l *scriptLine) error {
	switch l.event {
	case "PERF_RECORD_COMM":
		return p.comm(b, l)
	case "PERF_RECORD_FORK", "PERF_RECORD_EXIT":
		var pid, tid, ppid, ptid int32
		if n, _ := fmt.Sscanf(l.rest, "(%d:%d):(%d:%d)", &pid, &tid, &ppid, &ptid); n != 4 {
			return p.lines.badf("%s: expected (pid:tid):(parent:thread)", quote([]byte(l.rest)))
		}
		if l.event == "PERF_RECORD_EXIT" {
			p.state.exit(b, uint32(tid))
			return nil
		}
		return p.state.fork(b, uint32(pid), uint32(tid), uint32(ppid), uint32(ptid))
	case "PERF_RECORD_MMAP", "PERF_RECORD_MMAP2":
		return p.mmap(b, l)
	case "PERF_RECORD_LOST", "PERF_RECORD_LOST_SAMPLES":
		n, _ := scriptNumber(l.rest, "lost")
		p.state.lost(b, n)
	}
	return nil
}

// comm is ": name:pid/tid" or " exec: name:pid/tid".
func (p *perfScript) comm(b *builder, l *scriptLine) error {
	before, after, ok := strings.Cut(l.rest, ": ")
	i := strings.LastIndexByte(after, ':')
	if !ok || i < 0 {
		return p.lines.badf("%s: expected a name and its thread", quote([]byte(l.rest)))
	}
	var pid, tid int32
	if n, _ := fmt.Sscanf(after[i:], ":%d/%d", &pid, &tid); n != 2 {
		return p.lines.badf("%s: expected a name and its thread", quote([]byte(l.rest)))
	}
	return p.state.comm(b, uint32(pid), uint32(tid), after[:i], strings.TrimSpace(before) == "exec")
}

// mmap is " pid/tid: [0xaddr(0xlen) @ offset major:minor inode generation]: prot name";
// the MMAP form ends after the offset.
func (p *perfScript) mmap(b *builder, l *scriptLine) error {
	bad := func() error { return p.lines.badf("%s: expected a mapping", quote([]byte(l.rest))) }
	var pid, tid int32
	m := perfMapping{prot: trace.ProtRead | trace.ProtExec}
	head, rest, ok1 := strings.Cut(l.rest, ": [")
	inside, rest, ok2 := strings.Cut(rest, "]: ")
	n1, _ := fmt.Sscanf(strings.TrimSpace(head), "%d/%d", &pid, &tid)
	n2, _ := fmt.Sscanf(inside, "0x%x(0x%x)", &m.start, &m.length)
	if !ok1 || !ok2 || n1 != 2 || n2 != 2 {
		return bad()
	}
	_, where, _ := strings.Cut(inside, " @ ")
	words := strings.Fields(where)
	if len(words) == 0 {
		return bad()
	}
	offset, ok := hexNumber([]byte(words[0]))
	if !ok {
		return bad()
	}
	m.offset = offset
	if len(words) >= 3 {
		var major, minor uint64
		if n, _ := fmt.Sscanf(words[1]+" "+words[2], "%x:%x %d", &major, &minor, &m.ino); n == 3 {
			m.dev = major<<8 | minor
		}
	}
	flags, name, _ := strings.Cut(rest, " ")
	if len(flags) == 4 {
		m.prot, m.shared = 0, flags[3] == 's'
		for i, bit := range []uint32{trace.ProtRead, trace.ProtWrite, trace.ProtExec} {
			if flags[i] != '-' {
				m.prot |= bit
			}
		}
	}
	m.name = name
	return p.state.mapping(b, uint32(pid), uint32(tid), &m)
}

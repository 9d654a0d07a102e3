package capture

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// The image of a program as it stands before its first instruction: its
// regions, and what the kernel wrote while it built them. Valgrind builds the
// image itself; natively the kernel does, and its faults count.

// Where valgrind keeps things of its own (coregrind/m_aspacemgr, amd64): its
// program text, and the upper half of the memory it manages except for the
// client's stack below 0x1fff001000.
const (
	vgTextStart, vgTextEnd = 0x58000000, 0x60000000
	vgHeapStart            = 0x1000000000
	vgStackEnd             = 0x1fff001000
)

// clientRegions picks the regions of the program from those of its process.
func clientRegions(all []mapping) (regions []mapping, stack *mapping) {
	var low []mapping
	for i := range all {
		m := &all[i]
		switch {
		case m.end == vgStackEnd:
			stack = m
		case m.start >= vgTextStart && m.start < vgTextEnd || m.start >= vgHeapStart:
		case m.file == nil && m.perms == "rwxp":
			// the first page of the heap, which the program has not asked for yet
		default:
			low = append(low, *m)
		}
	}
	return low, stack
}

// stackBelow is how far below the mapped part of a stack its accesses can begin:
// its limit, RLIMIT_STACK by default.
const stackBelow = 8 << 20

// ready records the image: the log says that it is there and that nothing of it
// has run.
func (p *lackeyProcess) ready() {
	p.flush()
	p.setPipeSize(pipeSize)
	defer p.rec.release(p.pid)
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.pid)); strings.HasSuffix(exe, "-x86-linux") {
		p.rec.warn("process %d runs a 32-bit program, which is not recorded: %s", p.pid, p.cmd)
		p.muted = true
		return
	}
	p.muted = false
	op := trace.OpExec
	if !p.started {
		op = trace.OpStart
		p.started = true
	}
	p.current = p.pid
	p.threads.reset(p.pid)
	p.pending, p.last = map[int]*pendingCall{}, 1
	p.event(trace.NewProcess(p.pid, trace.Process{Op: op, Child: p.pid, Tid: p.pid, Text: p.cmd}))
	all, err := readMaps(p.pid)
	if err != nil {
		p.rec.warn("regions of process %d at its start are missing: %v", p.pid, err)
	}
	regions, stack := clientRegions(all)
	for i := range regions {
		p.region(&regions[i], 0)
	}
	p.stack = [2]uint64{}
	if stack != nil {
		p.region(stack, trace.MapStack|trace.MapGrowsDown)
		p.stack = [2]uint64{stack.start, stack.end}
	}
	for _, addr := range clearedTails(regions) {
		p.event(trace.NewUserCopy(p.pid, trace.UserCopy{Addr: addr, Len: 0x1000 - addr&0xfff, Write: true}))
	}
}

func (p *lackeyProcess) region(m *mapping, flags trace.MapFlags) {
	r := trace.Map{Start: m.start, End: m.end, Prot: m.prot(), Flags: flags, Offset: m.offset, Name: m.name}
	if strings.HasSuffix(m.perms, "s") {
		r.Flags |= trace.MapShared
	}
	if m.file != nil {
		f := p.rec.files.record(m.file, 0)
		p.event(trace.NewFile(p.pid, f))
		r.File = f.ID
		if strings.HasPrefix(filepath.Base(m.name), "vgpreload_") {
			r.Flags |= trace.MapRecorder
		}
	}
	p.event(trace.NewMap(p.pid, r))
}

// argumentArea records the kernel's writes of arguments, environment and
// auxiliary vector, from the stack pointer at the start to the top of the stack.
// The first access to the stack tells the pointer: dynamic programs begin with a
// call, which stores below it, static ones pop.
func (p *lackeyProcess) argumentArea(kind byte, addr, size uint64) {
	top := p.stack[1]
	p.stack = [2]uint64{}
	sp := addr
	if kind == 'S' {
		sp = addr + size
	}
	if sp < top {
		p.event(trace.NewUserCopy(p.pid, trace.UserCopy{Addr: sp, Len: top - sp, Write: true}))
	}
}

// clearedTails are the addresses from which the kernel clears the rest of a page
// because the file part of a segment ends inside it and .bss begins there
// (fs/binfmt_elf.c:padzero).
func clearedTails(regions []mapping) []uint64 {
	var out []uint64
	for i := range regions {
		m := &regions[i]
		if m.file == nil || m.offset != 0 || m.perms[1] == 'w' {
			continue
		}
		f, err := elf.Open(m.name)
		if err != nil {
			continue
		}
		var base uint64
		first := true
		for _, s := range f.Progs {
			if s.Type != elf.PT_LOAD {
				continue
			}
			if first {
				base, first = m.start-s.Vaddr&^0xfff, false
			}
			if end := base + s.Vaddr + s.Filesz; s.Memsz > s.Filesz && end&0xfff != 0 && s.Flags&elf.PF_W != 0 {
				out = append(out, end)
			}
		}
		f.Close()
	}
	return out
}

// readMemory reads memory of a process as it is now; false when it is not there.
func readMemory(pid uint32, addr uint64, b []byte) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.ReadAt(b, int64(addr))
	return err == nil
}

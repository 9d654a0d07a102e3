package capture

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vmtrace/vmtrace/trace"
)

// The image under QEMU. Its user-mode emulator maps the program's memory at the
// program's addresses, plus guestBase, among its own, but without the permission
// to execute, and adjacent regions of a file merge. So regions of ELF files are
// those of their program headers, as the kernel's loader maps them
// (fs/binfmt_elf.c), and only where they lie is taken from the process.

// guestEnd is above all addresses that QEMU gives to a program, and below its own
// (linux-user/mmap.c: TASK_UNMAPPED_BASE, 1<<38 on 64-bit targets; Linux loads
// the emulator itself near 0x550000000000 and 0x7f0000000000).
const guestEnd = 0x500000000000

// image is the memory of a program before its first instruction.
type image struct {
	regions []trace.Map
	files   []*openFile // of each region, nil for none
	cleared []trace.UserCopy
	stack   [2]uint64 // start and end, 0 when it is not known
}

func (m *image) add(r trace.Map, f *openFile) {
	if r.Start < r.End {
		m.regions = append(m.regions, r)
		m.files = append(m.files, f)
	}
}

// guestImage makes the regions of a program from the mappings of its memory.
// stackSize is what the emulator was told, in bytes.
func guestImage(all []mapping, stackSize uint64) *image {
	m := &image{}
	var covered uint64 // end of the ELF image that was added last
	for i := range all {
		r := &all[i]
		switch {
		case r.end <= covered:
		case r.file != nil && r.offset == 0:
			covered = m.addELF(r)
		case r.perms[0] == '-' && r.perms[1] == '-':
			// reserved by QEMU, or the guard below the stack
		default:
			m.addOther(all, i, max(r.start, covered), stackSize)
		}
	}
	return m
}

// toGuest keeps the mappings that are the program's, at its own addresses.
func toGuest(all []mapping, abi trace.ABI) []mapping {
	base, end := guestBase(abi), uint64(guestEnd)
	if base != 0 {
		end = base + 1<<32
	}
	var out []mapping
	for _, m := range all {
		if m.start >= base && m.start < end {
			m.start -= base
			m.end -= base
			out = append(out, m)
		}
	}
	return out
}

// mixedGuest keeps the mappings that are the program's where they stand among those of
// the emulator, in whose process the kernel places both (linux-user/mmap.c of QEMU from
// 8.1 on). Before its first instruction a program has its file, the interpreter, in which
// it begins at pc, a stack of a size that nothing else has, and what the emulator gives
// it as vdso, which isELF tells by what stands there.
func mixedGuest(all []mapping, program *openFile, pc, stackSize uint64, isELF func(addr uint64) bool) []mapping {
	var out []mapping
	for i := range all {
		m := &all[i]
		switch size := m.end - m.start; {
		case m.file != nil && m.offset == 0:
			end := new(image).addELF(m)
			if program != nil && m.file.dev == program.dev && m.file.ino == program.ino || pc >= m.start && pc < end {
				out = append(out, *m)
			}
		case m.name != "" || i == 0:
		case size >= stackSize && m.perms[:3] == "rw-" && all[i-1].end == m.start && all[i-1].end-all[i-1].start == 1<<12 && all[i-1].perms[0] == '-':
			stack := *m // what is behind is not of the program
			stack.end = stack.start + stackSize
			out = append(out, all[i-1], stack)
		case m.perms[:3] == "r--" && isELF(m.start):
			out = append(out, *m)
		}
	}
	return out
}

// addELF adds the segments of the file of a mapping, and says where they end.
func (m *image) addELF(at *mapping) uint64 {
	f, err := elf.Open(at.name)
	if err != nil {
		m.add(trace.Map{Start: at.start, End: at.end, Prot: at.prot(), Offset: at.offset, Name: at.name}, at.file)
		return at.end
	}
	defer f.Close()
	base, first, end := uint64(0), true, at.end
	for _, s := range f.Progs {
		if s.Type != elf.PT_LOAD {
			continue
		}
		if first {
			base, first = at.start-s.Vaddr&^0xfff, false
		}
		start, fileEnd, memEnd := base+s.Vaddr, base+s.Vaddr+s.Filesz, base+s.Vaddr+s.Memsz
		r := trace.Map{Start: start &^ 0xfff, End: pageUp(fileEnd), Prot: segmentProt(s.Flags), Offset: s.Off &^ 0xfff, Name: at.name}
		if s.Filesz > 0 {
			m.add(r, at.file)
			m.add(trace.Map{Start: pageUp(fileEnd), End: pageUp(memEnd), Prot: r.Prot}, nil)
		} else {
			m.add(trace.Map{Start: start &^ 0xfff, End: pageUp(memEnd), Prot: r.Prot}, nil)
		}
		if s.Filesz > 0 && s.Memsz > s.Filesz && fileEnd&0xfff != 0 && s.Flags&elf.PF_W != 0 {
			m.cleared = append(m.cleared, trace.UserCopy{Addr: fileEnd, Len: pageUp(fileEnd) - fileEnd, Write: true})
		}
		end = pageUp(memEnd)
	}
	return end
}

// addOther adds a region that belongs to no file: the stack, which has a guard
// page below it, or memory of the emulator's own that the program can reach
// (descriptor tables, the code to return from signals).
func (m *image) addOther(all []mapping, i int, start, stackSize uint64) {
	r := &all[i]
	guarded := i > 0 && all[i-1].end == r.start && all[i-1].perms[0] == '-'
	if m.stack[1] == 0 && guarded && r.perms[1] == 'w' && r.end-r.start >= stackSize {
		m.stack = [2]uint64{r.start, r.start + stackSize}
		m.add(trace.Map{Start: r.start, End: r.start + stackSize, Prot: trace.ProtRead | trace.ProtWrite,
			Flags: trace.MapStack | trace.MapGrowsDown, Name: "[stack]"}, nil)
		start = r.start + stackSize
	}
	prot := r.prot()
	if prot&trace.ProtWrite == 0 {
		prot |= trace.ProtExec
	}
	m.add(trace.Map{Start: start, End: r.end, Prot: prot, Flags: trace.MapRecorder}, nil)
}

func segmentProt(f elf.ProgFlag) (prot uint32) {
	if f&elf.PF_R != 0 {
		prot |= trace.ProtRead
	}
	if f&elf.PF_W != 0 {
		prot |= trace.ProtWrite
	}
	if f&elf.PF_X != 0 {
		prot |= trace.ProtExec
	}
	return prot
}

func pageUp(addr uint64) uint64 { return (addr + 0xfff) &^ 0xfff }

// start records the image of a process that waits at its first instruction.
func (p *qemuProcess) start(r *qemuRecorder, op trace.ProcessOp, command string, pc uint64) {
	r.event(trace.NewProcess(p.pid, trace.Process{Op: op, Child: p.pid, Tid: p.pid, Text: command}))
	all, err := readMaps(p.pid)
	if err != nil {
		r.warn("regions of process %d at its start are missing: %v", p.pid, err)
	}
	mine := toGuest(all, p.abi)
	if r.mixed && guestBase(p.abi) == 0 {
		mine = mixedGuest(all, p.program(), pc, stackSize(), p.isELF)
	}
	m := guestImage(mine, stackSize())
	for i := range m.regions {
		if f := m.files[i]; f != nil {
			rec := r.files.record(f, 0)
			m.regions[i].File = rec.ID
			r.event(trace.NewFile(p.pid, rec))
		}
		r.event(trace.NewMap(p.pid, m.regions[i]))
	}
	for _, c := range m.cleared {
		r.event(trace.NewUserCopy(p.pid, c))
	}
	p.stack = m.stack
	if m.stack[1] == 0 {
		r.warn("the stack of process %d was not found among its regions", p.pid)
	}
}

// program is the file of the program that a process emulates, nil if it is not known.
func (p *qemuProcess) program() *openFile {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if err != nil {
		return nil
	}
	_, file, _, ok := guestArgs(data)
	if !ok {
		return nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(fmt.Sprintf("/proc/%d/cwd", p.pid), file)
	}
	return statFile(file)
}

// isELF says whether the memory of the process has the head of an ELF file at an
// address.
func (p *qemuProcess) isELF(addr uint64) bool {
	var b [len(elf.ELFMAG)]byte
	return readMemory(p.pid, addr, b[:]) && string(b[:]) == elf.ELFMAG
}

// argumentArea records the kernel's writes of arguments, environment and
// auxiliary vector, from the stack pointer at the start to the top of the stack.
// The first access to the stack tells the pointer: dynamic programs begin with a
// call, which stores a word below it, static ones pop.
func (p *qemuProcess) argumentArea(r *qemuRecorder, tid uint32, kind trace.Access, addr uint64) {
	if addr < p.stack[0] || addr >= p.stack[1] {
		return
	}
	top := p.stack[1]
	p.stack = [2]uint64{}
	sp := addr
	if kind == trace.Write {
		sp += p.wordSize()
	}
	if sp < top {
		r.event(trace.NewUserCopy(tid, trace.UserCopy{Addr: sp, Len: top - sp, Write: true}))
	}
}

func (p *qemuProcess) wordSize() uint64 {
	if p.abi == trace.ABII386 {
		return 4
	}
	return 8
}

// command is the command line of the program that a process emulates.
func (p *qemuProcess) command() string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	if err != nil {
		return ""
	}
	return guestCommand(data)
}

package convert

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// perfState is what the records of perf mean, for perf.data and the text of perf
// script. A page fault becomes a fault record and one access to its address;
// accesses that did not fault are not in a recording. A mapping that perf tells of
// (MMAP2) names the file of the mmap call that has not come back, if calls are
// recorded as well (raw_syscalls:sys_enter and sys_exit, or syscalls:...). Else it
// is of exec, or of a call that is not recorded: it becomes a region where nothing
// is mapped, and a call of mmap with MAP_FIXED where a file is put over something,
// or something over a file. perf also tells of the whole of an anonymous region
// when it grows, so what is there of one stays; and of a region that mprotect has
// changed: where the same part of the same file is there it becomes that call.
type perfState struct {
	pending map[uint32]*trace.Syscall // of the threads, in a call
	calls   bool                      // calls are recorded
	began   uint64                    // time of the first event, in ns
}

var perfLabels = map[string]string{"faults": "only"}

// Files of perf that are no files.
func perfAnonymous(name string) bool {
	return name == "" || name == "//anon" || strings.HasPrefix(name, "[") || strings.HasPrefix(name, "anon_inode:")
}

func newPerfState() perfState { return perfState{pending: map[uint32]*trace.Syscall{}} }

// clock notes the time of an event.
func (p *perfState) clock(b *builder, th *thread, ns uint64) {
	if ns == 0 {
		return
	}
	if p.began == 0 {
		p.began = ns
	}
	if ns > p.began {
		b.at(th, ns-p.began)
	}
}

// user says whether a record is of a process, and not of the kernel or the idle
// task.
func perfUser(pid, tid uint32) bool { return int32(pid) > 0 && int32(tid) > 0 }

// comm is a new name of a thread, which comes of exec or not.
func (p *perfState) comm(b *builder, pid, tid uint32, name string, exec bool) error {
	if !perfUser(pid, tid) {
		return nil
	}
	if b.threads[tid] == nil && b.procs[pid] == nil {
		_, err := b.start(pid, tid, name)
		return err
	}
	th, err := b.thread(pid, tid)
	if err != nil || !exec {
		return err
	}
	if c := p.pending[tid]; c != nil {
		if n := trace.SyscallName(c.ABI, c.Nr); n == "execve" || n == "execveat" {
			b.event(trace.NewSyscall(tid, *c))
		}
		delete(p.pending, tid)
	}
	b.exec(th, name)
	return nil
}

// fork is the birth of a thread or process.
func (p *perfState) fork(b *builder, pid, tid, ppid, ptid uint32) error {
	if !perfUser(pid, tid) || !perfUser(ppid, ptid) || b.threads[tid] != nil {
		return nil
	}
	parent, err := b.thread(ppid, ptid)
	if err != nil {
		return err
	}
	op, flags := trace.OpFork, uint64(0)
	if c := p.pending[ptid]; c != nil {
		name := trace.SyscallName(c.ABI, c.Nr)
		if name == "clone" {
			flags = c.Args[0]
		}
		if name == "vfork" || flags&(cloneVM|cloneVFork) == cloneVM|cloneVFork {
			op = trace.OpVFork
		}
		if isBirth(name) {
			c.Ret = uint64(tid)
			b.event(trace.NewSyscall(ptid, *c))
			delete(p.pending, ptid)
		}
	}
	if pid == ppid {
		_, err := b.clone(parent, tid, flags)
		return err
	}
	return b.fork(parent, pid, tid, op, flags)
}

func (p *perfState) exit(b *builder, tid uint32) {
	delete(p.pending, tid)
	if th := b.threads[tid]; th != nil {
		b.exit(th, 0)
	}
}

// mapsUnseen are the calls whose mappings only perf tells of.
var mapsUnseen = map[string]bool{"execve": true, "execveat": true, "shmat": true, "io_setup": true}

// perfMapping is an MMAP2 record.
type perfMapping struct {
	start, length, offset uint64
	dev, ino              uint64
	prot                  uint32
	shared                bool
	name                  string
}

func (p *perfState) mapping(b *builder, pid, tid uint32, m *perfMapping) error {
	start, end, ok := userRange(m.start, m.length)
	if !perfUser(pid, tid) || !ok {
		return nil
	}
	th, err := b.thread(pid, tid)
	if err != nil {
		return err
	}
	c := p.pending[tid]
	call := c != nil && !mapsUnseen[trace.SyscallName(c.ABI, c.Nr)]
	var id uint64
	if !perfAnonymous(m.name) {
		key := fmt.Sprintf("%x:%d:%s", m.dev, m.ino, m.name)
		f := file{dev: m.dev, ino: m.ino, path: m.name}
		if call {
			if c.Args[3]&mapAnonymous == 0 && len(th.proc.fds) < maxOpen {
				th.proc.fds[int32(c.Args[4])] = key
			}
			return b.register(key, f)
		}
		if id, err = b.announce(th, key, f, m.offset+end-start, perfFD+1); err != nil {
			return err
		}
	}
	if call {
		return nil
	}
	return p.region(b, th, start, end, id, m)
}

// perfFD is the descriptor that stands for the file of a mapping without a call.
const perfFD = 1 << 20

// region records a mapping that no recorded call made.
func (p *perfState) region(b *builder, th *thread, start, end, id uint64, m *perfMapping) error {
	if !p.calls && id == 0 && m.prot == 0 {
		m.prot = trace.ProtRead | trace.ProtWrite // a stack or heap to be, by an mprotect that is not seen
	}
	flags := perfFlags[m.name]
	if m.shared {
		flags |= trace.MapShared
	}
	sp := th.proc.space
	fresh, over := sp.mapped.gaps(start, end), sp.filed.within(start, end)
	if id != 0 {
		for _, old := range sp.mapped.within(start, end) {
			over = append(over, sp.filed.gaps(old.start, old.end)...)
		}
	}
	for _, g := range fresh {
		r := trace.Map{Start: g.start, End: g.end, Prot: m.prot, Flags: flags, File: id, Name: m.name}
		if id != 0 {
			r.Offset = m.offset + g.start - start
		}
		if m.name == "//anon" {
			r.Name = ""
		}
		b.event(trace.NewMap(th.tid, r))
	}
	what := id<<48 ^ (start - m.offset)
	for _, o := range over {
		if id != 0 && o.what == what {
			b.event(trace.NewSyscall(th.tid, trace.Syscall{ABI: trace.ABIX8664, Nr: perfMprotect, Args: [6]uint64{o.start, o.end - o.start, uint64(m.prot)}}))
		} else {
			p.fixed(b, th, o, o.start-start, id, m)
		}
	}
	for _, part := range append(fresh, over...) {
		if err := b.mapped(sp, part.start, part.end, uint64(m.prot)); err != nil {
			return err
		}
		if id != 0 {
			sp.filed = sp.filed.add(part.start, part.end, what)
		}
	}
	return nil
}

// fixed records that part of a mapping, skip bytes from its beginning, took the
// place of others.
func (p *perfState) fixed(b *builder, th *thread, part span, skip, id uint64, m *perfMapping) {
	s := trace.Syscall{ABI: trace.ABIX8664, Nr: perfMmapCall, Ret: part.start,
		Args: [6]uint64{part.start, part.end - part.start, uint64(m.prot), mapFixed | mapPrivate, perfFD, m.offset + skip}}
	if m.shared {
		s.Args[3] = mapFixed | mapShared
	}
	if id == 0 {
		s.Args[3] |= mapAnonymous
		s.Args[4], s.Args[5] = ^uint64(0), 0
	}
	b.event(trace.NewSyscall(th.tid, s))
}

// Numbers of calls on x86-64.
const (
	perfMmapCall = 9
	perfMprotect = 10
)

var perfFlags = map[string]trace.MapFlags{"[heap]": trace.MapHeap, "[stack]": trace.MapStack | trace.MapGrowsDown, "[vdso]": trace.MapVDSO,
	"[vvar]": trace.MapVVar, "[vvar_vclock]": trace.MapVVar, "[vsyscall]": trace.MapVSyscall}

// perfFault is a page fault. code is the error code of x86, where known.
type perfFault struct {
	addr, ip uint64
	code     uint64
	coded    bool
	major    bool
}

// Bits of the error code (arch/x86/include/asm/trap_pf.h).
const (
	faultWrite = 1 << 1
	faultInstr = 1 << 4
)

// fault takes a page fault. Software events do not tell its kind: a fault on the
// page of its own instruction is a fetch, else one where writing is allowed is a
// write, and what is left is a read.
func (p *perfState) fault(b *builder, pid, tid uint32, f *perfFault) error {
	if !perfUser(pid, tid) {
		return nil
	}
	th, err := b.thread(pid, tid)
	if err != nil {
		return err
	}
	a := trace.Read
	switch {
	case f.coded && f.code&faultInstr != 0, !f.coded && f.ip>>pageShift == f.addr>>pageShift:
		a = trace.Exec
	case f.coded && f.code&faultWrite != 0, !f.coded && th.proc.space.writable.covers(f.addr):
		a = trace.Write
	}
	if !f.coded {
		b.tally("%d faults do not tell their kind, which is inferred: write where the mapping may be written (the tracepoints exceptions:page_fault_user and _kernel tell it)")
	}
	b.event(trace.NewFault(tid, trace.Fault{Addr: f.addr, IP: f.ip, Access: a, Major: f.major}))
	return b.access(th, f.addr, 1, a)
}

// enter is the beginning of a call.
func (p *perfState) enter(b *builder, pid, tid uint32, nr uint64, args [6]uint64) error {
	if !perfUser(pid, tid) {
		return nil
	}
	if _, err := b.thread(pid, tid); err != nil {
		return err
	}
	if nr>>32 != 0 {
		return nil
	}
	if len(p.pending) >= maxLiving {
		return fmt.Errorf("%w: more than %d calls at once", trace.ErrCorrupt, maxLiving)
	}
	p.calls = true
	p.pending[tid] = &trace.Syscall{ABI: trace.ABIX8664, Nr: uint32(nr), Args: args}
	return nil
}

// leave is the end of a call.
func (p *perfState) leave(b *builder, tid uint32, nr, ret uint64) error {
	c := p.pending[tid]
	if c == nil || uint64(c.Nr) != nr || b.threads[tid] == nil {
		return nil // it began before the recording, or is a fork, whose child has been recorded
	}
	delete(p.pending, tid)
	c.Ret = ret
	return b.completed(b.threads[tid], *c, nil)
}

// finish is the end of the recording.
func (p *perfState) finish(b *builder) {
	if !p.calls && b.found > 0 {
		b.tally("the recording holds no system calls: mappings stay until others take their place (record with perf record -d -e page-faults,raw_syscalls:sys_enter,raw_syscalls:sys_exit)")
	}
}

func (p *perfState) lost(b *builder, n uint64) {
	b.event(trace.NewLost(b.sched.Thread, n, "events that perf lost"))
}

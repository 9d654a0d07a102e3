package capture

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

// qemuProcess is a process that is recorded.
type qemuProcess struct {
	pid     uint32
	abi     trace.ABI
	threads map[uint32]*qemuThread
	stack   [2]uint64   // until the kernel's writes to it have been recorded
	holds   *qemuThread // the thread that waits for it since vfork, nil for none
	native  bool        // has called exec: what it runs now is not recorded
}

// qemuThread is a thread of it.
type qemuThread struct {
	tid    uint32
	proc   *qemuProcess
	slot   uint32
	call   trace.Syscall // that it is in
	inCall bool
	memory []guestMemory // that belongs to the call
	file   *trace.File   // likewise
}

// guestMemory is a piece of the program's memory as it was when a call ended.
type guestMemory struct {
	addr  uint64
	bytes []byte
}

// slotEvent handles an event in the ring of a slot.
func (r *qemuRecorder) slotEvent(i uint32, kind int, w []uint64) {
	switch kind {
	case eventStart:
		r.started(i, uint32(w[0]), trace.ABI(w[2]), w[3])
	case eventBirth:
		r.born(i, uint32(w[0]), uint32(w[1]), uint32(w[2]))
	case eventThread:
		r.newThread(i, uint32(w[0]), uint32(w[1]))
	case eventLate:
		r.late += w[0]
	default:
		if th := r.slots[i]; th != nil {
			r.threadEvent(th, kind, w)
		}
	}
}

func (r *qemuRecorder) threadEvent(th *qemuThread, kind int, w []uint64) {
	switch kind {
	case eventCall:
		r.called(th, w)
	case eventReturn:
		if th.inCall && th.call.Nr == uint32(w[0]) {
			r.returned(th, w[1])
		}
		th.memory, th.file = nil, nil
	case eventFile:
		path := strings.TrimSuffix(wordsText(w[5:], w[4]), " (deleted)")
		f := r.files.record(&openFile{path: path, dev: w[1], ino: w[2], size: w[3]}, int32(w[0])+1)
		th.file = &f
	case eventMark:
		if label, ok := trace.MarkLabel(wordsText(w[1:], w[0])); ok {
			r.mark(th.tid, label)
		}
	case eventMemory:
		th.memory = append(th.memory, guestMemory{w[0], []byte(wordsText(w[2:], w[1]))})
	}
}

// bind makes a thread the owner of a slot.
func (r *qemuRecorder) bind(i uint32, th *qemuThread) {
	th.slot = i
	r.slots[i] = th
}

func (r *qemuRecorder) addThread(p *qemuProcess, tid uint32) *qemuThread {
	th := &qemuThread{tid: tid, proc: p, slot: ringSlots}
	p.threads[tid] = th
	r.threads[tid] = th
	return th
}

func (r *qemuRecorder) addProcess(pid uint32, abi trace.ABI) *qemuProcess {
	p := &qemuProcess{pid: pid, abi: abi, threads: map[uint32]*qemuThread{}}
	r.procs[pid] = p
	r.alive++
	return p
}

// started handles the first record of an image: of the first process, or after
// an exec that the plugin has led into QEMU again. It begins at pc.
func (r *qemuRecorder) started(i, pid uint32, abi trace.ABI, pc uint64) {
	p := r.procs[pid]
	op, command := trace.OpExec, ""
	if p == nil {
		op, command = trace.OpStart, strings.Join(r.opts.Command, " ")
		p = r.addProcess(pid, abi)
		r.addThread(p, pid)
	} else {
		command = p.command()
	}
	p.abi, p.native = abi, false
	r.bind(i, p.threads[pid])
	p.start(r, op, command, pc)
}

// born handles the first record of the child of a fork: it can come before the
// parent's call has returned.
func (r *qemuRecorder) born(i, pid, tid, parent uint32) {
	if th := r.threads[parent]; r.procs[pid] == nil && th != nil && th.inCall {
		r.returned(th, uint64(pid))
	}
	if th := r.threads[tid]; th != nil {
		r.bind(i, th)
	}
}

// newThread handles the first record of a thread, which can come before the
// call that made it has returned.
func (r *qemuRecorder) newThread(i, pid, tid uint32) {
	if r.threads[tid] == nil {
		if p := r.procs[pid]; p != nil {
			for _, th := range p.threads {
				if th.inCall && p.name(th.call.Nr) == "clone" && th.call.Args[0]&cloneThread != 0 {
					r.returned(th, uint64(tid))
					break
				}
			}
		}
	}
	if th := r.threads[tid]; th != nil {
		r.bind(i, th)
	}
}

func (p *qemuProcess) name(nr uint32) string { return trace.SyscallName(p.abi, nr) }

// called handles the beginning of a call.
func (r *qemuRecorder) called(th *qemuThread, w []uint64) {
	p := th.proc
	th.call = trace.Syscall{ABI: p.abi, Nr: uint32(w[0])}
	copy(th.call.Args[:], w[1:7])
	if p.abi == trace.ABII386 {
		for k := range th.call.Args {
			th.call.Args[k] &= 1<<32 - 1
		}
	}
	th.inCall = true
	th.memory, th.file = nil, nil
	if p.name(th.call.Nr) == "exit" {
		r.exitThread(th)
	}
}

// exitThread records that a thread ends. The end of the last one is that of the
// process, which comes with its status.
func (r *qemuRecorder) exitThread(th *qemuThread) {
	p := th.proc
	if len(p.threads) == 1 {
		return
	}
	r.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpExit, Child: p.pid, Tid: th.tid}))
	r.forget(th)
}

// forget frees what belongs to a thread that has ended.
func (r *qemuRecorder) forget(th *qemuThread) {
	delete(th.proc.threads, th.tid)
	delete(r.threads, th.tid)
	if th.slot < ringSlots && r.slots[th.slot] == th {
		r.slots[th.slot] = nil
		r.leaving = append(r.leaving, th.slot)
	}
}

// returned records a call with its result and what belongs to it.
func (r *qemuRecorder) returned(th *qemuThread, ret uint64) {
	s, p := &th.call, th.proc
	th.inCall = false
	name := p.name(s.Nr)
	switch {
	case ret == qemuRestart:
		return // it is made again
	case ret == qemuSigreturn:
		ret = 0
	}
	if p.abi == trace.ABII386 && !failed(ret) {
		ret &= 1<<32 - 1
		if ret > 1<<32-4096 {
			ret |= (1<<32 - 1) << 32
		}
	}
	s.Ret = ret
	if th.file != nil {
		if name == "ftruncate" || name == "ftruncate64" || name == "fallocate" {
			th.file.FD = 0
		}
		r.event(trace.NewFile(th.tid, *th.file))
	}
	if name == "old_mmap" && len(th.memory) > 0 {
		s.Data = string(th.memory[0].bytes)
	}
	if (name == "mmap" || name == "mmap2") && !failed(ret) && s.Args[3]&unix.MAP_FIXED == 0 {
		r.vacated(p, ret, ret+s.Args[1])
	}
	r.event(trace.NewSyscall(th.tid, *s))
	switch name {
	case "clone", "fork", "vfork":
		if !failed(ret) {
			r.cloned(th, name)
		}
	}
	if !userCopies(s, th.read, func(c trace.UserCopy) { r.event(trace.NewUserCopy(th.tid, c)) }) {
		r.partial++
	}
}

// vacated records the munmap calls of other threads that gave up what one has just got:
// they have been carried out, and have yet to return.
func (r *qemuRecorder) vacated(p *qemuProcess, start, end uint64) {
	for _, th := range p.threads {
		if c := &th.call; th.inCall && p.name(c.Nr) == "munmap" && c.Args[0] < end && start < c.Args[0]+c.Args[1] {
			r.returned(th, 0)
		}
	}
}

// Results that QEMU uses inside (linux-user/qemu.h): a call that a signal has
// interrupted before it did anything, and the return from a signal handler.
const (
	qemuRestart   = ^uint64(512) + 1
	qemuSigreturn = ^uint64(513) + 1
)

// cloned records what a call has made.
func (r *qemuRecorder) cloned(th *qemuThread, name string) {
	s, p := &th.call, th.proc
	child, flags := uint32(s.Ret), uint64(0)
	if name == "clone" {
		flags = s.Args[0]
	}
	if flags&cloneThread != 0 {
		r.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpClone, Child: p.pid, Tid: child, Flags: flags}))
		r.addThread(p, child)
	} else {
		op := trace.OpFork
		n := r.addProcess(child, p.abi)
		if name == "vfork" || flags&(cloneVM|cloneVFork) == cloneVM|cloneVFork {
			op, n.holds = trace.OpVFork, th
		}
		r.event(trace.NewProcess(th.tid, trace.Process{Op: op, Child: child, Tid: child, Flags: flags}))
		r.addThread(n, child)
	}
	const sizeTID = 4
	if flags&cloneParentSetTID != 0 {
		r.event(trace.NewUserCopy(th.tid, trace.UserCopy{Addr: s.Args[2], Len: sizeTID, Write: true}))
	}
	if flags&cloneChildSetTID != 0 {
		ctid := s.Args[3]
		if p.abi != trace.ABIX8664 {
			ctid = s.Args[4] // clone(2), "C library/kernel differences"
		}
		r.event(trace.NewUserCopy(child, trace.UserCopy{Addr: ctid, Len: sizeTID, Write: true}))
	}
	if ws, ok := r.early[child]; ok { // it was killed before its first record
		delete(r.early, child)
		r.ended(child, ws)
	}
}

// freeSlots frees the slots of threads that have ended, once they have been read
// and the thread is at the end of what it does with its own.
func (r *qemuRecorder) freeSlots() {
	kept := r.leaving[:0]
	for _, i := range r.leaving {
		s := r.ring.slot(i)
		switch {
		case s.state.Load() == 0 || r.slots[i] != nil: // freed with its process
		case s.claiming.Load() == 0 && s.tail.Load() == s.pos.Load():
			s.free()
		default:
			kept = append(kept, i)
		}
	}
	r.leaving = kept
}

const maxEarly = 4096

// traced handles what the tracer has seen.
func (r *qemuRecorder) traced(e traced) {
	pid := uint32(e.pid)
	switch e.what {
	case tracedExec:
		r.execed(pid, uint32(e.tid))
	case tracedExit:
		if pid == r.root {
			r.rootWS = e.status
		}
		if r.procs[pid] == nil {
			if len(r.early) > maxEarly { // of processes that are not recorded
				clear(r.early)
			}
			r.early[pid] = e.status
			return
		}
		r.ended(pid, e.status)
	}
}

// execed handles a process that has a new image.
func (r *qemuRecorder) execed(pid, caller uint32) {
	p := r.procs[pid]
	if p == nil || p.native {
		return
	}
	th := p.threads[caller]
	if th != nil && th.inCall {
		th.inCall = false
		th.call.Ret = 0
		r.event(trace.NewSyscall(th.tid, th.call))
	}
	if caller != pid && p.threads[pid] == nil && th != nil {
		// The caller takes over the id of the first thread (fs/exec.c:de_thread).
		r.event(trace.NewProcess(caller, trace.Process{Op: trace.OpClone, Child: pid, Tid: pid}))
		r.addThread(p, pid)
	}
	r.drain(p, false)
	for _, other := range p.threads {
		if other.tid != pid {
			r.forget(other)
		} else if other.slot < ringSlots {
			r.slots[other.slot] = nil
			other.slot = ringSlots
		}
	}
	p.stack = [2]uint64{}
	r.release(p)
	exe := programOf(int(pid))
	if strings.HasPrefix(exe, emulatorPrefix()) {
		return // its plugin announces it
	}
	p.native = true
	r.event(trace.NewProcess(pid, trace.Process{Op: trace.OpExec, Child: pid, Tid: pid, Text: exe}))
	name := cmp.Or(exe, "a program that is gone")
	r.event(trace.NewLost(pid, 1, fmt.Sprintf("process %d runs %s natively: its accesses are not recorded", pid, name)))
	r.warn("process %d ran %s, which the qemu recorder could not follow: its accesses are not in the trace", pid, name)
}

// release lets the thread go on that waits for the process since vfork.
func (r *qemuRecorder) release(p *qemuProcess) {
	th := p.holds
	p.holds = nil
	if th != nil && r.threads[th.tid] == th && th.slot < ringSlots {
		s := r.ring.slot(th.slot)
		s.held.Store(0)
		futexWake(&s.held)
	}
}

// drain reads what a dead image has written and not published, and frees its
// slots. When the process lives on in another image, that may have a slot already:
// one whose first record has not been read.
func (r *qemuRecorder) drain(p *qemuProcess, dead bool) {
	for i := range r.ring.head.top.Load() {
		s := r.ring.slot(i)
		if s.state.Load() == 0 || s.pid != p.pid || !dead && (r.slots[i] == nil || r.slots[i].proc != p) {
			continue
		}
		r.read(i, s.pos.Load(), s.wide[:2*min(s.wides.Load(), ringWide)])
		th := r.slots[i] // its first record may have been read just now
		if th != nil {
			s.leftOver(func(page uint64, kind trace.Access, counts [2]uint64, ip uint64) {
				r.reference(th.tid, trace.Ref{VPN: page, First: kind}, counts, ip)
			})
		}
		s.free()
	}
}

// ended records the end of a process; ws is as wait(2) gives it.
func (r *qemuRecorder) ended(pid uint32, ws syscall.WaitStatus) {
	p := r.procs[pid]
	r.drain(p, true)
	r.release(p)
	tid := pid
	if p.threads[pid] == nil {
		for tid = range p.threads {
			break
		}
	}
	r.event(trace.NewProcess(tid, trace.Process{Op: trace.OpGroup, Child: pid, Status: uint64(uint32(ws))}))
	for _, th := range p.threads {
		r.forget(th)
	}
	delete(r.procs, pid)
	r.alive--
}

// read gives the memory that belongs to the call. The parts of a vector are
// clipped to what the call transferred, and widened where pointers have 32 bits:
// that is the form in which userCopies reads them.
func (th *qemuThread) read(addr uint64, b []byte) bool {
	narrow := th.proc.abi == trace.ABII386
	for i, m := range th.memory {
		if m.addr != addr {
			continue
		}
		message := i == 0 && len(th.memory) > 1
		data := m.bytes
		if narrow {
			data = widen(data)
		}
		if !message {
			clip(data, th.call.Ret)
		}
		return copy(b, data) == len(b)
	}
	return false
}

// widen turns words of 32 bits into words of 64 bits. The first two of a msghdr
// stand where they have to: name and its length, then vector and its length.
func widen(b []byte) []byte {
	out := make([]byte, 0, 2*len(b))
	for ; len(b) >= 4; b = b[4:] {
		out = binary.LittleEndian.AppendUint64(out, uint64(binary.LittleEndian.Uint32(b)))
	}
	return out
}

// clip shortens the parts of an iovec to total bytes.
func clip(iov []byte, total uint64) {
	for ; len(iov) >= sizeIovec; iov = iov[sizeIovec:] {
		n := min(binary.LittleEndian.Uint64(iov[8:]), total)
		binary.LittleEndian.PutUint64(iov[8:], n)
		total -= n
	}
}

package synth

import (
	"fmt"

	"github.com/vmtrace/vmtrace/trace"
)

// Where things are. Regions begin at base, a heap at heapBase; between them is
// room for the 2^40 bytes that a region has at most.
const (
	pageShift = 12
	pageSize  = 1 << pageShift
	base      = 0x10000000000
	heapBase  = 0x555555556000
)

// Protections and flags of mmap(2), advice of madvise(2), flags of msync(2) and
// of the clone(2) that starts a thread (nptl).
const (
	protNone    = 0
	protRW      = trace.ProtRead | trace.ProtWrite
	mapShared   = 0x01
	mapPrivate  = 0x02
	mapFixed    = 0x10
	mapAnon     = 0x20
	noFile      = ^uint64(0)
	dontNeed    = 4
	msSync      = 4
	cloneThread = 0x3d0f00
)

// Numbers of system calls (arch/x86/entry/syscalls/syscall_64.tbl).
const (
	nrMmap     = 9
	nrMprotect = 10
	nrMunmap   = 11
	nrBrk      = 12
	nrMsync    = 26
	nrMadvise  = 28
	nrClone    = 56
	nrFork     = 57
)

// process is one process of the program.
type process struct {
	pid     uint32
	threads int // living
	fds     uint64
}

// thread is one thread of the program. Its methods are what the code of a
// generator may do; each writes its records at once and in order. A thread is
// used by its own coroutine only.
type thread struct {
	stream  *stream
	process *process
	tid     uint32
	index   uint64 // among the threads of the process, from 0
	rng     random // decides which pages
	coin    random // decides whether they are written, so that one does not move the other

	resume func() (struct{}, bool) // for the stream
	stop   func()
	yield  func(struct{}) bool
	left   uint64 // references and calls of the slice that remain
	done   bool
}

// giveWay ends the slice.
func (t *thread) giveWay() {
	if !t.yield(struct{}{}) {
		panic(abort{})
	}
}

func (t *thread) spend() {
	if t.left--; t.left == 0 {
		t.giveWay()
	}
}

// event writes a record that is not a reference.
func (t *thread) event(e trace.Event) {
	t.stream.flush()
	if err := t.stream.dst.Event(&e); err != nil {
		t.stream.fail(err)
	}
}

// access makes one access to the byte at addr. Accesses to the same page with
// nothing in between are one reference.
func (t *thread) access(addr uint64, kind trace.Access) {
	s := t.stream
	if s.owner != t {
		s.flush()
		s.owner = t
	}
	vpn := addr >> pageShift
	n := len(s.refs)
	if n == 0 || s.refs[n-1].VPN != vpn || s.refs[n-1].Accesses() == 1<<31 {
		if n == chunk {
			s.flush()
		}
		s.refs = append(s.refs, trace.Ref{VPN: vpn, Offset: uint16(addr % pageSize), First: kind})
		n = len(s.refs)
	}
	if r := &s.refs[n-1]; kind == trace.Write {
		r.Writes++
	} else {
		r.Reads++
	}
	t.spend()
}

func (t *thread) read(addr uint64)  { t.access(addr, trace.Read) }
func (t *thread) write(addr uint64) { t.access(addr, trace.Write) }

// mixed writes with the probability of so many percent, and reads otherwise.
func (t *thread) mixed(addr, percent uint64) {
	if t.coin.below(100) < percent {
		t.write(addr)
	} else {
		t.read(addr)
	}
}

// writePages writes once to each of the pages from addr on.
func (t *thread) writePages(addr, pages uint64) {
	for i := range pages {
		t.write(addr + i<<pageShift)
	}
}

// syscall writes a system call with its result.
func (t *thread) syscall(nr uint32, ret uint64, args ...uint64) {
	c := trace.Syscall{ABI: trace.ABIX8664, Nr: nr, Ret: ret}
	copy(c.Args[:], args)
	t.event(trace.NewSyscall(t.tid, c))
}

// call makes a system call.
func (t *thread) call(nr uint32, ret uint64, args ...uint64) {
	t.syscall(nr, ret, args...)
	t.spend()
}

// mapAnon maps private anonymous memory at addr.
func (t *thread) mapAnon(addr, pages uint64) {
	t.call(nrMmap, addr, addr, pages<<pageShift, protRW, mapPrivate|mapAnon|mapFixed, noFile, 0)
}

// mapFile maps a file from its beginning; sharing is mapShared or mapPrivate.
func (t *thread) mapFile(addr, pages, sharing, fd uint64) {
	t.call(nrMmap, addr, addr, pages<<pageShift, protRW, sharing|mapFixed, fd, 0)
}

func (t *thread) munmap(addr, pages uint64) { t.call(nrMunmap, 0, addr, pages<<pageShift) }

func (t *thread) mprotect(addr, pages, prot uint64) {
	t.call(nrMprotect, 0, addr, pages<<pageShift, prot)
}

func (t *thread) madvise(addr, pages, advice uint64) {
	t.call(nrMadvise, 0, addr, pages<<pageShift, advice)
}

func (t *thread) msync(addr, pages uint64) { t.call(nrMsync, 0, addr, pages<<pageShift, msSync) }

// heap asks where the heap begins, which is also where it ends so far.
func (t *thread) heap() uint64 {
	t.call(nrBrk, heapBase, 0)
	return heapBase
}

// brk moves the end of the heap.
func (t *thread) brk(addr uint64) { t.call(nrBrk, addr, addr) }

// newFile announces a file of so many pages and returns the descriptor by which
// the process has it open.
func (t *thread) newFile(pages uint64) uint64 {
	const firstFree = 3 // behind the standard streams
	fd := firstFree + t.process.fds
	t.process.fds++
	t.stream.files++
	id := t.stream.files
	t.event(trace.NewFile(t.tid, trace.File{ID: id, Dev: 1, Ino: id, Size: pages << pageShift, FD: 1 + fd, Path: fmt.Sprintf("/tmp/synth.%d", id)}))
	return fd
}

// mark labels what follows.
func (t *thread) mark(label string) { t.event(trace.NewMark(t.tid, label)) }

// clone starts another thread of the process.
func (t *thread) clone(index uint64, body func(*thread)) {
	n := t.stream.start(t.process, index, body)
	t.syscall(nrClone, uint64(n.tid), cloneThread)
	t.event(trace.NewProcess(t.tid, trace.Process{Op: trace.OpClone, Child: t.process.pid, Tid: n.tid, Flags: cloneThread}))
	t.spend()
}

// fork starts a process with a copy of the memory.
func (t *thread) fork(body func(*thread)) *thread {
	child := &process{fds: t.process.fds}
	n := t.stream.start(child, 0, body)
	child.pid = n.tid
	t.syscall(nrFork, uint64(n.tid))
	t.event(trace.NewProcess(t.tid, trace.Process{Op: trace.OpFork, Child: child.pid, Tid: n.tid}))
	t.spend()
	return n
}

// wait gives way until the other thread has ended.
func (t *thread) wait(other *thread) {
	for !other.done {
		t.giveWay()
	}
}

// exit ends the thread, and the process with its last one.
func (t *thread) exit() {
	t.process.threads--
	op := trace.OpExit
	if t.process.threads == 0 {
		op = trace.OpGroup
	}
	t.event(trace.NewProcess(t.tid, trace.Process{Op: op, Child: t.process.pid, Tid: t.tid}))
}

package capture

import (
	"bytes"
	"encoding/binary"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

// faultsProcess is a process as perf events tell of it.
type faultsProcess struct {
	pid     uint32
	threads map[uint32]bool
	maps    []perfMap // disjoint, by address
	stack   bool      // its stack is in the trace
}

// perfMap is a mapping: a stretch of memory of one backing and protection.
type perfMap struct {
	start, end uint64
	prot       uint32
	shared     bool
	dev, ino   uint64 // 0 for anonymous memory
	offset     uint64 // of start in the file, bytes
	name       string
}

// same says whether two mappings, where they overlap, are the same memory with
// at most another protection.
func (m *perfMap) same(n *perfMap) bool {
	return m.shared == n.shared && m.dev == n.dev && m.ino == n.ino && (m.ino == 0 || m.start-m.offset == n.start-n.offset)
}

// cut is the part of a mapping in [start, end).
func (m *perfMap) cut(start, end uint64) perfMap {
	c := *m
	c.start, c.end = max(m.start, start), min(m.end, end)
	c.offset += c.start - m.start
	return c
}

// record turns a record of the kernel into records of the trace.
func (r *faultsRecorder) record(rec *perfRecord) {
	b := rec.body
	switch rec.kind {
	case unix.PERF_RECORD_SAMPLE:
		r.fault(rec)
	case unix.PERF_RECORD_COMM:
		const commExec = 1 << 13 // PERF_RECORD_MISC_COMM_EXEC
		if rec.misc&commExec != 0 && len(b) >= 8 {
			r.exec(binary.LittleEndian.Uint32(b), cString(b[8:]))
		}
	case unix.PERF_RECORD_MMAP2:
		const fixed = 64
		if len(b) >= fixed+perfTrailer {
			r.mmap(b[:len(b)-perfTrailer])
		}
	case unix.PERF_RECORD_FORK, unix.PERF_RECORD_EXIT:
		if len(b) < 16 {
			return
		}
		pid, tid, ptid := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
		if rec.kind == unix.PERF_RECORD_FORK {
			r.fork(pid, tid, binary.LittleEndian.Uint32(b[4:]), ptid)
		} else if p := r.procs[pid]; p != nil && p.threads[tid] && len(p.threads) > 1 {
			delete(p.threads, tid)
			r.event(trace.NewProcess(tid, trace.Process{Op: trace.OpExit, Child: pid, Tid: tid}))
		}
	case unix.PERF_RECORD_LOST:
		if len(b) >= 16 {
			n := binary.LittleEndian.Uint64(b[8:])
			r.lost += n
			r.event(trace.NewLost(r.root, n, "fault events: the kernel's buffer was full"))
		}
	}
}

func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// exec records a new image.
func (r *faultsRecorder) exec(pid uint32, comm string) {
	p := r.procs[pid]
	op, text := trace.OpExec, comm
	if p == nil {
		op = trace.OpStart
		p = &faultsProcess{pid: pid}
		r.procs[pid] = p
		r.alive++
	}
	if pid == r.root && op == trace.OpStart {
		text = strings.Join(r.opts.Command, " ")
	}
	if op == trace.OpExec && !p.threads[pid] {
		// The caller takes over the id of the first thread (fs/exec.c:de_thread).
		r.event(trace.NewProcess(p.thread(), trace.Process{Op: trace.OpClone, Child: pid, Tid: pid}))
	}
	r.event(trace.NewProcess(pid, trace.Process{Op: op, Child: pid, Tid: pid, Text: text}))
	p.threads, p.maps, p.stack = map[uint32]bool{pid: true}, nil, false
}

// thread is a thread of the process: the first one, if it lives.
func (p *faultsProcess) thread() uint32 {
	if p.threads[p.pid] {
		return p.pid
	}
	best := uint32(0)
	for tid := range p.threads {
		if best == 0 || tid < best {
			best = tid
		}
	}
	return best
}

func (r *faultsRecorder) fork(pid, tid, ppid, ptid uint32) {
	parent := r.procs[ppid]
	if parent == nil {
		return
	}
	if !parent.threads[ptid] {
		ptid = parent.thread()
	}
	if pid == ppid {
		parent.threads[tid] = true
		r.event(trace.NewProcess(ptid, trace.Process{Op: trace.OpClone, Child: pid, Tid: tid}))
		return
	}
	p := &faultsProcess{pid: pid, threads: map[uint32]bool{tid: true}, maps: append([]perfMap(nil), parent.maps...), stack: parent.stack}
	r.procs[pid] = p
	r.alive++
	r.event(trace.NewProcess(ptid, trace.Process{Op: trace.OpFork, Child: pid, Tid: tid}))
}

// ended records the end of a process; ws is as wait(2) gives it.
func (r *faultsRecorder) ended(pid uint32, ws syscall.WaitStatus) {
	if p := r.procs[pid]; p != nil {
		r.event(trace.NewProcess(p.thread(), trace.Process{Op: trace.OpGroup, Child: pid, Status: uint64(uint32(ws))}))
		delete(r.procs, pid)
		r.alive--
	}
}

// fault records a fault, and the access that took it, so that a replay touches
// what the program touched first. The event does not tell the kind of access: a
// fetch is where the address is that of the instruction, and a write is assumed
// where the memory is private and writable.
func (r *faultsRecorder) fault(rec *perfRecord) {
	b := rec.body
	ip, addr := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[32:])
	pid, tid := binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint32(b[20:])
	p := r.procs[pid]
	if p == nil {
		return // of the recorder's own child, before its exec
	}
	if !p.threads[tid] {
		r.event(trace.NewProcess(p.thread(), trace.Process{Op: trace.OpClone, Child: pid, Tid: tid}))
		p.threads[tid] = true
	}
	access := trace.Read
	m := p.at(addr)
	switch {
	case ip == addr:
		access = trace.Exec
	case m == nil || m.prot&trace.ProtWrite != 0:
		access = trace.Write
	}
	r.event(trace.NewFault(tid, trace.Fault{Addr: addr, IP: ip, Access: access, Major: rec.major}))
	ref := trace.Ref{VPN: addr >> 12, Offset: uint16(addr & 0xfff), First: access}
	switch access {
	case trace.Exec:
		ref.Execs = 1
	case trace.Write:
		ref.Writes = 1
	default:
		ref.Reads = 1
	}
	r.thread(tid)
	r.batch = append(r.batch, ref)
	if r.opts.IP {
		r.ips = append(r.ips, ip)
	}
	r.accesses++
	r.refs++
}

func (p *faultsProcess) at(addr uint64) *perfMap {
	for i := range p.maps {
		if m := &p.maps[i]; addr >= m.start && addr < m.end {
			return m
		}
	}
	return nil
}

// mmap handles PERF_RECORD_MMAP2: a mapping as it is after a call of mmap, brk or
// mprotect, merged with its neighbours. b is the record without its trailer.
func (r *faultsRecorder) mmap(b []byte) {
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	p := r.procs[u32(b)]
	if p == nil {
		return
	}
	tid := u32(b[4:])
	if !p.threads[tid] {
		tid = p.thread()
	}
	m := perfMap{start: u64(b[8:]), prot: u32(b[56:]) & 7, shared: u32(b[60:])&unix.MAP_SHARED != 0, offset: u64(b[24:]), name: cString(b[64:])}
	m.end = m.start + u64(b[16:])
	if ino := u64(b[40:]); ino != 0 {
		m.dev, m.ino = unix.Mkdev(u32(b[32:]), u32(b[36:])), ino
	} else {
		m.offset = 0
	}
	switch m.name {
	case "[stack]":
		r.stackOf(p, tid, &m)
	case "[vdso]", "[vvar]", "[vvar_vclock]":
		flags := trace.MapVVar
		if m.name == "[vdso]" {
			flags = trace.MapVDSO
		}
		r.event(trace.NewMap(tid, trace.Map{Start: m.start, End: m.end, Prot: m.prot, Flags: flags, Name: m.name}))
		p.maps = insertMap(p.maps, m)
	default:
		r.changed(p, tid, &m)
	}
}

// stackOf records the stack once; it grows by itself.
func (r *faultsRecorder) stackOf(p *faultsProcess, tid uint32, m *perfMap) {
	if !p.stack {
		p.stack = true
		r.event(trace.NewMap(tid, trace.Map{Start: m.start, End: m.end, Prot: m.prot, Flags: trace.MapStack | trace.MapGrowsDown, Name: m.name}))
	}
}

// changed records what is new in a mapping: memory that was not there, as mmap,
// and another protection, as mprotect.
func (r *faultsRecorder) changed(p *faultsProcess, tid uint32, m *perfMap) {
	var next []perfMap
	at := m.start // what is below has been dealt with
	for _, old := range p.maps {
		if old.end <= m.start || old.start >= m.end {
			next = append(next, old)
			continue
		}
		if old.start < m.start {
			next = append(next, old.cut(old.start, m.start))
		}
		if old.end > m.end {
			next = append(next, old.cut(m.end, old.end))
		}
		if !old.same(m) {
			continue
		}
		o := old.cut(m.start, m.end)
		if at < o.start {
			r.mapped(tid, m.cut(at, o.start))
		}
		if o.prot != m.prot {
			r.call(tid, "mprotect", 0, o.start, o.end-o.start, uint64(m.prot))
		}
		at = max(at, o.end)
	}
	if at < m.end {
		r.mapped(tid, m.cut(at, m.end))
	}
	p.maps = insertMap(next, *m)
}

// insertMap keeps the list in the order of addresses.
func insertMap(list []perfMap, m perfMap) []perfMap {
	i := len(list)
	for i > 0 && list[i-1].start > m.start {
		i--
	}
	return append(list[:i:i], append([]perfMap{m}, list[i:]...)...)
}

// mapped records new memory as a call of mmap at a fixed address.
func (r *faultsRecorder) mapped(tid uint32, m perfMap) {
	flags, fd := uint64(unix.MAP_FIXED), ^uint64(0)
	if m.shared {
		flags |= unix.MAP_SHARED
	} else {
		flags |= unix.MAP_PRIVATE
	}
	if m.ino != 0 {
		const anyFD = 3 // the number does not matter: it names the file for this call
		f := statFile(m.name)
		if f == nil || f.ino != m.ino {
			f = &openFile{dev: m.dev, ino: m.ino, size: m.offset + m.end - m.start}
		}
		f.path = m.name
		fd = anyFD
		r.event(trace.NewFile(tid, r.files.record(f, anyFD+1)))
	} else {
		flags |= unix.MAP_ANONYMOUS
	}
	r.call(tid, "mmap", m.start, m.start, m.end-m.start, uint64(m.prot), flags, fd, m.offset)
}

func (r *faultsRecorder) call(tid uint32, name string, ret uint64, args ...uint64) {
	nr, ok := trace.SyscallNumber(r.abi, name)
	if !ok {
		panic("no number of " + name)
	}
	s := trace.Syscall{ABI: r.abi, Nr: nr, Ret: ret}
	copy(s.Args[:], args)
	r.event(trace.NewSyscall(tid, s))
}

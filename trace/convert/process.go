package convert

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vmtrace/vmtrace/trace"
)

// inference says how regions are inferred from accesses that nothing mapped.
type inference int

const (
	// byChunk maps the aligned 2 MiB around an access: for formats that know
	// nothing of mappings.
	byChunk inference = iota
	// byPage maps the page alone: for formats that record calls such as mmap,
	// whose results must find their place free. Only what was there before the
	// recording is inferred: image, stack, heap.
	byPage
)

// label is the value of the header's label "regions".
func (i inference) label() string {
	if i == byPage {
		return "partly inferred"
	}
	return "inferred"
}

const (
	chunkSize = 2 << 20
	maxChunks = 1 << 20 // inferred for one process: 2 TiB
	maxSpans  = 1 << 17 // mapped in one process; Linux allows 65530 regions (vm.max_map_count)
	manySpans = 1 << 12 // from here on byPage maps what is free of the 2 MiB
	maxLiving = 1 << 15 // threads
	maxWeight = 1 << 22 // spans, chunks and descriptors of all processes together
)

// process is a living process.
type process struct {
	pid     uint32
	space   *space
	fds     map[int32]string // path of each descriptor
	cwd     string
	threads map[uint32]*thread
}

// thread is a living thread.
type thread struct {
	tid  uint32
	proc *process
}

// space is an address space; after vfork two processes share one.
type space struct {
	mapped   spans
	writable spans               // those of mapped that may be written
	filed    spans               // those of mapped that are of files, and of which (perf)
	chunks   map[uint64]struct{} // inferred byChunk
	last     uint64              // page that was found mapped last, plus 1
	brk      uint64              // end of the heap, 0 until it is known
}

func newSpace() *space { return &space{chunks: map[uint64]struct{}{}} }

func (s *space) clone() *space {
	return &space{mapped: slices.Clone(s.mapped), writable: slices.Clone(s.writable), filed: slices.Clone(s.filed), chunks: maps.Clone(s.chunks), brk: s.brk}
}

// start begins a process that is there when recording begins.
func (b *builder) start(pid, tid uint32, command string) (*thread, error) {
	if err := b.vacant(tid); err != nil {
		return nil, err
	}
	p := &process{pid: pid, space: newSpace(), fds: map[int32]string{}, threads: map[uint32]*thread{}}
	b.procs[pid] = p
	th := b.newThread(p, tid)
	b.event(trace.NewProcess(tid, trace.Process{Op: trace.OpStart, Child: pid, Tid: tid, Text: command}))
	return th, nil
}

func (b *builder) vacant(tid uint32) error {
	if b.threads[tid] != nil {
		return fmt.Errorf("%w: thread %d starts twice", trace.ErrCorrupt, tid)
	}
	if len(b.threads) >= maxLiving {
		return fmt.Errorf("%w: more than %d threads at once", trace.ErrCorrupt, maxLiving)
	}
	return nil
}

func (b *builder) newThread(p *process, tid uint32) *thread {
	th := &thread{tid: tid, proc: p}
	p.threads[tid], b.threads[tid] = th, th
	return th
}

// thread returns a thread; one that has not been heard of was there before, as
// another thread of its process if that is known.
func (b *builder) thread(pid, tid uint32) (*thread, error) {
	if th := b.threads[tid]; th != nil {
		return th, nil
	}
	if p := b.procs[pid]; p != nil {
		return b.clone(p.first(), tid, 0)
	}
	return b.start(pid, tid, "")
}

// first is the thread of the lowest id.
func (p *process) first() *thread {
	var low *thread
	for _, th := range p.threads {
		if low == nil || th.tid < low.tid {
			low = th
		}
	}
	return low
}

// clone begins a new thread of a process.
func (b *builder) clone(parent *thread, tid uint32, flags uint64) (*thread, error) {
	if err := b.vacant(tid); err != nil {
		return nil, err
	}
	th := b.newThread(parent.proc, tid)
	b.event(trace.NewProcess(parent.tid, trace.Process{Op: trace.OpClone, Child: parent.proc.pid, Tid: tid, Flags: flags}))
	return th, nil
}

// fork begins a new process: with a copy of the address space, or, for vfork,
// in the same one.
func (b *builder) fork(parent *thread, pid, tid uint32, op trace.ProcessOp, flags uint64) error {
	if err := b.vacant(tid); err != nil {
		return err
	}
	if b.procs[pid] != nil {
		return fmt.Errorf("%w: process %d starts twice", trace.ErrCorrupt, pid)
	}
	if err := b.affordable(parent.proc); err != nil {
		return err
	}
	p := &process{pid: pid, space: parent.proc.space, fds: maps.Clone(parent.proc.fds), cwd: parent.proc.cwd, threads: map[uint32]*thread{}}
	if op == trace.OpFork {
		p.space = p.space.clone()
	}
	b.procs[pid] = p
	b.newThread(p, tid)
	b.event(trace.NewProcess(parent.tid, trace.Process{Op: op, Child: pid, Tid: tid, Flags: flags}))
	return nil
}

// affordable returns an error where one more copy of a process would make the
// state of all of them too large.
func (b *builder) affordable(p *process) error {
	const small = 1 << 10
	if p.weight() < small {
		return nil
	}
	total := p.weight()
	for _, other := range b.procs {
		total += other.weight()
	}
	if total > maxWeight {
		return fmt.Errorf("%w: the processes have more than %d regions and descriptors together", trace.ErrCorrupt, maxWeight)
	}
	return nil
}

func (p *process) weight() int {
	return len(p.space.mapped) + len(p.space.writable) + len(p.space.filed) + len(p.space.chunks) + len(p.fds)
}

// exec replaces the image of a process: its other threads end, and nothing is
// mapped any more. The caller takes over the id of the first thread
// (fs/exec.c:de_thread).
func (b *builder) exec(th *thread, command string) {
	p := th.proc
	if th.tid != p.pid && p.threads[p.pid] == nil && b.threads[p.pid] == nil {
		b.newThread(p, p.pid)
		b.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpClone, Child: p.pid, Tid: p.pid}))
	}
	if leader := p.threads[p.pid]; leader != nil {
		th = leader
	}
	for tid, other := range p.threads {
		if other != th {
			b.forget(other)
			delete(p.threads, tid)
		}
	}
	p.space = newSpace()
	b.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpExec, Child: p.pid, Tid: th.tid, Text: command}))
}

// exit ends a thread; with the last one the process ends. status is as wait(2)
// gives it.
func (b *builder) exit(th *thread, status uint64) {
	p := th.proc
	if len(p.threads) > 1 {
		b.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpExit, Child: p.pid, Tid: th.tid}))
	} else {
		b.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpGroup, Child: p.pid, Status: status}))
		delete(b.procs, p.pid)
	}
	b.forget(th)
}

// exitAll ends a process with all its threads.
func (b *builder) exitAll(p *process, status uint64) {
	b.event(trace.NewProcess(p.first().tid, trace.Process{Op: trace.OpGroup, Child: p.pid, Status: status}))
	delete(b.procs, p.pid)
	for _, th := range p.threads {
		b.forget(th)
	}
}

func (b *builder) forget(th *thread) {
	delete(b.threads, th.tid)
	delete(th.proc.threads, th.tid)
}

// need sees to it that a page of the thread's process is mapped: what nothing
// mapped is inferred.
func (b *builder) need(th *thread, page uint64) error {
	s := th.proc.space
	if s.last == page+1 {
		return nil
	}
	s.last = page + 1
	addr := page << pageShift
	if b.regions == byChunk {
		chunk := addr / chunkSize
		if _, ok := s.chunks[chunk]; ok {
			return nil
		}
		if len(s.chunks) >= maxChunks {
			return fmt.Errorf("%w: accesses to more than %d different pieces of 2 MiB: they are not inferred as regions", trace.ErrCorrupt, maxChunks)
		}
		s.chunks[chunk] = struct{}{}
		b.infer(th, span{chunk * chunkSize, (chunk + 1) * chunkSize, 0})
		return nil
	}
	if s.mapped.covers(addr) {
		return nil
	}
	start, end := addr, addr+pageSize
	if len(s.mapped) >= manySpans {
		start = addr &^ (chunkSize - 1)
		end = start + chunkSize
	}
	return b.needRange(th, start, end)
}

// needRange infers what is missing of [start, end).
func (b *builder) needRange(th *thread, start, end uint64) error {
	for _, g := range th.proc.space.mapped.gaps(start, end) {
		b.infer(th, g)
		if err := b.mapped(th.proc.space, g.start, g.end, trace.ProtRead|trace.ProtWrite); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) infer(th *thread, r span) {
	b.event(trace.NewMap(th.tid, trace.Map{Start: r.start, End: r.end, Prot: trace.ProtRead | trace.ProtWrite | trace.ProtExec,
		Flags: trace.MapInferred, Name: "[inferred]"}))
}

// mapped notes that [start, end) is mapped with the protection.
func (b *builder) mapped(s *space, start, end uint64, prot uint64) error {
	s.last = 0
	s.mapped = s.mapped.add(start, end, 0)
	s.writable, s.filed = s.writable.remove(start, end), s.filed.remove(start, end)
	if prot&trace.ProtWrite != 0 {
		s.writable = s.writable.add(start, end, 0)
	}
	if len(s.mapped) > maxSpans || len(s.writable) > maxSpans {
		return fmt.Errorf("%w: more than %d regions in one process", trace.ErrCorrupt, maxSpans)
	}
	return nil
}

// unmapped notes that nothing is mapped in [start, end).
func (s *space) unmapped(start, end uint64) {
	s.last = 0
	s.mapped = s.mapped.remove(start, end)
	s.writable, s.filed = s.writable.remove(start, end), s.filed.remove(start, end)
}

package convert

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

const (
	pageShift = 12
	pageSize  = 1 << pageShift
	userEnd   = 1 << 47 // end of user memory, 4-level page tables (arch/x86/include/asm/page_64_types.h:TASK_SIZE_MAX)

	chunkRefs   = 4096 // references handed out at a time
	chunkEvents = 256
	maxAccess   = 1 << 16 // bytes of one access; the largest of x86-64 (xsave) is below 16 KiB
)

// builder turns what a decoder finds into batches. It folds accesses into page
// runs as the recorders do, starts threads, infers regions and counts what is to
// become a warning. One goroutine uses it; memory: one chunk of references and
// events, and the state of the living processes.
type builder struct {
	regions inference

	refs  []trace.Ref
	queue []item
	next  int    // first of queue that has not been handed out
	seq   uint64 // of the next record
	batch trace.Batch

	run    trace.Ref // open page run
	runner uint32    // its thread
	hasRun bool

	procs   map[uint32]*process
	threads map[uint32]*thread
	files   map[string]*file
	sched   trace.Sched // the last one written
	timeNS  uint64      // the last one written
	found   uint64      // accesses and calls: a file that has none is of another format
	tallies []tally
}

// item is a batch to be: references refs[lo:hi], or an event.
type item struct {
	thread  uint32
	lo, hi  int
	event   trace.Event
	isEvent bool
}

// tally counts something that will be a warning; text may have a %d for how many.
type tally struct {
	text string
	n    uint64
}

func newBuilder(regions inference) *builder {
	return &builder{regions: regions, procs: map[uint32]*process{}, threads: map[uint32]*thread{}, files: map[string]*file{}}
}

// tally counts one more of what text says.
func (b *builder) tally(text string) { b.tallyN(text, 1) }

func (b *builder) tallyN(text string, n uint64) {
	for i := range b.tallies {
		if b.tallies[i].text == text {
			b.tallies[i].n += n
			return
		}
	}
	b.tallies = append(b.tallies, tally{text, n})
}

func (b *builder) warnings() []string {
	var out []string
	for _, t := range b.tallies {
		if strings.Contains(t.text, "%d") {
			t.text = fmt.Sprintf(t.text, t.n)
		}
		out = append(out, t.text)
	}
	return out
}

// reset makes room once everything has been handed out.
func (b *builder) reset() { b.refs, b.queue, b.next = b.refs[:0], b.queue[:0], 0 }

func (b *builder) full() bool { return len(b.refs) >= chunkRefs || len(b.queue) >= chunkEvents }

// take is the next batch, nil when there is none.
func (b *builder) take() *trace.Batch {
	if b.next == len(b.queue) {
		return nil
	}
	q := &b.queue[b.next]
	b.next++
	b.batch = trace.Batch{Thread: q.thread, Seq: b.seq}
	if q.isEvent {
		b.batch.Event = &q.event
		b.seq++
	} else {
		b.batch.Refs = b.refs[q.lo:q.hi]
		b.seq += uint64(q.hi - q.lo)
	}
	return &b.batch
}

// event appends an event, after the open run.
func (b *builder) event(e trace.Event) {
	b.flush()
	if e.Kind == trace.KindSched {
		b.sched = e.Sched()
	} else {
		b.switchTo(e.Thread)
	}
	b.queue = append(b.queue, item{thread: e.Thread, event: e, isEvent: true})
}

// switchTo writes the sched record that the writers would insert, so that the
// numbers of the records are the same here as in what they write.
func (b *builder) switchTo(tid uint32) {
	if b.sched.Thread != tid {
		b.sched = trace.Sched{Thread: tid}
		b.queue = append(b.queue, item{thread: tid, event: trace.NewSched(b.sched), isEvent: true})
	}
}

// onCPU notes the processor that a thread runs on.
func (b *builder) onCPU(th *thread, cpu uint32) {
	if s := (trace.Sched{Thread: th.tid, CPU: cpu + 1}); s != b.sched {
		b.event(trace.NewSched(s))
	}
}

// timeStep is how far apart time records stand at least, in ns: they serve a
// time line.
const timeStep = 1e6

// at notes the time of what follows, in ns.
func (b *builder) at(th *thread, ns uint64) {
	if ns >= b.timeNS+timeStep {
		b.timeNS = ns
		b.event(trace.NewTime(th.tid, trace.Time{NS: ns}))
	}
}

// flush closes the open run.
func (b *builder) flush() {
	if !b.hasRun {
		return
	}
	b.hasRun = false
	b.switchTo(b.runner)
	b.refs = append(b.refs, b.run)
	if n := len(b.queue); n > 0 && !b.queue[n-1].isEvent && b.queue[n-1].thread == b.runner {
		b.queue[n-1].hi++
		return
	}
	b.queue = append(b.queue, item{thread: b.runner, lo: len(b.refs) - 1, hi: len(b.refs)})
}

// access takes one access of size bytes. An access that reaches into another
// page is one of each.
func (b *builder) access(th *thread, addr, size uint64, a trace.Access) error {
	if size == 0 {
		return nil
	}
	if size > maxAccess {
		return fmt.Errorf("%w: an access of %d bytes, the limit is %d", trace.ErrCorrupt, size, maxAccess)
	}
	b.found++
	if addr >= userEnd || addr+size > userEnd {
		b.tally("accesses outside of user memory are left out (%d)")
		return nil
	}
	for end := addr + size; addr < end; addr = addr&^(pageSize-1) + pageSize {
		if err := b.need(th, addr>>pageShift); err != nil {
			return err
		}
		b.fold(th.tid, addr, a)
	}
	return nil
}

// fold adds an access to the open run, or begins a new one: a run ends where
// the thread or page changes, or data turns to instructions.
func (b *builder) fold(tid uint32, addr uint64, a trace.Access) {
	r := &b.run
	if !b.hasRun || b.runner != tid || r.VPN != addr>>pageShift || (r.First == trace.Exec) != (a == trace.Exec) || r.Reads|r.Writes|r.Execs >= 1<<31 {
		b.flush()
		*r = trace.Ref{VPN: addr >> pageShift, Offset: uint16(addr & (pageSize - 1)), First: a}
		b.runner, b.hasRun = tid, true
	}
	switch a {
	case trace.Read:
		r.Reads++
	case trace.Write:
		r.Writes++
	default:
		r.Execs++
	}
}

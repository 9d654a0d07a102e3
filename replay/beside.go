package replay

import (
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// beside lets threads on different CPUs go on side by side, also those of different
// processes: batches between two events are held until there are enough of them,
// and then performed by each CPU for itself, which has its own TLB and walks the
// page table without a lock; first touches of memory and bits of entries too, where each
// leaf table that changes is of one CPU ([paging.Machine.Trial]). Where that is not so,
// the batches are performed in the order of the trace. So the result is that of one
// goroutine, to the byte.
//
// Other faults keep their order: who takes one that two CPUs come to, and which entries
// of TLBs it makes void when, is part of the result. So is the order of everything where
// somebody in the background acts when a fault has been taken (daemons.go).
type beside struct {
	engine   *engine
	on       bool // there is somebody to do it, and the order is not part of the result
	few      int  // references that are too few to be worth it
	patience int  // the longest wait
	held     []heldBatch
	lists    [][]paging.Strand // by CPU
	busy     [][]paging.Strand // those of lists with something in them
	sum      uint64            // accesses of what is held
	refs     int
	last     *thread // of what is held, nil while nothing is
	skip     int     // so many times more it is not tried
	wait     int     // what skip was set to last

	done, failed int // trials, for tests
}

// heldBatch is a batch that is held. Events do not outlive the next one of the source.
type heldBatch struct {
	batch  trace.Batch
	event  trace.Event // what batch.Event points to
	thread *thread
	strand int // its number in the list of the CPU of the thread
}

const (
	besideFew  = 1 << 12 // few; for tests there are other values of this and of patience
	besideRefs = 1 << 18 // references that are enough: about a block of a trace
	besideWait = 1 << 6  // times after a try that did not pay that there is none, at most
)

func newBeside(e *engine) *beside {
	o := &e.opts
	on := o.Workers > 1 && !e.machine.Accounting() && !e.daemons.on && o.Sample == nil && !e.single() && e.machine.CPUs() > 1
	return &beside{engine: e, on: on, few: besideFew, patience: besideWait, lists: make([][]paging.Strand, e.machine.CPUs())}
}

// take performs a batch, or holds it for as long as the source does; at the end of the
// source it is for release to perform what is held.
func (s *beside) take(b *trace.Batch) error {
	if !s.on || !s.hold(b) {
		if err := s.release(); err != nil {
			return err
		}
		return s.engine.take(b, b.Refs)
	}
	if !b.Holds || s.refs >= besideRefs {
		return s.release()
	}
	return nil
}

// hold adds a batch to those held if it is of the kind: references all of which are
// to be performed before anything else happens, or another thread on its CPU.
func (s *beside) hold(b *trace.Batch) bool {
	e := s.engine
	if len(e.threads) < 2 {
		return false
	}
	h, strand := heldBatch{batch: *b}, paging.Strand{}
	if b.Event != nil {
		if b.Event.Kind != trace.KindSched {
			return false
		}
		h.event = *b.Event
		sched := h.event.Sched()
		h.thread = e.threads[sched.Thread]
		if h.thread == nil || sched.CPU != 0 && int(sched.CPU-1)%e.machine.CPUs() != h.thread.cpu {
			return false
		}
	} else {
		h.thread = e.threads[b.Thread]
		if h.thread == nil || h.thread.proc.dead || len(b.Words) != len(b.Refs) || s.sum+b.Sum.Accesses() >= e.room() {
			return false
		}
		strand.Refs = paging.Refs(b.Words)
		s.sum += b.Sum.Accesses()
		s.refs += len(b.Refs)
	}
	last := s.last
	if last == nil {
		last = e.current
	}
	cpu := h.thread.cpu
	strand.Task, strand.In, strand.Seq, h.strand = h.thread.task, h.thread != last, len(s.held), len(s.lists[cpu])
	s.lists[cpu] = append(s.lists[cpu], strand)
	s.held, s.last = append(s.held, h), h.thread
	return true
}

// release performs what is held.
func (s *beside) release() error {
	if len(s.held) == 0 {
		return nil
	}
	var err error
	if s.try() {
		err = s.account()
	} else {
		err = s.inTurn()
	}
	for i := range s.lists {
		s.lists[i] = s.lists[i][:0]
	}
	s.held, s.last, s.sum, s.refs = s.held[:0], nil, 0, 0
	return err
}

// try performs what is held side by side, if that is worth a try.
func (s *beside) try() bool {
	s.busy = s.busy[:0]
	for _, l := range s.lists {
		if len(l) > 0 {
			s.busy = append(s.busy, l)
		}
	}
	if len(s.busy) < 2 || s.refs < s.few {
		return false
	}
	if s.skip > 0 {
		s.skip--
		return false
	}
	done, paid := s.engine.machine.Trial(s.busy, s.engine.opts.Workers)
	if paid {
		s.wait /= 2
	} else {
		s.wait = min(max(1, 2*s.wait), s.patience)
		s.skip = s.wait
	}
	if done {
		s.done++
	} else {
		s.failed++
	}
	return done
}

// inTurn performs what is held in the order of the trace.
func (s *beside) inTurn() error {
	for i := range s.held {
		h := &s.held[i]
		if h.batch.Event != nil {
			h.batch.Event = &h.event
		}
		if err := s.engine.take(&h.batch, h.batch.Refs); err != nil {
			return err
		}
	}
	return nil
}

// account counts what was performed side by side.
func (s *beside) account() error {
	for i := range s.held {
		h := &s.held[i]
		s.engine.machine.Tell(&s.lists[h.thread.cpu][h.strand])
		if h.batch.Event == nil {
			sum := h.batch.Sum
			h.thread.task.Count(sum.Data, sum.Fetches)
			s.engine.performed(h.thread, len(h.batch.Refs), sum)
		}
		if err := s.engine.taken(&h.batch, len(h.batch.Refs), nil); err != nil {
			return err
		}
	}
	s.engine.current = s.last
	return nil
}

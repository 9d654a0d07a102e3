package synth

import (
	"iter"

	"github.com/vmtrace/vmtrace/trace"
)

// program is what a generator makes of its parameters.
type program struct {
	image func(t *thread) // by the first thread of each process before the others start; nil for nothing
	body  func(t *thread) // by every thread
}

// stream runs a program and writes what its threads do. Threads are coroutines:
// one runs at a time, and gives way after its slice, when it waits, or at its
// end. They take turns in the order in which they started, so the same program
// gives the same stream.
type stream struct {
	dst     trace.Sink
	params  Params
	command string
	err     error // the first of the sink; nothing is written after it

	ready  []*thread // living, in the order of their turns
	nextID uint32    // of processes and threads, from 1
	files  uint64    // announced

	refs  []trace.Ref // not yet written
	owner *thread     // who made them
}

// chunk is how many references are handed to the sink at a time.
const chunk = 4096

func newStream(dst trace.Sink, p Params, command string) *stream {
	return &stream{dst: dst, params: p, command: command, nextID: 1, refs: make([]trace.Ref, 0, chunk)}
}

// run runs the program to its end. It returns the first error of the sink.
func (s *stream) run(prog program) error {
	for range max(s.params.Processes, 1) {
		p := &process{pid: s.nextID}
		s.start(p, 0, func(t *thread) {
			t.event(trace.NewProcess(t.tid, trace.Process{Op: trace.OpStart, Child: p.pid, Tid: t.tid, Text: s.command}))
			if prog.image != nil {
				prog.image(t)
			}
			for i := uint64(1); i < s.params.Threads; i++ {
				t.clone(i, prog.body)
			}
			prog.body(t)
		})
	}
	for len(s.ready) > 0 && s.err == nil {
		s.turn()
	}
	for _, t := range s.ready {
		t.stop()
	}
	return s.err
}

// turn gives every living thread one slice; those that start meanwhile have
// their first in the next turn.
func (s *stream) turn() {
	living := s.ready
	for _, t := range living {
		t.left = max(s.params.Slice, 1)
		if _, more := t.resume(); !more {
			t.done = true
		}
		if s.err != nil {
			return
		}
	}
	kept := s.ready[:0]
	for _, t := range s.ready {
		if !t.done {
			kept = append(kept, t)
		}
	}
	s.ready = kept
}

// abort unwinds a coroutine whose stream has ended early. It does not leave the
// package.
type abort struct{}

// start makes a thread of the process that runs body and then ends.
func (s *stream) start(p *process, index uint64, body func(*thread)) *thread {
	t := &thread{stream: s, process: p, tid: s.nextID, index: index}
	t.rng = newRandom(s.params.Seed, 2*uint64(t.tid))
	t.coin = newRandom(s.params.Seed, 2*uint64(t.tid)+1)
	s.nextID++
	p.threads++
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(abort{}) {
				panic(r)
			}
		}()
		t.yield = yield
		body(t)
		t.exit()
	})
	s.ready = append(s.ready, t)
	return t
}

// fail ends the stream with the error of the sink, and unwinds the coroutine
// that runs.
func (s *stream) fail(err error) {
	s.err = err
	panic(abort{})
}

// flush writes the references that are waiting.
func (s *stream) flush() {
	if len(s.refs) == 0 {
		return
	}
	if err := s.dst.Refs(s.owner.tid, s.refs, nil); err != nil {
		s.fail(err)
	}
	s.refs = s.refs[:0]
}

package replay

import (
	"context"
	"io"
	"math"

	"github.com/vmtrace/vmtrace/trace"
)

// lane is engines that go through one source in step, because they have the same
// sample of pages: which references are in it is asked once for all of them. Their
// address spaces are the same, up to processes that one of them has killed.
type lane struct {
	engines []*engine
	sample  *Sample
	picked  []trace.Ref // of the batch at hand
	memo    [memoSize]uint64
	age     uint64   // of the answers in memo that hold
	proc    *process // that they are of
}

// Sample stands for all pages by some of them (C. Waldspurger, N. Park,
// A. Garthwaite, I. Ahmad: Efficient MRC Construction with SHARDS, FAST 2015): a
// page is in it if the hash of where it comes from is below a threshold, so that
// of its references either all are there or none. Where a page comes from is told
// by package paging: its file and place in it, or the address it first had.
type Sample struct {
	Rate float64 // share of the pages, above 0 and up to 1
	Seed uint64  // other seeds are other samples
}

// chooses is the choice for the model.
func (s *Sample) chooses(file, page uint64) bool {
	h := mix(mix(mix(s.Seed)+file) + page)
	return s.Rate >= 1 || h < uint64(s.Rate*math.MaxUint64)
}

// mix is the finalizer of splitmix64 (G. Steele, D. Lea, C. Flood: Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func newLane(e *engine) *lane {
	return &lane{engines: []*engine{e}, sample: e.opts.Sample, age: 1}
}

// loop takes the whole source through all engines.
func (l *lane) loop(ctx context.Context, src trace.Source) error {
	take, end := l.take, func() error { return nil }
	if len(l.engines) == 1 && l.sample == nil {
		s := newBeside(l.engines[0])
		take, end = s.take, s.release
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := src.Next()
		if err == io.EOF {
			return end()
		}
		if err != nil {
			return err
		}
		if err := take(b); err != nil {
			return err
		}
	}
}

// take takes a batch through all engines.
func (l *lane) take(b *trace.Batch) error {
	refs := b.Refs
	if l.sample != nil {
		refs = l.pick(b)
	}
	for _, e := range l.engines {
		if err := e.take(b, refs); err != nil {
			return err
		}
	}
	return nil
}

// The answers of late: a word for each of memoSize pages, with the number of the
// page, the age in which the answer was given, and the answer.
const (
	memoSize = 4096
	memoAges = 1 << 15
)

// pick returns the references of a batch that are in the sample.
func (l *lane) pick(b *trace.Batch) []trace.Ref {
	if b.Event != nil {
		switch b.Event.Kind {
		case trace.KindTime, trace.KindSched, trace.KindMark, trace.KindUserCopy: // no mapping changes
		default:
			l.forget()
		}
		return nil
	}
	th := l.alive(b.Thread)
	if th == nil {
		return b.Refs // passed over, and counted as such
	}
	if th.proc != l.proc {
		l.forget()
		l.proc = th.proc
	}
	out, left := l.picked[:0], trace.Sum{}
	for i := range b.Refs {
		r := &b.Refs[i]
		at := &l.memo[r.VPN%memoSize]
		known := r.VPN<<16 | l.age<<1
		if *at&^1 != known {
			*at = known
			if th.task.Chosen(r.VPN) {
				*at |= 1
			}
		}
		if *at&1 != 0 {
			out = append(out, *r)
		} else {
			left.Add(r)
		}
	}
	l.picked = out
	for _, e := range l.engines {
		e.leave(len(b.Refs)-len(out), len(out), left)
	}
	return out
}

// alive is the thread in an engine that has not killed it, nil when there is none.
func (l *lane) alive(tid uint32) *thread {
	for _, e := range l.engines {
		if th := e.runnable(tid); th != nil && !th.proc.dead {
			return th
		}
	}
	return nil
}

// forget makes the answers of late void.
func (l *lane) forget() {
	if l.age = (l.age + 1) % memoAges; l.age == 0 {
		l.memo, l.age = [memoSize]uint64{}, 1
	}
}

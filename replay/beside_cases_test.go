package replay

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// scribe writes a trace.
type scribe struct {
	t   *testing.T
	w   *trace.Writer
	out bytes.Buffer
}

const scribeBase = uint64(0x40000000)

func newScribe(t *testing.T) *scribe {
	t.Helper()
	s := &scribe{t: t}
	var err error
	if s.w, err = trace.NewWriter(&s.out, generatedHeader); err != nil {
		t.Fatal(err)
	}
	return s
}

// oneProcess begins with process 1 and so much memory at scribeBase.
func oneProcess(t *testing.T, bytes uint64) *scribe {
	t.Helper()
	s := newScribe(t)
	s.process(1, trace.Process{Op: trace.OpStart, Child: 1, Tid: 1, Text: "a"})
	s.call(1, 9, scribeBase, bytes, 3, 0x32) // mmap
	return s
}

func (s *scribe) event(e trace.Event) {
	if err := s.w.Event(&e); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scribe) process(tid uint32, p trace.Process) { s.event(trace.NewProcess(tid, p)) }

func (s *scribe) call(tid, nr uint32, args ...uint64) {
	c := trace.Syscall{ABI: trace.ABIX8664, Nr: nr}
	copy(c.Args[:], args)
	if nr == 9 {
		c.Ret = args[0]
	}
	s.event(trace.NewSyscall(tid, c))
}

// refs are n references of a thread to a page, the first of the memory being 0.
func (s *scribe) refs(tid uint32, page uint64, first trace.Access, n int) {
	r := trace.Ref{VPN: scribeBase>>12 + page, First: first}
	if r.Reads = 1; first == trace.Write {
		r.Reads, r.Writes = 0, 1
	}
	all := make([]trace.Ref, n)
	for i := range all {
		all[i] = r
	}
	if err := s.w.Refs(tid, all, nil); err != nil {
		s.t.Fatal(err)
	}
}

// same holds the result of three workers against that of one.
func (s *scribe) same(model paging.Config, how ...trace.ReaderOption) {
	s.t.Helper()
	if err := s.w.Close(); err != nil {
		s.t.Fatal(err)
	}
	replay := func(workers int) string {
		open := func() (trace.Source, error) {
			return trace.NewReader(bytes.NewReader(s.out.Bytes()), append(how, trace.WithWorkers(workers), trace.WithWords(Word))...)
		}
		run, err := RunTrace(context.Background(), open, Options{Model: model, Workers: workers, Buckets: 20})
		if err != nil {
			s.t.Fatalf("%d workers: %v", workers, err)
		}
		return document(s.t, run)
	}
	if want, got := replay(1), replay(3); got != want {
		s.t.Errorf("the results of 1 and 3 workers differ:\n%s\n%s", want, got)
	}
}

// The part that was asked for ends between two references of a block.
func TestBesideEndsEarly(t *testing.T) {
	s := oneProcess(t, 10<<12)
	s.process(1, trace.Process{Op: trace.OpClone, Child: 1, Tid: 2})
	s.refs(1, 0, trace.Write, 200)
	s.refs(2, 0, trace.Write, 1)
	s.same(paging.DefaultConfig(), trace.WithSelection(trace.Selection{To: trace.Point{Record: 100}}))
}

// A policy that is told of every reference, in the pass for the future too.
func TestBesidePolicy(t *testing.T) {
	s := oneProcess(t, 10<<12)
	for page := range uint64(10) {
		s.refs(1, page, trace.Write, 10000)
	}
	s.process(1, trace.Process{Op: trace.OpClone, Child: 1, Tid: 2})
	for range 20 {
		s.refs(1, 1, trace.Read, 1000)
		s.refs(2, 2, trace.Read, 1000)
	}
	model := paging.DefaultConfig()
	model.Memory, model.Swap, model.Reclaim = 4<<12, 1<<30, "opt"
	s.same(model)
}

// A huge page whose accessed bit is clear, as fork leaves it, is split by one thread
// before another reads in it: the parts do not get the bit (__split_huge_pmd_locked
// hands it on), and so MADV_FREE has no young entry to flush.
func TestBesideSplit(t *testing.T) {
	s := oneProcess(t, 2<<20)
	s.refs(1, 0, trace.Write, 100000)
	s.process(1, trace.Process{Op: trace.OpFork, Child: 10, Tid: 10})
	s.process(10, trace.Process{Op: trace.OpClone, Child: 10, Tid: 11})
	s.refs(11, 0, trace.Write, 3000)
	s.refs(10, 5, trace.Read, 3000)
	s.call(10, 28, scribeBase+100<<12, 100<<12, 8) // madvise, MADV_FREE
	model := paging.DefaultConfig()
	model.THP = paging.THPAlways
	s.same(model)
}

// A process ends by a signal while its memory lives on in the one that called vfork:
// what another thread of it reads after that does not happen, and leaves no accessed
// bit for MADV_COLD to clear.
func TestBesideEndOfProcess(t *testing.T) {
	s := oneProcess(t, 10<<12)
	for page := range uint64(10) {
		s.refs(1, page, trace.Write, 10000)
	}
	s.call(1, 28, scribeBase, 10<<12, 20) // madvise, MADV_COLD
	s.process(1, trace.Process{Op: trace.OpVFork, Child: 10, Tid: 10})
	s.process(10, trace.Process{Op: trace.OpClone, Child: 10, Tid: 11})
	s.refs(11, 1<<20, trace.Read, 3000) // no mapping: SIGSEGV
	s.refs(10, 5, trace.Read, 3000)
	s.call(1, 28, scribeBase, 10<<12, 20)
	s.same(paging.DefaultConfig())
}

// settlers writes a trace of two processes with three threads each, all of which come
// to new pages in every turn, mostly in memory of their own: anonymous, of a file, or
// another's. Now and then one gives up part of it, forks, or gets more.
func settlers(t *testing.T, seed uint64) []byte {
	t.Helper()
	s, rng := newScribe(t), rand.New(rand.NewPCG(seed, 4))
	const pages, step = 2048, 1 << 24 // of a thread; from one thread's memory to the next, in bytes
	var tids []uint32
	memory := func(i int) uint64 { return scribeBase + uint64(i%3)*step }
	for pid := uint32(1); pid <= 20; pid += 10 {
		s.process(pid, trace.Process{Op: trace.OpStart, Child: pid, Tid: pid, Text: "settlers"})
		for tid := pid; tid < pid+3; tid++ {
			if tid != pid {
				s.process(pid, trace.Process{Op: trace.OpClone, Child: pid, Tid: tid})
			}
			s.call(pid, 9, memory(len(tids)), pages<<12, 3, 0x32)
			tids = append(tids, tid)
		}
	}
	next, child := make([]uint64, len(tids)), uint32(100)
	for turn := range 3000 {
		i := rng.IntN(len(tids))
		tid, base := tids[i], memory(i)
		if rng.IntN(60) == 0 {
			at := base + rng.Uint64N(pages-64)<<12
			switch rng.IntN(4) {
			case 0:
				child++
				s.process(tid, trace.Process{Op: trace.OpFork, Child: child, Tid: child})
				s.process(child, trace.Process{Op: trace.OpExit})
			case 1:
				s.call(tid, 28, base, pages<<12, 4) // MADV_DONTNEED
				next[i] = 0
			case 2:
				s.call(tid, 10, at, 64<<12, 1) // mprotect
				s.call(tid, 10, at, 64<<12, 3)
			case 3:
				s.call(tid, 9, base, pages<<12, 3, 0x32)
				next[i] = 0
			}
		}
		if rng.IntN(40) == 0 {
			base = memory(rng.IntN(3))
		}
		refs := make([]trace.Ref, 1+rng.IntN(40))
		for k := range refs {
			refs[k] = trace.Ref{VPN: base>>12 + (next[i]+uint64(k))%pages, First: trace.Write, Writes: uint32(1 + turn%2)}
			if turn%100 == 0 {
				refs[k].First, refs[k].Reads = trace.Read, 1
			}
		}
		next[i] += uint64(len(refs)) / 2
		if err := s.w.Refs(tid, refs, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.out.Bytes()
}

// TestBesideFaults: first touches go on side by side where each thread has tables of
// its own, and the result, locks included, is that of one goroutine. Nearly every
// stretch has some.
func TestBesideFaults(t *testing.T) {
	bare := paging.DefaultConfig()
	bare.NoZeroPage, bare.CPUs = true, 3
	for name, model := range map[string]paging.Config{"six CPUs": paging.DefaultConfig(), "three CPUs, no zero page": bare} {
		trials, turns := 0, 0
		for seed := range uint64(3) {
			data := settlers(t, seed)
			want, _, _ := besideDocument(t, data, model, 1)
			for _, workers := range []int{2, 8} {
				got, done, failed := besideDocument(t, data, model, workers)
				if got != want {
					t.Fatalf("%s, seed %d, %d workers: the result differs", name, seed, workers)
				}
				trials, turns = trials+done, turns+failed
			}
		}
		t.Logf("%s: %d stretches side by side, %d in turn", name, trials, turns)
		if trials < 60 || turns < 30 {
			t.Errorf("%s: %d stretches side by side, %d in turn: the traces are not to the point", name, trials, turns)
		}
	}
}

// TestBesideFlusher: with somebody in the background nothing goes on side by side, also
// without a limit, and the result is that of one goroutine.
func TestBesideFlusher(t *testing.T) {
	model := paging.DefaultConfig()
	model.Flusher = true
	data := settlers(t, 1)
	want, _, _ := besideDocument(t, data, model, 1)
	got, done, failed := besideDocument(t, data, model, 3)
	if got != want || done+failed != 0 {
		t.Errorf("%d and %d trials; the same result: %v", done, failed, got == want)
	}
}

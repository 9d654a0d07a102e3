package replay

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// crowd writes a trace of two processes with three threads each that share their
// process's memory: first all of it is touched, then threads take turns of a few
// hundred references, and now and then one changes its CPU, forks a child that ends,
// protects pages, drops some, or comes to pages that it has not touched.
func crowd(t *testing.T, seed uint64) []byte {
	t.Helper()
	s, rng := newScribe(t), rand.New(rand.NewPCG(seed, 3))
	const base, pages = uint64(0x10000000), 600
	var tids []uint32
	for pid := uint32(1); pid <= 20; pid += 10 {
		s.process(pid, trace.Process{Op: trace.OpStart, Child: pid, Tid: pid, Text: "crowd"})
		s.call(pid, 9, base, pages<<12, 3, 0x32)
		for tid := pid; tid < pid+3; tid++ {
			if tid != pid {
				s.process(pid, trace.Process{Op: trace.OpClone, Child: pid, Tid: tid})
			}
			tids = append(tids, tid)
		}
	}
	child := uint32(100)
	for turn := range 4000 {
		tid := tids[rng.IntN(len(tids))]
		if turn > 200 && rng.IntN(250) == 0 {
			at := base + uint64(rng.IntN(pages-64))<<12
			switch rng.IntN(4) {
			case 0:
				s.event(trace.NewSched(trace.Sched{Thread: tid, CPU: uint32(1 + rng.IntN(6))}))
			case 1:
				child++
				s.process(tid, trace.Process{Op: trace.OpFork, Child: child, Tid: child})
				s.process(child, trace.Process{Op: trace.OpExit})
			case 2:
				s.call(tid, 10, at, 64<<12, 1)
				s.call(tid, 10, at, 64<<12, 3)
			case 3:
				s.call(tid, 28, at, 64<<12, 4) // MADV_DONTNEED
			}
		}
		refs := make([]trace.Ref, 20+rng.IntN(100))
		for i := range refs {
			r := trace.Ref{VPN: base>>12 + uint64(rng.IntN(pages)), First: trace.Read, Reads: 1}
			if turn < 200 || rng.IntN(3) == 0 {
				r.First, r.Reads, r.Writes = trace.Write, 0, uint32(1+rng.IntN(3))
			}
			refs[i] = r
		}
		if err := s.w.Refs(tid, refs, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.w.Close(); err != nil {
		t.Fatal(err)
	}
	return s.out.Bytes()
}

// TestBeside: threads and processes that go on side by side have the result of one
// goroutine, to the byte, whether a fault comes in between or not. That of one is
// what every other test of the package is about.
func TestBeside(t *testing.T) {
	huge := paging.DefaultConfig()
	huge.THP = paging.THPAlways
	for name, model := range map[string]paging.Config{"small pages": paging.DefaultConfig(), "huge pages": huge} {
		t.Run(name, func(t *testing.T) {
			trials, setBack := 0, 0
			for seed := range uint64(3) {
				data := crowd(t, seed)
				want, _, _ := besideDocument(t, data, model, 1)
				for _, workers := range []int{2, 3, 8} {
					got, done, failed := besideDocument(t, data, model, workers)
					if got != want {
						t.Fatalf("seed %d, %d workers: the result differs", seed, workers)
					}
					trials, setBack = trials+done, setBack+failed
				}
			}
			if trials < 30 || setBack < 30 {
				t.Errorf("%d trials, %d set back: the traces are not to the point", trials, setBack)
			}
		})
	}
}

// TestBesideAnything is the same on random programs that fork, clone, map, protect,
// advise and unmap, and on the bundled traces, where every stretch between two events is
// tried however short it is.
func TestBesideAnything(t *testing.T) {
	var traces [][]byte
	for seed := range uint64(8) {
		traces = append(traces, programTrace(t, seed, 2000, 0))
	}
	for _, name := range []string{"threads", "fork"} {
		data, err := os.ReadFile("../traces/" + name + ".vmt")
		if err != nil {
			t.Fatal(err)
		}
		traces = append(traces, data)
	}
	for _, thp := range []paging.THP{paging.THPNever, paging.THPAlways} {
		trials := 0
		for i, data := range traces {
			model := paging.DefaultConfig()
			model.THP, model.CPUs = thp, 3
			want, _, _ := besideDocument(t, data, model, 1)
			got, done, _ := besideDocument(t, data, model, 3)
			if got != want {
				t.Errorf("trace %d, huge pages %v: the result differs", i, thp)
			}
			trials += done
		}
		if trials < 40 {
			t.Errorf("huge pages %v: %d trials", thp, trials)
		}
	}
}

// besideDocument is the result, and how many trials there were.
func besideDocument(t *testing.T, data []byte, model paging.Config, workers int) (doc string, done, failed int) {
	t.Helper()
	src, err := trace.NewReader(bytes.NewReader(data), trace.WithWorkers(workers), trace.WithWords(Word))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	e, err := newEngine(src.Header(), Options{Model: model, Workers: workers, Check: true, Buckets: 20}, defaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	w := newBeside(e)
	w.few, w.patience = 1, 0
	for {
		b, err := src.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.take(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(w.held) != 0 {
		t.Fatal("batches are held at the end")
	}
	locks := fmt.Sprint(e.machine.Stats().Locks)
	return document(t, e.collect(nil)) + locks, w.done, w.failed
}

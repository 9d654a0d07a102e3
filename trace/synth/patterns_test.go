package synth

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// Exact sequences, written down by hand from the definitions. Textbook strings
// are written, all others are read here.
func TestSequences(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Params
		want []uint64
	}{
		{"sequential", Params{Pages: 3, Refs: 7}, []uint64{0, 1, 2, 0, 1, 2, 0}},
		{"sequential", Params{Pages: 1, Refs: 2}, []uint64{0, 0}},
		{"strided", Params{Pages: 7, Stride: 3, Refs: 9}, []uint64{0, 3, 6, 1, 4, 2, 5, 0, 3}},
		{"strided", Params{Pages: 3, Stride: 9, Refs: 4}, []uint64{0, 1, 2, 0}},
		{"strided", Params{Pages: 3, Stride: 1, Refs: 4}, []uint64{0, 1, 2, 0}},
		{"loop", Params{Pages: 5, Window: 2, Rounds: 2, Refs: 12}, []uint64{0, 1, 0, 1, 2, 3, 2, 3, 4, 4, 0, 1}},
		{"loop", Params{Pages: 4, Window: 2, Rounds: 1, Refs: 5}, []uint64{0, 1, 2, 3, 0}},
		{"loop", Params{Pages: 2, Window: 9, Rounds: 3, Refs: 5}, []uint64{0, 1, 0, 1, 0}},
		{"belady", Params{}, []uint64{1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5}},
		{"silberschatz", Params{}, []uint64{7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1}},
		{"tanenbaum", Params{}, []uint64{0, 2, 1, 3, 5, 4, 6, 3, 7, 4, 7, 3, 3, 5, 5, 3, 1, 1, 1, 7, 2, 3, 4, 1}},
		{"string", Params{String: " 9,9 8\t1"}, []uint64{9, 9, 8, 1}},
	} {
		r := record(t, c.name, c.p)
		written := 0
		if c.p.Refs == 0 {
			written = len(c.want)
		}
		if got := r.pages(1); !slices.Equal(got, c.want) || r.written() != written {
			t.Errorf("%s %+v: pages %v, %d written, want %v, %d", c.name, c.p, got, r.written(), c.want, written)
		}
	}
}

// replaced counts the faults of FIFO or LRU with so many frames.
func replaced(pages []uint64, frames int, lru bool) (faults int) {
	var held []uint64 // the next victim first
	for _, p := range pages {
		at := slices.Index(held, p)
		switch {
		case at < 0:
			faults++
			if held = append(held, p); len(held) > frames {
				held = held[1:]
			}
		case lru:
			held = append(slices.Delete(held, at, at+1), p)
		}
	}
	return faults
}

// The strings give the faults that their sources print: Belady, Nelson and
// Shedler 9 and 10; Silberschatz 15 for FIFO and 12 for LRU; Tanenbaum a table of
// stack distances, of which as many as frames or fewer are no LRU fault.
func TestTextbookFaults(t *testing.T) {
	for frames, want := range map[int]int{3: 9, 4: 10} {
		if got := replaced(belady, frames, false); got != want {
			t.Errorf("belady: %d faults with %d frames, want %d", got, frames, want)
		}
	}
	if fifo, lru := replaced(silberschatz, 3, false), replaced(silberschatz, 3, true); fifo != 15 || lru != 12 {
		t.Errorf("silberschatz: FIFO %d, LRU %d, want 15, 12", fifo, lru)
	}
	const never = 99
	distances := []int{never, never, never, never, never, never, never, 4, never, 4, 2, 3, 1, 5, 1, 2, 6, 1, 1, 4, 7, 4, 6, 5}
	for frames := 1; frames <= 8; frames++ {
		want := 0
		for _, d := range distances {
			if d > frames {
				want++
			}
		}
		if got := replaced(tanenbaum, frames, true); got != want {
			t.Errorf("tanenbaum: %d LRU faults with %d frames, want %d", got, frames, want)
		}
	}
}

// counts are the accesses of the first thread to each page.
func counts(t *testing.T, name string, p Params) []float64 {
	t.Helper()
	n := make([]float64, p.Pages)
	for _, page := range record(t, name, p).pages(1) {
		n[page]++
	}
	return n
}

// near holds a count against its expectation: within five standard deviations (a
// binomial count has a variance below its mean).
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 5*math.Sqrt(want) {
		t.Errorf("%s: %v references, want %.0f", what, got, want)
	}
}

func sum(n []float64) (total float64) {
	for _, v := range n {
		total += v
	}
	return total
}

func TestDistributions(t *testing.T) {
	p := Params{Pages: 100, Refs: 200_000, Seed: 3, Writes: 30}
	for _, c := range counts(t, "random", p) {
		near(t, "random", c, 2000)
	}
	near(t, "writes", float64(record(t, "random", p).written()), 60_000)

	p.Hot, p.Share = 10, 75
	n := counts(t, "scan", p)
	for _, c := range n[:10] {
		near(t, "scan, hot", c, 15_000)
	}
	near(t, "scan, cold", sum(n[10:]), 50_000)
	if lo, hi := slices.Min(n[10:]), slices.Max(n[10:]); hi-lo > 1 {
		t.Errorf("scan: cold pages have %v to %v references", lo, hi)
	}

	p.Hot, p.Share = 0, 0
	n = counts(t, "mix", p)
	for q := range 4 {
		near(t, "mix, a quarter", sum(n[25*q:25*q+25]), 50_000)
	}
	if hi := slices.Max(n[:25]) - slices.Min(n[:25]); hi > 1 {
		t.Errorf("mix: the scan differs by %v between pages", hi)
	}
	if looped := sum(n[25:26]); looped != sum(n[25:50]) {
		t.Errorf("mix: %v of the loop on one page of 25/16, %v on all", looped, sum(n[25:50]))
	}
	for _, c := range n[75:] {
		near(t, "mix, uniform", c, 2000)
	}
}

// Zipf against its definition, in floating point.
func TestZipf(t *testing.T) {
	const pages, refs = 100, 200_000
	for _, theta := range []uint64{1, 50, 99, 100, 125, 200} {
		n := counts(t, "zipf", Params{Pages: pages, Refs: refs, Seed: 3, Theta: theta})
		s, total := float64(theta)/100, 0.0
		for rank := 1; rank <= pages; rank++ {
			total += math.Pow(float64(rank), -s)
		}
		for rank := 1; rank <= pages; rank++ {
			near(t, "zipf", n[scatter(uint64(rank-1), pages)], refs*math.Pow(float64(rank), -s)/total)
		}
	}
}

// The bounds must not decide otherwise than the exact comparison. Most draws
// here are as close to the edge as floating point comes.
func TestZipfBoundsAreExact(t *testing.T) {
	rng := newRandom(1, 1)
	for _, theta := range []uint64{1, 37, 99, 100, 199, 200} {
		z := newZipfTable(maxPages, theta)
		accepted := 0
		for range 300 {
			k := rng.below(28)
			n := 1<<k + rng.below(1<<k)
			edge := uint64(math.Ldexp(math.Pow(math.Ldexp(float64(n), -int(k)), -float64(theta)/100), 63)) << 1
			for _, u := range []uint64{rng.pcg.Uint64(), edge, edge - 1<<12, edge + 1<<12, edge - 1<<45, edge + 1<<45} {
				want := z.exactly(new(big.Int).SetUint64(u), n, k)
				if got := z.accepts(u, n, k); got != want {
					t.Fatalf("theta %d: rank %d, u %#x: %v, want %v", theta, n, u, got, want)
				}
				if want {
					accepted++
				}
			}
		}
		if accepted == 0 || accepted == 1800 {
			t.Errorf("theta %d: all on one side", theta)
		}
	}
}

// An octave has the weight that its definition gives it, to 2^-29 of itself.
func TestZipfWeights(t *testing.T) {
	for _, theta := range []uint64{1, 50, 99, 100, 150, 200} {
		z := newZipfTable(maxPages, theta)
		before := uint64(0)
		first := float64(z.upTo[0])
		for k, upTo := range z.upTo {
			want := first * math.Exp2(float64(k)*(1-float64(theta)/100))
			if got := float64(upTo - before); math.Abs(got-want) > want*0x1p-29 {
				t.Errorf("theta %d, octave %d: weight %g, want %g", theta, k, got, want)
			}
			before = upTo
		}
	}
}

func TestScatterIsOneToOne(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 100, 1024, 1025} {
		oneToOne(t, n, func(v uint64) uint64 { return scatter(v, n) })
	}
}

func oneToOne(t *testing.T, n uint64, f func(uint64) uint64) {
	t.Helper()
	seen := map[uint64]bool{}
	for v := range n {
		s := f(v)
		if s >= n || seen[s] {
			t.Fatalf("of %d: %d gives %d, out of range or again", n, v, s)
		}
		seen[s] = true
	}
}

// The pointer chase is one cycle: it comes back to a node only after all others.
func TestChaseIsOneCycle(t *testing.T) {
	for _, n := range []uint64{64, 128, 192, 64 * 37} {
		for seed := range uint64(20) {
			list, at := newCycle(n, seed), uint64(0)
			oneToOne(t, n, func(uint64) uint64 { at = list.after(at); return at })
			if at != 0 {
				t.Errorf("%d nodes, seed %d: ends at %d", n, seed, at)
			}
		}
	}
	r := record(t, "chase", Params{Pages: 4, Refs: 256, Seed: 5})
	n := map[uint64]int{}
	for _, page := range r.pages(1)[4:] {
		n[page]++
	}
	if len(n) != 4 || r.written() != 4 {
		t.Errorf("%d pages, %d writes, want 4 of each", len(n), r.written())
	}
	for page, c := range n {
		if c != pageSize/nodeSize {
			t.Errorf("page %d: %d reads, want one for each of its 64 nodes", page, c)
		}
	}
}

// Each phase stays in its part of the region, and is marked where it begins.
func TestPhases(t *testing.T) {
	r := record(t, "phases", Params{Pages: 11, Refs: 100, Phases: 3, Seed: 1})
	for i, page := range r.pages(1) {
		part := min(i/33, 2)
		if low, high := uint64(3*part), []uint64{3, 6, 11}[part]; page < low || page >= high {
			t.Errorf("reference %d: page %d, want [%d, %d)", i, page, low, high)
		}
	}
	var marks []string
	for _, e := range r.events {
		if e.Kind == trace.KindMark {
			marks = append(marks, e.Mark())
		}
	}
	if !slices.Equal(marks, []string{"phase 1", "phase 2", "phase 3"}) {
		t.Errorf("marks %q", marks)
	}
}

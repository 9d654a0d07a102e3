package convert

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSpans holds the ranges against a table of pages.
func TestSpans(t *testing.T) {
	const pages = 64
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var s spans
		var table [pages]uint64 // what is there, 0 for nothing
		for range 60 {
			a := rnd.Uint64N(pages)
			z := a + 1 + rnd.Uint64N(pages-a)
			what := rnd.Uint64N(3)
			if what == 0 {
				s = s.remove(a, z)
			} else {
				s = s.add(a, z, what)
			}
			for p := a; p < z; p++ {
				table[p] = what
			}
			checkSpans(t, s, table[:], rnd)
		}
	}
}

// checkSpans compares the spans, their gaps and parts, with the table.
func checkSpans(t *testing.T, s spans, table []uint64, rnd *rand.Rand) {
	t.Helper()
	for i := 1; i < len(s); i++ {
		if s[i].start < s[i-1].end || s[i].start == s[i-1].end && s[i].what == s[i-1].what {
			t.Fatalf("%v: out of order, or two that should be one", s)
		}
	}
	a := rnd.Uint64N(uint64(len(table)))
	z := a + rnd.Uint64N(uint64(len(table))-a+1)
	got := make([]uint64, len(table))
	for _, w := range s.within(a, z) {
		for p := w.start; p < w.end; p++ {
			got[p] = w.what
		}
	}
	if !slices.Equal(got[a:z], table[a:z]) {
		t.Fatalf("within %d-%d of %v: %v, want %v", a, z, s, got[a:z], table[a:z])
	}
	for _, g := range s.gaps(a, z) {
		for p := g.start; p < g.end; p++ {
			if table[p] != 0 || p < a || p >= z || got[p] != 0 {
				t.Fatalf("gaps of %d-%d in %v: %v", a, z, s, s.gaps(a, z))
			}
			got[p] = ^uint64(0)
		}
	}
	for p := a; p < z; p++ {
		if got[p] == 0 || s.covers(p) != (table[p] != 0) {
			t.Fatalf("page %d of %v is neither within nor a gap, or covers is wrong", p, s)
		}
	}
}

// TestOrder: rounds of two processors, as in the comment of
// tools/perf/util/session.c:process_finished_round of Linux 6.1.
func TestOrder(t *testing.T) {
	var o perfOrder
	var got []uint64
	take := func() {
		for e, ok := o.due(); ok; e, ok = o.due() {
			got = append(got, e.time)
		}
	}
	rounds := [][]uint64{{1, 3, 2}, {4, 5, 3}, {6, 6, 4}}
	want := [][]uint64{nil, {1, 2, 3, 3}, {4, 4, 5}} // after each round: up to the latest of the one before
	for i, r := range rounds {
		for _, ns := range r {
			o.push(perfEvent{time: ns})
		}
		take()
		if len(got) > 0 {
			t.Fatalf("round %d: %v is due before its end", i, got)
		}
		o.round()
		take()
		if !slices.Equal(got, want[i]) {
			t.Errorf("round %d: %v is due, want %v", i, got, want[i])
		}
		got = nil
	}
	o.finish()
	take()
	if !slices.Equal(got, []uint64{6, 6}) {
		t.Errorf("at the end %v is due", got)
	}
}

// TestOrderBound: what waits is bounded, also where no round ever ends.
func TestOrderBound(t *testing.T) {
	var o perfOrder
	rec := make([]byte, 1000)
	due := 0
	for i := range 10 * maxWaiting / len(rec) {
		o.push(perfEvent{time: uint64(i), rec: rec})
		for _, ok := o.due(); ok; _, ok = o.due() {
			due++
		}
		if o.bytes > maxWaiting {
			t.Fatalf("%d bytes wait", o.bytes)
		}
	}
	if due == 0 {
		t.Error("nothing was due")
	}
}

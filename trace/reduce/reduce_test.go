package reduce

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// list is a sink that keeps what it gets.
type list struct {
	refs    []trace.Ref
	threads []uint32
	events  int
}

func (l *list) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	l.refs = append(l.refs, refs...)
	for range refs {
		l.threads = append(l.threads, thread)
	}
	return nil
}
func (l *list) Event(*trace.Event) error { l.events++; return nil }
func (l *list) Close() error             { return nil }

// lru is an independent fully associative LRU cache: a slice, latest first.
type lru struct {
	size   int
	pages  []uint64
	misses int
}

func (c *lru) touch(p uint64) {
	for i, q := range c.pages {
		if q == p {
			copy(c.pages[1:i+1], c.pages[:i])
			c.pages[0] = p
			return
		}
	}
	c.misses++
	if len(c.pages) < c.size {
		c.pages = append(c.pages, 0)
	}
	copy(c.pages[1:], c.pages)
	c.pages[0] = p
}

// misses runs references through LRU sets: by data, by fetches, or both; sets
// are chosen by the low bits of the page.
func misses(refs []trace.Ref, sets, ways int, side func(*trace.Ref) bool) int {
	caches := make([]lru, sets)
	for i := range refs {
		if r := &refs[i]; side(r) {
			c := &caches[r.VPN%uint64(sets)]
			c.size = ways
			c.touch(r.VPN)
		}
	}
	n := 0
	for i := range caches {
		n += caches[i].misses
	}
	return n
}

func random(rng *rand.Rand, n int) []trace.Ref {
	refs := make([]trace.Ref, n)
	span := 1 + rng.Uint64N(40)
	for i := range refs {
		p := rng.Uint64N(span)
		if rng.IntN(3) > 0 {
			p = rng.Uint64N(1 + span/8) // a hot part
		}
		switch rng.IntN(4) {
		case 0:
			refs[i] = trace.Ref{VPN: p, First: trace.Exec, Execs: 1 + rng.Uint32N(5)}
		case 1:
			refs[i] = trace.Ref{VPN: p, First: trace.Write, Writes: 1}
		case 2:
			refs[i] = trace.Ref{VPN: p, First: trace.Read, Reads: 2, Writes: rng.Uint32N(2)}
		default:
			refs[i] = trace.Ref{VPN: p, First: trace.Read, Reads: 1}
		}
	}
	return refs
}

// TestExact: for every K, LRU memories of K pages or more and LRU sets of K ways
// or more miss exactly as often on the reduced trace, all counts are kept, and
// the first write to a page is where it was.
func TestExact(t *testing.T) {
	data := func(r *trace.Ref) bool { return r.First != trace.Exec }
	fetch := func(r *trace.Ref) bool { return r.First == trace.Exec }
	both := func(*trace.Ref) bool { return true }
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		refs := random(rng, 2000)
		for _, k := range []int{2, 4, 8, 16, 64} {
			var out list
			s, err := New(&out, k)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(refs); {
				n := min(len(refs)-i, 1+rng.IntN(200))
				if err := s.Refs(1, refs[i:i+n], nil); err != nil {
					t.Fatal(err)
				}
				i += n
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if a, b := perPage(refs), perPage(out.refs); !maps.Equal(a, b) {
				t.Fatalf("seed %d, K %d: counts %v became %v", seed, k, a, b)
			}
			for _, size := range []int{k, k + 1, 2 * k, 5 * k} {
				for _, sets := range []int{1, 4} {
					for _, side := range []func(*trace.Ref) bool{data, fetch, both} {
						if a, b := misses(refs, sets, size, side), misses(out.refs, sets, size, side); a != b {
							t.Fatalf("seed %d, K %d: %d sets of %d ways: %d misses became %d", seed, k, sets, size, a, b)
						}
					}
				}
			}
			if a, b := firstWrites(refs), firstWrites(out.refs); a != b {
				t.Fatalf("seed %d, K %d: order of first writes changed", seed, k)
			}
		}
	}
}

// perPage is how many reads, writes and fetches each page has.
func perPage(refs []trace.Ref) map[uint64][3]uint64 {
	sums := map[uint64][3]uint64{}
	for _, r := range refs {
		n := sums[r.VPN]
		n[0] += uint64(r.Reads)
		n[1] += uint64(r.Writes)
		n[2] += uint64(r.Execs)
		sums[r.VPN] = n
	}
	return sums
}

// firstWrites is the order in which pages are first written, as a string.
func firstWrites(refs []trace.Ref) string {
	seen := map[uint64]bool{}
	var order []byte
	for _, r := range refs {
		if r.Writes > 0 && !seen[r.VPN] {
			seen[r.VPN] = true
			order = append(order, byte(r.VPN))
		}
	}
	return string(order)
}

// TestByHand: a b a b a with K = 2: between the first and the third a lies one
// other page, so the second a goes; likewise for b, of which two are left.
func TestByHand(t *testing.T) {
	var out list
	s, _ := New(&out, 2)
	var refs []trace.Ref
	for _, p := range []uint64{1, 2, 1, 2, 1} {
		refs = append(refs, trace.Ref{VPN: p, First: trace.Read, Reads: 1})
	}
	s.Refs(1, refs, nil)
	s.Close()
	var got []uint64
	for _, r := range out.refs {
		got = append(got, r.VPN)
	}
	if len(got) != 4 || got[0] != 1 || got[1] != 2 || got[2] != 2 || got[3] != 1 {
		t.Errorf("kept %v, want [1 2 2 1]", got)
	}
	if last := out.refs[3]; last.Reads != 2 {
		t.Errorf("the last reference holds %d reads, want 2", last.Reads)
	}
}

// TestBarriers: nothing is dropped across an event or a change of thread.
func TestBarriers(t *testing.T) {
	var out list
	s, _ := New(&out, 4)
	r := []trace.Ref{{VPN: 1, First: trace.Read, Reads: 1}}
	e := trace.NewMark(1, "here")
	for range 3 {
		s.Refs(1, r, nil)
		s.Event(&e)
	}
	for i := range uint32(6) {
		s.Refs(1+i%2, r, nil)
	}
	s.Close()
	if len(out.refs) != 9 || out.events != 3 {
		t.Errorf("%d references and %d events, want 9 and 3", len(out.refs), out.events)
	}
}

// TestGather: the last reference to a page holds the counts of each kind, the
// others 1; a count of 0 stays 0, one that would overflow stays where it is, and
// nothing moves across an event.
func TestGather(t *testing.T) {
	far := func(vpn uint64) trace.Ref { return trace.Ref{VPN: vpn, First: trace.Read, Reads: 1} }
	var out list
	s, _ := New(&out, 2)
	refs := []trace.Ref{
		{VPN: 1, First: trace.Write, Reads: 3, Writes: 5}, far(10), far(11), far(12),
		{VPN: 1, First: trace.Read, Reads: 4}, far(13), far(14), far(15),
		{VPN: 1, First: trace.Write, Writes: 6}, far(16), far(17), far(18),
		{VPN: 2, First: trace.Exec, Execs: math.MaxUint32}, far(19), far(20), far(21),
		{VPN: 2, First: trace.Exec, Execs: 3},
	}
	s.Refs(1, refs, nil)
	e := trace.NewMark(1, "here")
	s.Event(&e)
	s.Refs(1, []trace.Ref{{VPN: 1, First: trace.Read, Reads: 9}}, nil)
	s.Close()
	want := append(refs, trace.Ref{VPN: 1, First: trace.Read, Reads: 9})
	want[0] = trace.Ref{VPN: 1, First: trace.Write, Reads: 1, Writes: 1}
	want[4] = trace.Ref{VPN: 1, First: trace.Read, Reads: 6}
	want[8] = trace.Ref{VPN: 1, First: trace.Write, Writes: 10}
	if !slices.Equal(out.refs, want) {
		t.Errorf("%v\nwant %v", out.refs, want)
	}
}

// TestBounded: at most 4K references are held back.
func TestBounded(t *testing.T) {
	var out list
	s, _ := New(&out, 8)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		s.Refs(1, random(rng, 10), nil)
		if s.held > 4*8 || len(s.window) > 4*8+2 {
			t.Fatalf("%d references held back in %d nodes", s.held, len(s.window))
		}
	}
}

package curve

import (
	"math/bits"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// eachDistance tells of how many uses found their page at a distance. It follows
// from what uses counted as major faults: one for all memories smaller than that.
func (s *stack) eachDistance(tell func(distance int, uses int64)) {
	for d := 1; d <= s.deepest; d++ {
		if n := s.counts.From(uint32(d))[paging.StackMajor]; n < 0 {
			tell(d, -n)
		}
	}
}

// bitsUpTo is the power of two that n is up to.
func bitsUpTo(n uint64) int { return bits.Len64(n - 1) }

// buckets turns counts by powers of two into rows, without the empty ones at the
// end.
func buckets(h []uint64) []result.Bucket {
	for len(h) > 0 && h[len(h)-1] == 0 {
		h = h[:len(h)-1]
	}
	out := make([]result.Bucket, len(h))
	for i, n := range h {
		out[i] = result.Bucket{UpTo: 1 << i, Count: n}
	}
	return out
}

// times measures the references between two uses of a page.
type times struct {
	now   uint64
	hist  [64]uint64
	sums  [64]uint64 // of the intervals in each bucket
	ended uint64     // pages whose last use was their last

	left, each uint64 // references that a sample leaves out: yet to be counted, and with each use
}

// pace is told of the next references of a sample: out of them are left out, in
// are not. Time runs on evenly between those that are not.
func (t *times) pace(out, in int) {
	t.now += t.left
	t.left, t.each = uint64(out), uint64(out/max(1, in))
}

// first notes the use of a page that has just come, and again one of a page whose
// last use was at last.
func (t *times) first(last *uint64) {
	t.tick()
	t.ended++
	*last = t.now
}

func (t *times) again(last *uint64) {
	t.tick()
	gap := t.now - *last
	b := bits.Len64(gap - 1)
	t.hist[b]++
	t.sums[b] += gap
	*last = t.now
}

func (t *times) tick() {
	t.now++
	if t.left > 0 {
		n := min(t.each, t.left)
		t.now += n
		t.left -= n
	}
}

// workingSet is the mean number of pages used in the last T references, for T in
// powers of two: the mean over all references of the part of T for which the page
// stays in the set (P. Denning, S. Schwartz: Properties of the Working-Set Model,
// CACM 1972). The last use of a page counts T whole.
func (t *times) workingSet() []result.WorkingSet {
	var out []result.WorkingSet
	t.now, t.left = t.now+t.left, 0
	if t.now == 0 {
		return out
	}
	longer := t.ended // intervals of more than T
	for _, n := range t.hist {
		longer += n
	}
	sum := uint64(0) // of those up to T
	for i := range t.hist {
		longer -= t.hist[i]
		sum += t.sums[i]
		window := uint64(1) << i
		if window > 2*t.now {
			break
		}
		pages := (float64(sum) + float64(longer)*float64(window)) / float64(t.now)
		out = append(out, result.WorkingSet{Refs: window, Pages: min(pages, float64(t.ended))})
	}
	return out
}

package paging

import (
	"math/rand/v2"
	"testing"
)

// TestStackCounts: whatever is late, what is counted is what a table of all sizes and
// events adds up to.
func TestStackCounts(t *testing.T) {
	const sizes = 3 * manyPages
	type events = [NumStackEvents]int64
	r := rand.New(rand.NewPCG(1, 7))
	var c StackCounts
	want := make([]events, sizes)
	between := func(what StackEvent, from, to uint32, n int64) {
		want[from][what] += n
		if to != AllMemories {
			want[to][what] -= n
		}
	}
	for i := range 300000 {
		d := 1 + r.Uint32N(sizes-1)
		if i < 1000 {
			d %= 500 // few rows at first
		}
		switch what := StackEvent(r.IntN(NumStackEvents)); r.IntN(4) {
		case 0:
			c.missed(d)
			between(StackMajor, 0, d, 1)
		case 1:
			c.readBack(d)
			between(StackMajor, 0, d, 1)
			between(StackWriteBack, 0, d, 1)
		case 2:
			from := r.Uint32N(d)
			c.add(what, from, d, -1)
			between(what, from, d, -1)
		case 3:
			c.add(what, d, AllMemories, 2)
			between(what, d, AllMemories, 2)
		}
		if i%1000 == 0 {
			if got := c.From(d); got != want[d] {
				t.Fatalf("after %d: %v from size %d, want %v", i, got, d, want[d])
			}
		}
	}
	for size := range want {
		if got := c.From(uint32(size)); got != want[size] {
			t.Fatalf("%v from size %d, want %v", got, size, want[size])
		}
	}
}

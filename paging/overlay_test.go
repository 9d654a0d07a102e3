package paging

import (
	"math/rand/v2"
	"testing"
)

// TestOverlay: what a survey keeps of pages, against a map, while it grows, and from one
// survey to the next, when it shrinks.
func TestOverlay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var o overlay
	for _, pages := range []uint64{10, 20000, 3, 3, 3, 3, 3, 3, 1000} {
		o.reset()
		want := map[uint64]uint64{}
		for range 2 * pages {
			key := r.Uint64N(pages)<<spaceBits | 1 + r.Uint64N(2)
			if at := o.at(key); at.key == 0 {
				o.put(key, 7)
			} else if at.key != key {
				t.Fatalf("%#x for %#x", at.key, key)
			}
			want[key]++
			o.at(key).entry++
		}
		for key, n := range want {
			if at := o.at(key); at.key != key || at.entry != 7+n {
				t.Errorf("%d pages: %#x has %d, want %d", pages, key, at.entry, 7+n)
			}
		}
		if o.n != len(want) {
			t.Errorf("%d pages: %d in use, want %d", pages, o.n, len(want))
		}
	}
	if len(o.slots) > 1<<13 {
		t.Errorf("%d slots are kept for a thousand pages", len(o.slots))
	}
}

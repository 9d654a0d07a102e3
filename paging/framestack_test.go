package paging

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The stack against a slice.
func TestFrameStack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var s frameStack
	var want []uint32
	for step := range 4000 {
		n := r.IntN(3 * cacheBatch)
		if step/1000%2 == 0 {
			n *= 10
		}
		if r.IntN(5) > step/1000%2*2 {
			var some []uint32
			for range n {
				some = append(some, r.Uint32())
			}
			s.push(some...)
			want = append(want, some...)
		} else {
			got := s.pop(nil, n)
			rest := len(want) - len(got)
			if len(got) == 0 && n > 0 && len(want) > 0 || len(got) > n || !slices.Equal(got, want[rest:]) {
				t.Fatalf("step %d: %d frames of %d, or others", step, len(got), n)
			}
			want = want[:rest]
		}
		if s.len() != len(want) {
			t.Fatalf("step %d: %d frames, want %d", step, s.len(), len(want))
		}
	}
	if len(s.below) < 2 || !slices.Equal(s.all(), want) {
		t.Errorf("%d full blocks; the frames differ", len(s.below))
	}
}

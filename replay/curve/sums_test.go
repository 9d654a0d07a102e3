package curve

import (
	"math/rand/v2"
	"testing"
)

// TestSums: the sum before every block is that of the counts one by one, up to as many
// in each as there can be.
func TestSums(t *testing.T) {
	for _, blocks := range []int{1, 15, 16, 17, 255, 256, 257, 2048, 5000} {
		r := rand.New(rand.NewPCG(uint64(blocks), 1))
		s := newSums(blocks)
		counts := make([]int, blocks)
		set := func(block, n int) {
			s.add(uint32(block), n-counts[block])
			counts[block] = n
		}
		check := func(what string) {
			t.Helper()
			sum := 0
			for block, n := range counts {
				if got := s.before(uint32(block)); got != uint32(sum) {
					t.Fatalf("%d blocks, %s: %d before block %d, want %d", blocks, what, got, block, sum)
				}
				sum += n
			}
		}
		check("empty")
		for range 3 * blocks {
			set(r.IntN(blocks), r.IntN(blockBits+1))
		}
		check("some")
		for block := range counts {
			set(block, blockBits)
		}
		check("full")
		set(blocks/2, 0)
		check("one gone")
		s.clear()
		clear(counts)
		check("cleared")
	}
}

package paging

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// An order does what a list of ways does.
func TestLRUOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for ways := 1; ways <= orderWays; ways++ {
		order := newLRUOrder(ways)
		var list []int
		for way := range ways {
			list = append(list, way)
		}
		for range 1000 {
			way := rng.IntN(ways)
			i := slices.Index(list, way)
			list = slices.Delete(list, i, i+1)
			if rng.IntN(4) > 0 {
				order, list = order.first(way), slices.Insert(list, 0, way)
			} else {
				order, list = order.moveLast(way, ways), append(list, way)
			}
			var want lruOrder
			for at, way := range list {
				want |= lruOrder(way) << (4 * at)
			}
			if order != want || order.last(ways) != list[ways-1] {
				t.Fatalf("%d ways: %#x, last %d; want %v", ways, order, order.last(ways), list)
			}
		}
	}
}

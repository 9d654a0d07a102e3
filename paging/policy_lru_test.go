package paging

import (
	"container/list"
	"math"
	"math/rand/v2"
	"testing"
)

// TestLRUPolicyOrder: lru gives up the page that a list would, in which a page moves to the
// front at each use (container/list is the oracle): with few pages and many, which are
// sorted in other ways; where pages end and begin anew; and where times run out.
func TestLRUPolicyOrder(t *testing.T) {
	for _, c := range []struct {
		pages, memory, turns int
		now                  uint32
	}{
		{pages: 10, memory: 4, turns: 20_000},
		{pages: 10, memory: 4, turns: 2_000, now: math.MaxUint32 - 300},
		{pages: 40_000, memory: 9_000, turns: 400_000},
		{pages: 40_000, memory: 9_000, turns: 100_000, now: math.MaxUint32 - 50_000},
	} {
		l, order, where := &lruPolicy{rows: someRows(), now: c.now, sorted: c.now}, list.New(), map[uint32]*list.Element{}
		r := rand.New(rand.NewPCG(1, uint64(c.pages)))
		draw := func() uint32 { return 1 + uint32(float64(c.pages)*math.Pow(r.Float64(), 3)) }
		for turn := range c.turns {
			p := draw()
			switch e := where[p]; {
			case e != nil && r.IntN(20) == 0:
				l.forget(p)
				order.Remove(e)
				delete(where, p)
			case e != nil && r.IntN(2) == 0:
				l.hit(p)
				order.MoveToFront(e)
			case e != nil:
				some := make([]uint32, r.IntN(mostUses))
				for i := range some {
					some[i] = draw()
					if e := where[some[i]]; e != nil {
						order.MoveToFront(e)
					}
				}
				l.hits(some)
			default:
				for order.Len() >= c.memory || order.Len() > 0 && r.IntN(50) == 0 {
					want := order.Remove(order.Back()).(uint32)
					if got := l.victim(p); got != want {
						t.Fatalf("%+v, turn %d: page %d leaves, not %d", c, turn, got, want)
					}
					delete(where, want)
				}
				l.insert(p)
				where[p] = order.PushFront(p)
			}
		}
		for e := order.Back(); e != nil; e = e.Prev() {
			if got := l.victim(0); got != e.Value.(uint32) {
				t.Fatalf("%+v, at the end: page %d leaves, not %d", c, got, e.Value)
			}
		}
		if got := l.victim(0); got != 0 {
			t.Fatalf("%+v: page %d leaves an empty order", c, got)
		}
	}
}

// Times run out at each turn of the first pages.
func TestLRUPolicyRenumber(t *testing.T) {
	for before := range uint32(5) {
		l := &lruPolicy{rows: someRows(), now: math.MaxUint32 - before, sorted: math.MaxUint32 - before}
		l.insert(1)
		l.insert(2)
		l.hit(1)
		l.insert(3)
		for _, want := range []uint32{2, 1, 3, 0} {
			if got := l.victim(0); got != want {
				t.Errorf("%d before: page %d leaves, not %d", before, got, want)
			}
		}
	}
}

// Pages that come and end without one that leaves do not make the order longer.
func TestLRUPolicyBounded(t *testing.T) {
	var rows pageRows
	l := &lruPolicy{rows: &rows}
	for i := range uint32(1 << 20) {
		l.insert(i%100 + 1)
		l.forget((i+50)%100 + 1)
	}
	if n := cap(l.young) + cap(l.old); n > 1<<14 {
		t.Errorf("room for %d pages, where there were 100", n)
	}
}

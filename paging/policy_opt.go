package paging

import "math"

// Future tells when pages are used again, for the policy opt. It is asked once
// for every run of uses of one page, in the order in which [Machine.OnUse] saw
// them in a run without a limit.
type Future interface {
	// Next is the position of the next run of uses of the same page after the one
	// at hand, or NoNextUse when there is none before the page's life ends. Any
	// numbers do that grow with time.
	Next() uint64
}

// NoNextUse says that a page is not used again.
const NoNextUse = math.MaxUint64

// optPolicy is Belady's: the page that leaves is the one whose next use is
// farthest away (L. A. Belady: A study of replacement algorithms for a
// virtual-storage computer, IBM Systems Journal 5(2), 1966). No order of pages can
// miss less. It needs the future.
//
// A page that came in for a fault which is not over, and of which no use is known,
// stays: it is what the fault copies from.
type optPolicy struct {
	g    *memory
	heap []uint32 // resident pages, the one used last on top
	at   []uint32 // by page: its place in heap, plus 1
	near []uint64 // by page: how near its next use is, NoNextUse minus the position
}

func newOpt(g *memory) policy {
	o := &optPolicy{g: g}
	g.foresee = o.foresee
	return o
}

func (o *optPolicy) grow(p uint32) {
	if n := int(p) + 1 - len(o.at); n > 0 {
		n = max(n, 1024, len(o.at)/4)
		o.at = append(o.at, make([]uint32, n)...)
		o.near = append(o.near, make([]uint64, n)...)
	}
}

// foresee is told when a page is used next.
func (o *optPolicy) foresee(p uint32, next uint64) {
	o.grow(p)
	o.near[p] = NoNextUse - next
	if i := o.at[p]; i != 0 {
		o.fix(int(i) - 1)
	}
}

func (o *optPolicy) insert(p uint32) {
	o.grow(p)
	o.heap = append(o.heap, p)
	o.at[p] = uint32(len(o.heap))
	o.fix(len(o.heap) - 1)
}

func (o *optPolicy) hit(uint32)  {}
func (o *optPolicy) left(uint32) {}

func (o *optPolicy) forget(p uint32) {
	o.grow(p)
	o.take(p)
	o.near[p] = 0
}

func (o *optPolicy) victim(uint32) uint32 {
	if len(o.heap) == 0 {
		return 0
	}
	p := o.heap[0]
	if p == o.g.fresh && len(o.heap) > 1 {
		p = o.heap[1]
		if len(o.heap) > 2 && o.near[o.heap[2]] < o.near[p] {
			p = o.heap[2]
		}
	}
	o.take(p)
	return p
}

// take takes a page out of the heap, if it is there.
func (o *optPolicy) take(p uint32) {
	i := int(o.at[p]) - 1
	if i < 0 {
		return
	}
	last := len(o.heap) - 1
	o.swap(i, last)
	o.heap, o.at[p] = o.heap[:last], 0
	if i < last {
		o.fix(i)
	}
}

func (o *optPolicy) less(i, j int) bool { return o.near[o.heap[i]] < o.near[o.heap[j]] }

func (o *optPolicy) swap(i, j int) {
	h := o.heap
	h[i], h[j] = h[j], h[i]
	o.at[h[i]], o.at[h[j]] = uint32(i)+1, uint32(j)+1
}

// fix moves the page at a place of the heap to where it belongs.
func (o *optPolicy) fix(i int) {
	for i > 0 && o.less(i, (i-1)/2) {
		o.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		k := 2*i + 1
		if k+1 < len(o.heap) && o.less(k+1, k) {
			k++
		}
		if k >= len(o.heap) || !o.less(k, i) {
			return
		}
		o.swap(i, k)
		i = k
	}
}

// unlimited is the policy of a group without a limit: no page leaves.
type unlimited struct{}

func (unlimited) insert(uint32)        {}
func (unlimited) hit(uint32)           {}
func (unlimited) victim(uint32) uint32 { return 0 }
func (unlimited) left(uint32)          {}
func (unlimited) forget(uint32)        {}

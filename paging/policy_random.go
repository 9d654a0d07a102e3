package paging

import "math/rand/v2"

// randomPolicy takes any page, each with the same probability. The order is the
// same in every run.
type randomPolicy struct {
	pages []uint32
	at    []uint32 // by page: its place in pages, plus 1
	rand  *rand.Rand
}

func newRandom(*memory) policy { return &randomPolicy{rand: rand.New(rand.NewPCG(1, 0))} }

func (r *randomPolicy) insert(p uint32) {
	r.pages = append(r.pages, p)
	*at(&r.at, p) = uint32(len(r.pages))
}

func (r *randomPolicy) hit(uint32)  {}
func (r *randomPolicy) left(uint32) {}

func (r *randomPolicy) forget(p uint32) {
	if int(p) >= len(r.at) || r.at[p] == 0 {
		return
	}
	last := r.pages[len(r.pages)-1]
	r.pages[r.at[p]-1], r.at[last] = last, r.at[p]
	r.pages, r.at[p] = r.pages[:len(r.pages)-1], 0
}

func (r *randomPolicy) victim(uint32) uint32 {
	if len(r.pages) == 0 {
		return 0
	}
	p := r.pages[r.rand.IntN(len(r.pages))]
	r.forget(p)
	return p
}

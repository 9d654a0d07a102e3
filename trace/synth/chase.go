package synth

import "math/bits"

// nodeSize is that of a cache line, in bytes.
const nodeSize = 64

// chase builds a heap of nodes, one write to each page, and follows a list
// through all of them: Refs reads, each of a node that the one before it names.
// The list visits every node of the heap once before it comes back to the first.
// Each thread begins at another node.
func chase(p Params) program {
	nodes := p.Pages * (pageSize / nodeSize)
	return program{
		image: func(t *thread) {
			start := t.heap()
			t.brk(start + p.Pages<<pageShift)
			t.writePages(start, p.Pages)
		},
		body: func(t *thread) {
			list := newCycle(nodes, p.Seed)
			at := t.rng.below(nodes)
			for range p.Refs {
				t.read(heapBase + at*nodeSize)
				at = list.after(at)
			}
		},
	}
}

// cycle is one cycle through 0..n-1 in random order that takes no memory: a
// linear congruential generator of full period (Knuth, The Art of Computer
// Programming 2, section 3.2.1.2, theorem A: the increment odd, the multiplier 1
// modulo 4) over the next power of two, less what is not below n.
type cycle struct{ n, mask, multiplier, increment uint64 }

func newCycle(n, seed uint64) cycle {
	r := newRandom(seed, 0) // no thread has this stream
	return cycle{n: n, mask: 1<<bits.Len64(n-1) - 1, multiplier: r.pcg.Uint64()&^7 | 5, increment: r.pcg.Uint64() | 1}
}

func (c cycle) after(v uint64) uint64 {
	for {
		if v = (v*c.multiplier + c.increment) & c.mask; v < c.n {
			return v
		}
	}
}

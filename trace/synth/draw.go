package synth

import (
	"math/bits"
	"math/rand/v2"
)

// random is a source of random numbers: those of a thread depend on the seed and
// on its own stream number alone.
type random struct{ pcg *rand.PCG }

func newRandom(seed, stream uint64) random { return random{rand.NewPCG(seed, stream)} }

// below draws from 0 to n-1, all equally likely. It is not rand.Uint64N, whose
// way of drawing later versions of Go may change. (Lemire, Fast Random Integer
// Generation in an Interval, ACM TOMACS 2019, algorithm 5.)
func (r random) below(n uint64) uint64 {
	hi, lo := bits.Mul64(r.pcg.Uint64(), n)
	if lo < n {
		for biased := -n % n; lo < biased; {
			hi, lo = bits.Mul64(r.pcg.Uint64(), n)
		}
	}
	return hi
}

// between draws from low to high, both included.
func (r random) between(low, high uint64) uint64 { return low + r.below(high-low+1) }

// scatter maps 0..n-1 onto itself, one to one: multiplication by an odd number
// permutes the next power of two; what falls outside goes round again.
func scatter(v, n uint64) uint64 {
	mask := uint64(1)<<bits.Len64(n-1) - 1
	for {
		if v = v * 0x9e3779b97f4a7c15 & mask; v < n {
			return v
		}
	}
}

package synth

import (
	"math/bits"
	"math/rand/v2"
)

// zipf draws rank n (1 to Pages) with a probability proportional to the share
// of n in the harmonic series, and scatters ranks over the region, so that
// popular pages are not neighbours.
//
// Exact and in integers, so that every machine draws the same: ranks are
// grouped in octaves [2^k, 2^(k+1)). An octave is drawn by its weight, the sum
// over its ranks of 1/2^k, which is 1 for a full octave; a rank of it uniformly;
// and the rank n is accepted with probability 2^k/n, which turns the weight
// 1/2^k into 1/n.
func zipf(p Params, rng *rand.Rand) func(uint64) uint64 {
	octaves := uint64(bits.Len64(p.Pages))
	return func(uint64) uint64 {
		for {
			k := rng.Uint64N(octaves)
			n := uint64(1)<<k + rng.Uint64N(1<<k)
			if n <= p.Pages && rng.Uint64N(n) < 1<<k {
				return scatter(n-1, p.Pages)
			}
		}
	}
}

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

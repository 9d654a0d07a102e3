package synth

import "math/rand/v2"

// random draws pages uniformly.
func random(p Params, rng *rand.Rand) func(uint64) uint64 {
	return func(uint64) uint64 { return rng.Uint64N(p.Pages) }
}

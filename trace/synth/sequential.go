package synth

import "math/rand/v2"

// sequential takes every page in turn and begins again after the last.
func sequential(p Params, _ *rand.Rand) func(uint64) uint64 {
	return func(i uint64) uint64 { return i % p.Pages }
}

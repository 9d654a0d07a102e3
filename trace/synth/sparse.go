package synth

import "math/bits"

// sparse takes one page, at random, of each Stride pages of a region: writes it
// in the first round and reads it in the others. With a stride of 512 it takes
// one page of each 2 MiB, for which a kernel that always makes huge pages gives
// all 512. Each thread takes pages of its own.
func sparse(p Params) program {
	return program{
		image: func(t *thread) { t.mapAnon(base, p.Pages) },
		body: func(t *thread) {
			salt := t.rng.pcg.Uint64()
			for round := range p.Rounds {
				for first := uint64(0); first < p.Pages; first += p.Stride {
					// The page of the stride, the same in every round.
					in, _ := bits.Mul64(mixBits(salt^first), min(p.Stride, p.Pages-first))
					addr := base + (first+in)<<pageShift
					if round == 0 {
						t.write(addr)
					} else {
						t.read(addr)
					}
				}
			}
		},
	}
}

// mixBits is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
func mixBits(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

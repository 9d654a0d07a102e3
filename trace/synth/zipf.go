package synth

import (
	"math/big"
	"math/bits"
)

// zipf draws rank n (1 to Pages) with a probability proportional to 1/n^theta,
// and scatters ranks over the region, so that popular pages are not neighbours.
func zipf(p Params) func(*thread) walk {
	table := newZipfTable(p.Pages, p.Theta)
	return func(t *thread) walk {
		return func() uint64 { return table.draw(t.rng) }
	}
}

// zipfTable draws from a Zipf distribution in integers only, so that every
// machine draws the same.
//
// Ranks are grouped in octaves [2^k, 2^(k+1)). An octave is drawn by its weight,
// that of 2^k ranks of the popularity of its first one: 2^k * 2^(-k*theta). A
// rank n of it is drawn uniformly and accepted with probability (2^k/n)^theta,
// otherwise all begins again. With theta = num/den and a random u of 64 bits
// that is the comparison u^den * n^num < 2^(64*den + k*num) of whole numbers,
// which few draws need: straight lines through exact points bound the rest.
//
// Memory does not depend on pages. Weights are whole multiples of 2^-58 of the
// largest: the probability of an octave is off by 2^-29 of itself at most.
type zipfTable struct {
	pages    uint64
	num, den int64    // theta
	upTo     []uint64 // sum of the weights of the octaves up to this one

	// bound[i] is the largest u that accepts a rank 2^k * (1 + i/zipfParts),
	// also where that is no whole number.
	bound [zipfParts + 2]uint64
}

const (
	zipfPartBits   = 6
	zipfParts      = 1 << zipfPartBits // of an octave
	zipfWeightBits = 58
)

// newZipfTable takes theta in hundredths, 1 to 200.
func newZipfTable(pages, theta uint64) *zipfTable {
	z := &zipfTable{pages: pages, num: int64(theta), den: 100}
	if g := new(big.Int).GCD(nil, nil, big.NewInt(z.num), big.NewInt(z.den)).Int64(); g > 1 {
		z.num, z.den = z.num/g, z.den/g
	}
	octaves := bits.Len64(pages)
	heaviest := int64(0)
	if z.num < z.den {
		heaviest = int64(octaves) - 1
	}
	sum := uint64(0)
	for k := range int64(octaves) {
		// The den-th power of the weight.
		power := zipfWeightBits*z.den + (k-heaviest)*(z.den-z.num)
		sum += largestUnder(zipfWeightBits, func(w *big.Int) bool {
			return w.Exp(w, big.NewInt(z.den), nil).Cmp(pow2(power)) <= 0
		})
		z.upTo = append(z.upTo, sum)
	}
	for i := range z.bound {
		start := uint64(zipfParts + i) // of the part, in parts of the first rank
		z.bound[i] = largestUnder(63, func(u *big.Int) bool { return z.exactly(u, start, zipfPartBits) })
	}
	return z
}

// largestUnder returns the largest number without bits above topBit that ok holds
// for; ok holds for 0, and for everything below a number that it holds for. It
// may change its argument.
func largestUnder(topBit int, ok func(*big.Int) bool) uint64 {
	v, trial := uint64(0), new(big.Int)
	for bit := topBit; bit >= 0; bit-- {
		if with := v | 1<<bit; ok(trial.SetUint64(with)) {
			v = with
		}
	}
	return v
}

func pow2(n int64) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(n)) }

// exactly says whether u accepts rank n of octave k. It changes u.
func (z *zipfTable) exactly(u *big.Int, n, k uint64) bool {
	rank := new(big.Int).SetUint64(n)
	u.Exp(u, big.NewInt(z.den), nil)
	u.Mul(u, rank.Exp(rank, big.NewInt(z.num), nil))
	return u.Cmp(pow2(64*z.den+int64(k)*z.num)) < 0
}

// accepts says whether u accepts rank n of octave k. The largest u that does is
// a convex function of n: within a part it is below the line through its two
// ends, and above the line through the ends of the part that follows.
func (z *zipfTable) accepts(u, n, k uint64) bool {
	behind := n << (64 - k) // what follows the leading 1 of n
	part, in := behind>>(64-zipfPartBits), behind<<zipfPartBits
	b := z.bound[part : part+3]
	below, _ := bits.Mul64(b[1]-b[2]-1, ^in)
	if u <= b[1]+below {
		return true
	}
	above, _ := bits.Mul64(b[0]-b[1], in)
	return u <= b[0]-above && z.exactly(new(big.Int).SetUint64(u), n, k)
}

// draw returns a page, 0 to pages-1.
func (z *zipfTable) draw(rng random) uint64 {
	for {
		at := rng.below(z.upTo[len(z.upTo)-1])
		k := uint64(0)
		for at >= z.upTo[k] {
			k++
		}
		n := uint64(1)<<k + rng.below(1<<k)
		if n <= z.pages && z.accepts(rng.pcg.Uint64(), n, k) {
			return scatter(n-1, z.pages)
		}
	}
}

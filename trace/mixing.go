package trace

// What mixes probabilities in the logistic domain, in integers. A stretched
// probability is ln(p/(1-p)) in units of 1/256, from -2047 to 2047.

// estimate is a probability that is learnt: 22 bits of it, and below them 10 bits
// that count how often.
type estimate uint32

const (
	even        = estimate(1 << 31) // 1/2, never asked
	oddsLimit   = 60                // how many cases an estimate of a context goes back,
	numberLimit = 30                // and one of a number
)

// probability is it in 1/65536, at least 1.
func (e estimate) probability() uint32 { return max(uint32(e)>>16, 1) }

func (e estimate) stretched() int32 { return int32(stretches[e>>20]) }

// learn moves the estimate towards what was the case, the less the more often it
// has been.
func (e *estimate) learn(y bool, limit uint32) {
	n, p, is := uint32(*e)&1023, int64(*e>>10), int64(0)
	if y {
		is = 1<<22 - 1
	}
	p += (is - p) * shares[n] >> 16
	*e = estimate(p<<10) | estimate(min(n+1, limit))
}

// shares is 1/(n+1.5) in 1/65536.
var shares = func() (s [oddsLimit + 1]int64) {
	for n := range s {
		s[n] = 1 << 17 / int64(2*n+3)
	}
	return s
}()

// knots are 4096/(1+exp(-x)), rounded and at least 1 and at most 4095, for x from -8
// to 8 by halves; between them squash is straight.
var knots = [33]int32{1, 2, 4, 6, 10, 17, 27, 45, 74, 120, 194, 311, 488, 747, 1102, 1546, 2048,
	2550, 2994, 3349, 3608, 3785, 3902, 3976, 4022, 4051, 4069, 4079, 4086, 4090, 4092, 4094, 4095}

// squashes is squash by what is stretched plus 2048, stretches its inverse: the
// first that is squashed to so much or more.
var squashes, stretches = func() (sq, st [1 << 12]int16) {
	next := 0
	for i := range sq {
		k, w := i>>7, int32(i&127)
		sq[i] = int16((knots[k]*(128-w) + knots[k+1]*w + 64) >> 7)
		for ; next <= int(sq[i]); next++ {
			st[next] = int16(max(i-2048, -2047))
		}
	}
	for ; next < len(st); next++ {
		st[next] = 2047
	}
	return sq, st
}()

// squash turns a stretched probability into one in 1/4096.
func squash(x int32) int32 { return int32(squashes[x+2048]) }

// inputs are the stretched probabilities of a mixer: one of each context, that of the
// match, and a constant. 0 has no say.
type inputs [numInputs]int32

const numInputs = len(contextOrders) + 2

// mixer weighs inputs, in 1/65536.
type mixer [numInputs]int32

const (
	firstWeight   = 3 << 16 / 10
	constantInput = 77 // the last input
	mixerRate     = 20
)

func newMixer() (m mixer) {
	for i := range m {
		m[i] = firstWeight
	}
	return m
}

func (m *mixer) dot(in *inputs) int32 {
	sum := int64(0)
	for i, x := range in {
		sum += int64(x) * int64(m[i])
	}
	return int32(max(-2047, min(sum>>16, 2047)))
}

// learn moves the weights towards those that would have made x likelier right.
func (m *mixer) learn(in *inputs, x int32, y bool) {
	err := -squash(x)
	if y {
		err += 1<<12 - 1
	}
	for i, v := range in {
		m[i] += (v*err*mixerRate + 1<<15) >> 16
	}
}

// refinement is a curve that says how a mixed probability turned out: for the knots
// of squash, in 1/65536, straight between them (the adaptive probability map of
// PAQ).
type refinement [33]int32

func newRefinement() (r refinement) {
	for i := range r {
		r[i] = knots[i] << 4
	}
	return r
}

func (r *refinement) at(x int32) int32 {
	k, w := (x+2048)>>7, (x+2048)&127
	return (r[k]*(128-w) + r[k+1]*w) >> 7
}

func (r *refinement) learn(x int32, y bool) {
	k, w := (x+2048)>>7, (x+2048)&127
	is := int32(0)
	if y {
		is = 1<<16 - 1
	}
	r[k] += (is - r[k]) * (128 - w) >> 13
	r[k+1] += (is - r[k+1]) * w >> 13
}

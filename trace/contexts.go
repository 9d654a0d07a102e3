package trace

import "math/bits"

// contexts predicts the next symbol of a block from those before it. For each of
// some lengths it remembers what followed the last so many symbols, and match follows
// an earlier stretch that comes again. It asks of one of these symbols after the other
// whether it is the next, and mixes what all say of it into one probability, as PAQ
// does (Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression,
// Florida Tech, 2005). All numbers are integers, so that every machine gets the same.
// doc.go specifies every step.
type contexts struct {
	orders  [len(contextOrders)]contextOrder
	match   match
	mixers  [symbolClasses][2]mixer   // by symbol, and whether one was asked before it
	refined [symbolClasses]refinement // by symbol
	defined estimate                  // that the symbol is unknown
	numbers [1 << 14]estimate         // bits of the number of an unlikely symbol, by the bits before
	asked   [numSymbols + 1]uint32    // turn in which a symbol, plus 1, was asked for last
	turn    uint32
	past    []uint16 // the symbols, plus 1
}

// contextOrders are the lengths of the contexts.
var contextOrders = [...]int{1, 2, 4, 8, 16}

const (
	unknown       = -1 // in place of a number: the symbol is defined here
	contextBits   = 16 // of the place of a context in its table
	followers     = 7  // that a context remembers
	maxTimes      = 60
	symbolClasses = 1 << 10
)

// contextOrder is what is known of the contexts of one length.
type contextOrder struct {
	table []follow // by hash
	hash  uint64   // of the context at hand
	out   uint64   // what the symbol that leaves it is multiplied by
	here  *follow  // the context at hand
	odds  [3 << 8]estimate
}

// follow is what followed a context.
type follow struct {
	check uint16            // more of its hash
	seen  [followers]uint16 // symbols, plus 1, the latest first; 0 where there is none
	times [followers]uint8  // in a row, or what is left of it
}

// Places in contextOrder.odds: of the symbol that came last, of others that a
// context remembers, of one that it does not.
const (
	oddsLatest = iota << 8
	oddsOther
	oddsAbsent
)

// The multipliers of the hash: of a symbol for each place in the context, and of
// the whole.
const (
	hashPlace = 0x9e3779b97f4a7c15
	hashWhole = 0xd6e8feb86659fd93
)

// reset forgets everything.
func (m *contexts) reset() {
	for i, length := range contextOrders {
		o := &m.orders[i]
		if o.table == nil {
			o.table = make([]follow, 1<<contextBits)
		}
		clear(o.table)
		o.hash, o.out = 0, 1
		for range length {
			o.out *= hashPlace
		}
		for k := range o.odds {
			o.odds[k] = even
		}
	}
	for i := range symbolClasses {
		m.mixers[i] = [2]mixer{newMixer(), newMixer()}
		m.refined[i] = newRefinement()
	}
	m.match.reset()
	m.defined = even
	for i := range m.numbers {
		m.numbers[i] = even
	}
	clear(m.asked[:])
	m.turn, m.past = 0, m.past[:0]
}

// code codes a symbol by its number: writes the one it is given, or reads one.
// learn must follow.
func (m *contexts) code(c *arithmetic, want int) int {
	for i := range m.orders {
		m.orders[i].find()
	}
	m.turn++
	tries := 0
	if s := m.match.predicts(m.past); s != 0 {
		m.asked[s] = m.turn
		if m.is(c, s, tries, int(s) == want+1) {
			return int(s) - 1
		}
		tries++
	}
	for rank := range followers {
		for i := len(m.orders) - 1; i >= 0; i-- {
			s := m.orders[i].here.seen[rank]
			if s == 0 || m.asked[s] == m.turn {
				continue
			}
			m.asked[s] = m.turn
			if m.is(c, s, tries, int(s) == want+1) {
				return int(s) - 1
			}
			tries = min(tries+1, 3)
		}
	}
	return m.unlikely(c, want)
}

// find finds the context at hand, or makes it.
func (o *contextOrder) find() {
	h := o.mixed()
	o.here = &o.table[h>>(64-contextBits)]
	if check := uint16(h >> 16); o.here.check != check {
		*o.here = follow{check: check}
	}
}

// mixed is the hash of the context at hand with all bits good.
func (o *contextOrder) mixed() uint64 { return (o.hash ^ o.hash>>32) * hashWhole }

// is codes whether the symbol s, plus 1, is the next, after so many that were not.
func (m *contexts) is(c *arithmetic, s uint16, tries int, want bool) bool {
	var from [numInputs - 1]*estimate
	var in inputs
	for i := range m.orders {
		if o := &m.orders[i]; o.here.seen[0] != 0 {
			from[i] = &o.odds[o.here.odds(s, tries)]
			in[i] = from[i].stretched()
		}
	}
	if predicted := m.match.predicts(m.past); predicted != 0 {
		from[len(contextOrders)] = m.match.estimate(s == predicted, tries)
		in[len(contextOrders)] = from[len(contextOrders)].stretched()
	}
	in[numInputs-1] = constantInput
	mix := &m.mixers[s%symbolClasses][min(tries, 1)]
	x := mix.dot(&in)
	fine := &m.refined[s%symbolClasses]
	p := (squash(x)<<4 + fine.at(x)) / 2
	y := c.bit(want, uint32(max(16, min(p, 1<<16-16))))
	fine.learn(x, y)
	mix.learn(&in, x, y)
	for _, e := range from {
		if e != nil {
			e.learn(y, oddsLimit)
		}
	}
	return y
}

// odds is the place of the estimate that s is next. Precondition: something
// followed.
func (f *follow) odds(s uint16, tries int) int {
	rank := 0
	for rank < followers && f.seen[rank] != s {
		rank++
	}
	first := int(f.times[0])
	switch rank {
	case 0:
		return oddsLatest + first<<2 + tries
	case followers:
		return oddsAbsent + min(first, 31)<<2 + tries
	}
	return oddsOther + min(rank, 3)<<6 + bits.Len(uint(first))<<3 + min(int(f.times[rank]), 7)
}

// unlikely codes a symbol that no context remembers: that it is unknown, or the
// bits of its number from the highest.
func (m *contexts) unlikely(c *arithmetic, want int) int {
	y := c.bit(want == unknown, m.defined.probability())
	if m.defined.learn(y, numberLimit); y {
		return unknown
	}
	n := 1
	for n < len(m.numbers) {
		e := &m.numbers[n]
		y := c.bit(want>>(13-(bits.Len(uint(n))-1))&1 != 0, e.probability())
		e.learn(y, numberLimit)
		n <<= 1
		if y {
			n++
		}
	}
	return n - len(m.numbers)
}

// learn notes the number of the symbol that code coded.
func (m *contexts) learn(n int) {
	s := uint16(n + 1)
	m.past = append(m.past, s)
	for i, length := range contextOrders {
		o := &m.orders[i]
		o.here.note(s)
		o.hash = o.hash*hashPlace + uint64(s)
		if gone := len(m.past) - 1 - length; gone >= 0 {
			o.hash -= uint64(m.past[gone]) * o.out
		}
	}
	m.match.learn(m.past, m.orders[matchOrder].mixed())
}

// note puts the symbol that followed first.
func (f *follow) note(s uint16) {
	if f.seen[0] == s {
		f.times[0] = min(f.times[0]+1, maxTimes)
		return
	}
	at := 1
	for at < followers-1 && f.seen[at] != s && f.seen[at] != 0 {
		at++
	}
	left := f.times[0] / 4
	copy(f.seen[1:at+1], f.seen[:at])
	copy(f.times[1:at+1], f.times[:at])
	f.seen[0], f.times[0], f.times[1] = s, 0, left
}

package trace

import (
	"errors"
	"math"
	"math/bits"
)

// specUnpack unpacks a column of tokens as doc.go has it, sentence by sentence and
// with no other thought: maps for tables, floating point for the knots. It returns the
// numbers of the symbols, unknown for a definition.
func specUnpack(column []byte, n int) ([]int, error) {
	s := &specReader{column: column, high: math.MaxUint32, slots: map[specSlotKey]*specSlot{},
		estimates: map[any]*specEstimate{}, weights: map[specSet][]int64{}, curves: map[uint16]*[33]int64{}, last: map[uint64]int{}}
	for range 4 {
		s.shift()
	}
	var out []int
	defined := 0
	for range n {
		number := s.symbol()
		out = append(out, number)
		if number == unknown {
			number = defined % 16320
			defined++
		}
		if s.at > len(column) || number >= 16320 {
			return nil, errors.New("damaged")
		}
		s.learn(uint16(number + 1))
	}
	if s.at != len(column) {
		return nil, errors.New("bytes left over")
	}
	return out, nil
}

type specReader struct {
	column    []byte
	at        int
	low, high uint32
	value     uint32

	block     []uint16 // symbols: numbers plus 1
	slots     map[specSlotKey]*specSlot
	estimates map[any]*specEstimate
	weights   map[specSet][]int64
	curves    map[uint16]*[33]int64
	last      map[uint64]int // top 16 bits of a hash: the place after it

	match, run int
	wrong      []bool
}

type (
	specSlotKey struct {
		length int
		number uint64
	}
	specSlot struct {
		check   uint64
		symbols []uint16
		counts  []int
	}
	specSet struct {
		class uint16
		later bool
	}
	specEstimate struct{ p, n int64 }
)

var specLengths = []int{1, 2, 4, 8, 16}

func (s *specReader) shift() {
	s.value <<= 8
	if s.at < len(s.column) {
		s.value |= uint32(s.column[s.at])
	}
	s.at++
}

// "The coder keeps low = 0 and high = 2^32-1 ..."
func (s *specReader) bit(p int64) bool {
	mid := s.low + uint32(uint64(s.high-s.low)*uint64(p)>>16)
	y := s.value <= mid
	if y {
		s.high = mid
	} else {
		s.low = mid + 1
	}
	for s.low>>24 == s.high>>24 {
		s.shift()
		s.low, s.high = s.low<<8, s.high<<8|255
	}
	return y
}

// "An estimate is a P, at first 2^21, and a count n ..."
func (s *specReader) estimate(key any) *specEstimate {
	e := s.estimates[key]
	if e == nil {
		e = &specEstimate{p: 1 << 21}
		s.estimates[key] = e
	}
	return e
}

func (e *specEstimate) learn(y bool, limit int64) {
	target := int64(0)
	if y {
		target = 1<<22 - 1
	}
	e.p += (target - e.p) * (1 << 17 / (2*e.n + 3)) >> 16
	e.n = min(e.n+1, limit)
}

func (s *specReader) plainBit(key any) bool {
	e := s.estimate(key)
	y := s.bit(max(e.p>>6, 1))
	e.learn(y, 30)
	return y
}

func specKnot(k int) int64 {
	z := -8 + float64(k)/2
	return max(1, min(4095, int64(math.Round(4096/(1+math.Exp(-z))))))
}

func specSq(x int64) int64 {
	k, w := int(x+2048)>>7, (x+2048)&127
	return (specKnot(k)*(128-w) + specKnot(k+1)*w + 64) >> 7
}

// "st(v) is the least x with sq(x) >= v, but at least -2047."
var specStretched = func() (st [4096]int64) {
	for v := range st {
		x := int64(-2047)
		for x < 2047 && specSq(x) < int64(v) {
			x++
		}
		st[v] = x
	}
	return st
}()

// "There are five contexts ...": the slot of one, emptied where the check is another.
func (s *specReader) slot(length int) *specSlot {
	h := s.hash(length)
	key := specSlotKey{length, h >> 48}
	check := h >> 16 & 0xffff
	slot := s.slots[key]
	if slot == nil || slot.check != check {
		slot = &specSlot{check: check}
		s.slots[key] = slot
	}
	return slot
}

func (s *specReader) hash(length int) uint64 {
	sum, power := uint64(0), uint64(1)
	for j := 0; j < length && j < len(s.block); j++ {
		sum += uint64(s.block[len(s.block)-1-j]) * power
		power *= 0x9E3779B97F4A7C15
	}
	return (sum ^ sum>>32) * 0xD6E8FEB86659FD93
}

// "To code a symbol ..."
func (s *specReader) symbol() int {
	var slots []*specSlot
	for _, length := range specLengths {
		slots = append(slots, s.slot(length))
	}
	var candidates []uint16
	if s.match > 0 {
		candidates = append(candidates, s.block[s.match])
	}
	for place := range 7 {
		for i := len(slots) - 1; i >= 0; i-- {
			if place < len(slots[i].symbols) {
				candidates = append(candidates, slots[i].symbols[place])
			}
		}
	}
	asked := map[uint16]bool{}
	for _, c := range candidates {
		if asked[c] {
			continue
		}
		if s.is(c, slots, min(len(asked), 3)) {
			return int(c) - 1
		}
		asked[c] = true
	}
	return s.unlikely()
}

// "After a 0 for all of them ..."
func (s *specReader) unlikely() int {
	if s.plainBit("definition") {
		return unknown
	}
	before := ""
	number := 0
	for range 14 {
		y := s.plainBit("number " + before)
		number <<= 1
		before += "0"
		if y {
			number |= 1
			before = before[:len(before)-1] + "1"
		}
	}
	return number
}

// "The bit comes from a mixer"
func (s *specReader) is(c uint16, slots []*specSlot, t int) bool {
	var inputs []int64
	var used []*specEstimate
	add := func(key any) {
		e := s.estimate(key)
		used = append(used, e)
		inputs = append(inputs, specStretched[e.p>>10])
	}
	for i, slot := range slots {
		if len(slot.symbols) == 0 {
			inputs = append(inputs, 0)
			continue
		}
		add([2]any{i, specWhere(slot, c, t)})
	}
	if s.match > 0 {
		e := 0
		for _, w := range s.wrong {
			if w {
				e++
			}
		}
		add([5]any{"match", s.block[s.match] == c, min(s.run, 31), e, t})
	} else {
		inputs = append(inputs, 0)
	}
	inputs = append(inputs, 77)
	y := s.mix(c, t, inputs)
	for _, e := range used {
		e.learn(y, 60)
	}
	return y
}

func specWhere(slot *specSlot, c uint16, t int) [4]any {
	f := slot.counts[0]
	for r, have := range slot.symbols {
		if have != c {
			continue
		}
		if r == 0 {
			return [4]any{"first", f, t}
		}
		return [4]any{"other", min(r, 3), bits.Len(uint(f)), min(slot.counts[r], 7)}
	}
	return [4]any{"absent", min(f, 31), t}
}

func (s *specReader) mix(c uint16, t int, inputs []int64) bool {
	set := specSet{c % 1024, t > 0}
	if s.weights[set] == nil {
		for range inputs {
			s.weights[set] = append(s.weights[set], 19660)
		}
	}
	weights, sum := s.weights[set], int64(0)
	for i, v := range inputs {
		sum += v * weights[i]
	}
	x := max(-2047, min(2047, sum>>16))
	curve := s.curves[c%1024]
	if curve == nil {
		curve = new([33]int64)
		for k := range curve {
			curve[k] = specKnot(k) * 16
		}
		s.curves[c%1024] = curve
	}
	k, w := (x+2048)>>7, (x+2048)&127
	p := (specSq(x)*16 + (curve[k]*(128-w)+curve[k+1]*w)>>7) / 2
	y := s.bit(max(16, min(65520, p)))
	v, d := int64(0), -specSq(x)
	if y {
		v, d = 65535, 4095-specSq(x)
	}
	curve[k] += (v - curve[k]) * (128 - w) >> 13
	curve[k+1] += (v - curve[k+1]) * w >> 13
	for i, in := range inputs {
		weights[i] += (in*d*20 + 1<<15) >> 16
	}
	return y
}

// "Last, the symbol goes to the front ...", and the match.
func (s *specReader) learn(symbol uint16) {
	for _, length := range specLengths {
		s.slot(length).front(symbol)
	}
	s.block = append(s.block, symbol)
	if s.match > 0 {
		wrong := s.block[s.match] != symbol
		if s.run++; wrong {
			s.run = 0
		}
		s.wrong = append(s.wrong, wrong)
		s.wrong = s.wrong[max(0, len(s.wrong)-8):]
		s.match++
	}
	h := s.hash(4) >> 48
	if second := s.last[h]; second > 0 && second != s.match && s.run < 16 {
		same := 0
		for same < 32 && same < second && s.block[second-1-same] == s.block[len(s.block)-1-same] {
			same++
		}
		if same > s.run {
			s.match, s.run, s.wrong = second, same, nil
		}
	}
	s.last[h] = len(s.block)
}

func (slot *specSlot) front(symbol uint16) {
	for r, have := range slot.symbols {
		switch {
		case have != symbol:
			continue
		case r == 0:
			slot.counts[0] = min(slot.counts[0]+1, 60)
			return
		}
		slot.symbols = append(slot.symbols[:r:r], slot.symbols[r+1:]...)
		slot.counts = append(slot.counts[:r:r], slot.counts[r+1:]...)
		break
	}
	if len(slot.symbols) == 7 {
		slot.symbols, slot.counts = slot.symbols[:6], slot.counts[:6]
	}
	if len(slot.counts) > 0 {
		slot.counts[0] /= 4
	}
	slot.symbols = append([]uint16{symbol}, slot.symbols...)
	slot.counts = append([]int{0}, slot.counts...)
}

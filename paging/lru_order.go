package paging

import "math/bits"

// lruOrder is the ways of a set in the order of their last use, the latest
// first: a way in every four bits from the lowest. Bits beyond the ways are 0.
type lruOrder uint64

// orderWays is the most ways an lruOrder has room for.
const orderWays = 16

// newLRUOrder is the order of that many ways, at most orderWays.
func newLRUOrder(ways int) lruOrder { return 0xfedcba9876543210 & (1<<(4*ways) - 1) }

// last is the way that was not used for longest.
func (o lruOrder) last(ways int) int { return int(o >> (4 * (ways - 1) & 63) & 15) }

// without is the order of the other ways, those after the way moved up.
func (o lruOrder) without(way int) lruOrder {
	const ones = 0x1111111111111111
	x := uint64(o) ^ uint64(way)*ones
	// the lowest four bits that are 0 are where the way stands
	at := bits.TrailingZeros64((x-ones)&^x&(ones<<3)) &^ 3 & 63
	return o>>4>>at<<at | o&(1<<at-1)
}

// first is the order once the way is used.
func (o lruOrder) first(way int) lruOrder { return o.without(way)<<4 | lruOrder(way) }

// turn is the order once the last way is used.
func (o lruOrder) turn(ways int) lruOrder {
	return o<<4&(1<<(4*ways)-1) | lruOrder(o.last(ways))
}

// moveLast is the order in which the way is the last.
func (o lruOrder) moveLast(way, ways int) lruOrder {
	return o.without(way) | lruOrder(way)<<(4*(ways-1)&63)
}

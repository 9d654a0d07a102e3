package trace

import "encoding/binary"

// Packed tokens: the column of tokens behind an arithmetic coder, with
// probabilities from contexts (contexts.go). doc.go specifies both.

// packer packs tokens and unpacks them. A block begins with reset.
type packer struct {
	model   contexts
	defined int // symbols defined in the block
}

// pack returns a packed column for so many tokens, in the bytes of the encoder.
func (p *packer) pack(tokens []byte) []byte {
	p.reset()
	c := &arithmetic{high: 1<<32 - 1}
	for len(tokens) > 0 {
		n, w := int(tokens[0]), 1
		switch {
		case n == tokenDefine:
			n = unknown
		case n >= numWide:
			n, w = numWide+(n-numWide)<<8+int(tokens[1]), 2
		}
		tokens = tokens[w:]
		p.model.code(c, n)
		p.model.learn(p.number(n))
	}
	return binary.BigEndian.AppendUint32(c.data, c.low)
}

// unpack appends n tokens to dst; false where column does not hold them, no less
// and no more.
func (p *packer) unpack(dst, column []byte, n int) ([]byte, bool) {
	p.reset()
	c := newArithmeticReader(column)
	for range n {
		s := p.model.code(c, 0)
		switch {
		case s >= numSymbols || c.short:
			return dst, false
		case s == unknown:
			dst = append(dst, tokenDefine)
		default:
			dst = appendToken(dst, s)
		}
		p.model.learn(p.number(s))
	}
	return dst, len(c.data) == 0
}

func (p *packer) reset() {
	p.model.reset()
	p.defined = 0
}

// number is the number of a symbol, which is the next one if it is unknown.
func (p *packer) number(n int) int {
	if n == unknown {
		n = p.defined % numSymbols
		p.defined++
	}
	return n
}

// arithmetic is a binary arithmetic coder in 32 bits without carry: of the numbers
// from low to high, those of a 1 come first.
type arithmetic struct {
	low, high uint32
	reading   bool
	value     uint32 // reading: the number
	short     bool   // reading: there were too few bytes
	data      []byte // what is written, or still to be read
}

func newArithmeticReader(data []byte) *arithmetic {
	c := &arithmetic{high: 1<<32 - 1, reading: true, data: data}
	for range 4 {
		c.shift()
	}
	return c
}

// bit writes the bit, or reads one whatever it is given, and returns it. It is 1 in
// p of 65,536 cases; p is at least 1.
func (c *arithmetic) bit(y bool, p uint32) bool {
	mid := c.low + uint32(uint64(c.high-c.low)*uint64(p)>>16)
	if c.reading {
		y = c.value <= mid
	}
	if y {
		c.high = mid
	} else {
		c.low = mid + 1
	}
	for (c.low^c.high)>>24 == 0 {
		if c.reading {
			c.shift()
		} else {
			c.data = append(c.data, byte(c.high>>24))
		}
		c.low <<= 8
		c.high = c.high<<8 | 255
	}
	return y
}

func (c *arithmetic) shift() {
	c.value <<= 8
	if len(c.data) == 0 {
		c.short = true
		return
	}
	c.value |= uint32(c.data[0])
	c.data = c.data[1:]
}

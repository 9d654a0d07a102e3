package trace

import "encoding/binary"

// decSymbol is an entry of the decoder's table.
type decSymbol struct {
	// The counts of an open symbol are 0, and Offset says which there are: bits 0, 1, 2
	// = reads, writes, fetches; vacant; 0 for any other symbol. It has no room of its
	// own: then two symbols are in a cache line.
	ref  Ref
	word uint64
}

// The decoder's table has a place for each byte that a token can begin with. Those
// of symbols of two bytes come after these, and where no symbol of one byte is,
// vacant is said: then one question tells whether a token is all there is to a
// reference.
const (
	narrowPlaces = 1 << 8
	vacant       = 1 << 7
)

// forget begins without symbols.
func (d *blockDecoder) forget() {
	if d.symbols == nil {
		d.symbols = make([]decSymbol, narrowPlaces)
	}
	for i := range narrowPlaces {
		d.symbols[i].ref.Offset = vacant
	}
	d.defined, d.vpn, d.ip = 0, 0, 0
}

// place is where the symbol of a number stands in the table.
func place(n int) int {
	if n < numWide {
		return n
	}
	return n + narrowPlaces - numWide
}

// decodeTokens decodes all but the offsets, and words if there is room for them,
// of which it adds up the accesses. It returns how many references are good and
// what is wrong with the one after them.
func (d *blockDecoder) decodeTokens(out []Ref, words []uint64) (int, string) {
	tokens, counts := d.cols[colTokens], d.cols[colCounts]
	at, sum := 0, Sum{}
	for i := 0; i < len(out); i++ {
		if at < len(tokens) && tokens[at] < numWide {
			n := d.decodePlain(out[i:], words[min(i, len(words)):], tokens[at:], &sum)
			if i, at = i+n, at+n; i == len(out) {
				break
			}
		}
		if at >= len(tokens) {
			return i, "token is missing"
		}
		n := int(tokens[at])
		at++
		switch {
		case n == tokenDefine:
			if n = d.define(&out[i]); n < 0 {
				return i, "definition of a symbol"
			}
		case n >= numWide:
			if at >= len(tokens) {
				return i, "token is missing"
			}
			n = numWide + (n-numWide)<<8 + int(tokens[at])
			at++
			fallthrough
		default:
			if n >= d.defined {
				return i, "symbol without definition"
			}
			out[i] = d.symbols[place(n)].ref
		}
		s := &d.symbols[place(n)]
		if has := s.ref.Offset; has != 0 {
			out[i].Offset = 0
			w := decodeCounts(&out[i], byte(has), counts)
			if w < 0 {
				return i, "counts"
			}
			counts = counts[w:]
		}
		if words != nil {
			words[i] = s.word
			sum.Add(&out[i])
		}
	}
	if words != nil {
		d.sums = append(d.sums, sum)
	}
	d.cols[colTokens], d.cols[colCounts] = tokens[at:], counts
	return len(out), ""
}

// decodePlain decodes references from the first on as long as their tokens are
// one byte and their symbols, which are those of one byte, have all counts: most
// are, and this loop is where the time goes. It returns how many there were.
func (d *blockDecoder) decodePlain(out []Ref, words []uint64, tokens []byte, sum *Sum) int {
	symbols := (*[narrowPlaces]decSymbol)(d.symbols)
	n := min(len(out), len(tokens))
	out, tokens = out[:n], tokens[:n]
	if d.word == nil {
		for i, t := range tokens {
			s := &symbols[t]
			if s.ref.Offset != 0 {
				return i
			}
			out[i] = s.ref
		}
		return n
	}
	words = words[:n]
	data, fetches := uint64(0), uint64(0) // in registers
	for i, t := range tokens {
		s := &symbols[t]
		if s.ref.Offset != 0 {
			n = i
			break
		}
		out[i], words[i] = s.ref, s.word
		data += uint64(s.ref.Reads) + uint64(s.ref.Writes)
		fetches += uint64(s.ref.Execs)
	}
	sum.Data, sum.Fetches = sum.Data+data, sum.Fetches+fetches
	return n
}

// define reads the next definition and returns its number, or -1 when it is
// damaged. out becomes the reference of the symbol. Both are written field by field
// and none is copied: a wide load of what was just stored in parts would wait until
// it has reached the cache.
func (d *blockDecoder) define(out *Ref) int {
	c := d.cols[colSymbols]
	if len(c) < 1 || c[0]&^metaMask != 0 || c[0]&3 == 0 {
		return -1
	}
	m := c[0]
	first := Access(m & 3)
	if m&(metaReads<<(first-1)) == 0 {
		return -1 // a first access that is not counted
	}
	delta, w := binary.Uvarint(d.cols[colPages])
	d.vpn += uint64(unzigzag(delta))
	if w <= 0 || d.vpn > maxVPN {
		return -1
	}
	out.VPN, out.First, out.Offset = d.vpn, first, 0
	out.Reads, out.Writes, out.Execs = 0, 0, 0
	has, open := m/metaReads&7, byte(0)
	if c = c[1:]; m&metaOpen != 0 {
		open = has
	} else if w := decodeCounts(out, has, c); w < 0 {
		return -1
	} else {
		c = c[w:]
	}
	d.cols[colSymbols], d.cols[colPages] = c, d.cols[colPages][w:]
	n := d.defined % numSymbols
	d.defined++
	at := place(n)
	if at == len(d.symbols) {
		d.symbols = append(d.symbols, decSymbol{})
	}
	s := &d.symbols[at]
	s.ref.VPN, s.ref.First, s.ref.Offset = d.vpn, first, uint16(open)
	s.ref.Reads, s.ref.Writes, s.ref.Execs = out.Reads, out.Writes, out.Execs
	if d.word != nil {
		s.word = d.wordOf(out, open)
	}
	return n
}

// wordOf is the word of a symbol's reference, with counts of 1 where they are not
// part of it.
func (d *blockDecoder) wordOf(r *Ref, open byte) uint64 {
	if open == 0 {
		return d.word(r)
	}
	one := Ref{VPN: r.VPN, First: r.First, Reads: uint32(open & 1), Writes: uint32(open >> 1 & 1), Execs: uint32(open >> 2 & 1)}
	return d.word(&one)
}

// decodeCounts reads the counts that are there and returns how many bytes they
// take, or -1 when one is damaged, zero or too large. has is not 0.
func decodeCounts(r *Ref, has byte, c []byte) int {
	if has&(has-1) == 0 && len(c) > 0 && c[0]-1 < 0x7f {
		// One of one byte. Which of the three follows no pattern: it is not branched on.
		n, is := uint32(c[0]), uint32(has)
		r.Reads, r.Writes, r.Execs = n*(is&1), n*(is>>1&1), n*(is>>2&1)
		return 1
	}
	at := 0
	if has&1 != 0 {
		r.Reads, at = decodeCount(c, at)
	}
	if has&2 != 0 {
		r.Writes, at = decodeCount(c, at)
	}
	if has&4 != 0 {
		r.Execs, at = decodeCount(c, at)
	}
	return at
}

// decodeCount reads the count at c[at:] and returns it with the place after it,
// -1 when it is damaged, zero or too large, or at was -1.
func decodeCount(c []byte, at int) (uint32, int) {
	if uint(at) < uint(len(c)) && c[at]-1 < 0x7f { // one byte: nearly all
		return uint32(c[at]), at + 1
	}
	return longCount(c, at)
}

func longCount(c []byte, at int) (uint32, int) {
	if at < 0 {
		return 0, -1
	}
	v, w := binary.Uvarint(c[at:])
	if w <= 0 || v == 0 || v > 1<<32-1 {
		return 0, -1
	}
	return uint32(v), at + w
}

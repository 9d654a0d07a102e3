package paging

import "math/bits"

// overlay holds entries of pages as a survey leaves them, by a key that is not 0: an
// open-addressed table, which keeps its memory from one survey to the next for as long
// as it is used.
type overlay struct {
	slots []overlaySlot
	n     int // in use
	shift int // 64 - log2 of the slots
}

type overlaySlot struct{ key, entry uint64 }

const overlayLeast = 1 << 9 // slots

// reset empties the table. One of which hardly anything was used shrinks.
func (o *overlay) reset() {
	if size := len(o.slots); size == 0 || o.n < size/16 && size > overlayLeast {
		o.resize(max(overlayLeast, size/2))
	} else {
		clear(o.slots)
	}
	o.n = 0
}

func (o *overlay) resize(size int) {
	o.slots = make([]overlaySlot, size)
	o.shift = 64 - bits.TrailingZeros(uint(size))
}

// at is the slot of a key, or where it would be: then its key is 0.
func (o *overlay) at(key uint64) *overlaySlot {
	i := key * 0x9e3779b97f4a7c15 >> o.shift
	for {
		s := &o.slots[i]
		if s.key == key || s.key == 0 {
			return s
		}
		i = (i + 1) & uint64(len(o.slots)-1)
	}
}

// put adds an entry that is not there yet.
func (o *overlay) put(key, entry uint64) *overlaySlot {
	if o.n++; 2*o.n > len(o.slots) {
		old := o.slots
		o.resize(2 * len(old))
		for _, s := range old {
			if s.key != 0 {
				*o.at(s.key) = s
			}
		}
	}
	s := o.at(key)
	*s = overlaySlot{key, entry}
	return s
}

package trace

import "math/bits"

// match follows an earlier stretch of the block that comes again and predicts its next
// symbol. It stays on it where single symbols differ, which a context takes long to
// get over: loops of a program differ in some of their references.
type match struct {
	at    int                        // place in past of the symbol it predicts; 0: none
	run   int                        // symbols that were right in a row
	wrong uint8                      // of the last eight, a bit for each that was wrong
	last  [1 << contextBits]uint32   // by hash of the last symbols: the place after them
	odds  [2 << 5 << 4 << 2]estimate // of the predicted, and of any other
}

const (
	matchOrder  = 2  // in contextOrders: how many symbols have to be the same to begin
	matchRun    = 16 // so many in a row are not given up
	matchLength = 32 // so far back a stretch is held against another
)

func (m *match) reset() {
	m.at, m.run, m.wrong = 0, 0, 0
	clear(m.last[:])
	for i := range m.odds {
		m.odds[i] = even
	}
}

// predicts is the predicted symbol, plus 1, or 0.
func (m *match) predicts(past []uint16) uint16 {
	if m.at == 0 {
		return 0
	}
	return past[m.at]
}

// estimate is that of the predicted symbol, or of another, after so many that were
// not the next.
func (m *match) estimate(predicted bool, tries int) *estimate {
	at := min(m.run, 31)<<4 | bits.OnesCount8(m.wrong)
	if predicted {
		at |= 1 << 9
	}
	return &m.odds[at<<2|tries]
}

// learn looks at the last of the past, and at where the same symbols as the latest, of
// which this is the hash, came before.
func (m *match) learn(past []uint16, hash uint64) {
	if m.at != 0 {
		m.wrong <<= 1
		if past[m.at] == past[len(past)-1] {
			m.run++
		} else {
			m.run = 0
			m.wrong |= 1
		}
		m.at++
	}
	last := &m.last[hash>>(64-contextBits)]
	if other := int(*last); other != 0 && other != m.at && m.run < matchRun {
		if n := common(past, past[:other]); n > m.run {
			m.at, m.run, m.wrong = other, n, 0
		}
	}
	*last = uint32(len(past))
}

// common is how many symbols at the end of both are the same, at most matchLength.
func common(a, b []uint16) int {
	n := 0
	for n < min(matchLength, len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

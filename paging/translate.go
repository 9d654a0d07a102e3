package paging

import (
	"math"
	"sync/atomic"
)

// translate performs references for as long as the hardware does without the kernel,
// and returns how many: each is a hit in the first level where the hint says, or one
// kind of access to data whose entry, which lookAhead found, permits it. walks says that
// the walker may set bits of entries.
// It is what Run does where there are many misses, and does not count lookups.
// Precondition: c.mu.
func (c *cpu) translate(refs []Ref, entries []*uint64, walks bool) int {
	b := c.tlb
	switch {
	case !b.refers():
		return b.hits(c.asid, refs, &c.pending)
	case b.fits:
		return translateWords(b, uint64(c.asid), refs, entries, walks, &c.pending)
	}
	return b.translateEach(uint64(c.asid), refs, entries, walks, &c.pending)
}

// translateEach is translate for a TLB that refers, one reference after the other.
func (t *tlb) translateEach(asid uint64, refs []Ref, entries []*uint64, walks bool, stop *atomic.Bool) int {
	words := t.words
	stamps := t.stamps[:len(words)]
	entries = entries[:len(refs)]
	for i, r := range refs {
		w := uint64(r)
		key := w&^(1<<wordVPNAt-1) | asid
		at := t.hints[w>>wordVPNAt%tlbHints|w&refFetch*(tlbHints/refFetch)]
		if stop.Load() {
			return i
		}
		if int(at) < len(words) && words[at]&(w|^uint64(wordFlags)) == w&wordFlags|key {
			t.clock++
			stamps[at] = t.clock
			continue
		}
		if entries[i] == nil || r&refOne == 0 {
			return i
		}
		// Whether a read or a write comes next follows no pattern: it is not branched on.
		pte, need := atomic.LoadUint64(entries[i]), w&wordFlags
		sets := (pteA | need>>wordFlagsAt&pteD) &^ pte // what a walk does
		e := entryTLB(pte | sets)
		if pte&(pteP|pteHuge) != pteP || need&^(uint64(e.flags)<<wordFlagsAt) != 0 {
			return i
		}
		if sets != 0 && !t.has(key) && !(walks && atomic.CompareAndSwapUint64(entries[i], pte, pte|sets)) {
			return i
		}
		if !t.refer(key, need, e.pfn, e.flags) {
			return i
		}
	}
	return len(refs)
}

// refers says that refer may be called: there are no large pages, and the order of a
// set of each level is where it looks for it.
func (t *tlb) refers() bool {
	return !t.anyLarge && t.l1[0].ways <= 1<<wayBits && t.l2.orders != nil
}

// has says that a page is in a level where data is looked for.
func (t *tlb) has(key uint64) bool {
	if t.fits {
		return holdsWords(t, key)
	}
	return t.l1[0].find(key) >= 0 || t.l2.find(key) >= 0
}

// refer looks a page up for data, without counting it, and puts its translation
// where it is missing. It returns false and has done nothing where the hint was wrong,
// or what is there lacks one of the flags in need, of a word.
func (t *tlb) refer(key, need uint64, pfn uint32, f tlbFlags) bool {
	vpn := key >> wordVPNAt
	l1, l2 := &t.l1[0], &t.l2
	s1, s2 := l1.set(vpn), l2.set(vpn)
	b1, b2 := int(s1)*l1.ways, int(s2)*l2.ways
	stamps := l1.stamps[b1:][:l1.ways]
	lowest := uint64(math.MaxUint64)
	for i, w := range l1.words[b1:][:len(stamps)] {
		if w&^wordFlags == key {
			return false
		}
		lowest = min(lowest, stamps[i]<<wayBits|uint64(i))
	}
	way, order, word := l2.way(b2, key), &l2.orders[s2], mkWord(key, f)
	if way >= 0 {
		if word = l2.words[b2+way]; word&need != need {
			return false
		}
		pfn = l2.pfns[b2+way]
		*order = order.first(way)
	} else {
		t.clock++
		t.stats.misses[0]++
		way = order.last(l2.ways)
		*order = order.turn(l2.ways)
		l2.words[b2+way], l2.pfns[b2+way] = word, pfn
		if t.fetched {
			if i := t.l1[1].find(key); i >= 0 {
				t.l1[1].put(i, key, tlbEntry{pfn, f})
			}
		}
	}
	t.clock++
	t.stats.l1Misses[0]++
	i := b1 + int(lowest&(1<<wayBits-1))
	l1.words[i], l1.pfns[i], l1.stamps[i] = word, pfn, t.clock
	t.hints[vpn%tlbHints] = uint32(i)
	return true
}

// way is the way of the set that begins at base in which an entry is, or -1.
func (l *tlbLevel) way(base int, key uint64) int {
	for i, w := range l.words[base:][:l.ways] {
		if w&^wordFlags == key {
			return i
		}
	}
	return -1
}

package paging

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// lruPolicy is least recently used, exactly: every reference counts.
//
// A use is one store, of the time. Pages stand in the order of their last uses only
// now and then: they are sorted when none of those sorted before is left. A page that
// was used since then is passed over, and so is later than all that were not. So there
// is nothing to be moved at a use, which most references are, and a page that leaves
// has been sorted two or three times.
type lruPolicy struct {
	rows   *pageRows
	times  []uint32 // by page: of its last use; 0 = not in the order
	now    uint32
	n      int      // pages in the order
	sorted uint32   // when the pages were sorted last
	old    []uint32 // pages in the order of their times then; some are gone, or have been used since
	next   int      // in old
	young  []uint32 // pages that came, or were passed over, since; some are gone, or twice there
	keys   [2][]uint64
}

func newLRU(g *memory) policy { return &lruPolicy{rows: &g.pages} }

// tick is the time of a use.
func (l *lruPolicy) tick() uint32 {
	if l.now == math.MaxUint32 {
		l.renumber()
	}
	l.now++
	return l.now
}

func (l *lruPolicy) insert(p uint32) {
	now := l.tick() // first: what has no time yet would be taken for gone
	if t := at(&l.times, p); *t == 0 {
		if len(l.young) == cap(l.young) && len(l.young) > 2*l.n+leastSlots {
			l.young = l.sort(l.young, l.young)
		}
		l.young = append(l.young, p)
		l.n++
	}
	l.times[p] = now
}

func (l *lruPolicy) hit(p uint32) {
	if int(p) < len(l.times) && l.times[p] != 0 {
		l.times[p] = l.tick()
	}
}

func (l *lruPolicy) hits(pages []uint32) {
	if l.now > math.MaxUint32-mostUses {
		l.renumber()
	}
	times, now := l.times, l.now
	for _, p := range pages {
		now++
		if int(p) < len(times) && times[p] != 0 {
			times[p] = now
		}
	}
	l.now = now
}

func (l *lruPolicy) expect(p uint32) {
	if int(p) < len(l.times) {
		prefetchLine(unsafe.Pointer(&l.times[p]))
	}
}

func (l *lruPolicy) left(uint32) {}

func (l *lruPolicy) forget(p uint32) {
	if int(p) < len(l.times) && l.times[p] != 0 {
		l.times[p] = 0
		l.n--
	}
}

func (l *lruPolicy) victim(uint32) uint32 {
	for l.n > 0 {
		if l.next == len(l.old) {
			l.old, l.next = l.sort(l.old, l.young), 0
			l.young, l.sorted = l.young[:0], l.now
		}
		if l.n >= expectLonger {
			l.expectLast()
		}
		p := l.old[l.next]
		l.next++
		switch t := l.times[p]; {
		case t > l.sorted:
			l.young = append(l.young, p)
		case t != 0:
			l.forget(p)
			return p
		}
	}
	return 0
}

// expectLast has the processor begin to load what will be asked of the pages that leave
// soon, one more of each kind at a time: see pageLists.expect.
func (l *lruPolicy) expectLast() {
	old := l.old[l.next:]
	if len(old) <= 3*expectLead {
		return
	}
	near, far := old[expectLead], old[2*expectLead]
	if l.times[near] > l.sorted { // used since: it stays
		near = 0
	}
	if l.times[far] > l.sorted {
		far = 0
	}
	expectPages(l.rows, near, far)
	l.expect(old[3*expectLead])
}

// renumber begins times anew, in the same order.
func (l *lruPolicy) renumber() {
	l.sorted = 0
	l.young = append(l.young, l.old[l.next:]...)
	l.old = l.sort(l.old, l.young)
	for i, p := range l.old {
		l.times[p] = uint32(i + 1)
	}
	l.now = uint32(len(l.old))
	l.sorted, l.young, l.next = l.now, l.young[:0], 0
}

// sort returns pages, without those that are gone, in the order of their times, each
// once, in dst, which may be pages. Precondition: none was used last before l.sorted.
func (l *lruPolicy) sort(dst, pages []uint32) []uint32 {
	keys := slices.Grow(l.keys[0][:0], len(pages))
	for _, p := range pages {
		if t := l.times[p]; t != 0 {
			keys = append(keys, uint64(t-l.sorted)<<32|uint64(p))
		}
	}
	l.keys[0] = keys
	keys = l.radix(keys, bits.Len32(l.now-l.sorted))
	dst, last := dst[:0], uint64(0)
	for _, k := range keys {
		if k != last {
			dst, last = append(dst, uint32(k)), k
		}
	}
	return dst
}

// radixBits of a key are sorted by at a time.
const radixBits = 11

// radix returns keys sorted by the lowest n bits of their upper halves.
func (l *lruPolicy) radix(keys []uint64, n int) []uint64 {
	if len(keys) < 1<<radixBits {
		slices.Sort(keys)
		return keys
	}
	l.keys[1] = slices.Grow(l.keys[1][:0], len(keys))[:len(keys)]
	from, to := keys, l.keys[1]
	for shift := 32; shift < 32+n; shift += radixBits {
		var places [1 << radixBits]uint32
		for _, k := range from {
			places[k>>shift%(1<<radixBits)]++
		}
		sum := uint32(0)
		for i, n := range places {
			places[i], sum = sum, sum+n
		}
		for _, k := range from {
			b := &places[k>>shift%(1<<radixBits)]
			to[*b] = k
			*b++
		}
		from, to = to, from
	}
	return from
}

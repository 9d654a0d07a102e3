package paging

import (
	"math/bits"
	"unsafe"
)

// pageLists are the lists of one policy. A page is on one of them at most, and moves
// from one to another without allocation. Lists are numbered from 1.
//
// A list is a row of slots in which pages stand in the order in which they came to its
// front, and a bit for each slot, which says that the page is still there. So a page
// moves without a look at those that stood beside it, which would each be a wait for
// memory, and which pages will be at the end soon is known before they are asked for.
// When the slots are used up those that are left move together.
type pageLists struct {
	rows  *pageRows // where a page has its list and slot, with what else is known of it
	lists []pageList
}

type pageList struct {
	slots []uint32 // pages
	bits  []uint64 // of the slots: the page is there
	first uint32   // no page is in a slot below
	next  uint32   // slot of the next page
	n     int

	near, far uint32 // see expect
}

const (
	leastSlots   = 1 << 10
	manySlots    = 1 << 16 // more than so many are given up with the last page
	expectPages  = 16      // how many pages are looked at ahead at a time
	expectLonger = 1 << 12 // than so many pages: of fewer all is in the caches of the processor
)

func newPageLists(n int, rows *pageRows) pageLists {
	return pageLists{rows: rows, lists: make([]pageList, n+1)}
}

// of is the list a page is on, 0 = none.
func (l *pageLists) of(p uint32) int { return int(l.rows.at(p).on) }

// len is how many pages are on a list.
func (l *pageLists) len(list int) int { return l.lists[list].n }

// mark is the number that a policy keeps for a page.
func (l *pageLists) mark(p uint32) *uint8 { return &l.rows.at(p).mark }

// put moves a page to the front of a list, from wherever it is.
func (l *pageLists) put(list int, p uint32) {
	i := l.rows.at(p)
	to := &l.lists[list]
	if int(i.on) == list && i.slot+1 == to.next {
		return
	}
	l.unlink(i)
	if int(to.next) == len(to.slots) {
		l.compact(to, 0)
	}
	to.set(to.next, p, i)
	to.next++
	i.on = uint8(list)
}

// putLast moves a page to the end of a list, from wherever it is.
func (l *pageLists) putLast(list int, p uint32) {
	i := l.rows.at(p)
	l.unlink(i)
	to := &l.lists[list]
	if to.n == 0 {
		l.put(list, p)
		return
	}
	if to.settle(); to.first == 0 {
		l.compact(to, uint32(to.n)+leastSlots)
	}
	to.first--
	to.set(to.first, p, i)
	to.near, to.far = to.first, to.first
	i.on = uint8(list)
}

// drop takes a page off its list, if it is on one.
func (l *pageLists) drop(p uint32) { l.unlink(l.rows.at(p)) }

func (l *pageLists) unlink(i *pageInfo) {
	if i.on == 0 {
		return
	}
	from := &l.lists[i.on]
	from.bits[i.slot/64] &^= 1 << (i.slot % 64)
	i.on = 0
	if from.n--; from.n == 0 && len(from.slots) > manySlots {
		*from = pageList{} // a generation that has gone
	}
}

// last is the page at the end of a list, 0 when it is empty.
func (l *pageLists) last(list int) uint32 {
	e := &l.lists[list]
	if e.n == 0 {
		return 0
	}
	e.settle()
	if e.first >= e.near && e.n >= expectLonger {
		l.expect(e)
	}
	return e.slots[e.first]
}

// newer is the page before one on its list, 0 for none.
func (l *pageLists) newer(p uint32) uint32 {
	i := l.rows.at(p)
	e := &l.lists[i.on]
	if slot := e.from(i.slot + 1); slot < e.next {
		return e.slots[slot]
	}
	return 0
}

// walk calls f for the pages of a list from the newest on. f may put the page on another
// list, and no other page on this one.
func (l *pageLists) walk(list int, f func(p uint32)) {
	e := &l.lists[list]
	for w := int(e.next+63)/64 - 1; w >= int(e.first)/64; w-- {
		if e.n >= expectLonger {
			l.expectWord(e, w-2, expectRow)
			l.expectWord(e, w-1, expectPlaces)
		}
		for word := e.bits[w]; word != 0; {
			at := 63 - bits.LeadingZeros64(word)
			word &^= 1 << at
			f(e.slots[w*64+at])
		}
	}
}

// expectWord has what will be asked of the pages in 64 slots loaded, if there are such
// slots.
func (l *pageLists) expectWord(e *pageList, w int, of func(*pageRows, uint32)) {
	if w < 0 {
		return
	}
	for bit := e.bits[w]; bit != 0; bit &= bit - 1 {
		of(l.rows, e.slots[w*64+bits.TrailingZeros64(bit)])
	}
}

// expect has the processor begin to load what will be asked of the pages that will be
// at the end of a list soon: the rows of some, and what the rows of those before them,
// which have come meanwhile, lead to.
func (l *pageLists) expect(e *pageList) {
	slot := e.from(max(e.near, e.first))
	for ; slot < e.far; slot = e.from(slot + 1) {
		expectPlaces(l.rows, e.slots[slot])
	}
	for k := 0; k < expectPages && slot < e.next; k++ {
		expectRow(l.rows, e.slots[slot])
		slot = e.from(slot + 1)
	}
	e.near, e.far = max(e.far, e.first+1), slot
}

// expectRow has the processor begin to load what is known of a page.
func expectRow(rows *pageRows, p uint32) { prefetchLine(unsafe.Pointer(rows.at(p))) }

// expectPlaces does so for what that leads to: the entry and the frame.
func expectPlaces(rows *pageRows, p uint32) {
	if at := rows.at(p).at; at.space != nil {
		if tab := at.space.dirs.of(at.space, at.vpn); tab != nil {
			prefetchLine(unsafe.Pointer(tab.entry(at.vpn)))
		}
		prefetchLine(unsafe.Pointer(at.space.machine.frames.at(p)))
	}
}

// compact moves the pages of a list together, to the slots from base on, where there
// is room for more. Precondition: base is 0, or the slots are made anew.
func (l *pageLists) compact(e *pageList, base uint32) {
	old := *e
	if n := len(e.slots); base > 0 || 2*n <= 3*e.n || n > max(4*e.n, 2*leastSlots) {
		words := max(2*e.n+int(base), leastSlots)/64 + 1
		e.slots, e.bits = make([]uint32, words*64), make([]uint64, words)
	}
	*e = pageList{slots: e.slots, bits: e.bits, first: base, next: base}
	for w := range old.bits {
		word := old.bits[w]
		old.bits[w] = 0
		if old.n >= expectLonger && w+1 < len(old.bits) {
			l.expectWord(&old, w+1, expectRow)
		}
		for ; word != 0; word &= word - 1 {
			p := old.slots[w*64+bits.TrailingZeros64(word)]
			e.set(e.next, p, l.rows.at(p))
			e.next++
		}
	}
}

// set puts a page into a slot.
func (e *pageList) set(slot, p uint32, i *pageInfo) {
	e.slots[slot], i.slot = p, slot
	e.bits[slot/64] |= 1 << (slot % 64)
	e.n++
}

// settle makes first the slot of the last page. Precondition: there is one.
func (e *pageList) settle() { e.first = e.from(e.first) }

// from is the first slot from one on that has a page; next if there is none.
func (e *pageList) from(slot uint32) uint32 {
	if slot >= e.next {
		return e.next
	}
	w := slot / 64
	word := e.bits[w] >> (slot % 64) << (slot % 64)
	for word == 0 {
		if w++; w*64 >= e.next {
			return e.next
		}
		word = e.bits[w]
	}
	return w*64 + uint32(bits.TrailingZeros64(word))
}

// at is the element of a page in an array by page number, which grows as far.
func at[T any](s *[]T, p uint32) *T {
	if n := int(p) + 1 - len(*s); n > 0 {
		*s = append(*s, make([]T, max(n, 1024, len(*s)/4))...)
	}
	return &(*s)[p]
}

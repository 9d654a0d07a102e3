package paging

import "math/bits"

// pageLists are the lists of one policy. A page is on one of them at most, and moves
// from one to another without allocation. Lists are numbered from 1.
//
// A list is a ring of slots in which pages stand in the order in which they came to its
// front, and a bit for each slot, which says that the page is still there. So a page
// moves without a look at those that stood beside it, which would each be a wait for
// memory, and which pages will be at the end soon is known before they are asked for.
// When the slots are used up those that are left move together.
type pageLists struct {
	rows  *pageRows // where a page has its list and slot, with what else is known of it
	lists []pageList
}

// pageList is one list. Slots have running numbers, by the last bits of which they are
// found. The pages never reach into the word of bits in which they began, so that a word
// is of slots one after the other.
type pageList struct {
	slots []uint32 // pages; a power of two of them, or none
	bits  []uint64 // of the slots: the page is there
	first uint64   // no page is in a slot below
	next  uint64   // slot of the next page
	n     int
	seen  uint64 // before this slot last has asked for what pages lead to
}

const (
	leastSlots   = 1 << 10
	manySlots    = 1 << 16 // more than so many are given up with the last page
	firstSlot    = 1 << 40 // of a new list: there is room on both sides
	expectLead   = 16      // how many slots before its turn a page is looked at ahead, at least
	expectMore   = 3       // how many more than one are asked for at a time: so few keep nobody waiting
	expectLonger = 1 << 12 // than so many pages: of fewer all is in the caches of the processor
)

func newPageLists(n int, rows *pageRows) pageLists {
	return pageLists{rows: rows, lists: make([]pageList, n+1)}
}

// of is the list a page is on, 0 = none.
func (l *pageLists) of(p uint32) int { return int(l.rows.known(p).on) }

// len is how many pages are on a list.
func (l *pageLists) len(list int) int { return l.lists[list].n }

// mark is the number that a policy keeps for a page.
func (l *pageLists) mark(p uint32) *uint8 { return &l.rows.known(p).mark }

// put moves a page to the front of a list, from wherever it is.
func (l *pageLists) put(list int, p uint32) { l.move(list, p, l.rows.known(p)) }

// move is put for a page of which the row is at hand.
func (l *pageLists) move(list int, p uint32, i *pageInfo) {
	to := &l.lists[list]
	if int(i.on) == list && i.slot == to.at(to.next-1) {
		return
	}
	l.unlink(i)
	if to.full(to.first) {
		l.compact(to)
	}
	to.set(to.next, p, i)
	to.next++
	i.on = uint8(list)
}

// turn is move for the page that last has found on the same list.
func (l *pageLists) turn(list int, p uint32, i *pageInfo) {
	e := &l.lists[list]
	if e.full(e.first) {
		l.compact(e)
	}
	*e.word(e.first / 64) &^= 1 << (e.first % 64)
	e.first++
	e.n--
	e.set(e.next, p, i)
	e.next++
}

// putLast moves a page to the end of a list, from wherever it is.
func (l *pageLists) putLast(list int, p uint32) {
	i := l.rows.known(p)
	l.unlink(i)
	to := &l.lists[list]
	if to.full(to.first - 1) {
		l.compact(to)
	}
	to.first--
	to.set(to.first, p, i)
	i.on = uint8(list)
}

// drop takes a page off its list, if it is on one.
func (l *pageLists) drop(p uint32) { l.unlink(l.rows.known(p)) }

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
	if *e.word(e.first / 64)>>(e.first%64)&1 == 0 {
		e.first = e.from(e.first + 1)
	}
	if e.seen < e.first+expectLead && e.n >= expectLonger {
		from := max(e.seen, e.first)
		e.seen = e.first + expectLead + expectMore
		l.expect(e, from, e.seen)
	}
	return *e.page(e.first)
}

// newer is the page before one on its list, 0 for none.
func (l *pageLists) newer(p uint32) uint32 {
	i := l.rows.known(p)
	e := &l.lists[i.on]
	slot := e.first + uint64(i.slot-e.at(e.first))&uint64(len(e.slots)-1)
	if slot = e.from(slot + 1); slot >= e.next {
		return 0
	}
	if e.n >= expectLonger {
		l.expect(e, slot+expectLead, slot+expectLead+1) // the next one is asked for after this
	}
	return *e.page(slot)
}

// walk calls f for the pages of a list from the newest on. f may put the page on another
// list, and no other page on this one.
func (l *pageLists) walk(list int, f func(p uint32)) {
	e := &l.lists[list]
	for w := (e.next + 63) / 64; w > e.first/64; w-- {
		for word := *e.word(w - 1); word != 0; {
			at := 63 - bits.LeadingZeros64(word)
			word &^= 1 << at
			slot := (w-1)*64 + uint64(at)
			if e.n >= expectLonger && slot >= e.first+2*expectLead {
				expectPages(l.rows, *e.page(slot - expectLead), *e.page(slot - 2*expectLead))
			}
			f(*e.page(slot))
		}
	}
}

// expect has the processor begin to load what will be asked of the pages in slots [from,
// to), whose turn comes soon, and, so that it is known then what that is, the rows of later
// ones. It is done for few at a time, since of many lines at once most would wait for the
// others, and for pages that have left their slots too, which are few.
func (l *pageLists) expect(e *pageList, from, to uint64) {
	for slot, slots := from, e.slots; slot < to; slot++ {
		expectPages(l.rows, slots[slot&uint64(len(slots)-1)], slots[(slot+expectLead)&uint64(len(slots)-1)])
	}
}

// compact moves the pages of a list together, where there is room for as many again as
// half of them.
func (l *pageLists) compact(e *pageList) {
	old := *e
	*e = pageList{slots: old.slots, bits: old.bits, first: old.first &^ 63, next: old.first &^ 63}
	if n := len(old.slots); 2*n <= 3*old.n || n > max(4*old.n, 2*leastSlots) {
		n = 1 << bits.Len(uint(max(2*old.n, leastSlots)-1))
		*e = pageList{slots: make([]uint32, n), bits: make([]uint64, n/64), first: firstSlot, next: firstSlot}
	}
	for w := old.first / 64; w*64 < old.next; w++ {
		word := *old.word(w)
		*old.word(w) = 0
		for ; word != 0; word &= word - 1 {
			slot := w*64 + uint64(bits.TrailingZeros64(word))
			if old.n >= expectLonger {
				expectPages(l.rows, 0, *old.page(slot + 2*expectLead))
			}
			p := *old.page(slot)
			e.set(e.next, p, l.rows.known(p))
			e.next++
		}
	}
}

// full says that there is no room for another page where the pages begin at slot first.
func (e *pageList) full(first uint64) bool { return e.next-first&^63 >= uint64(len(e.slots)) }

// at is where a slot is, page what is in it, and word a word of bits.
func (e *pageList) at(slot uint64) uint32    { return uint32(slot) & uint32(len(e.slots)-1) }
func (e *pageList) page(slot uint64) *uint32 { return &e.slots[e.at(slot)] }
func (e *pageList) word(w uint64) *uint64    { return &e.bits[w&uint64(len(e.bits)-1)] }

// set puts a page into a slot.
func (e *pageList) set(slot uint64, p uint32, i *pageInfo) {
	*e.page(slot) = p
	*e.word(slot / 64) |= 1 << (slot % 64)
	i.slot = e.at(slot)
	e.n++
}

// from is the first slot from one on that has a page; next if there is none.
func (e *pageList) from(slot uint64) uint64 {
	if slot >= e.next {
		return e.next
	}
	w := slot / 64
	word := *e.word(w) >> (slot % 64) << (slot % 64)
	for word == 0 {
		if w++; w*64 >= e.next {
			return e.next
		}
		word = *e.word(w)
	}
	return w*64 + uint64(bits.TrailingZeros64(word))
}

// at is the element of a page in an array by page number, which grows as far.
func at[T any](s *[]T, p uint32) *T {
	if n := int(p) + 1 - len(*s); n > 0 {
		*s = append(*s, make([]T, max(n, 1024, len(*s)/4))...)
	}
	return &(*s)[p]
}

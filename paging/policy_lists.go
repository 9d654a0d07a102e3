package paging

// pageLists are the doubly linked lists of one policy. A page is on one of them
// at most, and moves from one to another without allocation. Lists are numbered
// from 1; they share arrays by page number, in which 0 is the end.
type pageLists struct {
	links []pageLink
	ends  []listEnds
}

// pageLink is the place of a page: what a move changes of it is in one cache line.
type pageLink struct {
	next, prev uint32
	on         uint32 // list of the page, 0 = none
}

type listEnds struct {
	head, tail uint32
	n          int
}

func newPageLists(n int) pageLists { return pageLists{ends: make([]listEnds, n+1)} }

// of is the list a page is on, 0 = none.
func (l *pageLists) of(p uint32) int {
	if int(p) >= len(l.links) {
		return 0
	}
	return int(l.links[p].on)
}

// len is how many pages are on a list.
func (l *pageLists) len(list int) int { return l.ends[list].n }

// last is the page at the end of a list, 0 when it is empty.
func (l *pageLists) last(list int) uint32 { return l.ends[list].tail }

// put moves a page to the front of a list, from wherever it is.
func (l *pageLists) put(list int, p uint32) {
	if int(p) >= len(l.links) {
		at(&l.links, p)
	}
	e := &l.ends[list]
	if e.head == p {
		return
	}
	l.drop(p)
	l.links[p] = pageLink{next: e.head, on: uint32(list)}
	if e.head != 0 {
		l.links[e.head].prev = p
	} else {
		e.tail = p
	}
	e.head = p
	e.n++
}

// putLast moves a page to the end of a list, from wherever it is.
func (l *pageLists) putLast(list int, p uint32) {
	l.drop(p)
	e := &l.ends[list]
	if e.tail == 0 {
		l.put(list, p)
		return
	}
	l.links[e.tail].next = p
	l.links[p] = pageLink{prev: e.tail, on: uint32(list)}
	e.tail = p
	e.n++
}

// drop takes a page off its list, if it is on one.
func (l *pageLists) drop(p uint32) {
	if l.of(p) == 0 {
		return
	}
	at := &l.links[p]
	e := &l.ends[at.on]
	if at.prev != 0 {
		l.links[at.prev].next = at.next
	} else {
		e.head = at.next
	}
	if at.next != 0 {
		l.links[at.next].prev = at.prev
	} else {
		e.tail = at.prev
	}
	at.on = 0
	e.n--
}

// marks is one small number for every page.
type marks []uint8

func (m *marks) at(p uint32) *uint8 { return at((*[]uint8)(m), p) }

// at is the element of a page in an array by page number, which grows as far.
func at[T any](s *[]T, p uint32) *T {
	if n := int(p) + 1 - len(*s); n > 0 {
		*s = append(*s, make([]T, max(n, 1024, len(*s)/4))...)
	}
	return &(*s)[p]
}

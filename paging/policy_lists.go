package paging

// pageLists are the doubly linked lists of one policy. A page is on one of them
// at most, and moves from one to another without allocation. Lists are numbered
// from 1; they share arrays by page number, in which 0 is the end.
type pageLists struct {
	next, prev []uint32
	on         []uint8 // list of the page, 0 = none
	ends       []listEnds
}

type listEnds struct {
	head, tail uint32
	n          int
}

func newPageLists(n int) pageLists { return pageLists{ends: make([]listEnds, n+1)} }

// of is the list a page is on, 0 = none.
func (l *pageLists) of(p uint32) int {
	if int(p) >= len(l.on) {
		return 0
	}
	return int(l.on[p])
}

// len is how many pages are on a list.
func (l *pageLists) len(list int) int { return l.ends[list].n }

// last is the page at the end of a list, 0 when it is empty.
func (l *pageLists) last(list int) uint32 { return l.ends[list].tail }

// put moves a page to the front of a list, from wherever it is.
func (l *pageLists) put(list int, p uint32) {
	if int(p) >= len(l.on) {
		l.grow(int(p) + 1)
	}
	e := &l.ends[list]
	if e.head == p {
		return
	}
	l.drop(p)
	l.next[p], l.prev[p], l.on[p] = e.head, 0, uint8(list)
	if e.head != 0 {
		l.prev[e.head] = p
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
	l.next[e.tail], l.prev[p], l.next[p], l.on[p] = p, e.tail, 0, uint8(list)
	e.tail = p
	e.n++
}

// drop takes a page off its list, if it is on one.
func (l *pageLists) drop(p uint32) {
	if l.of(p) == 0 {
		return
	}
	e := &l.ends[l.on[p]]
	next, prev := l.next[p], l.prev[p]
	if prev != 0 {
		l.next[prev] = next
	} else {
		e.head = next
	}
	if next != 0 {
		l.prev[next] = prev
	} else {
		e.tail = prev
	}
	l.on[p] = 0
	e.n--
}

func (l *pageLists) grow(n int) {
	more := max(n-len(l.on), 1024, len(l.on)/4)
	l.next = append(l.next, make([]uint32, more)...)
	l.prev = append(l.prev, make([]uint32, more)...)
	l.on = append(l.on, make([]uint8, more)...)
}

// marks is one small number for every page.
type marks []uint8

func (m *marks) at(p uint32) *uint8 {
	if n := int(p) + 1 - len(*m); n > 0 {
		*m = append(*m, make([]uint8, max(n, 1024, len(*m)/4))...)
	}
	return &(*m)[p]
}

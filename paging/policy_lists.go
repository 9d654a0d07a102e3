package paging

// pageLists are the doubly linked lists of one policy. A page is on one of them
// at most, and moves from one to another without allocation. Lists are numbered
// from 1; page 0 is the end.
type pageLists struct {
	rows *pageRows // where the links of a page are, with what else is known of it
	ends []listEnds
}

type listEnds struct {
	head, tail uint32
	n          int
}

func newPageLists(n int, rows *pageRows) pageLists {
	return pageLists{rows: rows, ends: make([]listEnds, n+1)}
}

// of is the list a page is on, 0 = none.
func (l *pageLists) of(p uint32) int { return int(l.rows.at(p).on) }

// len is how many pages are on a list.
func (l *pageLists) len(list int) int { return l.ends[list].n }

// last is the page at the end of a list, 0 when it is empty.
func (l *pageLists) last(list int) uint32 { return l.ends[list].tail }

// mark is the number that a policy keeps for a page.
func (l *pageLists) mark(p uint32) *uint8 { return &l.rows.at(p).mark }

// put moves a page to the front of a list, from wherever it is.
func (l *pageLists) put(list int, p uint32) {
	e := &l.ends[list]
	if e.head == p {
		return
	}
	i := l.rows.at(p)
	l.unlink(i)
	i.next, i.prev, i.on = e.head, 0, uint8(list)
	if e.head != 0 {
		l.rows.at(e.head).prev = p
	} else {
		e.tail = p
	}
	e.head = p
	e.n++
}

// putLast moves a page to the end of a list, from wherever it is.
func (l *pageLists) putLast(list int, p uint32) {
	i := l.rows.at(p)
	l.unlink(i)
	e := &l.ends[list]
	if e.tail == 0 {
		l.put(list, p)
		return
	}
	l.rows.at(e.tail).next = p
	i.next, i.prev, i.on = 0, e.tail, uint8(list)
	e.tail = p
	e.n++
}

// drop takes a page off its list, if it is on one.
func (l *pageLists) drop(p uint32) { l.unlink(l.rows.at(p)) }

func (l *pageLists) unlink(i *pageInfo) {
	if i.on == 0 {
		return
	}
	e := &l.ends[i.on]
	if i.prev != 0 {
		l.rows.at(i.prev).next = i.next
	} else {
		e.head = i.next
	}
	if i.next != 0 {
		l.rows.at(i.next).prev = i.prev
	} else {
		e.tail = i.prev
	}
	i.on = 0
	e.n--
}

// at is the element of a page in an array by page number, which grows as far.
func at[T any](s *[]T, p uint32) *T {
	if n := int(p) + 1 - len(*s); n > 0 {
		*s = append(*s, make([]T, max(n, 1024, len(*s)/4))...)
	}
	return &(*s)[p]
}

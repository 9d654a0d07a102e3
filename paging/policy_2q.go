package paging

// twoQPolicy is 2Q, the full version (T. Johnson, D. Shasha: 2Q: A Low Overhead
// High Performance Buffer Management Replacement Algorithm, VLDB 1994): new pages
// pass through a FIFO; those that come back soon after they left it are kept in
// LRU order.
type twoQPolicy struct {
	pageLists
	in, out int    // sizes of the FIFO and of its memory of pages that left (Kin, Kout)
	from    int    // list of the victim
	back    uint32 // page that room is made for and that was remembered: the victim may push it out
	g       *memory
}

// The lists.
const (
	twoQIn   = 1 + iota // A1in: resident, first in, first out
	twoQMain            // Am: resident, LRU
	twoQOut             // A1out: left A1in
)

func new2Q(g *memory) policy {
	c := int(g.limit)
	return &twoQPolicy{pageLists: newPageLists(3, &g.pages), in: max(1, c/4), out: max(1, c/2), g: g} // 25 % and 50 %, section 4
}

func (q *twoQPolicy) insert(p uint32) {
	if q.of(p) == twoQOut || p == q.back {
		q.put(twoQMain, p)
	} else {
		q.put(twoQIn, p)
	}
	q.back = 0
}

func (q *twoQPolicy) hit(p uint32) {
	if q.of(p) == twoQMain {
		q.put(twoQMain, p)
	}
}

func (q *twoQPolicy) forget(p uint32) {
	q.drop(p)
	if q.back == p {
		q.back = 0
	}
}

func (q *twoQPolicy) victim(coming uint32) uint32 {
	if q.of(coming) == twoQOut {
		q.back = coming
	}
	q.from = twoQIn
	if q.len(twoQIn) <= q.in && q.len(twoQMain) > 0 {
		q.from = twoQMain
	}
	p := q.last(q.from)
	for n := q.len(twoQMain); q.from == twoQMain && n > 0 && q.g.young(p) > 0; n-- {
		q.put(twoQMain, p)
		p = q.last(twoQMain)
	}
	q.drop(p)
	return p
}

func (q *twoQPolicy) left(p uint32) {
	if q.from != twoQIn {
		return
	}
	q.put(twoQOut, p)
	if q.len(twoQOut) > q.out {
		q.drop(q.last(twoQOut))
	}
}

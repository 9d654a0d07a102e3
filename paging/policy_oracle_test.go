package paging

import "container/list"

// Second implementations of the policies, plain ones: maps and container/list,
// written from the pseudo-code of the papers and nothing else. The front of a
// list is its head, where pages enter.

// oracle says of each reference whether the page is in memory, and brings it in.
type oracle interface{ access(p int) (hit bool) }

// queue is a list in which pages are found.
type queue struct {
	list.List
	at map[int]*list.Element
}

func newQueue() *queue { return &queue{at: map[int]*list.Element{}} }

func (q *queue) has(p int) bool { return q.at[p] != nil }
func (q *queue) push(p int)     { q.at[p] = q.PushFront(p) }
func (q *queue) remove(p int) {
	q.Remove(q.at[p])
	delete(q.at, p)
}
func (q *queue) tail() int { return q.Back().Value.(int) }
func (q *queue) pop() int {
	p := q.tail()
	q.remove(p)
	return p
}

// oracleQueue is FIFO, LRU and CLOCK: they differ in what a hit does and in
// whether the page at the tail gets another round.
type oracleQueue struct {
	*queue
	c              int
	recency, clock bool
	bit            map[int]bool
}

func (o *oracleQueue) access(p int) bool {
	if o.has(p) {
		o.bit[p] = o.clock
		if o.recency {
			o.remove(p)
			o.push(p)
		}
		return true
	}
	if o.Len() == o.c {
		for o.bit[o.tail()] {
			p := o.pop()
			o.bit[p] = false
			o.push(p)
		}
		o.pop()
	}
	o.push(p)
	o.bit[p] = false
	return false
}

// oracleSieve is algorithm 1 of the SIEVE paper (NSDI 2024).
type oracleSieve struct {
	*queue
	c       int
	visited map[int]bool
	hand    *list.Element
}

func (o *oracleSieve) access(p int) bool {
	if o.has(p) {
		o.visited[p] = true
		return true
	}
	if o.Len() == o.c {
		e := o.hand
		if e == nil {
			e = o.Back()
		}
		for o.visited[e.Value.(int)] {
			o.visited[e.Value.(int)] = false
			if e = e.Prev(); e == nil {
				e = o.Back()
			}
		}
		o.hand = e.Prev()
		o.remove(e.Value.(int))
	}
	o.push(p)
	o.visited[p] = false
	return false
}

// oracleS3FIFO is algorithm 1 of the S3-FIFO paper (SOSP 2023). Where a page that
// moves to M makes M evict one, one page has left and EVICTS ends; M is full when
// it has more than 90 % of memory, and G remembers as many pages as M may hold. A
// page that moves to M is counted from 0 again (section 4.1).
type oracleS3FIFO struct {
	c       int
	s, m, g *queue
	freq    map[int]int
}

func (o *oracleS3FIFO) access(p int) bool {
	if o.s.has(p) || o.m.has(p) {
		o.freq[p] = min(o.freq[p]+1, 3)
		return true
	}
	for o.s.Len()+o.m.Len() == o.c {
		if float64(o.s.Len()) >= 0.1*float64(o.c) {
			o.evictS()
		} else {
			o.evictM()
		}
	}
	if o.g.has(p) {
		o.g.remove(p)
		o.m.push(p)
	} else {
		o.s.push(p)
	}
	o.freq[p] = 0
	return false
}

func (o *oracleS3FIFO) evictS() {
	for o.s.Len() > 0 {
		t := o.s.pop()
		if o.freq[t] > 1 {
			o.m.push(t)
			o.freq[t] = 0
			if float64(o.m.Len()) > 0.9*float64(o.c) {
				o.evictM()
				return
			}
			continue
		}
		if o.g.push(t); float64(o.g.Len()) > 0.9*float64(o.c) {
			o.g.pop()
		}
		return
	}
}

func (o *oracleS3FIFO) evictM() {
	for o.m.Len() > 0 {
		t := o.m.pop()
		if o.freq[t] == 0 {
			return
		}
		o.freq[t]--
		o.m.push(t)
	}
}

// oracleARC is figure 4 of the ARC paper (FAST 2003): ARC(c).
type oracleARC struct {
	c              int
	p              float64
	t1, t2, b1, b2 *queue
}

func (o *oracleARC) access(x int) bool {
	b1, b2 := float64(o.b1.Len()), float64(o.b2.Len())
	switch {
	case o.t1.has(x): // case I
		o.t1.remove(x)
		o.t2.push(x)
		return true
	case o.t2.has(x):
		o.t2.remove(x)
		o.t2.push(x)
		return true
	case o.b1.has(x): // case II
		o.p = min(o.p+max(1, b2/b1), float64(o.c))
		o.replace(false)
		o.b1.remove(x)
		o.t2.push(x)
	case o.b2.has(x): // case III
		o.p = max(o.p-max(1, b1/b2), 0)
		o.replace(true)
		o.b2.remove(x)
		o.t2.push(x)
	default: // case IV
		l1 := o.t1.Len() + o.b1.Len()
		all := l1 + o.t2.Len() + o.b2.Len()
		switch {
		case l1 == o.c && o.t1.Len() < o.c:
			o.b1.pop()
			o.replace(false)
		case l1 == o.c:
			o.t1.pop()
		case all >= o.c:
			if all == 2*o.c {
				o.b2.pop()
			}
			o.replace(false)
		}
		o.t1.push(x)
	}
	return false
}

func (o *oracleARC) replace(inB2 bool) {
	if n := float64(o.t1.Len()); n > 0 && (n > o.p || inB2 && n == o.p) {
		o.b1.push(o.t1.pop())
	} else {
		o.b2.push(o.t2.pop())
	}
}

// oracle2Q is "2Q, full version" of the 2Q paper (VLDB 1994): an access, and
// reclaimfor.
type oracle2Q struct {
	c, kin, kout int
	am, in, out  *queue
}

func (o *oracle2Q) access(x int) bool {
	switch {
	case o.am.has(x):
		o.am.remove(x)
		o.am.push(x)
		return true
	case o.in.has(x):
		return true
	case o.out.has(x):
		o.reclaim()
		if o.out.has(x) {
			o.out.remove(x)
		}
		o.am.push(x)
	default:
		o.reclaim()
		o.in.push(x)
	}
	return false
}

func (o *oracle2Q) reclaim() {
	switch {
	case o.am.Len()+o.in.Len() < o.c:
	case o.in.Len() > o.kin || o.am.Len() == 0: // the latter with a single frame only
		if o.out.push(o.in.pop()); o.out.Len() > o.kout {
			o.out.pop()
		}
	default:
		o.am.pop()
	}
}

// oracleLIRS is section 3.3 of the LIRS paper (SIGMETRICS 2002), case by case. The
// front of the stack is its top; of the queue the front is the end, where pages
// enter.
type oracleLIRS struct {
	c, lirs int
	s, q    *queue
	lir     map[int]bool
}

func (o *oracleLIRS) access(x int) bool {
	top := func() {
		if o.s.has(x) {
			o.s.remove(x)
		}
		o.s.push(x)
	}
	switch inS := o.s.has(x); {
	case o.lir[x]: // 1. upon accessing an LIR block
		top()
		o.prune()
		return true
	case o.q.has(x): // 2. upon accessing an HIR resident block
		top()
		o.q.remove(x)
		if inS {
			o.turn(x)
		} else {
			o.q.push(x)
		}
		return true
	case len(o.lir) < o.lirs: // all are LIR until there are enough
		o.lir[x] = true
		top()
	default: // 3. upon accessing an HIR non-resident block
		if len(o.lir)+o.q.Len() == o.c {
			o.q.pop()
		}
		top()
		if inS {
			o.turn(x)
		} else {
			o.q.push(x)
		}
	}
	return false
}

// turn makes x LIR, and the LIR block at the bottom of the stack a resident HIR
// block.
func (o *oracleLIRS) turn(x int) {
	o.lir[x] = true
	o.prune()
	bottom := o.s.pop()
	delete(o.lir, bottom)
	o.q.push(bottom)
	o.prune()
}

func (o *oracleLIRS) prune() {
	for o.s.Len() > 0 && !o.lir[o.s.tail()] {
		o.s.pop()
	}
}

// oracles makes the second implementation of a policy for c frames.
var oracles = map[string]func(c int) oracle{
	"fifo": func(c int) oracle { return &oracleQueue{queue: newQueue(), c: c, bit: map[int]bool{}} },
	"lru":  func(c int) oracle { return &oracleQueue{queue: newQueue(), c: c, bit: map[int]bool{}, recency: true} },
	"clock": func(c int) oracle {
		return &oracleQueue{queue: newQueue(), c: c, bit: map[int]bool{}, clock: true}
	},
	"sieve": func(c int) oracle { return &oracleSieve{queue: newQueue(), c: c, visited: map[int]bool{}} },
	"s3fifo": func(c int) oracle {
		return &oracleS3FIFO{c: c, s: newQueue(), m: newQueue(), g: newQueue(), freq: map[int]int{}}
	},
	"arc": func(c int) oracle {
		return &oracleARC{c: c, t1: newQueue(), t2: newQueue(), b1: newQueue(), b2: newQueue()}
	},
	"lirs": func(c int) oracle {
		return &oracleLIRS{c: c, lirs: c - max(1, c/100), s: newQueue(), q: newQueue(), lir: map[int]bool{}}
	},
	"2q": func(c int) oracle {
		return &oracle2Q{c: c, kin: max(1, c/4), kout: max(1, c/2), am: newQueue(), in: newQueue(), out: newQueue()}
	},
}

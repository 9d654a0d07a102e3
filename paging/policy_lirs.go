package paging

// lirsPolicy is LIRS (S. Jiang, X. Zhang: LIRS: An Efficient Low Inter-reference
// Recency Set Replacement Policy, SIGMETRICS 2002, section 3.3): pages whose last
// two uses were close together (LIR) have nearly all of memory; the others (HIR)
// pass through a small queue. A stack holds all pages used since the LIR page that
// was used the longest ago, also those that have left: one of them that is used
// again has shown to be close.
//
// The stack is not cut: it holds no more pages than there are.
type lirsPolicy struct {
	stack pageLists // S, list 1: its last page is LIR, or it is empty; mark: what the page is
	queue lruPolicy // Q: resident HIR pages; the last leaves next
	lir   int       // LIR pages
	most  int       // how many there may be
	g     *memory
}

// What a page is; 0 is unknown.
const (
	lirsHIR = 1 + iota // in memory if it is in the queue
	lirsLIR            // in memory
)

func newLIRS(g *memory) policy {
	c := int(g.limit)
	// 1 % of memory is for HIR pages (section 4.3)
	return &lirsPolicy{stack: newPageLists(1, &g.pages), queue: lruPolicy{rows: &g.pages}, most: c - max(1, c/100), g: g}
}

func (l *lirsPolicy) insert(p uint32) {
	known := l.stack.of(p) != 0
	l.stack.put(1, p)
	if known || l.lir < l.most {
		l.promote(p)
		return
	}
	*l.stack.mark(p) = lirsHIR
	l.queue.insert(p)
}

// promote makes a page LIR; if that is one too many the last one of the stack
// is not any more.
func (l *lirsPolicy) promote(p uint32) {
	*l.stack.mark(p) = lirsLIR
	l.queue.forget(p)
	if l.lir++; l.lir > l.most {
		l.prune()
		l.demote()
	}
	l.prune()
}

// demote makes the LIR page at the end of the stack HIR, but for those that were
// used since they were last looked at.
func (l *lirsPolicy) demote() {
	p := l.stack.last(1)
	for n := l.lir; n > 1 && l.g.young(p) > 0; n-- {
		l.stack.put(1, p)
		l.prune()
		p = l.stack.last(1)
	}
	l.stack.drop(p)
	*l.stack.mark(p) = lirsHIR
	l.queue.insert(p)
	l.lir--
	l.prune()
}

// prune takes HIR pages off the end of the stack.
func (l *lirsPolicy) prune() {
	for p := l.stack.last(1); p != 0 && *l.stack.mark(p) != lirsLIR; p = l.stack.last(1) {
		l.stack.drop(p)
	}
}

func (l *lirsPolicy) hit(p uint32) {
	known := l.stack.of(p) != 0
	switch {
	case *l.stack.mark(p) == lirsLIR:
		l.stack.put(1, p)
		l.prune()
	case known:
		l.stack.put(1, p)
		l.promote(p)
	default:
		l.stack.put(1, p)
		l.queue.insert(p)
	}
}

func (l *lirsPolicy) victim(uint32) uint32 {
	for n := l.queue.n + l.lir; ; n-- {
		if l.queue.n == 0 && l.lir > 0 {
			l.demote()
		}
		p := l.queue.victim(0)
		if p == 0 || n <= 0 || l.g.young(p) == 0 {
			return p
		}
		l.hit(p)
	}
}

func (l *lirsPolicy) left(uint32) {}

func (l *lirsPolicy) forget(p uint32) {
	l.stack.drop(p)
	l.queue.forget(p)
	if is := l.stack.mark(p); *is == lirsLIR {
		l.lir--
		*is = 0
	}
	l.prune()
}

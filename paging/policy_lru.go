package paging

// lruPolicy is least recently used, exactly: every reference counts.
type lruPolicy struct{ pageLists }

func newLRU(g *memory) policy { return &lruPolicy{newPageLists(1, &g.pages)} }

func (l *lruPolicy) insert(p uint32) { l.put(1, p) }
func (l *lruPolicy) hit(p uint32)    { l.put(1, p) }
func (l *lruPolicy) hits(pages []uint32, rows []*pageInfo) {
	l.raise(1, pages, rows)
}
func (l *lruPolicy) left(uint32)     {}
func (l *lruPolicy) forget(p uint32) { l.drop(p) }

func (l *lruPolicy) victim(uint32) uint32 {
	p := l.last(1)
	l.drop(p)
	return p
}

package paging

// lruPolicy is least recently used, exactly: every reference counts.
type lruPolicy struct {
	pageLists
	seen uint32 // by peek
}

func newLRU(*memory) policy { return &lruPolicy{pageLists: newPageLists(1)} }

func (l *lruPolicy) insert(p uint32) { l.put(1, p) }
func (l *lruPolicy) hit(p uint32)    { l.put(1, p) }
func (l *lruPolicy) left(uint32)     {}
func (l *lruPolicy) forget(p uint32) { l.drop(p) }

func (l *lruPolicy) victim(uint32) uint32 {
	p := l.last(1)
	l.drop(p)
	return p
}

// peek reads the places of pages that are about to move, and their neighbours'.
func (l *lruPolicy) peek(uses []use) {
	sum := uint32(0)
	for _, u := range uses {
		if int(u.pfn) < len(l.links) {
			at := l.links[u.pfn]
			sum |= l.links[at.next].on | l.links[at.prev].on
		}
	}
	l.seen = sum // or the reads would be left out
}

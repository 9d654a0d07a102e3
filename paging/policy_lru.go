package paging

// lruPolicy is least recently used, exactly: every reference counts.
type lruPolicy struct {
	pageLists
	looked uint32 // of no meaning, see ahead
}

func newLRU(*memory) policy { return &lruPolicy{pageLists: newPageLists(1)} }

func (l *lruPolicy) insert(p uint32) { l.put(1, p) }
func (l *lruPolicy) hit(p uint32)    { l.put(1, p) }
func (l *lruPolicy) left(uint32)     {}
func (l *lruPolicy) forget(p uint32) { l.drop(p) }

// ahead loads the places of pages, and those beside them, which a move changes.
func (l *lruPolicy) ahead(uses []queuedUse) {
	links, sum := l.links, uint32(0)
	for i := range uses {
		if p := int(uses[i].pfn); p < len(links) {
			sum += links[p].next
		}
	}
	for i := range uses {
		if p := int(uses[i].pfn); p < len(links) {
			sum += links[links[p].next].on + links[links[p].prev].on
		}
	}
	l.looked = sum
}

func (l *lruPolicy) victim(uint32) uint32 {
	p := l.last(1)
	l.drop(p)
	return p
}

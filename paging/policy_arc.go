package paging

// arcPolicy is ARC (N. Megiddo, D. Modha: ARC: A Self-Tuning, Low Overhead
// Replacement Cache, FAST 2003, figure 4): pages seen once and pages seen twice
// or more are in two LRU lists; how much of memory each gets is learned from
// pages that come back after they left.
type arcPolicy struct {
	pageLists
	c       float64 // pages of memory
	p       float64 // how many of them the first list is to have
	from    int     // list of the victim, 0 = there is none
	noGhost bool    // the victim is not remembered
	learned uint32  // page whose return has been learned from
	g       *memory
}

// The lists. Those of pages that left stand two behind those they were on.
const (
	arcT1 = 1 + iota // seen once
	arcT2            // seen again
	arcB1            // left T1
	arcB2            // left T2
)

func newARC(g *memory) policy {
	return &arcPolicy{pageLists: newPageLists(4, &g.pages), c: float64(g.limit), g: g}
}

// learn moves the share of the lists when a page comes back.
func (a *arcPolicy) learn(coming uint32) {
	if coming == 0 || a.learned == coming {
		return
	}
	b1, b2 := float64(a.len(arcB1)), float64(a.len(arcB2))
	switch a.of(coming) {
	case arcB1:
		a.p = min(a.c, a.p+max(1, b2/b1))
	case arcB2:
		a.p = max(0, a.p-max(1, b1/b2))
	default:
		return
	}
	a.learned = coming
}

func (a *arcPolicy) insert(p uint32) {
	a.learn(p)
	a.learned = 0
	if a.of(p) != 0 {
		a.put(arcT2, p)
	} else {
		a.put(arcT1, p)
	}
}

func (a *arcPolicy) hit(p uint32)    { a.put(arcT2, p) }
func (a *arcPolicy) forget(p uint32) { a.drop(p) }

func (a *arcPolicy) victim(coming uint32) uint32 {
	a.learn(coming)
	a.noGhost = false
	back := a.of(coming)
	if back == 0 {
		c := int(a.c)
		switch l1 := a.len(arcT1) + a.len(arcB1); {
		case l1 >= c && a.len(arcT1) < c:
			a.drop(a.last(arcB1))
		case l1 >= c:
			p := a.take(arcT1)
			a.noGhost = a.from == arcT1
			return p
		case l1+a.len(arcT2)+a.len(arcB2) >= 2*c:
			a.drop(a.last(arcB2))
		}
	}
	if t1 := float64(a.len(arcT1)); t1 > 0 && (t1 > a.p || back == arcB2 && t1 == a.p) || a.len(arcT2) == 0 {
		return a.take(arcT1)
	}
	return a.take(arcT2)
}

// take takes the last page of a list that was not used since it was last looked
// at; one that was is seen again.
func (a *arcPolicy) take(list int) uint32 {
	for n := a.len(arcT1) + a.len(arcT2); ; n-- {
		if a.len(list) == 0 {
			list = arcT1 + arcT2 - list
		}
		p := a.last(list)
		if p == 0 || n <= 0 || a.g.young(p) == 0 {
			a.from = list
			a.drop(p)
			return p
		}
		a.hit(p)
	}
}

// left remembers the victim; a page that was made to leave (MADV_PAGEOUT) is not one.
func (a *arcPolicy) left(p uint32) {
	if a.from != 0 && !a.noGhost {
		a.put(a.from+2, p)
	}
	a.from = 0
}

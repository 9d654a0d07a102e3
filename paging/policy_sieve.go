package paging

// sievePolicy is SIEVE (Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi:
// SIEVE is Simpler than LRU, NSDI 2024, algorithm 1): as CLOCK, but pages that
// stay keep their place, and the hand goes on from where it stopped, towards
// newer ones.
type sievePolicy struct {
	pageLists // mark: the page was visited
	hand      uint32
	g         *memory
}

func newSieve(g *memory) policy { return &sievePolicy{pageLists: newPageLists(1, &g.pages), g: g} }

func (s *sievePolicy) insert(p uint32) {
	s.put(1, p)
	*s.mark(p) = 0
}

func (s *sievePolicy) hit(p uint32) { *s.mark(p) = 1 }
func (s *sievePolicy) left(uint32)  {}

func (s *sievePolicy) forget(p uint32) {
	if s.of(p) == 0 {
		return
	}
	if s.hand == p {
		s.hand = s.newer(p)
	}
	s.drop(p)
}

func (s *sievePolicy) victim(uint32) uint32 {
	for s.len(1) > 0 {
		p := s.hand
		if p == 0 {
			p = s.last(1)
		}
		s.hand = s.newer(p)
		v := s.mark(p)
		if s.g.young(p) > 0 {
			*v = 1
		}
		if *v == 0 {
			s.drop(p)
			return p
		}
		*v = 0
	}
	return 0
}

package paging

// s3fifoPolicy is S3-FIFO (J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi: FIFO
// Queues are All You Need for Cache Eviction, SOSP 2023): a small queue from which
// what is used once leaves quickly, a main one, and a memory of what left the
// small one. A page goes to the main queue when it was used twice while it was in
// the small one, or when it comes back. Victims come from the main queue while
// it has more than its share.
type s3fifoPolicy struct {
	pageLists      // mark: how often the page was used, up to s3MaxFreq
	c         int  // pages of memory, of which a tenth are to be in the small queue
	ghost     int  // pages remembered: nine tenths
	small     bool // the victim left the small queue
	g         *memory
}

// The lists.
const (
	s3Small = 1 + iota
	s3Main
	s3Ghost
)

const s3MaxFreq = 3

func newS3FIFO(g *memory) policy {
	c := int(g.limit)
	return &s3fifoPolicy{pageLists: newPageLists(3, &g.pages), c: c, ghost: c * 9 / 10, g: g}
}

func (s *s3fifoPolicy) insert(p uint32) {
	if s.of(p) == s3Ghost {
		s.put(s3Main, p)
	} else {
		s.put(s3Small, p)
	}
	*s.mark(p) = 0
}

func (s *s3fifoPolicy) hit(p uint32) {
	f := s.mark(p)
	*f = min(*f+1, s3MaxFreq)
}

func (s *s3fifoPolicy) forget(p uint32) { s.drop(p) }

func (s *s3fifoPolicy) victim(uint32) uint32 {
	for s.len(s3Small)+s.len(s3Main) > 0 {
		list := s3Main
		if 10*s.len(s3Small) >= s.c || s.len(s3Main) == 0 {
			list = s3Small
		}
		p := s.last(list)
		if s.g.young(p) > 0 {
			s.hit(p)
		}
		f := s.mark(p)
		switch {
		case list == s3Small && *f > 1:
			s.put(s3Main, p)
			*f = 0
		case list == s3Main && *f > 0:
			s.put(s3Main, p)
			*f--
		default:
			s.small = list == s3Small
			s.drop(p)
			return p
		}
	}
	return 0
}

func (s *s3fifoPolicy) left(p uint32) {
	if !s.small {
		return
	}
	s.put(s3Ghost, p)
	if s.len(s3Ghost) > s.ghost {
		s.drop(s.last(s3Ghost))
	}
}

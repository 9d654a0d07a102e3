package convert

import (
	"slices"
	"sort"
)

// span is a range [start, end) of pages, in bytes, and what is there.
type span struct{ start, end, what uint64 }

// spans are disjoint ranges in order; those that touch and hold the same are one.
type spans []span

// from is the index of the first span that ends after addr.
func (s spans) from(addr uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].end > addr })
}

// covers says whether the byte at addr is in one of the spans.
func (s spans) covers(addr uint64) bool {
	i := s.from(addr)
	return i < len(s) && s[i].start <= addr
}

// add puts [start, end) in the place of what is there.
func (s spans) add(start, end, what uint64) spans {
	s = s.remove(start, end)
	i := s.from(start)
	j := i
	if i > 0 && s[i-1].end == start && s[i-1].what == what {
		i--
		start = s[i].start
	}
	if j < len(s) && s[j].start == end && s[j].what == what {
		end = s[j].end
		j++
	}
	return slices.Replace(s, i, j, span{start, end, what})
}

// remove cuts [start, end) out of the spans.
func (s spans) remove(start, end uint64) spans {
	i := s.from(start)
	j := i
	var rest []span
	for ; j < len(s) && s[j].start < end; j++ {
		if s[j].start < start {
			rest = append(rest, span{s[j].start, start, s[j].what})
		}
		if s[j].end > end {
			rest = append(rest, span{end, s[j].end, s[j].what})
		}
	}
	return slices.Replace(s, i, j, rest...)
}

// gaps are the parts of [start, end) that no span covers.
func (s spans) gaps(start, end uint64) []span {
	var out []span
	for i := s.from(start); i < len(s) && s[i].start < end; i++ {
		if s[i].start > start {
			out = append(out, span{start, s[i].start, 0})
		}
		start = s[i].end
	}
	if start < end {
		out = append(out, span{start, end, 0})
	}
	return out
}

// within are the parts of [start, end) that the spans cover.
func (s spans) within(start, end uint64) []span {
	var out []span
	for i := s.from(start); i < len(s) && s[i].start < end; i++ {
		out = append(out, span{max(start, s[i].start), min(end, s[i].end), s[i].what})
	}
	return out
}

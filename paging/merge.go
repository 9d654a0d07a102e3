package paging

// Merging of mappings, after Linux 6.1 mm/mmap.c. The cases of vma_merge, where
// AAAA is the area that is new or has new flags, P what lies below it and N
// above:
//
//	 AAAA             AAAA                   AAAA
//	PPPPPPNNNNNN    PPPPPPNNNNNN       PPPPPPNNNNNN
//	no neighbour    PPNNNNNNNNNN 4     PPPPPPPPPPNN 5
//
//	    AAAA               AAAA
//	PPPP    NNNN       PPPPNNNNXXXX
//	PPPPPPPPPPPP 1     PPPPPPPPPPPP 6
//	PPPPPPPPNNNN 2     PPPPPPPPXXXX 7
//	PPPPNNNNNNNN 3     PPPPXXXXXXXX 8
//
// In the model the area is cut out first (isolate), so that 1 and 6, 2, 5 and
// 7, and 3, 4 and 8 are the same three.

// accepts says whether the mapping can grow over an area with these flags, file
// and name (is_mergeable_vma) and this anon_vma (is_mergeable_anon_vma): a
// mapping with pages takes in an area without, unless fork has made it; a
// mapping without pages does not take in one that has some. Attachments of a System
// V segment never merge (vm_operations_struct.close).
func (v *vma) accepts(area *vma, anon *anonVMA) bool {
	if v.flags != area.flags || v.flags&(vmSpecial|vmHugeTLB) != 0 || v.file != nil && v.file.segment != nil || v.file != area.file || v.name != area.name {
		return false
	}
	own := v.anon.Load()
	return own == anon || anon == nil && !own.forked
}

// continues says that b begins where a ends, in address and backing.
func continues(a, b *vma) bool { return a.end == b.start && a.pgoff+a.pages() == b.pgoff }

// joined is one mapping in place of neighbours, in order of address.
func joined(parts ...*vma) *vma {
	n := parts[0].clone()
	n.end = parts[len(parts)-1].end
	for _, p := range parts[1:] {
		if n.anon.Load() == nil {
			n.anon.Store(p.anon.Load())
		}
	}
	return n
}

// merge lets the mapping at position i grow together with its neighbours
// (vma_merge): with both, or with the one below if only one is possible.
func (l vmaList) merge(i int) vmaList {
	area := l[i]
	anon := area.anon.Load()
	below := i > 0 && continues(l[i-1], area) && l[i-1].accepts(area, anon)
	above := i+1 < len(l) && continues(area, l[i+1]) && l[i+1].accepts(area, anon)
	if below && above {
		a, b := l[i-1].anon.Load(), l[i+1].anon.Load()
		above = a == nil || b == nil || a == b
	}
	return l.absorb(i, below, above)
}

func (l vmaList) absorb(i int, below, above bool) vmaList {
	first, last := i, i+1
	if below {
		first--
	}
	if above {
		last++
	}
	if last-first == 1 {
		return l
	}
	n := joined(l[first:last]...)
	if !below {
		n.is(l[i+1]) // the neighbour grows, and what it takes in is gone
	}
	return l.replaced(first, last, n)
}

// insert adds a mapping where there is none and merges it as mmap_region does:
// the neighbour above is asked first, and the one below then has to suit that.
func (l vmaList) insert(v *vma) vmaList {
	i := l.find(v.start)
	var anon *anonVMA
	above := i < len(l) && continues(v, l[i]) && l[i].accepts(v, nil)
	if above {
		anon = l[i].anon.Load()
	}
	below := i > 0 && continues(l[i-1], v) && l[i-1].accepts(v, anon)
	return l.replaced(i, i, v).absorb(i, below, above)
}

// change gives the mappings of [start, end) other flags, one after the other,
// splitting and merging. Holes are passed over. Errors: ENOMEM above the limit of
// mappings (split_vma), EINVAL inside a page of hugetlb; the list is then as it was.
func (l vmaList) change(start, end uint64, flags func(*vma) vmaFlags) (vmaList, Errno) {
	limit := max(len(l), maxMapCount)
	n := l
	for start < end {
		i := n.find(start)
		if i == len(n) || n[i].start >= end {
			break
		}
		v := n[i]
		start = max(start, v.start)
		stop := min(end, v.end)
		if now := flags(v); now != v.flags {
			if v.cuts(start, stop) {
				return nil, EINVAL
			}
			var j int
			n, i, j = n.isolate(start, stop)
			area := n[i].clone()
			area.flags = now
			rest := n.restOf(v, i)
			pieces := len(n)
			n = n.replaced(i, j, area).merge(i)
			if rest != nil && len(n) < pieces {
				rest.is(v) // it gave a part to its neighbour, cases 4 and 5
			}
			if len(n) > limit {
				return nil, ENOMEM
			}
		}
		start = stop
	}
	return n, 0
}

// restOf is what a split has left of a mapping beside its part at position i, nil if
// there is nothing: above it, or else below.
func (l vmaList) restOf(v *vma, i int) *vma {
	switch {
	case l[i].end < v.end:
		return l[i+1]
	case l[i].start > v.start:
		return l[i-1]
	}
	return nil
}

// prepareAnon gives a mapping of the list its anon_vma (anon_vma_prepare).
// Precondition: Space.mu, for reading at least.
func (t *Task) prepareAnon(l vmaList, v *vma) {
	if v.anon.Load() == nil {
		v.anon.CompareAndSwap(nil, l.shareAnon(v))
		t.newAnon = true
	}
}

// shareAnon returns the anon_vma that a mapping's first anonymous page gets: a
// neighbour's, if the two could be one but for their protection, so that
// mprotect can put them together again; else a new one
// (find_mergeable_anon_vma).
func (l vmaList) shareAnon(v *vma) *anonVMA {
	i := l.find(v.start)
	if i+1 < len(l) {
		if a := reusableAnon(l[i+1], v, l[i+1]); a != nil {
			return a
		}
	}
	if i > 0 {
		if a := reusableAnon(l[i-1], l[i-1], v); a != nil {
			return a
		}
	}
	return &anonVMA{}
}

func reusableAnon(old, a, b *vma) *anonVMA {
	if !continues(a, b) || a.file != b.file || (a.flags^b.flags)&^vmAccess != 0 {
		return nil
	}
	if anon := old.anon.Load(); anon != nil && !anon.forked {
		return anon
	}
	return nil
}

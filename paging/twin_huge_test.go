package paging

import "pgregory.net/rapid"

// Transparent huge pages of the twin: a huge page is an entry of its own beside
// the small ones, by the page it begins at.

// twinBlock is what the frames of a huge page have in common: how many entries
// hold it, each mapping of the whole and of a part counting one.
type twinBlock struct{ refs int }

type twinHuge struct {
	frames               []*twinFrame // nil: the huge zero page
	write, dirty, unique bool
}

func (p *twinProc) size() uint64 { return 1 << p.w.bits }

func (p *twinProc) base(page uint64) uint64 { return page &^ (p.size() - 1) }

func (p *twinProc) hugeAt(page uint64) *twinHuge { return p.huge[p.base(page)] }

// entry is the entry of a page: its own, or what a huge page makes of it.
func (p *twinProc) entry(page uint64) *twinPTE {
	h := p.hugeAt(page)
	if h == nil {
		return p.pte[page]
	}
	f := p.w.zero
	if h.frames != nil {
		f = h.frames[page-p.base(page)]
	}
	return &twinPTE{f: f, write: h.write, dirty: h.dirty, unique: h.unique}
}

// sole says whether a frame has one owner: of a part of a huge page nobody else may
// have any part.
func (f *twinFrame) sole() bool { return f.maps == 1 && (f.block == nil || f.block.refs == 1) }

// mayHuge says whether the mapping may have huge pages.
func (p *twinProc) mayHuge(v *twinVMA) bool { return v.file == nil && !v.shared && !v.noHuge }

// faultHuge is the fault of a place without a table that a mapping holds wholly.
func (p *twinProc) faultHuge(page uint64, a Access) FaultKind {
	p.makeTables(page)
	h := &twinHuge{}
	p.huge[p.base(page)] = h
	if a != Write {
		return HugeZero
	}
	p.fillHuge(h, p.vma[page])
	return HugeDemand
}

func (p *twinProc) fillHuge(h *twinHuge, v *twinVMA) {
	b := &twinBlock{refs: 1}
	for range p.size() {
		h.frames = append(h.frames, &twinFrame{kind: rssAnon, maps: 1, block: b})
	}
	h.write, h.dirty, h.unique = v.prot&ProtWrite != 0, true, true
}

func (p *twinProc) wantsHuge(page uint64) bool {
	v := p.vma[page]
	if !p.w.thp || !p.mayHuge(v) || p.tables[[2]uint64{1, page >> p.w.bits}] {
		return false
	}
	start, end := p.bounds(page)
	return start <= p.base(page) && end >= p.base(page)+p.size()
}

// split maps the pages of a huge page one by one.
func (p *twinProc) split(page uint64) {
	base, h := p.base(page), p.hugeAt(page)
	if h == nil {
		return
	}
	delete(p.huge, base)
	for i := range p.size() {
		e := &twinPTE{f: p.w.zero, write: h.write, unique: h.unique}
		if h.frames != nil {
			e.f = h.frames[i]
		} else {
			e.f.maps++
		}
		p.pte[base+i] = e
	}
	if h.frames != nil {
		h.frames[0].block.refs += int(p.size()) - 1
	}
}

// splitEdge splits the huge page that a boundary of a mapping is about to lie in.
func (p *twinProc) splitEdge(page uint64) {
	if page != p.base(page) {
		p.split(page)
	}
}

// dropHuge takes the huge page out, with the table below it.
func (p *twinProc) dropHuge(base uint64) {
	h := p.huge[base]
	for _, f := range h.frames {
		f.maps--
	}
	if h.frames != nil {
		h.frames[0].block.refs--
	}
	delete(p.huge, base)
	delete(p.tables, [2]uint64{1, base >> p.w.bits})
}

// drop clears the entries of [start, end), small ones by lose.
func (p *twinProc) drop(start, end uint64, lose func(page uint64)) {
	for i := start; i < end; i++ {
		if h := p.hugeAt(i); h != nil {
			if i == p.base(i) && i+p.size() <= end {
				p.dropHuge(i)
				i += p.size() - 1
				continue
			}
			p.split(i)
		}
		lose(i)
	}
}

// ageHuge is MADV_FREE and MADV_COLD of [start, end) where huge pages are: one
// that others map is left alone, one of which only a part is meant becomes small
// pages.
func (p *twinProc) ageHuge(start, end uint64, free bool) {
	for base := p.base(start); base < end; base += p.size() {
		h := p.huge[base]
		if h == nil || h.frames == nil || h.frames[0].maps != 1 {
			continue
		}
		if base < start || base+p.size() > end {
			p.split(base)
			for _, f := range h.frames {
				f.block = nil
			}
		} else if free {
			h.dirty = false
		}
	}
}

// collapse is MADV_COLLAPSE of the places that lie in [start, end).
func (p *twinProc) collapse(v *twinVMA, start, end uint64) Errno {
	first, last := p.bounds(start)
	n := p.size()
	if last/n*n < (first+n-1)/n*n+n || !p.mayHuge(v) || v.anon == nil {
		return EINVAL
	}
	errno := Errno(0)
	for base := (start + n - 1) / n * n; base+n <= end; base += n {
		if p.huge[base] != nil {
			continue
		}
		write := false
		for i := base; i < base+n; i++ {
			if e := p.pte[i]; e != nil && e.f != p.w.zero {
				write = write || e.write
			}
		}
		if !write {
			errno = EINVAL
			continue
		}
		for i := base; i < base+n; i++ {
			p.dropPTE(i)
		}
		h := &twinHuge{}
		p.fillHuge(h, v)
		p.huge[base] = h
	}
	return errno
}

// forkHuge gives a child the huge page at a place.
func (p *twinProc) forkHuge(c *twinProc, base uint64) {
	h := p.huge[base]
	h.write, h.unique = false, false
	for _, f := range h.frames {
		f.maps++
	}
	if h.frames != nil {
		h.frames[0].block.refs++
	}
	n := *h
	c.huge[base] = &n
}

// adviseHuge gives advice about a whole place of a huge page, or the rest of one.
func (d *duel) adviseHuge(t *rapid.T) {
	p := d.proc(t)
	page, ok := d.mapped(t, p)
	if !ok {
		t.Skip("nothing mapped")
	}
	start, end := page, p.base(page)+p.size()
	if rapid.IntRange(0, 2).Draw(t, "whole") > 0 {
		start = p.base(page)
	}
	adv := rapid.SampledFrom([]int{madvCollapse, madvCollapse, madvNoHugePage, madvNoHugePage, madvHugePage, madvFree, madvCold, madvDontNeed}).Draw(t, "advice")
	same(t, "madvise", p.real.Madvise(start*PageSize, (end-start)*PageSize, adv), p.madvise(start, end, adv))
}

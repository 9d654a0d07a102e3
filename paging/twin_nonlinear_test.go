package paging

import (
	"math"

	"pgregory.net/rapid"
)

// indexAt is the page of the file at a page: of a non-linear mapping the one that
// is mapped or named there.
func (p *twinProc) indexAt(page uint64) uint64 {
	v := p.vma[page]
	if index, ok := p.marks[page]; ok {
		return index
	}
	if e := p.pte[page]; v.nonlinear && e != nil {
		return e.f.index
	}
	return uint64(int64(page) + v.offset)
}

// lose takes a page away that a fault brings back: a non-linear mapping notes
// which one it was if that is not the one that belongs there.
func (p *twinProc) lose(page uint64) {
	e, v := p.pte[page], p.vma[page]
	if e == nil {
		return
	}
	index := p.indexAt(page)
	p.dropPTE(page)
	if v.nonlinear && index != uint64(int64(page)+v.offset) {
		p.marks[page] = index
	}
}

// remapFile is remap_file_pages of Linux 2.6.32.
func (p *twinProc) remapFile(start, n, pgoff uint64, nonblock bool) Errno {
	v := p.vma[start]
	if v == nil || !v.shared || v.file.pages == math.MaxUint64 {
		return EINVAL
	}
	for i := start; i < start+n; i++ {
		if p.vma[i] != v {
			return EINVAL
		}
	}
	if !v.nonlinear && int64(pgoff) == int64(start)+v.offset {
		return 0
	}
	if !v.file.shmem { // a file that accounts for dirty pages: mappings of their own
		part := *v
		part.offset = int64(pgoff) - int64(start)
		p.mmap(start, n, part)
		if part.locked {
			p.populate(start, start+n)
		}
		return 0
	}
	v.nonlinear = true
	for i := range n {
		p.dropPTE(start + i)
		p.makeTables(start + i)
		p.marks[start+i] = pgoff + i
	}
	if !nonblock {
		p.populate(start, start+n)
	}
	return 0
}

func (d *duel) remapFile(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	if page, ok := d.mapped(t, p); ok {
		start = page
		if v := p.vma[page]; v.shared && rapid.IntRange(0, 4).Draw(t, "over the end") != 0 {
			_, end := p.bounds(page)
			n = min(n, end-page)
		}
	}
	pgoff := rapid.Uint64Range(0, 70).Draw(t, "page of the file")
	nonblock := rapid.Bool().Draw(t, "MAP_NONBLOCK")
	flags := MapFlags(0)
	if nonblock {
		flags = MapNonBlock
	}
	same(t, "remap_file_pages", p.real.RemapFilePages(start*PageSize, n*PageSize, 0, pgoff, flags), p.remapFile(start, n, pgoff, nonblock))
}

package paging

// twin is the same address spaces by other means: maps from page to mapping and
// from page to entry, no lists, no tables, no locks. It was written from the
// kernel's rules and the man pages, and judges the package in
// TestAgainstTwin.
type twin struct {
	levels, bits uint64 // of the page tables; of a page number, that index one table
	end          uint64 // of user memory, in pages
	procs        []*twinProc
	files        []*twinFile // with a size
	faults       [NumFaultKinds]uint64
	zero         *twinFrame
	old          bool   // Linux 2.6.32
	around       uint64 // pages of fault-around
	thp          bool   // huge pages always
}

type twinFile struct {
	shmem  bool
	pages  uint64 // size
	frames map[uint64]*twinFrame
	real   *File
}

type twinFrame struct {
	kind  rssKind
	maps  int
	block *twinBlock // of the huge page that it is a part of, nil for none
	index uint64     // in its file
}

// twinVMA is a mapping; the pages that point to it are its extent.
type twinVMA struct {
	prot                                 Prot
	shared, dontFork, wipe, locked, acct bool
	file                                 *twinFile
	offset                               int64 // page of the backing minus page of the address space
	anon                                 *twinAnon
	heap, noHuge, huge                   bool
	nonlinear                            bool
}

type twinAnon struct{ forked bool }

type twinPTE struct {
	f                    *twinFrame
	write, dirty, unique bool
}

type twinProc struct {
	w         *twin
	vma       map[uint64]*twinVMA
	pte       map[uint64]*twinPTE
	huge      map[uint64]*twinHuge // by first page
	marks     map[uint64]uint64    // page of the file that an entry names (non-linear)
	tables    map[[2]uint64]bool   // level (1: leaf), number
	minor     uint64
	heap, brk uint64 // pages
	real      *Task
}

// newTwin knows the four formats (Intel SDM volume 3, sections 4.3 to 4.5).
func newTwin(levels int) *twin {
	w := &twin{levels: uint64(levels), bits: 9, end: 1 << 35, zero: &twinFrame{}, around: 16}
	switch levels {
	case 2:
		w.bits, w.end = 10, 3<<18
	case 3:
		w.end = 3 << 18
	case 5:
		w.end = 1 << 44
	}
	return w
}

func (w *twin) newProc() *twinProc {
	p := &twinProc{w: w, vma: map[uint64]*twinVMA{}, pte: map[uint64]*twinPTE{}, huge: map[uint64]*twinHuge{}, marks: map[uint64]uint64{}, tables: map[[2]uint64]bool{}}
	if w.levels == 3 { // the kernel gives a process the three tables of the root of PAE
		for i := range uint64(3) {
			p.tables[[2]uint64{2, i}] = true
		}
	}
	w.procs = append(w.procs, p)
	return p
}

// like says that two mappings differ in nothing but where they are.
func (v *twinVMA) like(o *twinVMA) bool {
	a, b := *v, *o
	a.anon, b.anon = nil, nil
	return a == b
}

// takes is is_mergeable_anon_vma from the view of the neighbour v.
func (v *twinVMA) takes(anon *twinAnon) bool {
	if anon == nil && v.anon != nil {
		return !v.anon.forked
	}
	return v.anon == anon
}

// bounds is the extent of the mapping at a page.
func (p *twinProc) bounds(page uint64) (start, end uint64) {
	v := p.vma[page]
	for start = page; p.vma[start-1] == v; start-- {
	}
	for end = page + 1; p.vma[end] == v; end++ {
	}
	return start, end
}

// cut makes the pages [start, end), which lie in one mapping, a mapping of their
// own, and what is behind them another.
func (p *twinProc) cut(start, end uint64) *twinVMA {
	v := p.vma[start]
	_, last := p.bounds(start)
	p.splitEdge(start)
	p.splitEdge(end)
	mid, tail := *v, *v
	p.paint(start, end, &mid)
	p.paint(end, last, &tail)
	return &mid
}

func (p *twinProc) paint(start, end uint64, v *twinVMA) {
	for i := start; i < end; i++ {
		p.vma[i] = v
	}
}

// join merges the mapping [start, end) with the neighbours that are chosen.
func (p *twinProc) join(start, end uint64, below, above bool) {
	v := p.vma[start]
	if below {
		first, _ := p.bounds(start - 1)
		if v.anon == nil {
			v.anon = p.vma[first].anon
		}
		p.paint(first, start, v)
	}
	if above {
		_, last := p.bounds(end)
		if v.anon == nil {
			v.anon = p.vma[end].anon
		}
		p.paint(end, last, v)
	}
}

// neighbours are the mappings that touch [start, end) and suit it but for pages.
func (p *twinProc) neighbours(start, end uint64) (below, above *twinVMA) {
	v := p.vma[start]
	if n := p.vma[start-1]; n != nil && n.like(v) {
		below = n
	}
	if n := p.vma[end]; n != nil && n.like(v) {
		above = n
	}
	return below, above
}

// merge is vma_merge.
func (p *twinProc) merge(start, end uint64) {
	below, above := p.neighbours(start, end)
	v := p.vma[start]
	b := below != nil && below.takes(v.anon)
	a := above != nil && above.takes(v.anon)
	if a && b && below.anon != nil && above.anon != nil && below.anon != above.anon {
		a = false
	}
	p.join(start, end, b, a)
}

// mergeNew is the end of mmap_region.
func (p *twinProc) mergeNew(start, end uint64) {
	below, above := p.neighbours(start, end)
	a := above != nil && above.takes(nil)
	var anon *twinAnon
	if a {
		anon = above.anon
	}
	p.join(start, end, below != nil && below.takes(anon), a)
}

// changeEach changes the mappings of [start, end) one by one.
func (p *twinProc) changeEach(start, end uint64, f func(v *twinVMA)) {
	for start < end {
		v := p.vma[start]
		if v == nil {
			start++
			continue
		}
		_, last := p.bounds(start)
		last = min(last, end)
		now := *v
		f(&now)
		if now != *v {
			*p.cut(start, last) = now
			p.merge(start, last)
		}
		start = last
	}
}

func (p *twinProc) dropPTE(page uint64) {
	delete(p.marks, page)
	if e := p.pte[page]; e != nil {
		e.f.maps--
		if e.f.block != nil {
			e.f.block.refs--
		}
		delete(p.pte, page)
	}
}

func (p *twinProc) unmap(start, end uint64) {
	first, behind := end, end
	for i := start; i < end; i++ {
		if p.vma[i] != nil {
			first, behind = min(first, i), i+1
			_, last := p.bounds(i)
			p.cut(i, min(last, end))
			delete(p.vma, i)
		}
	}
	p.drop(start, end, p.dropPTE)
	if first < end {
		p.prune(first, behind)
	}
}

// prune frees the page tables of a new hole that lie wholly between the mappings
// around it.
func (p *twinProc) prune(start, end uint64) {
	floor, ceiling := uint64(0), uint64(1)<<(p.w.bits*p.w.levels)
	for i := range p.vma {
		if i < start {
			floor = max(floor, i+1)
		} else if i >= end {
			ceiling = min(ceiling, i)
		}
	}
	for t := range p.tables {
		size := uint64(1) << (p.w.bits * t[0])
		if base := t[1] * size; base >= floor && base+size <= ceiling && base < end && base+size > start {
			delete(p.tables, t)
		}
	}
}

func (p *twinProc) makeTables(page uint64) {
	for level := uint64(1); level < p.w.levels; level++ {
		p.tables[[2]uint64{level, page >> (p.w.bits * level)}] = true
	}
}

func (p *twinProc) mmap(start, n uint64, v twinVMA) {
	v.acct = v.prot&ProtWrite != 0 && !v.shared
	p.unmap(start, start+n)
	p.paint(start, start+n, &v)
	p.mergeNew(start, start+n)
}

func (p *twinProc) mprotect(start, end uint64, prot Prot) Errno {
	for start < end {
		v := p.vma[start]
		if v == nil {
			return ENOMEM
		}
		_, last := p.bounds(start)
		last = min(last, end)
		if v.prot != prot {
			populate := v.locked && !v.shared && v.prot&ProtWrite == 0 && prot&ProtWrite != 0
			p.changeEach(start, last, func(v *twinVMA) {
				v.acct = v.acct || !v.shared && prot&ProtWrite != 0
				v.prot = prot
			})
			for i := start; i < last; i++ {
				if h := p.hugeAt(i); h != nil {
					h.write = false
				}
				if e := p.pte[i]; e != nil {
					e.write = prot&ProtWrite != 0 && (v.shared && (v.file.shmem || e.dirty) || !p.w.old && e.dirty && e.unique)
				}
			}
			if populate {
				p.populate(start, last)
			}
		}
		start = last
	}
	return 0
}

// rss counts the resident bytes.
func (p *twinProc) rss() RSS {
	var n [numRSS]uint64
	for _, e := range p.pte {
		if e.f != p.w.zero {
			n[e.f.kind] += PageSize
		}
	}
	for _, h := range p.huge {
		n[rssAnon] += uint64(len(h.frames)) * PageSize
	}
	return RSS{Anon: n[rssAnon], File: n[rssFile], Shmem: n[rssShmem]}
}

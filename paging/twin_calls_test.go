package paging

import "slices"

// populate makes pages present as mlock does; false when it has to stop. A page
// that cannot be had is tried twice where others of its mapping came before it:
// get_user_pages returns their number, and is called again for the rest.
func (p *twinProc) populate(start, end uint64) bool {
	first := start
	for i := start; i < end; i++ {
		if p.vma[i] != p.vma[first] {
			first = i
		}
		v := p.vma[i]
		if v == nil {
			continue
		}
		if v.prot == 0 {
			return false
		}
		a := Read
		if v.prot&ProtWrite != 0 && !v.shared {
			a = Write
		}
		if e := p.entry(i); e != nil && (a == Read || e.write) {
			continue
		}
		if p.fault(i, a).Fatal() {
			if i > first {
				p.fault(i, a)
			}
			return false
		}
	}
	return true
}

func (p *twinProc) mlock(start, end uint64) Errno {
	stop := start
	for ; stop < end && p.vma[stop] != nil; stop++ {
	}
	p.changeEach(start, stop, func(v *twinVMA) { v.locked = true })
	if stop < end || !p.populate(start, end) {
		return ENOMEM
	}
	return 0
}

// madvise walks mapping by mapping; a hole is ENOMEM at the end.
func (p *twinProc) madvise(start, end uint64, adv int) Errno {
	if p.w.old && (adv == madvFree || adv > 13) {
		return EINVAL // not known yet
	}
	result := Errno(0)
	for start < end {
		v := p.vma[start]
		if v == nil {
			result = ENOMEM
			start++
			continue
		}
		_, last := p.bounds(start)
		last = min(last, end)
		if errno := p.adviseOne(v, start, last, adv); errno != 0 {
			return errno
		}
		start = last
	}
	return result
}

func (p *twinProc) adviseOne(v *twinVMA, start, end uint64, adv int) Errno {
	plain := v.file == nil && !v.shared
	switch adv {
	case madvDontFork, madvDoFork:
		p.changeEach(start, end, func(v *twinVMA) { v.dontFork = adv == madvDontFork })
	case madvWipeOnFork:
		if !plain {
			return EINVAL
		}
		p.changeEach(start, end, func(v *twinVMA) { v.wipe = true })
	case madvKeepOnFork:
		p.changeEach(start, end, func(v *twinVMA) { v.wipe = false })
	case madvDontNeed:
		if v.locked {
			return EINVAL
		}
		p.drop(start, end, p.lose)
	case madvCold:
		if v.locked {
			return EINVAL
		}
		p.ageHuge(start, end, false)
	case madvHugePage, madvNoHugePage:
		p.changeEach(start, end, func(v *twinVMA) { v.huge, v.noHuge = adv == madvHugePage, adv == madvNoHugePage })
	case madvCollapse:
		return p.collapse(v, start, end)
	case madvFree:
		if v.locked || !plain {
			return EINVAL
		}
		p.ageHuge(start, end, true)
		for i := start; i < end; i++ {
			if e := p.pte[i]; e != nil {
				e.dirty = false
			}
		}
	case madvPopulateRead, madvPopulateWrite:
		a := Read
		need := ProtRead
		if adv == madvPopulateWrite {
			a, need = Write, ProtWrite
		}
		if v.prot&need == 0 {
			return EINVAL
		}
		for i := start; i < end; i++ {
			if e := p.entry(i); e != nil && (a == Read || e.write) {
				continue
			}
			if p.fault(i, a).Fatal() {
				if i > start {
					p.fault(i, a)
				}
				return EFAULT
			}
		}
	}
	return 0
}

// brkTo moves the end of the heap, in pages.
func (p *twinProc) brkTo(to uint64) {
	switch {
	case to < p.brk:
		p.unmap(to, p.brk)
	case to > p.brk:
		v := &twinVMA{prot: rw, acct: true, heap: true}
		p.paint(p.brk, to, v)
		below, _ := p.neighbours(p.brk, to)
		p.join(p.brk, to, below != nil && below.takes(nil), false)
	}
	p.brk = to
}

// remap is mremap of pages [old, old+oldN), which lie in one mapping; to is where
// MREMAP_FIXED moves them, 0 for none.
func (p *twinProc) remap(old, oldN, newN, to uint64) Errno {
	if to == 0 {
		if newN <= oldN {
			p.unmap(old+newN, old+oldN)
			return 0
		}
		if _, end := p.bounds(old); end != old+oldN {
			return ENOMEM
		}
		for i := old + oldN; i < old+newN; i++ {
			if p.vma[i] != nil {
				return ENOMEM
			}
		}
		v := p.vma[old]
		p.paint(old+oldN, old+newN, v)
		if _, above := p.neighbours(old, old+newN); above != nil && above.takes(v.anon) {
			start, _ := p.bounds(old)
			p.join(start, old+newN, false, true)
		}
		if v = p.vma[old]; v.locked {
			p.populate(old+oldN, old+newN)
		}
		return 0
	}
	p.unmap(to, to+newN)
	if newN < oldN {
		p.unmap(old+newN, old+oldN)
		oldN = newN
	}
	v := *p.vma[old]
	if v.file != nil || v.anon != nil || v.shared {
		v.offset += int64(old) - int64(to)
	}
	v.heap = false
	p.splitEdge(old)
	p.splitEdge(old + oldN)
	p.paint(to, to+newN, &v)
	p.merge(to, to+newN)
	p.moveTables(old, to, oldN)
	for i := range oldN {
		if e := p.pte[old+i]; e != nil {
			p.pte[to+i] = e
			delete(p.pte, old+i)
		}
		if h := p.huge[old+i]; h != nil {
			p.huge[to+i] = h
			delete(p.huge, old+i)
		}
		if index, ok := p.marks[old+i]; ok {
			p.marks[to+i] = index
			delete(p.marks, old+i)
		}
	}
	p.unmap(old, old+oldN)
	if v.locked && newN > oldN {
		p.populate(to+oldN, to+newN)
	}
	return 0
}

// moveTables is what move_page_tables does to the tables: whole ones change
// their place, the others get a companion.
func (p *twinProc) moveTables(from, to, n uint64) {
	size := uint64(1) << p.w.bits
	for n > 0 {
		step := min(n, size-from%size, size-to%size)
		if src := [2]uint64{1, from / size}; p.tables[src] {
			if step == size && !p.tables[[2]uint64{1, to / size}] {
				delete(p.tables, src)
			} else {
				p.split(from)
			}
			p.makeTables(to)
		}
		from, to, n = from+step, to+step, n-step
	}
}

func (p *twinProc) fork() *twinProc {
	c := p.w.newProc()
	c.heap, c.brk = p.heap, p.brk
	pages := make([]uint64, 0, len(p.vma))
	for i := range p.vma {
		pages = append(pages, i)
	}
	slices.Sort(pages)
	var last *twinVMA
	var now *twinVMA
	for _, i := range pages {
		v := p.vma[i]
		if v.dontFork {
			continue
		}
		if v != last {
			last = v
			n := *v
			n.locked = false
			if v.anon != nil {
				n.anon = &twinAnon{forked: true}
			}
			if v.wipe {
				n.anon = nil
			}
			now = &n
		}
		c.vma[i] = now
		if v.wipe || v.anon == nil && !v.nonlinear {
			continue
		}
		for level := uint64(1); level < p.w.levels; level++ { // a table for each of the parent's
			if t := [2]uint64{level, i >> (p.w.bits * level)}; p.tables[t] {
				c.tables[t] = true
			}
		}
		if p.huge[i] != nil {
			p.forkHuge(c, i)
		}
		if e := p.pte[i]; e != nil {
			if !v.shared {
				e.unique, e.write = false, false
			}
			copied := *e
			copied.f.maps++
			if copied.f.block != nil {
				copied.f.block.refs++
			}
			c.pte[i] = &copied
		}
		if index, ok := p.marks[i]; ok {
			c.marks[i] = index
		}
	}
	return c
}

func (p *twinProc) exit() {
	for i := range p.pte {
		p.dropPTE(i)
	}
	for base := range p.huge {
		p.dropHuge(base)
	}
	p.w.procs = slices.DeleteFunc(p.w.procs, func(o *twinProc) bool { return o == p })
}

// resize changes a file; what lies beyond it goes, private copies too.
func (w *twin) resize(f *twinFile, pages uint64) {
	f.pages = pages
	for _, p := range w.procs {
		for i, v := range p.vma {
			if v.file == f && p.pte[i] != nil && p.indexAt(i) >= pages {
				p.lose(i)
			}
		}
	}
	for i := range f.frames {
		if i >= pages {
			delete(f.frames, i)
		}
	}
}

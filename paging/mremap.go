package paging

// Flags of mremap(2).
const (
	mremapMayMove   = 1
	mremapFixed     = 2
	mremapDontUnmap = 4
)

// mremapArgs are the arguments of mremap(2), lengths in whole pages, and the
// imposed address.
type mremapArgs struct {
	old, oldLen, newLen, flags, newAddr, at uint64
}

// Mremap resizes or moves a mapping, after Linux 6.1 mm/mremap.c. at other than
// 0 imposes the address of a move without MREMAP_FIXED, as MmapArgs.At does.
// Errors: EINVAL, EFAULT (nothing mapped there, or the range leaves its
// mapping), ENOMEM, EAGAIN (more locked memory than allowed).
func (t *Task) Mremap(old, oldLen, newLen, flags, newAddr, at uint64) (uint64, Errno) {
	const known = mremapMayMove | mremapFixed | mremapDontUnmap
	switch {
	case flags&^known != 0, old&pageMask != 0,
		flags&mremapFixed != 0 && flags&mremapMayMove == 0,
		flags&mremapDontUnmap != 0 && (flags&mremapMayMove == 0 || oldLen != newLen):
		return 0, EINVAL
	}
	a := mremapArgs{old, pageUp(oldLen), pageUp(newLen), flags, newAddr, at}
	if a.newLen == 0 {
		return 0, EINVAL
	}
	s := t.begin()
	v := s.list().at(old)
	if v == nil {
		s.unlock(t)
		return 0, EFAULT
	}
	if v.huge != nil && !a.alignHuge(v.huge) {
		s.unlock(t)
		return 0, EINVAL
	}
	locked := v.flags&vmLocked != 0
	addr, errno := s.remap(t, v, a)
	s.settleShmem(t)
	s.unlock(t)
	if errno != 0 {
		return 0, errno
	}
	if locked && a.newLen > a.oldLen {
		t.populate(addr+a.oldLen, addr+a.newLen, false)
	}
	return addr, 0
}

// remap does the work of Mremap. Precondition: s.mu.
func (s *Space) remap(t *Task, v *vma, a mremapArgs) (uint64, Errno) {
	if a.flags&(mremapFixed|mremapDontUnmap) != 0 {
		return s.remapTo(t, a)
	}
	if a.oldLen >= a.newLen {
		if a.oldLen > a.newLen {
			if errno := s.unmap(t, FlushMremap, a.old+a.newLen, a.oldLen-a.newLen); errno != 0 {
				return 0, errno
			}
		}
		return a.old, 0
	}
	if errno := s.checkResize(v, a); errno != 0 {
		return 0, errno
	}
	if a.old+a.oldLen == v.end && (a.at == 0 || a.at == a.old) && s.expandable(v, a.newLen-a.oldLen) {
		if !s.mayAccount(v.flags, (a.newLen-a.oldLen)>>pageShift) {
			return 0, ENOMEM
		}
		s.expand(v, a.newLen-a.oldLen)
		return a.old, 0
	}
	if a.flags&mremapMayMove == 0 {
		return 0, ENOMEM
	}
	to, errno := s.place(MmapArgs{At: a.at, huge: v.huge}, a.newLen)
	if errno != 0 {
		return 0, errno
	}
	return s.move(t, v, a, to)
}

// checkResize is vma_to_resize.
func (s *Space) checkResize(v *vma, a mremapArgs) Errno {
	index := v.pgoff + (a.old-v.start)>>pageShift
	switch {
	case a.oldLen == 0 && v.private():
		return EINVAL // a copy of private memory would be no copy
	case a.flags&mremapDontUnmap != 0 && v.flags&(vmSpecial|vmHugeTLB) != 0:
		return EINVAL
	case a.oldLen > v.end-a.old:
		return EFAULT
	case a.newLen == a.oldLen:
		return 0
	case index+a.newLen>>pageShift < index:
		return EINVAL
	case v.flags&vmSpecial != 0:
		return EFAULT
	case !s.mayLock(v.flags, (a.newLen-a.oldLen)>>pageShift):
		return EAGAIN
	case !s.mayExpand(v.flags, (a.newLen-a.oldLen)>>pageShift):
		return ENOMEM
	}
	return 0
}

// expandable says whether a mapping can grow where it is (vma_expandable; no
// guard gap is kept here).
func (s *Space) expandable(v *vma, grow uint64) bool {
	return v.end+grow >= v.end && v.end+grow <= s.machine.layout.end && !s.list().overlaps(v.end, v.end+grow)
}

// expand lets a mapping grow where there is room, and merges it with what it
// then touches.
func (s *Space) expand(v *vma, grow uint64) {
	l := s.list()
	more := v.clone()
	more.start, more.end, more.pgoff = v.end, v.end+grow, v.pgoff+v.pages()
	i := l.find(v.end)
	above := i < len(l) && continues(more, l[i]) && l[i].accepts(more, v.anon.Load())
	s.publish(l.replaced(i, i, more).absorb(i, true, above))
}

// remapTo is mremap_to: a move to a given address, or one that leaves the old
// range mapped.
func (s *Space) remapTo(t *Task, a mremapArgs) (uint64, Errno) {
	switch limit := s.machine.layout.end; {
	case a.newAddr&pageMask != 0, a.newLen > limit, a.newAddr > limit-a.newLen,
		a.old+a.oldLen > a.newAddr && a.newAddr+a.newLen > a.old:
		return 0, EINVAL
	case len(s.list())+2 >= maxMapCount-3:
		return 0, ENOMEM
	}
	request := MmapArgs{Addr: a.newAddr, At: a.at}
	if v := s.list().at(a.old); v != nil {
		request.huge = v.huge
	}
	if a.flags&mremapFixed != 0 {
		request.Flags = MapFixed
		if errno := s.unmap(t, FlushMremap, a.newAddr, a.newLen); errno != 0 {
			return 0, errno
		}
	}
	if a.oldLen > a.newLen {
		if errno := s.unmap(t, FlushMremap, a.old+a.newLen, a.oldLen-a.newLen); errno != 0 {
			return 0, errno
		}
		a.oldLen = a.newLen
	}
	v := s.list().at(a.old)
	if v == nil {
		return 0, EFAULT
	}
	if errno := s.checkResize(v, a); errno != 0 {
		return 0, errno
	}
	if a.flags&mremapDontUnmap != 0 && !s.mayExpand(v.flags, a.oldLen>>pageShift) {
		return 0, ENOMEM
	}
	to, errno := s.place(request, a.newLen)
	if errno != 0 {
		return 0, errno
	}
	return s.move(t, v, a, to)
}

// move is move_vma: a mapping at the new address takes over the entries of the
// old one, which goes unless MREMAP_DONTUNMAP. While the entries move neither is
// in the list, so that a fault on either waits.
func (s *Space) move(t *Task, v *vma, a mremapArgs, to uint64) (uint64, Errno) {
	before := s.list()
	if len(before) >= maxMapCount-3 {
		return 0, ENOMEM
	}
	keep := a.flags&mremapDontUnmap != 0
	more := a.newLen - a.oldLen
	if keep {
		more = a.newLen
	}
	if !s.mayAccount(v.flags, more>>pageShift) {
		return 0, ENOMEM
	}
	end := a.old + a.oldLen
	after := before.withCopy(v, a, to, keep)
	if keep {
		after = after.abandon(v, a.old, end)
	} else {
		after = after.without(a.old, end)
	}
	s.hide(before.without(a.old, end))
	if v.huge != nil {
		s.moveHugeTLB(t, v.huge, a.old>>pageShift, to>>pageShift, a.oldLen>>pageShift)
	} else {
		s.moveEntries(t, a.old>>pageShift, to>>pageShift, a.oldLen>>pageShift)
	}
	if a.oldLen > 0 && !keep {
		// what the moves have left of the tables
		g := s.gather(t, FlushMremap)
		s.freeTables(&g, after, a.old>>pageShift, end>>pageShift)
		g.flush()
	}
	s.publishOver(before, after)
	return to, 0
}

// withCopy adds the mapping at the new address, merged with its neighbours
// (copy_vma). Memory that has no pages yet gets the offset of its new address.
// A mapping whose source stays does not merge with that.
func (l vmaList) withCopy(v *vma, a mremapArgs, to uint64, keep bool) vmaList {
	n := v.clone().another()
	n.pgoff = v.index(a.old >> pageShift)
	n.start, n.end = to, to+a.newLen
	untouched := v.file == nil && v.anon.Load() == nil
	if untouched {
		n.pgoff = to >> pageShift
	}
	if n.name == regionNames[Heap] {
		n.name = ""
	}
	i := l.find(to)
	l = l.replaced(i, i, n)
	if keep && untouched && (to == v.end || v.start == to+a.newLen) {
		return l
	}
	return l.merge(i)
}

// abandon is what MREMAP_DONTUNMAP leaves of the old range [start, end): it is
// no longer locked, and a mapping that has given all its pages away begins anew.
func (l vmaList) abandon(v *vma, start, end uint64) vmaList {
	n, i, j := l, l.find(start), l.find(start)+1
	if v.flags&vmLock != 0 {
		n, i, j = l.isolate(start, end) // the rest stays locked
	}
	old := n[i].clone()
	old.flags &^= vmLock
	if old.start == start && old.end == end {
		old.anon.Store(nil)
		if old.file == nil {
			old.pgoff = start >> pageShift
		}
	}
	return n.replaced(i, j, old)
}

// moveEntries moves the entries of n pages (move_page_tables): by whole tables
// or directories where both addresses allow it, else one by one. Every step
// flushes the old address of what it moved.
func (s *Space) moveEntries(t *Task, from, to, n uint64) {
	for n > 0 {
		step := s.moveStep(t, from, to, n)
		from, to, n = from+step, to+step, n-step
	}
}

// moveStep moves the entries up to the next boundary and returns how many pages
// that is. With 2 levels there are no directories to move
// (CONFIG_PGTABLE_LEVELS > 2).
func (s *Space) moveStep(t *Task, from, to, n uint64) uint64 {
	p := s.table
	if p.levels > 2 {
		step := p.extent(from, to, n, 2)
		d, _ := p.dirOf(from, 2, false)
		if d == nil || d.dirs[p.slot(from, 2)].Load() == nil || step == p.span(2) && s.moveTables(t, from, to, 2) {
			return step
		}
	}
	step := p.extent(from, to, n, 1)
	if tab := p.find(from); tab != nil && (step != p.span(1) || !s.moveTables(t, from, to, 1)) {
		s.moveRange(t, tab, from, to, step)
	}
	return step
}

// extent is how many pages can move together: up to the next boundary of a
// level's entries at either address, n at most (get_extent).
func (p *pageTable) extent(from, to, n uint64, level int) uint64 {
	size := p.span(level)
	return min(n, size-from%size, size-to%size)
}

// moveTables moves what lies below one entry of a directory, if its place is
// free.
func (s *Space) moveTables(t *Task, from, to uint64, level int) bool {
	moved, grown := s.table.move(t, from, to, level)
	s.countTables(grown)
	if moved {
		s.noteMoved(from, to, s.table.span(level))
		s.prune.Add(1)
		s.flushPages(t, FlushMremap, from, from+s.table.span(level))
	}
	return moved
}

// noteMoved tells the reverse map of entries that moved with their tables.
func (s *Space) noteMoved(from, to, n uint64) {
	if s.machine.memory == nil {
		return
	}
	s.table.tables(to, to+n, func(base uint64, tab *table) {
		if ptePFN(tab.large()) == hugeZeroPFN {
			return // nothing is known of it
		}
		for vpn := base; vpn < base+tab.pages(); vpn++ {
			if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
				s.machine.memory.moved(ptePFN(e), s, vpn-to+from, mapping{tab, vpn})
			}
		}
	})
}

// moveRange moves n entries of one table (move_ptes).
func (s *Space) moveRange(t *Task, tab *table, from, to, n uint64) {
	dst := s.makeTable(to)
	tab.lock(t)
	defer tab.unlock(t)
	if tab.large() != 0 {
		s.split(t, tab, from&^(tab.pages()-1))
	}
	if dst != tab {
		dst.lockSecond(t)
		defer dst.unlockSecond(t)
	}
	moved := false
	for i := range n {
		if tab.load(from+i) != 0 {
			e := tab.set(from+i, 0)
			dst.set(to+i, e)
			if !isFileEntry(e) {
				s.machine.memory.moved(ptePFN(e), s, from+i, mapping{dst, to + i})
			}
			moved = true
		}
	}
	if moved {
		s.flushPages(t, FlushMremap, from, from+n)
	}
}

package paging

// SetBrk says where the heap begins and ends: at the start of a program, or
// when a recording tells.
func (t *Task) SetBrk(start, end uint64) {
	s := t.begin()
	s.startBrk, s.brk = start, end
	s.unlock(t)
}

// Brk moves the end of the heap, after Linux 6.1 mm/mmap.c:brk. It returns the
// new end, or the old one where the move is refused: below the start, into (or
// within a guard gap of) the next mapping, above a limit, or
// down over pages that are not mapped any more.
func (t *Task) Brk(addr uint64) uint64 {
	s := t.begin()
	old := s.brk
	from, to := pageUp(old), pageUp(addr)
	ok := addr >= s.startBrk && addr-s.startBrk <= s.machine.cfg.DataLimit // check_data_rlimit
	switch {
	case !ok || from == to:
	case addr <= old:
		ok = s.list().overlaps(to, from) && s.unmap(t, FlushBrk, to, from-to) == 0
	default:
		ok = s.growHeap(from, to)
	}
	if !ok {
		s.unlock(t)
		return old
	}
	s.brk = addr
	locked := s.defFlags&vmLocked != 0 && to > from
	s.unlock(t)
	if locked {
		t.populate(from, to, false)
	}
	return addr
}

// growHeap is do_brk_flags with the checks before it: the heap's last mapping
// grows if it can, otherwise there is a new one. Nothing else merges.
// Precondition: s.mu.
func (s *Space) growHeap(from, to uint64) bool {
	l := s.list()
	v := &vma{start: from, end: to, flags: protFlags(ProtRead|ProtWrite) | vmMayAll | vmAccount | s.defFlags, pgoff: from >> pageShift, name: regionNames[Heap]}
	i := l.find(from)
	if to > s.machine.layout.end || to < from || len(l) > maxMapCount || !s.mayExpand(v.flags, v.pages()) || !s.mayLock(v.flags, v.pages()) || !s.mayCommit(v.pages()) || i < len(l) && to+PageSize > l[i].gapStart() {
		return false
	}
	below := i > 0 && l[i-1].end > s.startBrk && continues(l[i-1], v) && l[i-1].accepts(v, nil)
	s.publish(l.replaced(i, i, v).absorb(i, below, false))
	return true
}

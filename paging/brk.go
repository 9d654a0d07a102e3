package paging

// SetBrk says where the heap begins and ends: at the start of a program, or
// when a recording tells.
func (t *Task) SetBrk(start, end uint64) {
	s := t.space
	s.mu.Lock()
	s.startBrk, s.brk = start, end
	s.mu.Unlock()
}

// Brk moves the end of the heap, after Linux 6.1 mm/mmap.c:brk. It returns the
// new end, or the old one where the move is refused: below the start, or into
// (or within a guard gap of) the next mapping.
func (t *Task) Brk(addr uint64) uint64 {
	s := t.space
	s.mu.Lock()
	old := s.brk
	if addr < s.startBrk || addr >= taskSize {
		s.mu.Unlock()
		return old
	}
	from, to := pageUp(old), pageUp(addr)
	switch {
	case from == to:
	case to < from:
		if s.unmap(t, FlushBrk, to, from) != 0 {
			s.mu.Unlock()
			return old
		}
	default:
		l := s.list()
		if i := l.find(from); i < len(l) && to+PageSize > l[i].gapStart() || len(l) > maxMapCount {
			s.mu.Unlock()
			return old
		}
		v := &vma{start: from, end: to, flags: protFlags(ProtRead|ProtWrite) | vmMayAll | s.defFlags, pgoff: from >> pageShift, anon: &anonMark{}, name: "[heap]"}
		i := l.find(from)
		s.publish(l.replaced(i, i, v).join(i, i+1))
	}
	s.brk = addr
	locked := s.defFlags&vmLocked != 0 && to > from
	s.mu.Unlock()
	if locked {
		t.populate(from, to)
	}
	return addr
}

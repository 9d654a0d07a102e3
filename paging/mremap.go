package paging

import "sync/atomic"

// Flags of mremap(2).
const (
	mremapMayMove   = 1
	mremapFixed     = 2
	mremapDontUnmap = 4
)

// Mremap resizes or moves a mapping, after Linux 6.1 mm/mremap.c. at other than
// 0 imposes the address of a move without MREMAP_FIXED, as MmapArgs.At does.
// Errors: EINVAL, EFAULT (nothing mapped there, or the range leaves its
// mapping), ENOMEM.
func (t *Task) Mremap(old, oldLen, newLen, flags, newAddr, at uint64) (uint64, Errno) {
	if flags&^(mremapMayMove|mremapFixed|mremapDontUnmap) != 0 || flags&mremapFixed != 0 && flags&mremapMayMove == 0 ||
		flags&mremapDontUnmap != 0 && (flags&mremapMayMove == 0 || oldLen != newLen) || old&pageMask != 0 {
		return 0, EINVAL
	}
	oldLen, newLen = pageUp(oldLen), pageUp(newLen)
	if newLen == 0 {
		return 0, EINVAL
	}
	s := t.space
	s.mu.Lock()
	v := s.list().at(old)
	if v == nil {
		s.mu.Unlock()
		return 0, EFAULT
	}
	addr, errno := s.remap(t, v, old, oldLen, newLen, flags, newAddr, at)
	locked := errno == 0 && v.flags&vmLocked != 0 && newLen > oldLen
	s.mu.Unlock()
	if locked {
		t.populate(addr+oldLen, addr+newLen)
	}
	return addr, errno
}

// remap does the work of Mremap. Precondition: s.mu.
func (s *Space) remap(t *Task, v *vma, old, oldLen, newLen, flags, newAddr, at uint64) (uint64, Errno) {
	if flags&(mremapFixed|mremapDontUnmap) != 0 {
		return s.remapTo(t, old, oldLen, newLen, flags, newAddr, at)
	}
	if oldLen >= newLen {
		if oldLen > newLen {
			if errno := s.unmap(t, FlushMremap, old+newLen, old+oldLen); errno != 0 {
				return 0, errno
			}
		}
		return old, 0
	}
	if errno := checkResize(v, old, oldLen, newLen); errno != 0 {
		return 0, errno
	}
	grow := newLen - oldLen
	imposedMove := at != 0 && at != old
	if old+oldLen == v.end && !imposedMove && s.expandable(v, grow) {
		l := s.list()
		i := l.find(old)
		n := *v
		n.end += grow
		s.publish(l.replaced(i, i+1, &n).join(i, i+1))
		return old, 0
	}
	if flags&mremapMayMove == 0 {
		return 0, ENOMEM
	}
	to, errno := s.place(MmapArgs{At: at}, newLen)
	if errno != 0 {
		return 0, errno
	}
	return s.move(t, v, old, oldLen, newLen, to, flags)
}

// checkResize is vma_to_resize.
func checkResize(v *vma, old, oldLen, newLen uint64) Errno {
	if oldLen == 0 && v.flags&vmShared == 0 {
		return EINVAL // a copy of private memory would be no copy
	}
	if v.flags&vmSpecial != 0 && newLen > oldLen {
		return EFAULT
	}
	if oldLen > v.end-old {
		return EFAULT
	}
	if index := (old-v.start)>>pageShift + v.pgoff; newLen > oldLen && index+newLen>>pageShift < index {
		return EINVAL
	}
	return 0
}

// expandable says whether a mapping can grow where it is.
func (s *Space) expandable(v *vma, grow uint64) bool {
	if v.end+grow < v.end || v.end+grow > taskSize {
		return false
	}
	l := s.list()
	i := l.find(v.end)
	return i == len(l) || v.end+grow <= l[i].start
}

// remapTo is mremap_to: a move to a given address, or one that leaves the old
// range mapped.
func (s *Space) remapTo(t *Task, old, oldLen, newLen, flags, newAddr, at uint64) (uint64, Errno) {
	fixed := flags&mremapFixed != 0
	if fixed && (newAddr&pageMask != 0 || newLen > taskSize || newAddr > taskSize-newLen) {
		return 0, EINVAL
	}
	if fixed && old+oldLen > newAddr && newAddr+newLen > old {
		return 0, EINVAL
	}
	if fixed {
		if errno := s.unmap(t, FlushMremap, newAddr, newAddr+newLen); errno != 0 {
			return 0, errno
		}
	}
	if oldLen > newLen {
		if errno := s.unmap(t, FlushMremap, old+newLen, old+oldLen); errno != 0 {
			return 0, errno
		}
		oldLen = newLen
	}
	v := s.list().at(old)
	if v == nil {
		return 0, EFAULT
	}
	if errno := checkResize(v, old, oldLen, newLen); errno != 0 {
		return 0, errno
	}
	if flags&mremapDontUnmap != 0 && v.flags&vmSpecial != 0 {
		return 0, EINVAL
	}
	to := newAddr
	if !fixed {
		var errno Errno
		if to, errno = s.place(MmapArgs{Addr: newAddr, At: at}, newLen); errno != 0 {
			return 0, errno
		}
	}
	return s.move(t, v, old, oldLen, newLen, to, flags)
}

// move is move_vma: a mapping at the new address takes over the entries of the
// old one, which goes unless MREMAP_DONTUNMAP.
func (s *Space) move(t *Task, v *vma, old, oldLen, newLen, to, flags uint64) (uint64, Errno) {
	if len(s.list()) >= maxMapCount-3 {
		return 0, ENOMEM
	}
	n := *v
	n.pgoff = v.index(old >> pageShift)
	n.start, n.end = to, to+newLen
	if v.file == nil && !v.anon.set.Load() {
		n.pgoff = to >> pageShift // mm/mmap.c:copy_vma: nothing pins the offset yet
	}
	if v.file == nil && oldLen == 0 {
		return 0, EINVAL
	}
	if n.name == regionNames[Heap] {
		n.name = ""
	}
	l := s.list()
	i := l.find(to)
	s.publish(l.replaced(i, i, &n).join(i, i+1))
	var g gather
	s.moveEntries(old>>pageShift, to>>pageShift, oldLen>>pageShift, &g)
	s.flushGather(t, FlushMremap, &g)
	if flags&mremapDontUnmap != 0 {
		return to, 0
	}
	if oldLen > 0 {
		if errno := s.unmap(t, FlushMremap, old, old+oldLen); errno != 0 {
			return 0, errno
		}
	}
	return to, 0
}

// moveEntries moves the entries of n pages (mm/mremap.c:move_page_tables).
func (s *Space) moveEntries(from, to, n uint64, g *gather) {
	type entry struct{ vpn, e uint64 }
	var batch []entry
	s.table.tables(from, from+n, func(base uint64, tab *table) {
		tab.mu.Lock()
		for vpn := max(base, from); vpn < min(base+tableSize, from+n); vpn++ {
			if e := atomic.LoadUint64(&tab.ptes[vpn&tableMask]); e != 0 {
				tab.set(vpn&tableMask, 0)
				g.add(vpn)
				batch = append(batch, entry{vpn, e})
			}
		}
		tab.mu.Unlock()
	})
	for _, b := range batch {
		vpn := b.vpn - from + to
		tab := s.lockEntry(vpn)
		tab.set(vpn&tableMask, b.e)
		tab.mu.Unlock()
	}
}

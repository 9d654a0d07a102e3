package paging

import "sync/atomic"

// Making pages present before they are touched: MAP_POPULATE, mlock and its
// kin, MADV_POPULATE_*. All go through present, after Linux 6.1 mm/gup.c:
// populate_vma_page_range and faultin_page.

// populate makes the mapped pages of [start, end) present and ignores what
// cannot be (mm_populate).
func (t *Task) populate(start, end uint64) {
	for start < end {
		l := t.space.list()
		i := l.find(start)
		if i == len(l) || l[i].start >= end {
			return
		}
		v := l[i]
		from, to := max(start, v.start), min(end, v.end)
		// A private writable mapping is written, so that it is not faulted
		// once more; shared ones are read, so that nothing becomes dirty.
		a := Read
		if v.flags&(vmWrite|vmShared) == vmWrite {
			a = Write
		}
		if v.flags&(vmRead|vmWrite|vmExec) != 0 {
			t.present(from, to, a)
		}
		start = v.end
	}
}

// present faults in every page of [start, end) that is not present or does not
// permit the access (mm/gup.c:__get_user_pages). It returns how many pages it
// went through and the outcome that stopped it.
func (t *Task) present(start, end uint64, a Access) (uint64, Outcome) {
	for addr := start; addr < end; addr += PageSize {
		vpn := addr >> pageShift
		for {
			if tab := t.leaf(vpn); tab != nil {
				e := atomic.LoadUint64(&tab.ptes[vpn&tableMask])
				if e&pteP != 0 && (a != Write || e&pteW != 0) {
					break
				}
			}
			if out := t.fault(vpn, a); out.Fatal() {
				return (addr - start) >> pageShift, out
			}
		}
	}
	return (end - start) >> pageShift, OK
}

// Flags of mlock2, mlockall.
const (
	mlockOnFault = 1
	mclCurrent   = 1
	mclFuture    = 2
	mclOnFault   = 4
)

// Mlock locks and makes present the pages of a range (mm/mlock.c:do_mlock).
// Errors: EINVAL (the range wraps), ENOMEM (a hole; what came before it is
// locked).
func (t *Task) Mlock(addr, length uint64) Errno { return t.Mlock2(addr, length, 0) }

// Mlock2 is Mlock; with MLOCK_ONFAULT nothing is made present.
func (t *Task) Mlock2(addr, length uint64, flags int) Errno {
	if flags&^mlockOnFault != 0 {
		return EINVAL
	}
	start, end := addr&^pageMask, pageUp(addr+length)
	if errno := t.setLocked(start, end, true); errno != 0 {
		return errno
	}
	if flags&mlockOnFault == 0 {
		for from := start; from < end; {
			v := t.space.list().at(from)
			if v == nil {
				break
			}
			if v.flags&(vmRead|vmWrite|vmExec) == 0 {
				return ENOMEM // mm/gup.c:__mm_populate via __mlock_posix_error_return
			}
			t.populate(from, min(end, v.end))
			from = v.end
		}
	}
	return 0
}

// Munlock unlocks the pages of a range.
func (t *Task) Munlock(addr, length uint64) Errno {
	return t.setLocked(addr&^pageMask, pageUp(addr+length), false)
}

func (t *Task) setLocked(start, end uint64, on bool) Errno {
	if end < start {
		return EINVAL
	}
	if end == start {
		return 0
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.eachPart(start, end, func(v *vma) vmaFlags {
		if on {
			return v.flags | vmLocked
		}
		return v.flags &^ vmLocked
	})
}

// eachPart changes the flags of the mappings of [start, end) from the front,
// up to a hole, which is ENOMEM. Precondition: s.mu.
func (s *Space) eachPart(start, end uint64, flags func(*vma) vmaFlags) Errno {
	l := s.list()
	i := l.find(start)
	if i == len(l) || l[i].start > start {
		return ENOMEM
	}
	stop := start
	for ; i < len(l) && l[i].start == max(stop, l[i].start) && l[i].start <= stop && stop < end; i++ {
		stop = min(end, l[i].end)
	}
	n, errno := l.change(start, stop, flags)
	if errno != 0 {
		return errno
	}
	s.publish(n)
	if stop < end {
		return ENOMEM
	}
	return 0
}

// Mlockall locks all mappings (MCL_CURRENT) and those to come (MCL_FUTURE).
func (t *Task) Mlockall(flags int) Errno {
	if flags == 0 || flags&^(mclCurrent|mclFuture|mclOnFault) != 0 || flags == mclOnFault {
		return EINVAL
	}
	s := t.space
	s.mu.Lock()
	s.defFlags &^= vmLocked
	if flags&mclFuture != 0 {
		s.defFlags |= vmLocked
	}
	if flags&mclCurrent != 0 {
		s.relock(func(f vmaFlags) vmaFlags { return f | vmLocked })
	}
	s.mu.Unlock()
	if flags&mclCurrent != 0 && flags&mclOnFault == 0 {
		t.populate(0, taskSize)
	}
	return 0
}

// Munlockall unlocks all mappings.
func (t *Task) Munlockall() Errno {
	s := t.space
	s.mu.Lock()
	s.defFlags &^= vmLocked
	s.relock(func(f vmaFlags) vmaFlags { return f &^ vmLocked })
	s.mu.Unlock()
	return 0
}

func (s *Space) relock(flags func(vmaFlags) vmaFlags) {
	if n, errno := s.list().change(0, taskSize, func(v *vma) vmaFlags {
		if v.flags&vmSpecial != 0 {
			return v.flags
		}
		return flags(v.flags)
	}); errno == 0 {
		s.publish(n)
	}
}

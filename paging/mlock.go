package paging

// Locking memory, after Linux 6.1 mm/mlock.c. A lock makes pages present, keeps
// them from being reclaimed, keeps mappings apart, bars MADV_DONTNEED and counts
// against the limit.

// Flags of mlock2, mlockall.
const (
	mlockOnFault = 1
	mclCurrent   = 1
	mclFuture    = 2
	mclOnFault   = 4
)

// Mlock locks the pages of a range and makes them present (do_mlock). Errors:
// EINVAL (the range wraps), ENOMEM (a hole, what came before it is locked; the
// limit; pages that cannot be made present), EAGAIN (no frame), EINTR (Task.Kill).
func (t *Task) Mlock(addr, length uint64) Errno { return t.Mlock2(addr, length, 0) }

// Mlock2 is Mlock; with MLOCK_ONFAULT nothing is made present. Errors: as Mlock,
// and EINVAL for other flags.
func (t *Task) Mlock2(addr, length uint64, flags int) Errno {
	on := vmLocked
	switch flags {
	case 0:
	case mlockOnFault:
		on |= vmLockOnFault
	default:
		return EINVAL
	}
	start, size := t.machine.lockRange(addr, length)
	t.noteLock()
	s := t.begin()
	errno := ENOMEM
	if s.lockable(start, size) {
		errno = s.setLock(start, size, on)
	}
	s.unlock(t)
	if errno != 0 {
		return errno
	}
	switch errno := t.populate(start, start+size, true); errno { // __mlock_posix_error_return
	case EFAULT:
		return ENOMEM
	case ENOMEM:
		return EAGAIN
	default:
		return errno
	}
}

// Munlock unlocks the pages of a range. Errors: EINVAL (the range wraps), ENOMEM
// (a hole, what came before it is unlocked).
func (t *Task) Munlock(addr, length uint64) Errno {
	start, size := t.machine.lockRange(addr, length)
	s := t.begin()
	defer s.unlock(t)
	defer t.unlocked()
	return s.setLock(start, size, 0)
}

// noteLock counts a lock on memory: what is locked does not leave in its turn.
func (t *Task) noteLock() {
	if g := t.machine.memory; g != nil {
		g.mu.Lock()
		g.stats.Locks++
		g.mu.Unlock()
	}
}

// lockRange is the whole pages that hold the range; a size of 0 for one that
// reaches over the end of the address space by less than a page.
func (m *Machine) lockRange(addr, length uint64) (start, size uint64) {
	return addr &^ pageMask, m.layout.add(length+addr&pageMask, pageMask) &^ pageMask
}

// lockable holds a range against the limit; pages of it that are locked already
// do not count twice. Precondition: s.mu.
func (s *Space) lockable(start, size uint64) bool {
	l := s.list()
	n, limit := size>>pageShift+l.lockedPages(), s.machine.cfg.LockedLimit>>pageShift
	if n > limit && s.machine.layout.add(start, size) >= start {
		n -= l.within(start, start+size).lockedPages()
	}
	return n <= limit
}

// within returns the parts of mappings inside [start, end).
func (l vmaList) within(start, end uint64) vmaList {
	n, i, j := l.isolate(start, end)
	return n[i:j]
}

// setLock gives the mappings of a range the lock flags, up to a hole
// (apply_vma_lock_flags). Precondition: s.mu.
func (s *Space) setLock(start, size uint64, on vmaFlags) Errno {
	end := s.machine.layout.add(start, size)
	if end < start {
		return EINVAL
	}
	stop := start // of what is mapped without a hole
	for l := s.list(); stop < end; {
		v := l.at(stop)
		if v == nil {
			break
		}
		stop = v.end
	}
	n, errno := s.list().change(start, min(stop, end), lockFlags(on))
	if errno != 0 {
		return errno
	}
	s.publish(n)
	if stop < end {
		return ENOMEM
	}
	return 0
}

// lockFlags changes the lock flags of a mapping (mlock_fixup).
func lockFlags(on vmaFlags) func(*vma) vmaFlags {
	return func(v *vma) vmaFlags {
		if v.flags&(vmSpecial|vmHugeTLB) != 0 {
			return v.flags
		}
		return v.flags&^vmLock | on
	}
}

// Mlockall locks all mappings (MCL_CURRENT) and those to come (MCL_FUTURE).
// Errors: EINVAL, ENOMEM (more mapped than may be locked).
func (t *Task) Mlockall(flags int) Errno {
	if flags == 0 || flags&^(mclCurrent|mclFuture|mclOnFault) != 0 || flags == mclOnFault {
		return EINVAL
	}
	t.noteLock()
	on := vmLocked
	if flags&mclOnFault != 0 {
		on |= vmLockOnFault
	}
	s := t.begin()
	if flags&mclCurrent != 0 && s.list().totalPages() > s.machine.cfg.LockedLimit>>pageShift {
		s.unlock(t)
		return ENOMEM
	}
	s.defFlags &^= vmLock
	if flags&mclFuture != 0 {
		s.defFlags |= on
	}
	if flags&mclCurrent != 0 {
		s.lockAll(on)
	}
	s.unlock(t)
	if flags&mclCurrent != 0 {
		t.populate(0, t.machine.layout.end, false)
	}
	return 0
}

// Munlockall unlocks all mappings and those to come.
func (t *Task) Munlockall() Errno {
	s := t.begin()
	defer s.unlock(t)
	s.defFlags &^= vmLock
	s.lockAll(0)
	t.unlocked()
	return 0
}

// lockAll ignores errors, as apply_mlockall_flags does. Precondition: s.mu.
func (s *Space) lockAll(on vmaFlags) {
	if n, errno := s.list().change(0, s.machine.layout.end, lockFlags(on)); errno == 0 {
		s.publish(n)
	}
}

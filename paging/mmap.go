package paging

// mmap and munmap, after Linux 6.1 mm/mmap.c: do_mmap, mmap_region,
// do_mas_munmap.

const maxMapCount = 65530 // vm.max_map_count

// MmapArgs are the arguments of mmap(2); Offset is in bytes. At other than 0
// imposes the result of a call without MAP_FIXED: the address that a recorded
// program got. The model then checks that it is aligned, inside user memory and
// free, and answers ENOMEM if it is not.
type MmapArgs struct {
	Addr, Len uint64
	Prot      Prot
	Flags     MapFlags
	File      *File
	Offset    uint64
	At        uint64

	huge     *hugeVMA // of a mapping of hugetlb
	readOnly bool     // the file is not open for writing
}

// Mmap maps memory and returns its address. Errors as mmap(2): EINVAL, EBADF (no
// file given), ENOMEM, EEXIST, EOVERFLOW, EPERM (below vm.mmap_min_addr), EAGAIN
// (more locked memory than allowed), EOPNOTSUPP (MAP_SHARED_VALIDATE).
func (t *Task) Mmap(a MmapArgs) (uint64, Errno) {
	switch {
	case a.Offset&pageMask != 0:
		return 0, EINVAL // arch/x86/kernel/sys_x86_64.c:mmap
	case a.Flags&MapAnonymous != 0:
		a.File = nil
	case a.File == nil:
		return 0, EBADF // ksys_mmap_pgoff
	case a.Flags&mapHugeTLB != 0 && a.File.hugetlb == nil:
		return 0, EINVAL
	}
	length, errno := a.length(t.machine)
	if errno != 0 {
		return 0, errno
	}
	s := t.begin()
	addr, errno := s.mmap(t, length, a)
	locked := s.defFlags&vmLocked != 0 || a.Flags&MapLocked != 0
	if locked {
		t.noteLock()
	}
	s.unlock(t)
	if errno != 0 {
		return 0, errno
	}
	if locked || a.Flags&(MapPopulate|MapNonBlock) == MapPopulate {
		t.populate(addr, addr+length, false)
	}
	return addr, 0
}

// mmap is do_mmap from the check of map_count on. Precondition: s.mu.
func (s *Space) mmap(t *Task, length uint64, a MmapArgs) (uint64, Errno) {
	if len(s.list()) > maxMapCount {
		return 0, ENOMEM
	}
	addr, errno := s.place(a, length)
	if errno != 0 {
		return 0, errno
	}
	v := &vma{start: addr, end: addr + length, flags: protFlags(a.Prot) | vmMayAll | s.defFlags, pgoff: addr >> pageShift}
	if a.Flags&MapGrowsDown != 0 {
		v.flags |= vmGrowsDown
	}
	if a.Flags&MapLocked != 0 {
		v.flags |= vmLocked
	}
	if !s.mayLock(v.flags, v.pages()) {
		return 0, EAGAIN
	}
	if errno := v.back(a, length, s.machine.layout.fileMax); errno != 0 {
		return 0, errno
	}
	if a.Flags&MapNoReserve != 0 && (a.huge != nil || s.machine.cfg.Overcommit != OvercommitNever) {
		v.flags |= vmNoReserve
	}
	if a.huge != nil {
		v.flags, v.huge = v.flags&^vmLock|vmHugeTLB, a.huge
	} else {
		v.account()
	}
	if !s.mayReplace(v) || s.list().cutsAny(v.start, v.end) {
		return 0, ENOMEM
	}
	if errno := s.commit(t, v, a); errno != 0 {
		return 0, errno
	}
	g := s.gather(t, FlushMunmap)
	errno = s.replace(&g, v)
	g.flush()
	s.settleShmem(t)
	return addr, errno
}

// back gives a new mapping its file and sharing, with the checks of do_mmap.
func (v *vma) back(a MmapArgs, length, fileMax uint64) Errno {
	kind := a.Flags & mapTypeMask
	if a.File == nil {
		switch {
		case kind != MapPrivate && kind != MapShared, kind == MapShared && v.flags&vmGrowsDown != 0:
			return EINVAL
		case kind == MapShared:
			v.flags |= vmShared
		}
		return 0
	}
	// file_mmap_ok: the end must not be beyond the largest offset
	if length > fileMax || a.Offset > fileMax-length {
		return EOVERFLOW
	}
	v.file, v.pgoff = a.File, a.Offset>>pageShift
	switch {
	case kind == MapSharedValidate && a.Flags&^mapLegacy != 0:
		return EOPNOTSUPP
	case kind != MapPrivate && kind != MapShared && kind != MapSharedValidate, v.flags&vmGrowsDown != 0:
		return EINVAL
	case kind != MapPrivate:
		v.flags |= vmShared
		if a.readOnly {
			v.flags &^= vmMayWrite
		}
	}
	return 0
}

// commit has a new mapping promised, with the object of shared anonymous memory
// behind it. What was there is given up first, and stays so if the new one is
// refused (mmap_region). Precondition: s.mu.
func (s *Space) commit(t *Task, v *vma, a MmapArgs) Errno {
	if v.huge != nil {
		return s.commitHuge(v, a)
	}
	anonymous := v.file == nil && !v.private()
	if s.machine.cfg.RAM != NoLimit && (anonymous || v.flags&vmAccount != 0) {
		if errno := s.unmap(t, FlushMunmap, v.start, v.end-v.start); errno != 0 {
			return errno
		}
	}
	if !s.mayAccount(v.flags, v.pages()) {
		return ENOMEM
	}
	if anonymous {
		v.file, v.pgoff = s.machine.newShmem(), 0
		if !v.file.promise(s, v.flags, v.pages()) {
			return ENOMEM
		}
	}
	return 0
}

// account marks memory that counts against the commit limit
// (accountable_mapping).
func (v *vma) account() {
	if v.flags&(vmNoReserve|vmShared|vmWrite) == vmWrite {
		v.flags |= vmAccount
	}
}

// mayLock says whether so many more pages may be locked, if the flags say that
// they will be (mlock_future_check). Precondition: s.mu.
func (s *Space) mayLock(flags vmaFlags, pages uint64) bool {
	return flags&vmLocked == 0 || s.list().lockedPages()+pages <= s.machine.cfg.LockedLimit>>pageShift
}

// replace maps v, taking away what is there (mmap_region). ENOMEM where that
// needs a split above the limit of mappings. Precondition: s.mu.
func (s *Space) replace(g *gather, v *vma) Errno {
	l := s.list()
	without := l.without(v.start, v.end)
	if len(without) > max(len(l), maxMapCount) || l.cutsAny(v.start, v.end) {
		return ENOMEM
	}
	if l.overlaps(v.start, v.end) {
		s.hide(without)
		s.zap(g, v.first(), v.last(), zapAll)
		first, last := l.extent(v.start, v.end)
		s.freeTables(g, without, first, last)
	}
	s.publishOver(l, without.insert(v))
	return 0
}

// Munmap unmaps every page of [addr, addr+length). Errors: EINVAL for an
// unaligned address, a length of 0 or a range outside user memory; ENOMEM where
// a split would exceed the limit of mappings.
func (t *Task) Munmap(addr, length uint64) Errno {
	s := t.begin()
	defer s.unlock(t)
	return s.unmap(t, FlushMunmap, addr, length)
}

// unmap takes [addr, addr+length) out of the address space (do_mas_munmap).
// Precondition: s.mu.
func (s *Space) unmap(t *Task, cause FlushCause, addr, length uint64) Errno {
	if y := &s.machine.layout; addr&pageMask != 0 || addr > y.end || length > y.end-addr {
		return EINVAL
	}
	end := addr + pageUp(length)
	if end == addr {
		return EINVAL
	}
	l := s.list()
	if !l.overlaps(addr, end) {
		return 0
	}
	without := l.without(addr, end)
	switch {
	case l.cutsAny(addr, end):
		return EINVAL
	case len(without) > max(len(l), maxMapCount):
		return ENOMEM
	}
	s.publish(without)
	g := s.gather(t, cause)
	s.zap(&g, addr>>pageShift, end>>pageShift, zapAll)
	first, last := l.extent(addr, end)
	s.freeTables(&g, without, first, last)
	g.flush()
	s.settleShmem(t)
	return 0
}

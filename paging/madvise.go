package paging

// Advice of madvise(2), include/uapi/asm-generic/mman-common.h.
const (
	madvNormal        = 0
	madvRandom        = 1
	madvSequential    = 2
	madvWillNeed      = 3
	madvDontNeed      = 4
	madvFree          = 8
	madvRemove        = 9
	madvDontFork      = 10
	madvDoFork        = 11
	madvMergeable     = 12
	madvUnmergeable   = 13
	madvHugePage      = 14
	madvNoHugePage    = 15
	madvDontDump      = 16
	madvDoDump        = 17
	madvWipeOnFork    = 18
	madvKeepOnFork    = 19
	madvCold          = 20
	madvPageOut       = 21
	madvPopulateRead  = 22
	madvPopulateWrite = 23
	madvDontNeedLock  = 24
	madvCollapse      = 25
	madvHWPoison      = 100
	madvSoftOffline   = 101
)

// advice is how one advice is taken: a change of flags of suitable mappings, or
// an act on a part of one mapping, with s.mu held or without.
type advice struct {
	set, clear vmaFlags
	unfit      func(v *vma) Errno // nil: every mapping will do
	act        func(t *Task, v *vma, start, end uint64) Errno
	actFree    func(t *Task, v *vma, start, end uint64) Errno // without s.mu
}

// advices is the table of what madvise_vma_behavior knows. A row without an
// effect is advice without effect on what the model counts.
var advices = map[int]advice{
	madvNormal:        {clear: vmRandRead | vmSeqRead},
	madvRandom:        {set: vmRandRead, clear: vmSeqRead},
	madvSequential:    {set: vmSeqRead, clear: vmRandRead},
	madvWillNeed:      {act: (*Task).willNeed},
	madvDontNeed:      {unfit: refuse(vmLocked | vmPFNMap), act: (*Task).dontNeed},
	madvDontNeedLock:  {unfit: pfnMap, act: (*Task).dontNeed},
	madvFree:          {unfit: notPlainAnon, act: (*Task).freeLazily},
	madvRemove:        {unfit: notRemovable, actFree: (*Task).remove},
	madvDontFork:      {set: vmDontCopy},
	madvDoFork:        {clear: vmDontCopy, unfit: pfnMap},
	madvMergeable:     {act: func(t *Task, v *vma, start, end uint64) Errno { return t.mergeable(v, start, end, vmMergeable) }},
	madvUnmergeable:   {clear: vmMergeable},
	madvHugePage:      {set: vmHuge, clear: vmNoHuge},
	madvNoHugePage:    {set: vmNoHuge, clear: vmHuge},
	madvDontDump:      {set: vmDontDump},
	madvDoDump:        {clear: vmDontDump, unfit: special},
	madvWipeOnFork:    {set: vmWipeOnFork, unfit: notPrivateAnon},
	madvKeepOnFork:    {clear: vmWipeOnFork},
	madvCold:          {unfit: lockedOrPFN, act: (*Task).cold},
	madvPageOut:       {unfit: lockedOrPFN, act: (*Task).pageOut},
	madvCollapse:      {act: (*Task).collapseRange},
	madvPopulateRead:  {unfit: notReadable, actFree: (*Task).populateRead},
	madvPopulateWrite: {unfit: notWritable, actFree: (*Task).populateWrite},
}

// refuse is the errno of mappings with one of the flags.
func refuse(flags vmaFlags) func(*vma) Errno {
	return func(v *vma) Errno {
		if v.flags&flags != 0 {
			return EINVAL
		}
		return 0
	}
}

var (
	special     = refuse(vmSpecial)
	pfnMap      = refuse(vmPFNMap)
	lockedOrPFN = refuse(vmLocked | vmPFNMap | vmHugeTLB)
)

func require(ok bool) Errno {
	if ok {
		return 0
	}
	return EINVAL
}

func notPrivateAnon(v *vma) Errno { return require(v.file == nil && v.private()) }
func notPlainAnon(v *vma) Errno   { return require(v.file == nil && v.flags&(vmLocked|vmSpecial) == 0) }
func notReadable(v *vma) Errno    { return require(v.flags&vmPFNMap == 0 && v.flags&vmRead != 0) }
func notWritable(v *vma) Errno    { return require(v.flags&vmPFNMap == 0 && v.flags&vmWrite != 0) }

func notRemovable(v *vma) Errno {
	switch {
	case v.flags&(vmLocked|vmNonLinear) != 0 || v.file == nil:
		return EINVAL
	case v.flags&(vmShared|vmMayWrite) != vmShared|vmMayWrite:
		return EACCES
	}
	return 0
}

// Madvise takes advice about [addr, addr+length), after Linux 6.1
// mm/madvise.c:do_madvise. Errors: EINVAL (unaligned, unknown advice, advice
// that does not suit the mapping), ENOMEM (a hole; the mapped parts are done),
// EAGAIN (a split above the limit of mappings), EACCES of MADV_REMOVE, EFAULT of
// MADV_POPULATE_*, EPERM of MADV_HWPOISON.
func (t *Task) Madvise(addr, length uint64, adv int) Errno {
	what, known := advices[adv]
	known = known && !t.machine.profile.lacks(adv)
	privileged := adv == madvHWPoison || adv == madvSoftOffline
	size := t.machine.layout.add(length, pageMask) &^ pageMask
	end := t.machine.layout.add(addr, size)
	switch {
	case !known && !privileged, addr&pageMask != 0, length != 0 && size == 0, end < addr:
		return EINVAL
	case end == addr:
		return 0
	case privileged:
		return EPERM
	}
	s := t.begin()
	defer s.unlock(t)
	hole := false
	for addr < end { // madvise_walk_vmas
		l := s.list()
		i := l.find(addr)
		if i == len(l) {
			return ENOMEM
		}
		v := l[i]
		if v.start > addr {
			hole = true
			if addr = v.start; addr >= end {
				break
			}
		}
		stop := min(end, v.end)
		if errno := s.advise(t, &what, v, addr, stop); errno != 0 {
			return errno
		}
		addr = stop
	}
	if hole {
		return ENOMEM
	}
	return 0
}

// advise takes advice about a part of one mapping. Precondition: s.mu, which is
// given up meanwhile for acts that take other locks.
func (s *Space) advise(t *Task, what *advice, v *vma, start, end uint64) Errno {
	if what.unfit != nil {
		if errno := what.unfit(v); errno != 0 {
			return errno
		}
	}
	switch {
	case what.act != nil:
		return what.act(t, v, start, end)
	case what.actFree != nil:
		s.unlock(t)
		defer s.lock(t)
		return what.actFree(t, v, start, end)
	}
	return s.adviseFlags(v, start, end, v.flags&^what.clear|what.set)
}

// adviseFlags is madvise_update_vma.
func (s *Space) adviseFlags(v *vma, start, end uint64, now vmaFlags) Errno {
	if now == v.flags {
		return 0
	}
	n, errno := s.list().change(start, end, func(*vma) vmaFlags { return now })
	switch errno {
	case 0:
		s.publish(n)
		return 0
	case ENOMEM:
		return EAGAIN
	}
	return errno
}

// mergeable marks memory for the merging of equal pages, which the model does
// not do; memory that does not suit is left as it is (mm/ksm.c:ksm_madvise).
func (t *Task) mergeable(v *vma, start, end uint64, flag vmaFlags) Errno {
	if v.flags&(vmShared|vmSpecial|vmHugeTLB) != 0 {
		return 0
	}
	return t.space.adviseFlags(v, start, end, v.flags|flag)
}

// dontNeed drops the pages: anonymous memory reads as zero afterwards
// (madvise_dontneed_single_vma).
func (t *Task) dontNeed(v *vma, start, end uint64) Errno {
	if v.huge != nil { // madvise_dontneed_free_valid_vma
		size := v.huge.size() << pageShift
		if start%size != 0 {
			return EINVAL
		}
		end -= end % size
	}
	g := t.space.gather(t, FlushMadvise)
	t.space.zapPart(&g, v, start>>pageShift, end>>pageShift)
	g.flush()
	return 0
}

// freeLazily marks the anonymous pages clean: a reclaim that finds them so drops
// them (madvise_free_pte_range). Without memory pressure they stay, and the next
// write only sets the dirty bit again.
func (t *Task) freeLazily(v *vma, start, end uint64) Errno {
	t.age(start, end, pteA|pteD, func(f *frame) bool { return f.kind != frameZero })
	if t.machine.memory != nil {
		t.lazy(start>>pageShift, end>>pageShift)
	}
	return 0
}

// cold makes the pages old, except those that others map as well
// (madvise_cold_or_pageout_pte_range).
func (t *Task) cold(v *vma, start, end uint64) Errno {
	t.age(start, end, pteA, func(f *frame) bool { return f.kind != frameZero && f.mapcount.Load() == 1 })
	return 0
}

// age clears bits of the entries of chosen frames.
func (t *Task) age(start, end, bits uint64, chosen func(*frame) bool) {
	s := t.space
	g := s.gather(t, FlushMadvise)
	first, last := start>>pageShift, end>>pageShift
	s.table.tables(first, last, func(base uint64, tab *table) {
		tab.lock(t)
		defer tab.unlock(t)
		if tab.large() != 0 && s.ageHuge(&g, tab, base, tab.holdsAll(base, first, last), bits) {
			return
		}
		for vpn := max(base, first); vpn < min(base+tab.pages(), last); vpn++ {
			old, now := tab.update(vpn, func(e uint64) uint64 {
				if e&(pteP|pteNone) == 0 || !chosen(s.machine.frames.at(ptePFN(e))) {
					return e
				}
				return e &^ bits
			})
			if old != now {
				g.entry(vpn)
			}
		}
	})
	g.flush()
}

// remove punches a hole into shared memory or a file (madvise_remove): the pages
// leave every address space and the cache.
func (t *Task) remove(v *vma, start, end uint64) Errno {
	v.file.punch(t, v.index(start>>pageShift), v.index(end>>pageShift))
	return 0
}

// willNeed reads pages of a file ahead.
func (t *Task) willNeed(v *vma, start, end uint64) Errno {
	if v.file == nil {
		t.swapWillNeed(start>>pageShift, end>>pageShift)
		return 0
	}
	if v.file.shmem {
		return 0
	}
	v.file.readRange(t, v.index(start>>pageShift), v.index(end>>pageShift))
	return 0
}

// populateRead and populateWrite are faultin_vma_page_range: nothing is forced.
func (t *Task) populateRead(v *vma, start, end uint64) Errno { return t.present(start, end, 0) }
func (t *Task) populateWrite(v *vma, start, end uint64) Errno {
	return t.present(start, end, gupWrite)
}

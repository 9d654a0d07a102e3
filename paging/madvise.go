package paging

import "sync/atomic"

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
)

// advice is how one advice is taken: a change of flags, or an act on a part of
// one mapping.
type advice struct {
	set, clear vmaFlags
	act        func(t *Task, v *vma, start, end uint64) Errno // s.mu is held
}

// advices is the table of what madvise_vma_behavior knows. An empty row is
// advice without effect on what the model counts: huge pages and merging of
// equal pages are not modelled, nor is reclaim, so COLD, PAGEOUT and COLLAPSE
// find nothing to do.
var advices = map[int]advice{
	madvNormal:       {clear: vmRandRead | vmSeqRead},
	madvRandom:       {set: vmRandRead, clear: vmSeqRead},
	madvSequential:   {set: vmSeqRead, clear: vmRandRead},
	madvWillNeed:     {act: (*Task).willNeed},
	madvDontNeed:     {act: (*Task).dontNeed},
	madvDontNeedLock: {act: (*Task).dontNeedLocked},
	madvFree:         {act: (*Task).free},
	madvRemove:       {act: (*Task).remove},
	madvDontFork:     {set: vmDontCopy},
	madvDoFork:       {clear: vmDontCopy},
	madvMergeable:    {set: vmMergeable},
	madvUnmergeable:  {clear: vmMergeable},
	madvHugePage:     {set: vmHuge, clear: vmNoHuge},
	madvNoHugePage:   {set: vmNoHuge, clear: vmHuge},
	madvDontDump:     {},
	madvDoDump:       {},
	madvWipeOnFork:   {set: vmWipeOnFork, act: (*Task).onlyPrivateAnon},
	madvKeepOnFork:   {clear: vmWipeOnFork},
	madvCold:         {},
	madvPageOut:      {},
	madvCollapse:     {},
}

// Madvise takes advice about [addr, addr+length), after Linux 6.1
// mm/madvise.c:do_madvise. Errors: EINVAL (unaligned, unknown advice, advice
// that does not suit the mapping), ENOMEM (a hole; the mapped parts are done),
// EFAULT and EIO of MADV_POPULATE_*.
func (t *Task) Madvise(addr, length uint64, adv int) Errno {
	what, known := advices[adv]
	if !known && adv != madvPopulateRead && adv != madvPopulateWrite {
		return EINVAL
	}
	if addr&pageMask != 0 {
		return EINVAL
	}
	size := pageUp(length)
	if length != 0 && size == 0 {
		return EINVAL
	}
	end := addr + size
	if end < addr {
		return EINVAL
	}
	if end == addr {
		return 0
	}
	if !known {
		return t.populateAdvice(addr, end, adv == madvPopulateWrite)
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	hole := false
	for addr < end {
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
		if errno := s.advise(t, what, v, addr, stop); errno != 0 {
			return errno
		}
		addr = stop
	}
	if hole {
		return ENOMEM
	}
	return 0
}

func (s *Space) advise(t *Task, what advice, v *vma, start, end uint64) Errno {
	if what.act != nil {
		if errno := what.act(t, v, start, end); errno != 0 {
			return errno
		}
	}
	now := v.flags&^what.clear | what.set
	if now == v.flags {
		return 0
	}
	n, errno := s.list().change(start, end, func(v *vma) vmaFlags { return now })
	if errno == 0 {
		s.publish(n)
	}
	return errno
}

// dontNeed drops the pages: anonymous memory reads as zero afterwards
// (madvise_dontneed_single_vma).
func (t *Task) dontNeed(v *vma, start, end uint64) Errno {
	if v.flags&vmLocked != 0 {
		return EINVAL
	}
	return t.dontNeedLocked(v, start, end)
}

func (t *Task) dontNeedLocked(v *vma, start, end uint64) Errno {
	if v.flags&vmSpecial != 0 {
		return EINVAL
	}
	var g gather
	t.space.zap(t, start>>pageShift, end>>pageShift, &g)
	t.space.flushGather(t, FlushMadvise, &g)
	return 0
}

// free marks the anonymous pages clean: a reclaim that found them so would drop
// them (madvise_free_pte_range). Without memory pressure they stay, and the next
// write only sets the dirty bit again.
func (t *Task) free(v *vma, start, end uint64) Errno {
	if v.file != nil {
		return EINVAL
	}
	var g gather
	first, last := start>>pageShift, end>>pageShift
	t.space.table.tables(first, last, func(base uint64, tab *table) {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for vpn := max(base, first); vpn < min(base+tableSize, last); vpn++ {
			p := &tab.ptes[vpn&tableMask]
			for {
				e := atomic.LoadUint64(p)
				if e&pteP == 0 || e&(pteA|pteD) == 0 || ptePFN(e) == zeroPFN {
					break
				}
				if atomic.CompareAndSwapUint64(p, e, e&^(pteA|pteD)) {
					g.add(vpn)
					break
				}
			}
		}
	})
	t.space.flushGather(t, FlushMadvise, &g)
	return 0
}

// remove punches a hole into shared memory (madvise_remove): the pages leave
// every address space and the cache.
func (t *Task) remove(v *vma, start, end uint64) Errno {
	switch {
	case v.flags&vmLocked != 0 || v.file == nil:
		return EINVAL
	case v.flags&(vmShared|vmWrite) != vmShared|vmWrite:
		return EACCES
	}
	var g gather
	t.space.zap(t, start>>pageShift, end>>pageShift, &g)
	t.space.flushGather(t, FlushMadvise, &g)
	v.file.dropRange(&t.frames, v.index(start>>pageShift), v.index(end>>pageShift))
	return 0
}

// willNeed reads pages of a file ahead.
func (t *Task) willNeed(v *vma, start, end uint64) Errno {
	if v.file == nil || v.file.shmem {
		return 0
	}
	for i := v.index(start >> pageShift); i < min(v.index(end>>pageShift), v.file.pages()); i++ {
		if !v.file.resident(i) && v.file.frame(t, i) == 0 {
			return EAGAIN
		}
	}
	return 0
}

func (t *Task) onlyPrivateAnon(v *vma, start, end uint64) Errno {
	if v.file != nil || v.flags&vmShared != 0 {
		return EINVAL
	}
	return 0
}

// populateAdvice is madvise_populate.
func (t *Task) populateAdvice(addr, end uint64, write bool) Errno {
	a := Read
	if write {
		a = Write
	}
	for addr < end {
		v := t.space.list().at(addr)
		if v == nil {
			return ENOMEM
		}
		if v.flags&vmSpecial != 0 || !v.permits(a) {
			return EINVAL
		}
		stop := min(end, v.end)
		switch _, out := t.present(addr, stop, a); out {
		case SIGSEGV, SIGBUS:
			return EFAULT
		case OOM:
			return ENOMEM
		}
		addr = stop
	}
	return 0
}

// Flags of msync(2).
const (
	msAsync      = 1
	msInvalidate = 2
	msSync       = 4
)

// Msync writes shared file pages back (mm/msync.c). The pages become clean and
// read-only, so that the next write is noticed again. Errors: EINVAL, ENOMEM (a
// hole; the mapped parts are done), EBUSY (MS_INVALIDATE on locked memory).
func (t *Task) Msync(addr, length uint64, flags int) Errno {
	if flags&^(msAsync|msInvalidate|msSync) != 0 || addr&pageMask != 0 || flags&msAsync != 0 && flags&msSync != 0 {
		return EINVAL
	}
	end := addr + pageUp(length)
	if end < addr {
		return ENOMEM
	}
	if end == addr {
		return 0
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list()
	hole := !l.covered(addr, end)
	for i := l.find(addr); i < len(l) && l[i].start < end; i++ {
		v := l[i]
		if flags&msInvalidate != 0 && v.flags&vmLocked != 0 {
			return EBUSY
		}
		if flags&msSync != 0 && v.file != nil && v.flags&vmShared != 0 && !v.file.shmem {
			s.writeBack(t, max(addr, v.start)>>pageShift, min(end, v.end)>>pageShift)
		}
	}
	if hole {
		return ENOMEM
	}
	return 0
}

// writeBack cleans the entries of the pages [start, end) of a shared mapping
// (mm/rmap.c:page_mkclean).
func (s *Space) writeBack(t *Task, start, end uint64) {
	var g gather
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for vpn := max(base, start); vpn < min(base+tableSize, end); vpn++ {
			p := &tab.ptes[vpn&tableMask]
			for {
				e := atomic.LoadUint64(p)
				if e&pteP == 0 || e&(pteD|pteW) == 0 {
					break
				}
				if atomic.CompareAndSwapUint64(p, e, e&^(pteD|pteW)) {
					g.add(vpn)
					break
				}
			}
		}
	})
	s.flushGather(t, FlushWriteProtect, &g)
}

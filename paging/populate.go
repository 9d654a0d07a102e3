package paging

// Making pages present before they are touched: MAP_POPULATE, MAP_LOCKED, mlock
// and its kin, MADV_POPULATE_*, after Linux 6.1 mm/gup.c. All go through
// getUserPages.

// populate makes the mapped pages of [start, end) present (__mm_populate). An
// error is that of getUserPages; without strict what cannot be made present is
// passed over, mapping by mapping (ignore_errors).
func (t *Task) populate(start, end uint64, strict bool) Errno {
	for start < end {
		l := t.space.list()
		i := l.find(start)
		if i == len(l) || l[i].start >= end {
			return 0
		}
		v := l[i]
		from, to := max(start, v.start), min(end, v.end)
		start = v.end
		if v.flags&vmPFNMap != 0 {
			continue
		}
		if errno := t.populateMapping(v, from, to); errno != 0 && strict {
			return errno
		}
	}
	return 0
}

// populateMapping makes a part of one mapping present (populate_vma_page_range):
// a private writable mapping is written, so that it is not faulted once more;
// shared ones are read, so that nothing becomes dirty. Whatever is not PROT_NONE
// will do.
func (t *Task) populateMapping(v *vma, start, end uint64) Errno {
	if v.flags&vmLockOnFault != 0 {
		return 0
	}
	flags := gupFlags(0)
	if v.flags&(vmWrite|vmShared) == vmWrite {
		flags |= gupWrite
	}
	if v.accessible() {
		flags |= gupForce
	}
	return t.present(start, end, flags)
}

// present makes every page of [start, end) present, or returns why one could not
// be: a part that was done does not hide the error, since the callers of
// __get_user_pages go on behind it and meet it first of all then.
func (t *Task) present(start, end uint64, flags gupFlags) Errno {
	if t.machine.cfg.Only != nil {
		return t.presentOnly(start, end, flags)
	}
	for start < end {
		n, errno := t.getUserPages(start, (end-start)>>pageShift, flags)
		if errno != 0 {
			return errno
		}
		start += n << pageShift
	}
	return 0
}

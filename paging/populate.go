package paging

// Making pages present before they are touched: MAP_POPULATE, mlock and its
// kin, MADV_POPULATE_*. All go through present, after Linux 6.1 mm/gup.c:
// __mm_populate, populate_vma_page_range and __get_user_pages.

// populate makes the mapped pages of [start, end) present. An error is EFAULT or
// ENOMEM; without strict what cannot be made present is passed over, mapping by
// mapping (mm_populate).
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
		if v.flags&(vmPFNMap|vmLockOnFault) != 0 {
			continue
		}
		errno := EFAULT
		if v.accessible() {
			// A private writable mapping is written, so that it is not faulted
			// once more; shared ones are read, so that nothing becomes dirty.
			a := Read
			if v.flags&(vmWrite|vmShared) == vmWrite {
				a = Write
			}
			errno = t.present(from, to, a)
		}
		if errno != 0 && strict {
			return errno
		}
	}
	return 0
}

// present faults in every page of [start, end) that is not present or does not
// permit the access. It returns EFAULT or ENOMEM for the first that cannot be.
func (t *Task) present(start, end uint64, a Access) Errno {
	for vpn := start >> pageShift; vpn < end>>pageShift; vpn++ {
		for !t.hasPage(vpn, a) {
			switch out := t.fault(vpn, a); {
			case out == OOM:
				return ENOMEM
			case out.Fatal():
				return EFAULT
			}
		}
	}
	return 0
}

// hasPage says whether the entry of a page permits the access (follow_page_pte).
func (t *Task) hasPage(vpn uint64, a Access) bool {
	tab := t.leaf(vpn)
	if tab == nil {
		return false
	}
	e := tab.load(vpn)
	return e&pteP != 0 && (a != Write || e&pteW != 0)
}

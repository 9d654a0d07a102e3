package paging

import "sync/atomic"

// Mprotect changes the protection of [addr, addr+length), after Linux 6.1
// mm/mprotect.c:do_mprotect_pkey. Errors: EINVAL (unaligned, unknown bits, both
// grow flags, or PROT_GROWSDOWN on a mapping that does not grow), ENOMEM (a
// hole: what came before it is done), EACCES.
func (t *Task) Mprotect(addr, length uint64, prot Prot) Errno {
	grows := prot & (protGrowsDown | protGrowsUp)
	prot &^= protGrowsDown | protGrowsUp
	if addr&pageMask != 0 || grows == protGrowsDown|protGrowsUp {
		return EINVAL
	}
	if length == 0 {
		return 0
	}
	end := addr + pageUp(length)
	if end <= addr {
		return ENOMEM
	}
	const protSem = 8
	if prot&^(protRWX|protSem) != 0 {
		return EINVAL
	}
	s := t.space
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list()
	i := l.find(addr)
	if i == len(l) {
		return ENOMEM
	}
	if grows == protGrowsDown {
		if l[i].start >= end {
			return ENOMEM
		}
		if l[i].flags&vmGrowsDown == 0 {
			return EINVAL
		}
		addr = l[i].start
	} else if l[i].start > addr {
		return ENOMEM
	}
	return s.protect(t, addr, end, protFlags(prot))
}

// protect changes mapping by mapping until the end or a hole.
func (s *Space) protect(t *Task, addr, end uint64, flags vmaFlags) Errno {
	for addr < end {
		l := s.list()
		v := l.at(addr)
		if v == nil {
			return ENOMEM
		}
		if flags&^(v.flags>>mayShift)&(vmRead|vmWrite|vmExec) != 0 {
			return EACCES
		}
		stop := min(end, v.end)
		now := v.flags&^(vmRead|vmWrite|vmExec) | flags
		if now != v.flags {
			n, errno := l.change(addr, stop, func(*vma) vmaFlags { return now })
			if errno != 0 {
				return errno
			}
			s.publish(n)
			s.reprotect(t, n.at(addr), addr>>pageShift, stop>>pageShift, v.flags)
		}
		addr = stop
	}
	return 0
}

// change gives the mappings in [start, end) other flags, splitting and merging
// (mm/mmap.c:vma_merge, split_vma). ENOMEM above the limit of mappings.
func (l vmaList) change(start, end uint64, flags func(*vma) vmaFlags) (vmaList, Errno) {
	n, i, j := l.isolate(start, end)
	n = append(vmaList{}, n...)
	for k := i; k < j; k++ {
		n[k] = n[k].sub(n[k].start, n[k].end, flags(n[k]))
	}
	n = n.join(i, j)
	if len(n) > max(len(l), maxMapCount) {
		return nil, ENOMEM
	}
	return n, 0
}

// reprotect brings the entries of the pages [start, end) in line with their
// mapping (mm/mprotect.c:change_pte_range): none is made writable here but
// private anonymous pages with a sole owner and dirty shared pages
// (can_change_pte_writable); the rest is left to the next write's fault.
func (s *Space) reprotect(t *Task, v *vma, start, end uint64, before vmaFlags) {
	var g gather
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		for vpn := max(base, start); vpn < min(base+tableSize, end); vpn++ {
			p := &tab.ptes[vpn&tableMask]
			for {
				e := atomic.LoadUint64(p)
				if !pteFrame(e) {
					break
				}
				n := s.reprotected(v, e)
				if n == e {
					break
				}
				if atomic.CompareAndSwapUint64(p, e, n) { // the walker may set bits meanwhile
					if losesRights(e, n) {
						g.add(vpn)
					}
					break
				}
			}
		}
	})
	s.flushGather(t, FlushMprotect, &g)
}

// reprotected is the entry under the mapping's protection.
func (s *Space) reprotected(v *vma, e uint64) uint64 {
	n := e &^ (pteP | pteNone | pteW | pteNX)
	switch {
	case v.flags&(vmRead|vmWrite|vmExec) == 0:
		return n | pteNone | pteNX
	case v.flags&vmExec == 0:
		n |= pteNX
	}
	n |= pteP
	if v.flags&vmWrite != 0 && s.mayWrite(v, e) {
		n |= pteW
	}
	return n
}

// mayWrite says whether an entry may be writable without a fault (mm/mprotect.c:
// can_change_pte_writable).
func (s *Space) mayWrite(v *vma, e uint64) bool {
	f := s.machine.frames.at(ptePFN(e))
	if v.private() {
		return f.kind == frameAnon && f.mapcount.Load() == 1
	}
	return f.kind == frameShmem || e&pteD != 0
}

// losesRights says whether a TLB entry of the old word may permit more than the
// new word does (arch/x86/include/asm/tlbflush.h:pte_needs_flush): entries that
// were never accessed are in no TLB.
func losesRights(old, now uint64) bool {
	if old&pteP == 0 || old&pteA == 0 {
		return false
	}
	return now&pteP == 0 || old&pteW != 0 && now&pteW == 0 || old&pteNX == 0 && now&pteNX != 0
}

package paging

// Mprotect changes the protection of [addr, addr+length), after Linux 6.1
// mm/mprotect.c:do_mprotect_pkey. Errors: EINVAL (unaligned, unknown bits, both
// grow flags, PROT_GROWSDOWN on a mapping that does not grow, PROT_GROWSUP),
// ENOMEM (a hole, or a limit: what came before it is done), EACCES.
func (t *Task) Mprotect(addr, length uint64, prot Prot) Errno {
	const protSem = 8
	grows := prot & (protGrowsDown | protGrowsUp)
	prot &^= protGrowsDown | protGrowsUp
	if addr&pageMask != 0 || grows == protGrowsDown|protGrowsUp {
		return EINVAL
	}
	if length == 0 {
		return 0
	}
	end := t.machine.layout.add(addr, pageUp(length))
	if end <= addr {
		return ENOMEM
	}
	if prot&^(protRWX|protSem) != 0 {
		return EINVAL
	}
	s := t.begin()
	addr, errno := s.list().protectFrom(addr, end, grows)
	if errno == 0 {
		g := s.gather(t, FlushMprotect)
		errno = s.protect(&g, addr, end, protFlags(prot))
		g.flush()
	}
	s.unlock(t)
	return errno
}

// protectFrom is where the change begins: with PROT_GROWSDOWN at the start of
// the mapping.
func (l vmaList) protectFrom(addr, end uint64, grows Prot) (uint64, Errno) {
	i := l.find(addr)
	switch {
	case i == len(l):
		return 0, ENOMEM
	case grows == protGrowsDown:
		if l[i].start >= end {
			return 0, ENOMEM
		}
		if l[i].flags&vmGrowsDown == 0 {
			return 0, EINVAL
		}
		return l[i].start, 0
	case l[i].start > addr:
		return 0, ENOMEM
	case grows == protGrowsUp:
		return 0, EINVAL // nothing grows upwards on x86
	}
	return addr, 0
}

// protect changes mapping by mapping until the end or a hole. Locked private
// memory that becomes writable is written at once, before the next mapping
// changes (mprotect_fixup): what it gets decides whether the two merge.
// Precondition: s.mu, which is given up meanwhile.
func (s *Space) protect(g *gather, addr, end uint64, flags vmaFlags) Errno {
	for addr < end {
		l := s.list()
		v := l.at(addr)
		if v == nil {
			return ENOMEM
		}
		if flags&^(v.flags>>mayShift)&vmAccess != 0 {
			return EACCES
		}
		stop := min(end, v.end)
		now := v.flags&^vmAccess | flags
		if now != v.flags {
			// the limits are asked where an area turns into data (mprotect_fixup)
			if n := (stop - addr) >> pageShift; now&vmWrite != 0 && !s.mayExpand(now, n) && s.mayExpand(v.flags, n) {
				return ENOMEM
			}
			if now&vmWrite != 0 && v.flags&(vmAccount|vmWrite|vmShared|vmNoReserve|vmHugeTLB) == 0 {
				if !s.mayCommit((stop - addr) >> pageShift) {
					return ENOMEM
				}
				now |= vmAccount
			}
			n, errno := l.change(addr, stop, func(*vma) vmaFlags { return now })
			if errno != 0 {
				return errno
			}
			s.publish(n)
			s.reprotect(g, n.at(addr), addr>>pageShift, stop>>pageShift)
			if v.flags&(vmWrite|vmShared|vmLocked) == vmLocked && now&vmWrite != 0 {
				s.unlock(g.task)
				g.task.populate(addr, stop, false)
				s.lock(g.task)
			}
		}
		addr = stop
	}
	return 0
}

// reprotect brings the entries of the pages [start, end) in line with their
// mapping (mm/mprotect.c:change_pte_range).
func (s *Space) reprotect(g *gather, v *vma, start, end uint64) {
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.lock(g.task)
		defer tab.unlock(g.task)
		if tab.ptes == nil || tab.large() != 0 { // the mapping holds all of it, see splitEdges
			s.reprotectLarge(g, v, tab, base)
			return
		}
		for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
			old, now := tab.update(vpn, func(e uint64) uint64 { return s.reprotected(v, e) })
			if needsFlush(old, now) {
				g.entry(vpn)
			}
		}
	})
}

// reprotected is the entry under the mapping's protection.
func (s *Space) reprotected(v *vma, e uint64) uint64 {
	if e&(pteP|pteNone) == 0 {
		return e // the fault that brings the page back asks the mapping
	}
	n := s.permit(v, e)
	if v.accessible() && v.flags&vmWrite != 0 && s.mayWrite(v, e) {
		n |= pteW
	}
	return n
}

// permit is the entry with what the mapping permits but writes (pte_modify with
// vm_page_prot).
func (s *Space) permit(v *vma, e uint64) uint64 {
	n := e &^ (pteP | pteNone | pteW | pteNX)
	if !v.accessible() {
		return n | pteNone | pteNX
	}
	n |= pteP
	if v.flags&vmExec == 0 {
		n |= s.machine.layout.nx
	}
	return n
}

// mayWrite says whether an entry may be writable without a fault: dirty pages
// of a shared mapping, dirty private pages without another owner
// (can_change_pte_writable), and all shared anonymous memory; the rest is left
// to the next write's fault.
func (s *Space) mayWrite(v *vma, e uint64) bool {
	switch {
	case v.private():
		return s.machine.profile.keepsWrite && e&(pteD|pteExclusive) == pteD|pteExclusive
	case v.file.shmem:
		return true
	}
	return e&pteD != 0
}

// needsFlush says whether a change of an entry must be flushed (arch/x86/include/
// asm/tlbflush.h:pte_needs_flush): what was present and now is not, or permits
// other things, more or fewer.
func needsFlush(old, now uint64) bool {
	return old&pteP != 0 && (now&pteP == 0 || (old^now)&(pteW|pteNX) != 0)
}

package paging

// stackGap is the guard gap below a growing stack, in bytes (mm/mmap.c:
// stack_guard_gap).
const stackGap = 256 * PageSize

// growStack extends the mapping above addr down to it (mm/mmap.c:
// expand_downwards, acct_stack_growth): not below the lowest address, within
// the limits of the stack, the address space and locked memory, and leaving the guard gap to a
// mapping below that can be accessed.
func (t *Task) growStack(addr uint64) bool {
	s := t.space
	s.lock(t)
	defer s.unlock(t)
	l := s.list()
	i := l.find(addr)
	if i == len(l) {
		return false
	}
	v := l[i]
	if v.start <= addr {
		return true // another task grew it
	}
	if v.flags&vmGrowsDown == 0 || addr < mmapMinAddr || v.end-addr > s.machine.cfg.StackLimit {
		return false
	}
	if i > 0 {
		if below := l[i-1]; below.flags&vmGrowsDown == 0 && below.accessible() && addr-below.end < stackGap {
			return false
		}
	}
	grown := (v.start - addr) >> pageShift
	if grown > v.pgoff || !s.mayExpand(v.flags, grown) || !s.mayLock(v.flags, grown) || !s.mayCommit(grown) {
		return false
	}
	n := v.clone()
	n.start, n.pgoff = addr, v.pgoff-grown
	if n.anon.Load() == nil {
		n.anon.Store(l.shareAnon(v)) // expand_downwards: anon_vma_prepare
	}
	s.publish(l.replaced(i, i+1, n))
	return true
}

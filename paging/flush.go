package paging

// TLB flushes of an address space: what asks for one, how far it reaches, and
// which CPUs get it. As in Linux a flush goes to the CPUs that run the space
// now; one that ran it earlier finds on its return that the space's flush count
// has moved on, and drops its whole ASID (arch/x86/mm/tlb.c).

// flushCeiling is the most pages flushed one by one; above it the whole address
// space goes (arch/x86/mm/tlb.c:tlb_single_page_flush_ceiling).
const flushCeiling = 33

// FlushStats counts the flushes of one cause.
type FlushStats struct {
	Requests uint64 // flushes asked for: Full + Ranged
	Pages    uint64 // pages named by those that were not full
	Full     uint64 // of the whole address space
	Ranged   uint64 // page by page
	Local    uint64 // that reached the CPU asking
	IPIs     uint64 // other CPUs interrupted, summed over the requests
}

func (f *FlushStats) add(o *FlushStats) {
	f.Requests += o.Requests
	f.Pages += o.Pages
	f.Full += o.Full
	f.Ranged += o.Ranged
	f.Local += o.Local
	f.IPIs += o.IPIs
}

// flushPages flushes the pages [start, end) for a cause; start == end flushes
// all (flush_tlb_mm_range). Preconditions: the entries have been changed; a
// table may be locked.
func (s *Space) flushPages(t *Task, cause FlushCause, start, end uint64) {
	if end-start == 1 && t.running && s.cpus.Load() == 1<<uint(t.onCPU) {
		t.flushHere(cause, start)
		return
	}
	if end-start > s.machine.profile.ceiling {
		start, end = 0, 0
	}
	s.flush(t, cause, start, end, end-start)
}

// flushHere is flushPages of one page of the task's space inside Run, where no other CPU
// runs the space.
func (t *Task) flushHere(cause FlushCause, vpn uint64) {
	c := t.machine.cpus[t.onCPU]
	c.apply()
	st := &t.stats.flushes[cause]
	st.Requests++
	st.Ranged++
	st.Pages++
	st.Local++
	c.flush(flushRequest{id: t.space.id, gen: t.space.tlbGen.Add(1), start: vpn, end: vpn + 1})
}

// flushBy is flushPages where no entry of them maps fewer than stride pages: one
// invalidation each is enough (stride_shift).
func (s *Space) flushBy(t *Task, cause FlushCause, start, end, stride uint64) {
	if stride == 0 || (end-start)/stride > s.machine.profile.ceiling {
		s.flush(t, cause, 0, 0, 0)
		return
	}
	s.flush(t, cause, start, end, (end-start+stride-1)/stride)
}

// flush is a flush by so many invalidations, or a full one.
func (s *Space) flush(t *Task, cause FlushCause, start, end, invalidations uint64) {
	r := flushRequest{id: s.id, gen: s.tlbGen.Add(1), start: start, end: end}
	st := &t.stats.flushes[cause]
	st.Requests++
	if start == end {
		st.Full++
	} else {
		st.Ranged++
		st.Pages += invalidations
	}
	for i, mask := 0, s.cpus.Load(); mask != 0; i, mask = i+1, mask>>1 {
		if mask&1 == 0 {
			continue
		}
		c := s.machine.cpus[i]
		if t.onCPU != i {
			st.IPIs++
			c.enqueue(r)
			continue
		}
		st.Local++
		if t.running { // it has the lock of the CPU
			c.apply()
			if r.end-r.start != 1 {
				c.moved++ // of one page: its entry has changed, and no table
			}
			c.flush(r)
		} else {
			c.enqueue(r)
		}
	}
}

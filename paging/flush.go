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
	Requests uint64 // flushes asked for
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
// all. t is the task that asks, nil where no task does. Preconditions: the
// entries have been changed; no table lock is needed but one may be held.
func (s *Space) flushPages(t *Task, cause FlushCause, start, end uint64) {
	if end-start > flushCeiling {
		start, end = 0, 0
	}
	r := flushRequest{id: s.id, gen: s.tlbGen.Add(1), start: start, end: end}
	st := s.machine.flushStats(t, cause)
	st.Requests++
	if start == end {
		st.Full++
	} else {
		st.Ranged++
		st.Pages += end - start
	}
	mask := s.cpus.Load()
	for i := range s.machine.cpus {
		if mask>>i&1 == 0 {
			continue
		}
		c := s.machine.cpus[i]
		if t != nil && t.onCPU == i {
			st.Local++
		} else {
			st.IPIs++
		}
		c.enqueue(r)
	}
	s.machine.flushDone(t)
}

// flushGather flushes what an unmap removed, if it removed anything
// (mm/mmu_gather.c:tlb_finish_mmu).
func (s *Space) flushGather(t *Task, cause FlushCause, g *gather) {
	if g.pages > 0 {
		s.flushPages(t, cause, g.start, g.end)
	}
}

// flushStats is where a task counts; what no task asked for is counted under
// the machine's lock until flushDone.
func (m *Machine) flushStats(t *Task, cause FlushCause) *FlushStats {
	if t != nil {
		return &t.stats.flushes[cause]
	}
	m.tasksMu.Lock()
	return &m.dead.flushes[cause]
}

func (m *Machine) flushDone(t *Task) {
	if t == nil {
		m.tasksMu.Unlock()
	}
}

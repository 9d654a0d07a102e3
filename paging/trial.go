package paging

import (
	"sync"
	"sync/atomic"
)

// unsteady is the outcome of an access that a trial does not perform.
const unsteady Outcome = 255

// Strand is what a task does next on its CPU, in a [Machine.Trial].
type Strand struct {
	Task *Task
	Refs []Ref
	In   bool // the task is switched in first (Task.RunOn): another one ran last
	Seq  int  // place in the order of the strands of all CPUs

	faults []faultGroup // that it took, see Machine.Tell
}

// Trial performs what the tasks of several CPUs do next, each CPU's strands in
// order and the CPUs side by side on so many goroutines, of which the caller is
// one. It returns true when that is as if they had been performed one after the
// other in the order of Seq. Otherwise it returns false, and nothing has happened.
// paid is false too where finding that out has cost more than it is likely to save.
//
// It is so where all is steady: every access finds an entry that permits it, with the
// accessed bit set and for a write the dirty bit. Then no page table changes, the CPUs
// have nothing to say to each other, and order has no meaning. That is tried first. Else
// it may still be that page tables change, each by one CPU only: see survey.go.
//
// A list of strands is of tasks on one CPU, and no two lists are of the same. The
// machine has to be quiet, not [Machine.Accounting], and without a background
// ([Machine.Background]), for which a task stops after a fault. Faults are not told to
// the observer: that is for Tell.
func (m *Machine) Trial(lists [][]Strand, workers int) (done, paid bool) {
	k := &m.trial
	if !k.changing && m.steadily(lists, workers) {
		return true, true
	}
	if !m.apart(lists, workers) {
		k.changing = false
		return false, false
	}
	met := m.frames.mu.read().Contended
	sideBySide(len(lists), workers, func(i int) { performAll(lists[i]) })
	m.frames.mu.Contended = met // in turn nobody meets at the pool
	refs, faults := 0, 0
	k.changing = false
	for i, s := range k.surveyors[:len(lists)] {
		k.changing = k.changing || s.changed
		faults += s.faults
		for _, l := range lists[i] {
			refs += len(l.Refs)
		}
	}
	return true, !k.changing || faults > refs/surveyPays
}

// A survey costs about as much as a hit for each reference, a fault as much as many hits:
// with fewer faults than one in so many references there is nothing to gain.
const surveyPays = 16

// sideBySide calls f for each number below n, on so many goroutines.
func sideBySide(n, workers int, f func(i int)) {
	var next atomic.Int32
	work := func() {
		for i := next.Add(1); int(i) <= n; i = next.Add(1) {
			f(int(i - 1))
		}
	}
	var others sync.WaitGroup
	for range min(workers, n) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// steadily performs strands as long as they are steady, and sets everything back where
// one is not.
func (m *Machine) steadily(lists [][]Strand, workers int) bool {
	undo := m.mark(lists)
	var failed atomic.Bool
	sideBySide(len(lists), workers, func(i int) {
		if !steady(lists[i], &failed) {
			failed.Store(true)
		}
	})
	undo.end(m, failed.Load())
	return !failed.Load()
}

// performAll performs the strands of one CPU, of which a survey has said that it can be.
func performAll(list []Strand) {
	var log faultLog
	for i := range list {
		s := &list[i]
		if s.In {
			s.Task.RunOn(s.Task.onCPU)
		}
		if len(s.Refs) == 0 {
			continue
		}
		log.groups = nil
		s.Task.log = &log
		n, out := s.Task.Run(s.Refs)
		s.Task.log = nil
		if s.faults = log.groups; n != len(s.Refs) || out != OK {
			broken("a survey was wrong: %d of %d references, %v", n, len(s.Refs), out)
		}
	}
}

// faultGroup are faults of one kind on one mapping.
type faultGroup struct {
	v     *vma
	kind  FaultKind
	out   Outcome
	times uint64
}

// faultLog is where the faults of a strand are noted in place of being told.
type faultLog struct{ groups []faultGroup }

// add looks among the groups that were added last: a strand is on few mappings.
func (l *faultLog) add(v *vma, kind FaultKind, out Outcome) {
	const most = 8
	for i := len(l.groups) - 1; i >= max(0, len(l.groups)-most); i-- {
		if g := &l.groups[i]; g.v == v && g.kind == kind && g.out == out {
			g.times++
			return
		}
	}
	l.groups = append(l.groups, faultGroup{v, kind, out, 1})
}

// Tell tells the observer of the faults of a strand that a trial has performed, those
// of one kind on one mapping together. Call it for all strands, in their order.
func (m *Machine) Tell(s *Strand) {
	if m.onFault == nil {
		return
	}
	for _, g := range s.faults {
		info := FaultInfo{Task: s.Task, Kind: g.kind, Outcome: g.out, Times: g.times}
		info.of(g.v)
		m.onFault(&info)
	}
}

// steady performs the strands of one CPU until one is not steady or another CPU has
// failed.
func steady(list []Strand, failed *atomic.Bool) bool {
	for i := range list {
		s := &list[i]
		if failed.Load() {
			return false
		}
		if s.In {
			s.Task.RunOn(s.Task.onCPU)
		}
		if len(s.Refs) == 0 {
			continue
		}
		if _, out := s.Task.Run(s.Refs); out != OK {
			return false
		}
	}
	return true
}

// permits says that an access is permitted by an entry and changes nothing in it.
func permits(p *uint64, a Access) bool {
	if p == nil {
		return false
	}
	e := atomic.LoadUint64(p)
	return e&(pteP|pteA) == pteP|pteA && (a != Write || e&(pteW|pteD) == pteW|pteD) && (a != Exec || e&pteNX == 0)
}

// trialMarks are what a trial changes, as it was before.
type trialMarks struct {
	cpus  []cpuMark
	tasks []taskMark

	changing  bool // page tables changed in the last one that was performed
	epoch     uint64
	surveyors []*surveyor // by list, kept for the next
}

type cpuMark struct {
	index   int
	space   *Space
	asid    uint16
	slots   [numASIDs]asidUse
	nextUse int
}

type taskMark struct {
	task  *Task
	stats taskStats
}

// mark begins a trial.
func (m *Machine) mark(lists [][]Strand) *trialMarks {
	k := &m.trial
	k.cpus, k.tasks = k.cpus[:0], k.tasks[:0]
	for _, list := range lists {
		for i := range list {
			if t := list[i].Task; !t.trial {
				t.trial = true
				k.tasks = append(k.tasks, taskMark{t, t.stats})
			}
		}
		at := list[0].Task.onCPU
		c := m.cpus[at]
		c.mu.Lock()
		c.apply() // what waits does so for the first of the strands
		if c.spareTLB == nil {
			c.spareTLB = newTLB(m.cfg.TLB, m.layout.bits)
		}
		c.spareTLB.copyFrom(c.tlb)
		k.cpus = append(k.cpus, cpuMark{at, c.space, c.asid, c.slots, c.nextUse})
		c.mu.Unlock()
	}
	return k
}

// end ends a trial, and puts everything back if it failed.
func (k *trialMarks) end(m *Machine, failed bool) {
	for i := range k.tasks {
		t := k.tasks[i].task
		t.trial = false
		if failed {
			t.stats = k.tasks[i].stats
		}
	}
	if !failed {
		return
	}
	for i := range k.cpus {
		k.cpus[i].restore(m.cpus[k.cpus[i].index])
	}
}

func (k *cpuMark) restore(c *cpu) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tlb, c.spareTLB = c.spareTLB, c.tlb
	c.asid, c.slots, c.nextUse = k.asid, k.slots, k.nextUse
	if c.space == k.space {
		return
	}
	c.space.cpus.And(^(1 << k.index))
	if c.space = k.space; c.space != nil {
		c.space.cpus.Or(1 << k.index)
	}
}

// copyFrom makes a TLB hold what another one of the same geometry does.
func (t *tlb) copyFrom(from *tlb) {
	t.clock, t.stats, t.hints, t.anyLarge, t.fetched = from.clock, from.stats, from.hints, from.anyLarge, from.fetched
	to := t.allLevels()
	for i, l := range from.allLevels() {
		copy(to[i].words, l.words)
		copy(to[i].stamps, l.stamps)
		copy(to[i].orders, l.orders)
		copy(to[i].pfns, l.pfns)
	}
}

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
}

// Trial performs what the tasks of several CPUs do next, each CPU's strands in
// order and the CPUs side by side on so many goroutines, of which the caller is
// one. It returns true when all of it was steady: every access found an entry that
// permits it, with the accessed bit set and for a write the dirty bit. Then no page table
// has changed, the CPUs had nothing to say to each other, and everything is as if the
// strands of all of them had been performed one after the other in any order that keeps
// each CPU's own. Otherwise it returns false, and nothing has happened.
//
// A bit that has to be set is not steady: of a dirty bit another CPU's TLB learns or
// not, by who was first, and so whether a later write there is a check; and an accessed
// bit may be set for an access that in the right order comes after the end of its
// process, or after a split of a huge page that hands it on.
//
// A list of strands is of tasks on one CPU, and no two lists are of the same. The
// machine has to be quiet, and not [Machine.Accounting].
func (m *Machine) Trial(lists [][]Strand, workers int) bool {
	undo := m.mark(lists)
	var next atomic.Int32
	var failed atomic.Bool
	try := func() {
		for i := next.Add(1); int(i) <= len(lists); i = next.Add(1) {
			if !steady(lists[i-1], &failed) {
				failed.Store(true)
			}
		}
	}
	var others sync.WaitGroup
	for range min(workers, len(lists)) - 1 {
		others.Go(try)
	}
	try()
	others.Wait()
	undo.end(m, failed.Load())
	return !failed.Load()
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
	t.clock, t.stats, t.hints, t.anyLarge = from.clock, from.stats, from.hints, from.anyLarge
	to := t.allLevels()
	for i, l := range from.allLevels() {
		copy(to[i].words, l.words)
		copy(to[i].stamps, l.stamps)
		copy(to[i].orders, l.orders)
		copy(to[i].pfns, l.pfns)
	}
}

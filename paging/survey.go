package paging

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
)

// A survey says what the strands of several CPUs would do to the page tables, without
// doing it, so that first touches go on side by side too, each leaf table by one CPU.
//
// It follows every access through the entries. Where one changes, by a first touch of
// anonymous memory or by an accessed or dirty bit, it changes in an overlay.
// The strands are apart if every table with an entry that changes is touched by one CPU
// only. Nothing else of what they do meets: no flush is sent, tables and mappings stay, no
// page is freed, and what is counted are sums. What is order all the same is done before,
// in order: a mapping gets its anon_vma, from who needs it first.
//
// Left to be performed in turn, since it does meet: whatever sends a flush (copies, of
// the zero page too), pages of files (who comes first brings them into the cache), huge
// pages, growing stacks, and all that ends in a signal.

// surveyor follows the strands of one CPU.
type surveyor struct {
	epoch   uint64 // of the survey, see touch
	list    uint64 // number of the CPU's list
	task    *Task
	space   uint64 // number of the space of task, in spaces
	seq     int    // of the strand
	last    *vma   // found last, in the space of task
	pages   overlay
	spaces  map[*Space]uint64
	absent  map[absentTable]struct{} // tables that are not there yet, and will be
	needs   []anonNeed
	needed  map[*vma]struct{} // by needs
	frames  int               // that the strands take
	faults  int               // that they take
	changed bool              // an entry or a table
}

type absentTable struct {
	space *Space
	key   uint64 // page number / pages of a table
}

// anonNeed is a fault that gives a mapping its anon_vma, if nobody did before.
type anonNeed struct {
	task  *Task
	v     *vma
	seq   int
	table bool // the table is there: the fault takes the mmap lock for the anon_vma alone
}

// apart surveys what the strands of each CPU do, the CPUs side by side, and says
// whether they can be performed so. If they can, what has an order is done. What was
// found stays in the surveyors.
func (m *Machine) apart(lists [][]Strand, workers int) bool {
	if m.memory != nil || m.cfg.Locking != LockPerTable || m.cfg.HighMem || m.cfg.Only != nil {
		return false
	}
	k := &m.trial
	k.epoch++
	for len(k.surveyors) < len(lists) {
		k.surveyors = append(k.surveyors, &surveyor{
			spaces: map[*Space]uint64{}, absent: map[absentTable]struct{}{}, needed: map[*vma]struct{}{},
		})
	}
	all := k.surveyors[:len(lists)]
	var failed atomic.Bool
	sideBySide(len(lists), workers, func(i int) {
		all[i].begin(k.epoch, uint64(i))
		if !all[i].follow(lists[i], &failed) {
			failed.Store(true)
		}
	})
	ok := !failed.Load() && m.disjoint(all)
	if ok {
		m.prepareAll(all)
	}
	for _, s := range all {
		s.end()
	}
	return ok
}

func (s *surveyor) begin(epoch, list uint64) {
	s.epoch, s.list, s.frames, s.faults, s.changed = epoch, list, 0, 0, false
	s.pages.reset()
}

// end lets go of what the survey came to.
func (s *surveyor) end() {
	s.task, s.last = nil, nil
	clear(s.spaces)
	clear(s.absent)
	clear(s.needed)
	clear(s.needs)
	s.needs = s.needs[:0]
}

// follow goes through the strands of a CPU.
func (s *surveyor) follow(list []Strand, failed *atomic.Bool) bool {
	for i := range list {
		if failed.Load() || !s.enter(&list[i]) {
			return false
		}
		for _, r := range list[i].Refs {
			if !s.ref(r) {
				return false
			}
		}
	}
	return true
}

// enter begins a strand.
func (s *surveyor) enter(of *Strand) bool {
	s.seq = of.Seq
	if s.task == of.Task {
		return true
	}
	s.task, s.last = of.Task, nil
	n, ok := s.spaces[of.Task.space]
	if !ok {
		n = uint64(len(s.spaces) + 1)
		s.spaces[of.Task.space] = n
	}
	s.space = n
	return n < 1<<spaceBits
}

// disjoint says whether each table that is to be made is of one CPU, and there are frames
// for all. For those that are there, whoever came second has given up.
func (m *Machine) disjoint(all []*surveyor) bool {
	absent, frames, tables := map[absentTable]struct{}{}, 0, 0
	for _, s := range all {
		frames, tables = frames+s.frames, tables+len(s.absent)
		maps.Copy(absent, s.absent)
	}
	return len(absent) == tables && m.frames.has(frames)
}

// prepareAll gives mappings their anon_vmas in the order in which faults would.
func (m *Machine) prepareAll(all []*surveyor) {
	var needs []anonNeed
	for _, s := range all {
		needs = append(needs, s.needs...)
	}
	slices.SortStableFunc(needs, func(a, b anonNeed) int { return cmp.Compare(a.seq, b.seq) })
	for _, n := range needs {
		if n.v.anon.Load() != nil {
			continue
		}
		n.task.prepareAnon(n.task.space.list(), n.v)
		if n.table {
			n.task.counts(LockMMapRead).Acquired++ // as Task.prepare takes it
		}
	}
}

// A survey marks the tables that it comes to, with epoch<<10 | list<<2 | what follows.
// All but the epoch is void in another one.
const (
	markShared  = 1 << iota // another list comes to the table too
	markChanged             // an entry of it changes
	markListAt  = iota
	markEpochAt = 10
	surveyLists = 1 << (markEpochAt - markListAt)
)

func (s *surveyor) mine(m uint64) bool { return m>>markListAt&(surveyLists-1) == s.list }

// touch notes that the strands come to a table. false: one of another list changes it.
func (s *surveyor) touch(tab *table) bool {
	for {
		m := atomic.LoadUint64(&tab.mark)
		now := m | markShared
		switch {
		case m>>markEpochAt != s.epoch:
			now = s.epoch<<markEpochAt | s.list<<markListAt
		case s.mine(m) || m&markShared != 0:
			return true
		case m&markChanged != 0:
			return false
		}
		if atomic.CompareAndSwapUint64(&tab.mark, m, now) {
			return true
		}
	}
}

// own notes that the strands change a table they came to. false: another list does too.
func (s *surveyor) own(tab *table) bool {
	for {
		m := atomic.LoadUint64(&tab.mark)
		switch {
		case !s.mine(m) || m&markShared != 0:
			return false
		case m&markChanged != 0 || atomic.CompareAndSwapUint64(&tab.mark, m, m|markChanged):
			s.changed = true
			return true
		}
	}
}

// The key of a page in the overlay is page number<<spaceBits | number of the space, of
// which none is 0.
const spaceBits = wordVPNAt

// ref follows the accesses of a reference (Task.perform). false: it has to be performed
// in turn.
func (s *surveyor) ref(r Ref) bool {
	vpn, first := r.vpn(), r.first()
	key := uint64(r)>>spaceBits<<spaceBits | s.space
	at := s.pages.at(key)
	if at.key == 0 {
		if vpn >= s.task.end {
			return s.gate(r)
		}
		if at = s.come(key, vpn); at == nil {
			return false
		}
	}
	return s.access(at, vpn, first) && (r&refWrite == 0 || first == Write || s.access(at, vpn, Write)) &&
		(r&refExec == 0 || first == Exec || s.access(at, vpn, Exec))
}

// gate says whether the accesses of a reference beyond user memory are permitted.
func (s *surveyor) gate(r Ref) bool {
	m, vpn, first := s.task.machine, r.vpn(), r.first()
	return m.gateAllows(vpn, first) && (r&refWrite == 0 || m.gateAllows(vpn, Write)) && (r&refExec == 0 || m.gateAllows(vpn, Exec))
}

// come puts the entry of a page into the overlay, nil if another list changes its table.
func (s *surveyor) come(key, vpn uint64) *overlaySlot {
	tab := s.task.leaf(vpn)
	if tab == nil {
		return s.pages.put(key, 0)
	}
	if !s.touch(tab) {
		return nil
	}
	return s.pages.put(key, atomic.LoadUint64(tab.entry(vpn))) // another CPU may set bits: then it is shared
}

func (s *surveyor) access(at *overlaySlot, vpn uint64, a Access) bool {
	return permits(&at.entry, a) || s.change(&at.entry, vpn, a)
}

// change performs an access that changes an entry.
func (s *surveyor) change(p *uint64, vpn uint64, a Access) bool {
	tab := s.task.leaf(vpn)
	if tab != nil && (tab.ptes == nil || tab.large() != 0 || !s.own(tab)) {
		return false
	}
	for {
		if _, ok := walk(p, a); ok {
			return true
		}
		if *p != 0 || !s.fault(p, tab, vpn, a) {
			return false
		}
	}
}

// fault is what a first touch makes of an entry (Task.handle, Task.anonymous).
func (s *surveyor) fault(p *uint64, tab *table, vpn uint64, a Access) bool {
	t, v := s.task, s.last
	if v == nil || vpn<<pageShift-v.start >= v.end-v.start {
		if v = t.space.list().at(vpn << pageShift); v == nil {
			return false
		}
		s.last = v
	}
	if v.file != nil || v.flags&(vmHugeTLB|vmSpecial|vmNonLinear) != 0 || !t.permits(v, a) {
		return false
	}
	made := tab != nil
	if !made {
		k := absentTable{t.space, vpn >> t.space.table.bits}
		if _, made = s.absent[k]; !made {
			if t.wantsHuge(v, vpn) {
				return false
			}
			s.absent[k] = struct{}{}
			s.changed = true
		}
	}
	if t.wantsAnon(v, a) && v.anon.Load() == nil {
		s.need(anonNeed{t, v, s.seq, made})
	}
	s.faults++
	if a == Write || t.machine.cfg.NoZeroPage {
		*p = mkPTE(firstPFN, t.bits(v, v.flags&vmWrite != 0)|pteExclusive)
		s.frames++
	} else {
		*p = mkPTE(zeroPFN, t.bits(v, false))
	}
	return true
}

func (s *surveyor) need(n anonNeed) {
	if _, ok := s.needed[n.v]; !ok {
		s.needed[n.v] = struct{}{}
		s.needs = append(s.needs, n)
	}
}

package paging

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// A survey says what the strands of several CPUs would do to the page tables, without
// doing it, so that first touches go on side by side too, each leaf table by one CPU.
//
// It follows every access through the entries. Where one changes, by a first touch of
// anonymous memory or by an accessed or dirty bit, it changes in a shadow of its table.
// The strands are apart if every table with a shadow is touched by one CPU only.
// Nothing else of what they do meets: no flush is sent, tables and mappings stay, no page
// is freed, and what is counted are sums. What is order all the same is done before, in
// order: a mapping gets its anon_vma, from who needs it first, and tasks get their frames
// from the pool, which gives what it has where that is less than was asked for.
//
// Left to be performed in turn, since it does meet: whatever sends a flush (copies, of
// the zero page too), pages of files (who comes first brings them into the cache), huge
// pages, growing stacks, and all that ends in a signal.

// surveyor follows the strands of one CPU.
type surveyor struct {
	epoch   uint64 // of the survey, see tableMark
	list    uint64 // number of the CPU's list
	task    *Task
	seq     int  // of the strand
	last    *vma // found last, in the space of task
	shadows []shadow
	most    int                 // shadows
	absent  map[absentTable]int // shadows of tables that are not there yet
	needs   []anonNeed
	frames  []frameNeed
}

// shadow is a leaf table as the strands leave it.
type shadow struct {
	made    bool // there, by then
	entries []uint64
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

// frameNeed is how many frames a strand takes.
type frameNeed struct {
	task   *Task
	seq, n int
}

// maxShadows bounds what a survey keeps: 8 MiB for all CPUs.
const maxShadows = 2048

// apart surveys what the strands of each CPU do, the CPUs side by side, and says
// whether they can be performed so. Then what has an order is done.
func (m *Machine) apart(lists [][]Strand, workers int) bool {
	if m.memory != nil || m.cfg.Locking != LockPerTable || m.cfg.HighMem || m.cfg.Only != nil {
		return false
	}
	k := &m.trial
	k.epoch++
	for len(k.surveyors) < len(lists) {
		k.surveyors = append(k.surveyors, &surveyor{absent: map[absentTable]int{}})
	}
	all := k.surveyors[:len(lists)]
	var failed atomic.Bool
	sideBySide(len(lists), workers, func(i int) {
		all[i].begin(k.epoch, uint64(i), maxShadows/len(lists))
		if !all[i].follow(lists[i], &failed) {
			failed.Store(true)
		}
	})
	if failed.Load() || !m.disjoint(all) {
		return false
	}
	m.prepareAll(all)
	return true
}

func (s *surveyor) begin(epoch, list uint64, most int) {
	s.epoch, s.list, s.most = epoch, list, most
	s.shadows, s.needs, s.frames = s.shadows[:0], s.needs[:0], s.frames[:0]
	clear(s.absent)
}

// follow goes through the strands of a CPU.
func (s *surveyor) follow(list []Strand, failed *atomic.Bool) bool {
	for i := range list {
		if failed.Load() {
			return false
		}
		s.task, s.seq, s.last = list[i].Task, list[i].Seq, nil
		s.frames = append(s.frames, frameNeed{task: s.task, seq: s.seq})
		for _, r := range list[i].Refs {
			if !s.ref(r) {
				return false
			}
		}
	}
	return true
}

// disjoint says whether each table that is to be made is of one CPU, and there are frames
// for all. For those that are there, whoever came second has given up.
func (m *Machine) disjoint(all []*surveyor) bool {
	absent := map[absentTable]struct{}{}
	frames := 0
	for _, s := range all {
		for _, f := range s.frames {
			frames += f.n
		}
		for k := range s.absent {
			if _, ok := absent[k]; ok {
				return false
			}
			absent[k] = struct{}{}
		}
	}
	return m.frames.has(frames)
}

// prepareAll gives mappings their anon_vmas, and tasks their frames, in the order in which
// faults would.
func (m *Machine) prepareAll(all []*surveyor) {
	var needs []anonNeed
	var frames []frameNeed
	for _, s := range all {
		needs, frames = append(needs, s.needs...), append(frames, s.frames...)
	}
	slices.SortFunc(frames, func(a, b frameNeed) int { return cmp.Compare(a.seq, b.seq) })
	left := map[*Task]int{} // of its stock
	for _, f := range frames {
		if _, ok := left[f.task]; !ok {
			left[f.task] = len(f.task.frames.free)
		}
		left[f.task] += f.task.frames.stock(f.n-left[f.task]) - f.n
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

// A tableMark says who came to a table in the survey of an epoch: epoch<<24 |
// 1 + number of the shadow<<8 | list<<1 | 1 if another one came too.
const (
	markShared   = 1
	markListAt   = 1
	markShadowAt = 8
	markEpochAt  = 24
	markLists    = 1 << (markShadowAt - markListAt)
)

func (s *surveyor) mine(m uint64) bool { return m>>markListAt&(markLists-1) == s.list }

// touch notes that the strands come to a table, and returns its mark.
func (s *surveyor) touch(tab *table) uint64 {
	for {
		m := atomic.LoadUint64(&tab.mark)
		now := m | markShared
		switch {
		case m>>markEpochAt != s.epoch:
			now = s.epoch<<markEpochAt | s.list<<markListAt
		case s.mine(m) || m&markShared != 0:
			return m
		}
		if atomic.CompareAndSwapUint64(&tab.mark, m, now) {
			return now
		}
	}
}

// ref follows the accesses of a reference (Task.perform). false: it is not for now.
func (s *surveyor) ref(r Ref) bool {
	vpn, first := r.vpn(), r.first()
	return s.access(vpn, first) && (r&refWrite == 0 || first == Write || s.access(vpn, Write)) &&
		(r&refExec == 0 || first == Exec || s.access(vpn, Exec))
}

func (s *surveyor) access(vpn uint64, a Access) bool {
	t := s.task
	if vpn >= t.end {
		return t.machine.gateAllows(vpn, a)
	}
	tab := t.leaf(vpn)
	if tab == nil {
		return s.change(s.missing(vpn), vpn, a)
	}
	if tab.ptes == nil || tab.large() != 0 {
		return permits(&tab.huge, a)
	}
	m := s.touch(tab)
	if at := m >> markShadowAt & (1<<(markEpochAt-markShadowAt) - 1); at != 0 {
		return s.mine(m) && s.change(&s.shadows[at-1], vpn, a)
	}
	if permits(tab.entry(vpn), a) {
		return true
	}
	return s.change(s.copy(tab, m), vpn, a)
}

// copy is a new shadow of a table, nil if another CPU comes to it.
func (s *surveyor) copy(tab *table, m uint64) *shadow {
	if m&markShared != 0 || !s.mine(m) || len(s.shadows) == s.most {
		return nil
	}
	if !atomic.CompareAndSwapUint64(&tab.mark, m, m|uint64(len(s.shadows)+1)<<markShadowAt) {
		return nil
	}
	n := s.grow(len(tab.ptes))
	n.made = true
	for i := range n.entries {
		n.entries[i] = atomic.LoadUint64(&tab.ptes[i]) // another CPU may set bits: then it is shared
	}
	return n
}

// missing is the shadow of a table that is not there.
func (s *surveyor) missing(vpn uint64) *shadow {
	p := s.task.space.table
	k := absentTable{s.task.space, vpn >> p.bits}
	i, ok := s.absent[k]
	switch {
	case ok:
		return &s.shadows[i]
	case len(s.shadows) == s.most:
		return nil
	}
	s.absent[k] = len(s.shadows)
	n := s.grow(1 << p.bits)
	n.made = false
	clear(n.entries)
	return n
}

// grow takes another shadow of so many entries, an old one where there is one.
func (s *surveyor) grow(entries int) *shadow {
	n := len(s.shadows)
	if n < cap(s.shadows) {
		s.shadows = s.shadows[:n+1]
	} else {
		s.shadows = append(s.shadows, shadow{})
	}
	sh := &s.shadows[n]
	if len(sh.entries) != entries {
		sh.entries = make([]uint64, entries)
	}
	return sh
}

// change performs an access in a shadow.
func (s *surveyor) change(sh *shadow, vpn uint64, a Access) bool {
	if sh == nil {
		return false
	}
	p := &sh.entries[vpn&uint64(len(sh.entries)-1)]
	for {
		if _, ok := walk(p, a); ok {
			return true
		}
		if *p != 0 || !s.fault(sh, p, vpn, a) {
			return false
		}
	}
}

// fault is what a first touch makes of an entry (Task.handle, Task.anonymous).
func (s *surveyor) fault(sh *shadow, p *uint64, vpn uint64, a Access) bool {
	t, v := s.task, s.last
	if v == nil || vpn<<pageShift-v.start >= v.end-v.start {
		if v = t.space.list().at(vpn << pageShift); v == nil {
			return false
		}
		s.last = v
	}
	if v.file != nil || v.flags&(vmHugeTLB|vmSpecial|vmNonLinear) != 0 || !t.permits(v, a) || !sh.made && t.wantsHuge(v, vpn) {
		return false
	}
	if anon := t.wantsAnon(v, a); anon && v.anon.Load() == nil && !slices.ContainsFunc(s.needs, func(n anonNeed) bool { return n.v == v }) {
		s.needs = append(s.needs, anonNeed{t, v, s.seq, sh.made})
	}
	if a == Write || t.machine.cfg.NoZeroPage {
		*p = mkPTE(firstPFN, t.bits(v, v.flags&vmWrite != 0)|pteExclusive)
		s.frames[len(s.frames)-1].n++
	} else {
		*p = mkPTE(zeroPFN, t.bits(v, false))
	}
	sh.made = true
	return true
}

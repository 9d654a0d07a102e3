package paging

import "sync/atomic"

// NewProcess makes a process with one thread and an empty address space.
func (m *Machine) NewProcess(pid, tid uint32, cpu int) *Task {
	return m.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: m.newSpace(), proc: &process{threads: map[*Task]struct{}{}}})
}

func (m *Machine) addTask(t *Task) *Task {
	t.machine = m
	t.frames.pool = m.frames
	t.space.users.Add(1)
	m.tasksMu.Lock()
	m.tasks[t] = struct{}{}
	t.proc.threads[t] = struct{}{}
	m.tasksMu.Unlock()
	return t
}

// Clone starts another thread of the process (CLONE_VM | CLONE_THREAD).
func (t *Task) Clone(tid uint32, cpu int) *Task {
	return t.machine.addTask(&Task{pid: t.pid, tid: tid, onCPU: cpu, space: t.space, proc: t.proc})
}

// VFork starts a process that shares the address space until it calls Exec or
// exits (CLONE_VM | CLONE_VFORK).
func (t *Task) VFork(pid, tid uint32, cpu int) *Task {
	return t.machine.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: t.space, proc: &process{threads: map[*Task]struct{}{}}})
}

// Fork starts a process with a copy of the address space, after Linux 6.1
// kernel/fork.c:dup_mmap and mm/memory.c:copy_page_range.
func (t *Task) Fork(pid, tid uint32, cpu int) *Task {
	child := t.machine.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: t.machine.newSpace(), proc: &process{threads: map[*Task]struct{}{}}})
	from, to := t.space, child.space
	from.mu.Lock()
	defer from.mu.Unlock()
	to.startBrk, to.brk = from.startBrk, from.brk
	var list vmaList
	for _, v := range from.list() {
		if v.flags&vmDontCopy != 0 {
			continue
		}
		n := *v
		n.flags &^= vmLocked // locks are not inherited
		if v.flags&vmWipeOnFork != 0 {
			n.anon = &anonMark{}
		} else {
			n.anon = v.anon.inherited()
		}
		list = append(list, &n)
	}
	to.mu.Lock()
	to.publish(list)
	to.mu.Unlock()
	for _, v := range from.list() {
		// Tables are copied only where they hold what a fault could not
		// bring back (mm/memory.c:vma_needs_copy).
		if v.flags&(vmDontCopy|vmWipeOnFork) == 0 && v.anon.set.Load() {
			from.copyEntries(to, v)
		}
	}
	from.flushPages(t, FlushFork, 0, 0)
	return child
}

// inherited is the mark of the child's copy of a mapping (anon_vma_fork).
func (m *anonMark) inherited() *anonMark {
	n := &anonMark{}
	n.set.Store(m.set.Load())
	return n
}

// copyEntries gives the child the parent's entries of a mapping. Private pages
// become read-only on both sides (copy_present_pte).
func (s *Space) copyEntries(to *Space, v *vma) {
	var grown [numRSS]int64
	type entry struct{ vpn, e uint64 }
	var batch []entry
	s.table.tables(v.start>>pageShift, v.end>>pageShift, func(base uint64, tab *table) {
		batch = batch[:0]
		tab.mu.Lock()
		for vpn := max(base, v.start>>pageShift); vpn < min(base+tableSize, v.end>>pageShift); vpn++ {
			p := &tab.ptes[vpn&tableMask]
			e := atomic.LoadUint64(p)
			if !pteFrame(e) {
				continue
			}
			if v.isCOW() && e&pteW != 0 {
				atomic.AndUint64(p, ^pteW)
				e &^= pteW
			}
			if f := s.machine.frames.at(ptePFN(e)); f.kind != frameZero {
				f.mapcount.Add(1)
				grown[f.kind.rss()]++
			}
			if !v.private() {
				e &^= pteD
			}
			batch = append(batch, entry{vpn, e &^ pteA})
		}
		tab.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		dst := to.lockEntry(base)
		for _, b := range batch {
			dst.set(b.vpn&tableMask, b.e)
		}
		dst.mu.Unlock()
	})
	for k, n := range grown {
		if n > 0 {
			to.charge(rssKind(k), n)
		}
	}
}

// Exec gives the process a new, empty address space (fs/exec.c:exec_mmap). Its
// other threads die.
func (t *Task) Exec() {
	for _, other := range t.siblings() {
		other.Exit()
	}
	old := t.space
	c := t.machine.cpus[t.onCPU]
	t.space = t.machine.newSpace()
	t.space.users.Add(1)
	t.forget()
	c.mu.Lock()
	t.enter(c)
	c.mu.Unlock()
	old.leave(t, FlushExec)
}

// siblings are the other threads of the process.
func (t *Task) siblings() []*Task {
	t.machine.tasksMu.Lock()
	defer t.machine.tasksMu.Unlock()
	var out []*Task
	for other := range t.proc.threads {
		if other != t {
			out = append(out, other)
		}
	}
	return out
}

// forget drops what the task remembers of its address space.
func (t *Task) forget() {
	t.last, t.lastList = nil, nil
	t.near = [nearTables]nearTable{}
}

// Exit ends the thread; the last one that uses the address space takes it down.
func (t *Task) Exit() {
	m := t.machine
	t.forget()
	t.space.leave(t, FlushExit)
	t.frames.drain()
	m.tasksMu.Lock()
	delete(m.tasks, t)
	delete(t.proc.threads, t)
	m.dead.add(&t.stats)
	m.tasksMu.Unlock()
}

// ExitGroup ends all threads of the process.
func (t *Task) ExitGroup() {
	for _, other := range t.siblings() {
		other.Exit()
	}
	t.Exit()
}

// leave gives up one use of the space; the last takes everything down
// (mm/mmap.c:exit_mmap): one flush of everything, and no CPU runs it any more.
func (s *Space) leave(t *Task, cause FlushCause) {
	if s.users.Add(-1) > 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(vmaList{})
	var g gather
	s.zap(t, 0, taskSize>>pageShift, &g)
	if g.pages > 0 {
		s.flushPages(t, cause, 0, 0)
	}
	s.machine.freeShmem(t)
	s.machine.tables.Add(-int64(s.table.prune(0, 1<<(tableShift*s.table.levels))))
	s.prune.Add(1)
	for i, c := range s.machine.cpus {
		if s.cpus.Load()>>i&1 != 0 {
			c.enqueue(flushRequest{id: s.id, gen: s.tlbGen.Load(), start: 0, end: 0})
		}
	}
}

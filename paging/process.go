package paging

// NewProcess makes a process with one thread and an empty address space.
func (m *Machine) NewProcess(pid, tid uint32, cpu int) *Task {
	return m.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: m.newSpace(), proc: &process{threads: map[*Task]struct{}{}}}, nil)
}

// addTask starts a task that by makes; nil = itself.
func (m *Machine) addTask(t, by *Task) *Task {
	if by == nil {
		by = t
	}
	t.machine, t.end = m, m.layout.pages()
	t.frames.pool = m.frames
	t.space.users.Add(1)
	m.tasksMu.Lock()
	m.tasks[t] = struct{}{}
	t.proc.threads[t] = struct{}{}
	m.tasksMu.Unlock()
	t.stack = m.takeStack(by)
	return t
}

// Clone starts another thread of the process (CLONE_VM | CLONE_THREAD).
func (t *Task) Clone(tid uint32, cpu int) *Task {
	return t.machine.addTask(&Task{pid: t.pid, tid: tid, onCPU: cpu, space: t.space, proc: t.proc}, t)
}

// VFork starts a process that shares the address space until it calls Exec or
// exits (CLONE_VM | CLONE_VFORK).
func (t *Task) VFork(pid, tid uint32, cpu int) *Task {
	return t.machine.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: t.space, proc: &process{threads: map[*Task]struct{}{}}}, t)
}

// Fork starts a process with a copy of the address space, after Linux 6.1
// kernel/fork.c:dup_mmap and mm/memory.c:copy_page_range.
func (t *Task) Fork(pid, tid uint32, cpu int) *Task {
	from := t.begin()
	defer from.unlock(t)
	to := t.machine.newSpace()
	t.locks.acquire(rankChild)
	to.mu.Lock() // until it is whole
	defer t.locks.release(rankChild)
	defer to.mu.Unlock()
	child := t.machine.addTask(&Task{pid: pid, tid: tid, onCPU: cpu, space: to, proc: &process{threads: map[*Task]struct{}{}}}, t)
	to.startBrk, to.brk = from.startBrk, from.brk
	to.noHuge.Store(from.noHuge.Load())
	var list vmaList
	for _, v := range from.list() {
		if v.flags&vmDontCopy == 0 {
			list = append(list, v.forked())
		}
	}
	to.publish(list)
	for _, v := range from.list() {
		// Tables are copied only where they hold what a fault could not
		// bring back (mm/memory.c:vma_needs_copy).
		if v.flags&(vmDontCopy|vmWipeOnFork) == 0 && (v.anon.Load() != nil || v.flags&(vmPFNMap|vmNonLinear) != 0) {
			from.copyEntries(t, to, v)
		}
	}
	from.flushPages(t, FlushFork, 0, 0)
	return child
}

// forked is the child's copy of a mapping: not locked, and with an anon_vma of
// its own where the parent has one (anon_vma_fork).
func (v *vma) forked() *vma {
	n := v.clone().another()
	n.flags &^= vmLock
	if v.huge != nil { // what the parent has reserved is the parent's (hugetlb_dup_vma_private)
		n.huge = &hugeVMA{pool: v.huge.pool}
	}
	switch {
	case v.flags&vmWipeOnFork != 0:
		n.anon.Store(nil)
	case v.anon.Load() != nil:
		n.anon.Store(&anonVMA{forked: true})
	}
	return n
}

// copyEntries gives the child the parent's entries of a mapping. Private pages
// become read-only on both sides and belong to neither alone (copy_present_pte).
func (s *Space) copyEntries(t *Task, to *Space, v *vma) {
	var grown [numRSS]int64
	before := to.table.pages.Load()
	s.table.mirror(to.table, v.first(), v.last(), func(base uint64, src, dst *table) {
		src.lock(t)
		defer src.unlock(t)
		dst.lockSecond(t)
		defer dst.unlockSecond(t)
		if src.ptes == nil {
			s.copyHugeTLB(to, src, dst)
			return
		}
		if src.large() != 0 {
			grown[rssAnon] += s.copyHuge(to, src, dst, base)
			return
		}
		for vpn := max(base, v.first()); vpn < min(base+src.pages(), v.last()); vpn++ {
			if src.load(vpn) == 0 {
				continue
			}
			old, e := src.update(vpn, func(e uint64) uint64 {
				if v.isCOW() {
					e &^= pteW | pteExclusive
				}
				return e
			})
			if isFileEntry(e) {
				dst.set(vpn, e)
				continue
			}
			if isSwap(e) {
				if (old^e)&pteExclusive != 0 { // it counts no more, see frame
					s.machine.frames.at(ptePFN(e)).mapcount.Add(-1)
				}
				s.machine.memory.copySwap(ptePFN(e))
				grown[rssSwap]++
			} else if f := s.machine.frames.at(ptePFN(e)); f.kind != frameZero {
				f.mapcount.Add(1)
				if b, ok := s.machine.frames.part(ptePFN(e)); ok {
					b.refs.Add(1)
				}
				s.machine.memory.linkFork(ptePFN(e), src, mapping{dst, vpn})
				grown[f.kind.rss()]++
			}
			if !v.private() {
				e &^= pteD // the parent's entry says it (copy_present_pte)
			}
			dst.set(vpn, e&^pteA)
		}
	})
	to.countTables(int(to.table.pages.Load() - before))
	for k, n := range grown {
		if n > 0 {
			to.charge(rssKind(k), n)
		}
	}
}

// Exec gives the process a new, empty address space (fs/exec.c:exec_mmap): what a
// recording tells of the new image comes as regions and copies. Its other threads
// die. ExecImage builds the image as the kernel does.
func (t *Task) Exec() {
	fresh := t.machine.newSpace()
	fresh.users.Add(1)
	t.become(fresh)
}

// become ends the other threads and takes over a space that counts the task
// already.
func (t *Task) become(fresh *Space) {
	for _, other := range t.siblings() {
		other.Exit()
	}
	old := t.space
	fresh.noHuge.Store(old.noHuge.Load()) // MMF_INIT_MASK
	t.machine.tasksMu.Lock()
	t.space = fresh
	t.machine.tasksMu.Unlock()
	t.forget()
	t.RunOn(t.onCPU)
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
	t.last = nil
	t.near, t.dirs = nearTable{}, dirCache{}
}

// Exit ends the thread; the last one that uses the address space takes it down.
func (t *Task) Exit() {
	m := t.machine
	t.forget()
	t.space.leave(t, FlushExit)
	t.frames.drain()
	m.giveStack(t, t.stack)
	m.tasksMu.Lock()
	delete(m.tasks, t)
	delete(t.proc.threads, t)
	m.dead.add(&t.stats)
	m.tasksMu.Unlock()
}

// kernelTask is what acts where no task asks, on no CPU of the model.
func (m *Machine) kernelTask() *Task {
	return &Task{machine: m, onCPU: -1, frames: frameCache{pool: m.frames}}
}

// retire ends a kernelTask and keeps its counts.
func (m *Machine) retire(t *Task) {
	t.frames.drain()
	m.tasksMu.Lock()
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
// (mm/mmap.c:exit_mmap): flushes of everything.
func (s *Space) leave(t *Task, cause FlushCause) {
	if s.users.Add(-1) > 0 {
		return
	}
	s.lock(t)
	defer s.unlock(t)
	s.machine.collapse.leave(s)
	s.publish(vmaList{})
	g := s.gather(t, cause)
	g.whole = true
	s.zap(&g, 0, s.table.limit(), zapAll)
	s.freeTables(&g, nil, 0, s.table.limit())
	g.flush()
	s.settleShmem(t)
}

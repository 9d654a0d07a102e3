package trace

import "slices"

// threadTable says which process each living thread belongs to.
type threadTable struct {
	of    map[uint32]uint32 // thread -> process
	alive map[uint32]int    // threads of a process
}

func newThreadTable() threadTable {
	return threadTable{of: map[uint32]uint32{}, alive: map[uint32]int{}}
}

func (t *threadTable) start(tid, pid uint32) {
	t.end(tid)
	t.of[tid] = pid
	t.alive[pid]++
}

func (t *threadTable) end(tid uint32) {
	pid, ok := t.of[tid]
	if !ok {
		return
	}
	delete(t.of, tid)
	if t.alive[pid]--; t.alive[pid] == 0 {
		delete(t.alive, pid)
	}
}

// endProcess ends every thread of the process.
func (t *threadTable) endProcess(pid uint32) {
	for tid, p := range t.of {
		if p == pid {
			t.end(tid)
		}
	}
}

// apply takes a process event of thread tid into account.
func (t *threadTable) apply(tid uint32, p Process) {
	switch p.Op {
	case OpStart:
		t.start(tid, p.Child)
	case OpFork, OpVFork:
		t.start(firstThread(p), p.Child)
	case OpClone:
		if pid, ok := t.of[tid]; ok {
			t.start(p.Tid, pid)
		}
	case OpExec: // the other threads end
		if pid, ok := t.of[tid]; ok && t.alive[pid] > 1 {
			t.endProcess(pid)
			t.start(tid, pid)
		}
	case OpExit:
		t.end(tid)
	case OpGroup:
		if pid, ok := t.of[tid]; ok {
			t.endProcess(pid)
		}
	}
}

// firstThread is the first thread of a forked process.
func firstThread(p Process) uint32 {
	if p.Tid == 0 {
		return p.Child
	}
	return p.Tid
}

// census counts what the index tells of a block. Writer and verifying reader
// share it, so that the one can be held against the other.
type census struct {
	table     threadTable
	info      BlockInfo // counts of the current block
	threads   map[uint32]struct{}
	processes map[uint32]struct{}
	last      uint32 // thread noted last
	noted     bool
}

func newCensus() *census {
	return &census{table: newThreadTable(), threads: map[uint32]struct{}{}, processes: map[uint32]struct{}{}}
}

// note says that a record of the thread is in the block.
func (c *census) note(thread uint32) {
	if c.noted && thread == c.last {
		return
	}
	c.noted, c.last = true, thread
	c.threads[thread] = struct{}{}
	if pid, ok := c.table.of[thread]; ok {
		c.processes[pid] = struct{}{}
	}
}

func (c *census) refs(thread uint32, refs []Ref) {
	var accesses uint64
	for i := range refs {
		accesses += refs[i].Accesses()
	}
	c.counted(thread, len(refs), accesses)
}

// counted takes n references with so many accesses into account.
func (c *census) counted(thread uint32, n int, accesses uint64) {
	c.note(thread)
	c.info.Refs += uint64(n)
	c.info.Records += uint64(n)
	c.info.Accesses += accesses
}

func (c *census) event(e *Event) {
	c.info.Records++
	switch e.Kind {
	case KindProcess:
		p := e.Process()
		c.note(e.Thread)
		c.table.apply(e.Thread, p)
		if pid, ok := c.table.of[e.Thread]; ok {
			c.processes[pid] = struct{}{}
		}
		if p.Op == OpFork || p.Op == OpVFork {
			c.processes[p.Child] = struct{}{}
		}
		c.noted = false // a thread may be of another process now
		return
	case KindTime:
		ns := e.Args[0]
		if c.info.Times == 0 {
			c.info.FirstNS = ns
		}
		c.info.LastNS = max(c.info.LastNS, ns)
		c.info.Times++
	}
	c.note(e.Thread)
}

// take returns the counts of the block and begins the next one.
func (c *census) take() BlockInfo {
	info := c.info
	info.Threads, info.Processes = sortedKeys(c.threads), sortedKeys(c.processes)
	c.info, c.noted = BlockInfo{}, false
	clear(c.threads)
	clear(c.processes)
	return info
}

func sortedKeys(m map[uint32]struct{}) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package capture

// threadNames maps valgrind's numbers of the threads of a process to thread
// ids. The log gives the id of a new thread as the result of clone, and its
// number when it runs for the first time. If several are waiting to run, the
// new thread is known by its first access to data: C libraries begin a thread
// by popping its function from the top of its stack, the address that was given
// to clone.
type threadNames struct {
	ids   map[int]uint32
	fresh []freshThread // cloned, have not run
	n     int           // number that waits for its id
}

type freshThread struct {
	tid   uint32
	stack uint64 // as given to clone
}

// reset begins anew with the first thread of an image, which is number 1.
func (t *threadNames) reset(pid uint32) { *t = threadNames{ids: map[int]uint32{1: pid}} }

func (t *threadNames) cloned(tid uint32, stack uint64) {
	t.fresh = append(t.fresh, freshThread{tid, stack})
}

// id is the thread id of a number, 0 if it cannot be told yet: then byStack or
// byOrder tells it.
func (t *threadNames) id(n int) uint32 {
	if tid, ok := t.ids[n]; ok {
		return tid
	}
	t.n = n
	if len(t.fresh) > 1 {
		return 0
	}
	return t.byOrder()
}

// byStack names the waiting thread by an address on its stack: of the stacks
// that reach it, the one whose top is next above.
func (t *threadNames) byStack(addr uint64) uint32 {
	best := -1
	for i, f := range t.fresh {
		if f.stack >= addr && (best < 0 || f.stack < t.fresh[best].stack) {
			best = i
		}
	}
	return t.take(max(best, 0))
}

// byOrder names the waiting thread as the one that has waited longest.
func (t *threadNames) byOrder() uint32 { return t.take(0) }

func (t *threadNames) take(i int) uint32 {
	if i >= len(t.fresh) { // the log did not tell of it: it passes for one that is known
		return t.any()
	}
	tid := t.fresh[i].tid
	t.fresh = append(t.fresh[:i], t.fresh[i+1:]...)
	t.ids[t.n] = tid
	return tid
}

func (t *threadNames) end(n int) { delete(t.ids, n) }

// living is how many threads have not ended.
func (t *threadNames) living() int { return len(t.ids) + len(t.fresh) }

func (t *threadNames) lives(tid uint32) bool {
	for _, id := range t.ids {
		if id == tid {
			return true
		}
	}
	for _, f := range t.fresh {
		if f.tid == tid {
			return true
		}
	}
	return false
}

// any is a thread that has not ended: that of the smallest number.
func (t *threadNames) any() uint32 {
	best := 0
	for n := range t.ids {
		if best == 0 || n < best {
			best = n
		}
	}
	if best == 0 && len(t.fresh) > 0 {
		return t.fresh[0].tid
	}
	return t.ids[best]
}

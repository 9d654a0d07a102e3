package scale

import "container/heap"

// prices are what the parts of steps cost, in ns.
type prices struct {
	word, line float64 // a change of a shared word; more if another CPU changed it last
	held       float64 // with the page table locked, of the work of a fault
	wake       float64 // of a thread that slept
}

// thread is a thread in the simulation.
type thread struct {
	steps []step
	step  int    // the next one
	ops   []op   // of the one at hand
	op    int    // the next one
	nth   int    // of the mappings that the step changes, for operations about every
	cpu   int    // where it runs, or -1
	home  int    // where it ran last, plus 1
	woken object // what it slept for, until it runs again
}

// lock is an object in the simulation.
type lock struct {
	readers int
	alone   bool
	queue   []waiter
	freeAt  float64 // when its word has been changed by those who came
	last    int     // CPU that changed its word last, plus 1
}

type waiter struct {
	thread int
	what   what
	object object
	since  float64
}

// event is a thread that goes on at a time. Those of one time go on in the order in
// which they were planned.
type event struct {
	at     float64
	number uint64
	thread int
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// sim is one simulation: a design on so many CPUs.
type sim struct {
	design  *Design
	prices  prices
	threads []thread
	objects []lock
	idle    []int // CPUs, the next one last
	ready   []int // threads that wait for a CPU
	plan    events
	planned uint64
	changed []uint32
	outcome
}

// outcome is what a simulation comes to, in ns.
type outcome struct {
	now   float64 // how long the program took: the time, while it runs
	spent float64 // by all threads, but for waiting for a CPU
	// Of spent, for which lock and for which word threads waited. What they changed is
	// theirs only when the line has come, so that counts, too, as does waking up.
	locks, words [every + 1]float64
}

// waits finds what threads waited for longest: its name, and its share of what they
// spent. It returns no name if nobody waited.
func (o *outcome) waits() (on string, share float64) {
	most := 0.0
	for k := mm; k < every; k++ {
		if w := o.locks[k]; w > most {
			most, on = w, names[k]
		}
		if w := o.words[k]; w > most {
			most, on = w, "the word of "+names[k]
		}
	}
	if most == 0 {
		return "", 0
	}
	return on, most / o.spent
}

// simulate lets the threads of a program run on so many CPUs.
func simulate(p *program, d *Design, cpus int, price prices) outcome {
	s := &sim{design: d, prices: price, threads: make([]thread, len(p.threads)), objects: make([]lock, p.objects+1), changed: p.changed}
	for c := cpus - 1; c >= 0; c-- {
		s.idle = append(s.idle, c)
	}
	for i := range s.threads {
		s.threads[i] = thread{steps: p.threads[i], cpu: -1}
		s.ready = append(s.ready, i)
	}
	s.dispatch()
	for len(s.plan) > 0 {
		e := heap.Pop(&s.plan).(event)
		s.now = e.at
		s.run(e.thread)
	}
	return s.outcome
}

// dispatch gives idle CPUs to threads that wait for one.
func (s *sim) dispatch() {
	for len(s.idle) > 0 && len(s.ready) > 0 {
		i := s.ready[0]
		s.ready = s.ready[1:]
		t := &s.threads[i]
		t.cpu = s.idleFor(t)
		cost := 0.0
		if t.woken != none {
			cost = s.prices.wake
			s.wait(&s.locks, t.woken, cost)
			t.woken = none
		}
		s.after(i, s.now+cost)
	}
}

// idleFor takes an idle CPU: the one on which the thread ran last, if it is one.
func (s *sim) idleFor(t *thread) int {
	k := len(s.idle) - 1
	for i, c := range s.idle {
		if c == t.home-1 {
			k = i
		}
	}
	cpu := s.idle[k]
	s.idle = append(s.idle[:k], s.idle[k+1:]...)
	return cpu
}

func (s *sim) after(thread int, at float64) {
	s.planned++
	heap.Push(&s.plan, event{at, s.planned, thread})
}

// leave takes a thread off its CPU.
func (s *sim) leave(t *thread) {
	s.idle = append(s.idle, t.cpu)
	t.home, t.cpu = t.cpu+1, -1
}

// wait counts time that a thread waited.
func (s *sim) wait(in *[every + 1]float64, o object, ns float64) {
	if o == every {
		o = vma
	}
	in[o] += ns
	s.spent += ns
}

// run lets a thread do operations until one takes time or has to wait.
func (s *sim) run(i int) {
	t := &s.threads[i]
	for {
		if t.op == len(t.ops) && !s.begin(t) {
			s.leave(t)
			s.dispatch()
			return
		}
		st := &t.steps[t.step-1]
		o, at := t.next(st, s.changed)
		if fails(o.what, st, &s.objects[at]) {
			t.ops, t.op = s.design.retry, 0
			continue
		}
		if end, waits := s.do(i, t, st, o, &s.objects[at]); waits {
			return
		} else if end > s.now {
			s.after(i, end)
			return
		}
	}
}

// begin begins the next step of a thread, if there is one.
func (s *sim) begin(t *thread) bool {
	if t.step == len(t.steps) {
		return false
	}
	t.ops, t.op = s.design.fault, 0
	switch t.steps[t.step].kind {
	case change:
		t.ops = s.design.change
	case look:
		t.ops = s.design.look
	}
	t.step++
	return true
}

// next returns the next operation of a step and the number of the object that it is
// about. Operations side by side about every mapping come for one mapping after the
// other, none if there is no mapping.
func (t *thread) next(st *step, changed []uint32) (o op, at uint32) {
	n := int(st.end - st.first)
	for n == 0 && t.ops[t.op].object == every {
		t.op++
	}
	o = t.ops[t.op]
	t.op++
	if o.object != every {
		return o, st.at[o.object]
	}
	at = changed[int(st.first)+t.nth]
	if t.op < len(t.ops) && t.ops[t.op].object == every {
		return o, at
	}
	if t.nth++; t.nth == n {
		t.nth = 0
		return o, at
	}
	for t.op > 0 && t.ops[t.op-1].object == every {
		t.op--
	}
	return o, at
}

// fails says that a fault cannot have the lock of its mapping at once: a writer has it
// or, if it is tried, waits for it; or the fault is one that must not.
func fails(how what, st *step, l *lock) bool {
	switch how {
	case peek:
		return st.kind == slowFault || l.alone
	case try:
		return l.alone || len(l.queue) > 0
	}
	return false
}

// do begins an operation: it returns when it ends, or that the thread has to wait
// for somebody to give a lock back.
func (s *sim) do(i int, t *thread, st *step, o op, l *lock) (end float64, waits bool) {
	switch o.what {
	case compute:
		return s.spend(float64(st.compute)), false
	case work:
		return s.spend(s.rest(st)), false
	case held:
		return s.spend(s.prices.held), false
	case word:
		begin, line := max(s.now, l.freeAt), 0.0
		if l.last != 0 && l.last != t.cpu+1 {
			line = s.prices.line
		}
		l.freeAt, l.last = begin+s.prices.word+line, t.cpu+1
		s.wait(&s.words, o.object, begin-s.now+line)
		s.spent += s.prices.word
		return l.freeAt, false
	case free:
		s.release(l)
		return s.now, false
	case ease:
		if st.drop > 0 {
			l.alone = false
			l.readers++
			s.grant(l)
		}
		return s.now, false
	case drop:
		return s.spend(float64(st.drop)), false
	case peek:
		return s.now, false
	}
	if len(l.queue) == 0 && !l.alone && (o.what == read || o.what == try || l.readers == 0) {
		l.take(o.what)
		return s.now, false
	}
	l.queue = append(l.queue, waiter{i, o.what, o.object, s.now})
	if o.what != spin {
		s.leave(t)
		s.dispatch()
	}
	return 0, true
}

// spend is when an operation ends that takes so long.
func (s *sim) spend(ns float64) float64 {
	s.spent += ns
	return s.now + ns
}

// rest is the work of a step in the kernel but for what is done with the page table
// locked; the cost of a fault holds both.
func (s *sim) rest(st *step) float64 {
	if st.kind == change || st.kind == look {
		return float64(st.work)
	}
	return max(0, float64(st.work)-s.prices.held)
}

func (l *lock) take(how what) {
	if how == read || how == try {
		l.readers++
	} else {
		l.alone = true
	}
}

// release gives a lock back.
func (s *sim) release(l *lock) {
	if l.alone {
		l.alone = false
	} else {
		l.readers--
	}
	s.grant(l)
}

// grant gives a lock to the first that wait for it, as far as they can have it.
func (s *sim) grant(l *lock) {
	for len(l.queue) > 0 {
		w := l.queue[0]
		if l.alone || w.what != read && l.readers > 0 {
			break
		}
		l.queue = l.queue[1:]
		l.take(w.what)
		s.wait(&s.locks, w.object, s.now-w.since)
		if w.what == spin {
			s.after(w.thread, s.now)
			continue
		}
		s.threads[w.thread].woken = w.object
		s.ready = append(s.ready, w.thread)
	}
	s.dispatch()
}

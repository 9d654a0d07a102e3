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
	step  int // the one at hand
	op    int // of the step
	cpu   int // where it runs, or -1
	home  int // where it ran last, plus 1
	woken bool
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
	locks   []lock
	idle    []int // CPUs, the next one last
	ready   []int // threads that wait for a CPU
	plan    events
	planned uint64
	now     float64
}

// simulate returns how long the program takes, in ns.
func simulate(p *program, d *Design, cpus int, price prices) float64 {
	s := &sim{design: d, prices: price, threads: make([]thread, len(p.threads)), locks: make([]lock, p.objects+1)}
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
	return s.now
}

// dispatch gives idle CPUs to threads that wait for one.
func (s *sim) dispatch() {
	for len(s.idle) > 0 && len(s.ready) > 0 {
		i := s.ready[0]
		s.ready = s.ready[1:]
		t := &s.threads[i]
		t.cpu = s.idleFor(t)
		cost := 0.0
		if t.woken {
			cost, t.woken = s.prices.wake, false
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

// run lets a thread do operations until one takes time or has to wait.
func (s *sim) run(i int) {
	t := &s.threads[i]
	for {
		if t.step == len(t.steps) {
			s.leave(t)
			s.dispatch()
			return
		}
		st, ops := &t.steps[t.step], s.design.fault
		if t.steps[t.step].call {
			ops = s.design.call
		}
		o := ops[t.op]
		if t.op++; t.op == len(ops) {
			t.op = 0
			t.step++
		}
		if end, waits := s.do(i, t, st, o); waits {
			return
		} else if end > s.now {
			s.after(i, end)
			return
		}
	}
}

// do begins an operation: it returns when it ends, or that the thread has to wait
// for somebody to give a lock back.
func (s *sim) do(i int, t *thread, st *step, o op) (end float64, waits bool) {
	l := &s.locks[st.at[o.object]]
	switch o.what {
	case compute:
		return s.now + float64(st.compute), false
	case work:
		return s.now + s.rest(st), false
	case held:
		return s.now + s.prices.held, false
	case word:
		begin, cost := max(s.now, l.freeAt), s.prices.word
		if l.last != 0 && l.last != t.cpu+1 {
			cost += s.prices.line
		}
		l.freeAt, l.last = begin+cost, t.cpu+1
		return l.freeAt, false
	case free:
		s.release(l)
		return s.now, false
	}
	if len(l.queue) == 0 && !l.alone && (o.what == read || l.readers == 0) {
		l.take(o.what)
		return s.now, false
	}
	l.queue = append(l.queue, waiter{i, o.what})
	if o.what != spin {
		s.leave(t)
		s.dispatch()
	}
	return 0, true
}

// rest is the work of a step in the kernel but for what is done with the page table
// locked; the cost of a fault holds both.
func (s *sim) rest(st *step) float64 {
	if st.call {
		return float64(st.work)
	}
	return max(0, float64(st.work)-s.prices.held)
}

func (l *lock) take(how what) {
	if how == read {
		l.readers++
	} else {
		l.alone = true
	}
}

// release gives a lock back, to the first that wait for it.
func (s *sim) release(l *lock) {
	if l.alone {
		l.alone = false
	} else {
		l.readers--
	}
	for len(l.queue) > 0 {
		w := l.queue[0]
		if l.alone || w.what != read && l.readers > 0 {
			break
		}
		l.queue = l.queue[1:]
		l.take(w.what)
		if w.what == spin {
			s.after(w.thread, s.now)
			continue
		}
		s.threads[w.thread].woken = true
		s.ready = append(s.ready, w.thread)
	}
	s.dispatch()
}

package scale

import (
	"fmt"

	"github.com/vmtrace/vmtrace/replay"
)

// step is what a thread does next, after so much time of its own. Objects have
// numbers, from 1 on, over all kinds.
type step struct {
	compute float32 // ns
	work    float32 // ns in the kernel
	call    bool    // it changes mappings; else a fault
	at      [table + 1]uint32
}

// program is the steps of all threads, in the order in which the threads appear.
type program struct {
	threads [][]step
	objects int // numbers given out
	faults  int
	left    int // steps beyond the limit
}

// collector makes a program of what a replay tells.
type collector struct {
	costs   *replay.Costs
	limit   int // steps
	steps   int
	threads map[uint32]*state
	order   []*state
	numbers map[key]uint32
	left    int
	faults  int
}

// key tells objects apart: of a process, the kind and where it begins.
type key struct {
	pid  uint32
	kind object
	at   uint64
}

// state is a thread while it is collected.
type state struct {
	steps    []step
	accesses uint64 // before the last step
}

// writers are the calls that take the mmap lock for writing; the others are passed
// over.
var writers = map[string]bool{"mmap": true, "mmap2": true, "old_mmap": true, "munmap": true, "mprotect": true, "pkey_mprotect": true,
	"mremap": true, "remap_file_pages": true, "brk": true, "mlock": true, "mlock2": true, "munlock": true, "mlockall": true,
	"munlockall": true, "shmat": true, "shmdt": true, "fork": true}

// tableShift is log2 of the bytes that a leaf table maps on x86-64.
const tableShift = 21

func newCollector(costs *replay.Costs, limit int) *collector {
	return &collector{costs: costs, limit: limit, threads: map[uint32]*state{}, numbers: map[key]uint32{}}
}

// add takes one thing that a thread did.
func (c *collector) add(w replay.Work) {
	if w.Fault == nil && !writers[w.Call] {
		return
	}
	if c.steps++; c.steps > c.limit {
		c.left++
		return
	}
	th := c.threads[w.TID]
	if th == nil {
		th = &state{}
		c.threads[w.TID] = th
		c.order = append(c.order, th)
	}
	s := step{compute: float32(float64(w.Accesses-min(w.Accesses, th.accesses)) * c.costs.NS("access"))}
	th.accesses = w.Accesses
	s.at[mm] = c.number(key{w.PID, mm, 0})
	if f := w.Fault; f != nil {
		c.faults++
		s.work = float32(c.costs.NS("fault." + f.Kind.String()))
		s.at[vma], s.at[table] = c.number(key{w.PID, vma, f.Start}), c.number(key{w.PID, table, f.Addr >> tableShift})
	} else {
		s.call, s.work = true, float32(c.costs.NS("call.map"))
		s.at[vma] = c.number(key{w.PID, vma, w.Addr})
	}
	th.steps = append(th.steps, s)
}

func (c *collector) number(k key) uint32 {
	n, ok := c.numbers[k]
	if !ok {
		n = uint32(len(c.numbers)) + 1
		c.numbers[k] = n
	}
	return n
}

// program returns what was collected; an error says why nothing can be told of it.
func (c *collector) program() (*program, error) {
	p := &program{objects: len(c.numbers), faults: c.faults, left: c.left}
	for _, th := range c.order {
		p.threads = append(p.threads, th.steps)
	}
	if p.faults == 0 {
		return nil, fmt.Errorf("the trace has no page faults: there is nothing that could scale")
	}
	return p, nil
}

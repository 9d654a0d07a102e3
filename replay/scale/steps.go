package scale

import (
	"fmt"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
)

// step is what a thread does next, after so much time of its own. Objects have
// numbers, from 1 on, over all kinds.
type step struct {
	compute    float32 // ns
	work       float32 // ns in the kernel
	drop       float32 // ns more, with the mmap lock given down to reading before
	kind       kind
	at         [table + 1]uint32
	first, end uint32 // of program.changed: the mappings that a call changes
}

// program is the steps of all threads, in the order in which the threads appear.
type program struct {
	threads [][]step
	changed []uint32
	objects int // numbers given out
	faults  int
	steps   int
	left    int // steps beyond the limit
}

// collector makes a program of what a replay tells.
type collector struct {
	costs   *replay.Costs
	limit   int // steps
	threads map[uint32]*state
	order   []*state
	numbers map[key]uint32
	p       program
}

// key tells objects apart: a mapping by its ID, a table by the address space and where
// it begins, an address space by its number.
type key struct {
	kind  object
	space uint32
	at    uint64
	id    paging.MappingID
}

// state is a thread while it is collected.
type state struct {
	steps    []step
	accesses uint64          // before the last step
	call     int             // the step of the call that has not been done, plus 1
	before   paging.Mappings // when it began
	resident uint64          // then, bytes
}

// tableShift is log2 of the bytes that a leaf table maps on x86-64.
const tableShift = 21

// There is room for so many changed mappings: a fork changes all of them.
const (
	changedAtLeast = 1 << 20
	changedPerStep = 4
)

func newCollector(costs *replay.Costs, limit int) *collector {
	return &collector{costs: costs, limit: limit, threads: map[uint32]*state{}, numbers: map[key]uint32{}}
}

// add takes one thing that a thread did.
func (c *collector) add(w replay.Work) {
	k := noStep
	switch {
	case w.Fault != nil:
		k = kindOfFault(&w)
	case w.Done:
		c.done(&w)
	default:
		k = kindOfCall(&w)
	}
	if k == noStep {
		return
	}
	th := c.threads[w.TID]
	if th == nil {
		th = &state{}
		c.threads[w.TID] = th
		c.order = append(c.order, th)
	}
	if c.p.steps >= c.limit || len(c.p.changed) >= changedAtLeast+changedPerStep*c.limit {
		c.p.left++
		return
	}
	c.p.steps++
	s := step{kind: k, compute: float32(float64(w.Accesses-min(w.Accesses, th.accesses)) * c.costs.NS("access"))}
	th.accesses = w.Accesses
	space := w.Mappings.Space()
	s.at[mm] = c.number(key{kind: mm, space: space})
	if f := w.Fault; f != nil {
		c.p.faults++
		s.work = float32(c.costs.NS("fault." + f.Kind.String()))
		s.at[vma] = c.number(key{kind: vma, id: f.Mapping})
		s.at[table] = c.number(key{kind: table, space: space, at: f.Addr >> tableShift})
	} else {
		s.work = float32(c.costs.NS("call.map"))
		th.call, th.before, th.resident = len(th.steps)+1, w.Mappings, w.Resident
	}
	th.steps = append(th.steps, s)
}

// done notes which pages a call has taken away and which mappings it has changed. The faults that it took on its way stand
// behind it: the kernel takes them when it has given the mmap lock back.
func (c *collector) done(w *replay.Work) {
	th := c.threads[w.TID]
	if th == nil || th.call == 0 {
		return
	}
	s := &th.steps[th.call-1]
	th.call = 0
	pages := (th.resident - min(th.resident, w.Resident)) / paging.PageSize
	drop := float32(float64(pages) * c.costs.NS("call.drop_page"))
	if eases(w) {
		s.drop = drop
	} else {
		s.work += drop
	}
	if s.kind != change {
		th.before = paging.Mappings{}
		return
	}
	first := len(c.p.changed)
	note := func(id paging.MappingID) { c.p.changed = append(c.p.changed, c.number(key{kind: vma, id: id})) }
	if w.Call == "fork" { // dup_mmap locks them all
		th.before.Each(note)
	} else {
		th.before.Changed(w.Mappings, note)
	}
	th.before = paging.Mappings{}
	slices.Sort(c.p.changed[first:]) // one that is still there came twice
	c.p.changed = c.p.changed[:first+len(slices.Compact(c.p.changed[first:]))]
	s.first, s.end = uint32(first), uint32(len(c.p.changed))
}

// number is that of an object; what is not there has none.
func (c *collector) number(k key) uint32 {
	if k == (key{kind: vma}) {
		return 0
	}
	n, ok := c.numbers[k]
	if !ok {
		n = uint32(len(c.numbers)) + 1
		c.numbers[k] = n
	}
	return n
}

// program returns what was collected; an error says why nothing can be told of it.
func (c *collector) program() (*program, error) {
	c.p.objects = len(c.numbers)
	for _, th := range c.order {
		c.p.threads = append(c.p.threads, th.steps)
	}
	if c.p.faults == 0 {
		return nil, fmt.Errorf("the trace has no page faults: there is nothing that could scale")
	}
	return &c.p, nil
}

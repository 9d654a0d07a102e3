package paging

import (
	"slices"
	"sync"
	"sync/atomic"
)

// cpu is one processor: its TLB, the address space it runs and the ASIDs it has
// given out. A task holds mu while it runs references on it. A flush from
// another CPU is queued, and applied before the CPU's next lookup: as with an
// IPI, the sender may go on once it is sent, since the queue is looked at
// before every lookup.
type cpu struct {
	mu       sync.Mutex
	tlb      *tlb
	space    *Space            // mu: running now (loaded_mm)
	asid     uint16            // mu: of space
	slots    [numASIDs]asidUse // mu: who has which ASID
	nextUse  int               // mu: slot to recycle next
	asids    int               // slots that are used; immutable
	spareTLB *tlb              // mu: what the TLB held before the last trial, nil if there was none

	pending atomic.Bool    // queue is not empty
	spare   []flushRequest // mu: the array of the last queue, to be used again
	moved   uint64         // mu: flushes so far that may tell of tables freed or moved
	queueMu sync.Mutex     // innermost lock
	queue   []flushRequest // queueMu
	_       linePad
}

// numASIDs is the number of address spaces a CPU keeps entries of at a time
// (arch/x86/mm/tlb.c:TLB_NR_DYN_ASIDS).
const numASIDs = 6

type asidUse struct {
	id  uint32 // of the space, 0 = free
	gen uint64 // flushes of the space that this CPU has seen
}

// flushRequest asks a CPU to forget pages of a space; start == end: all of it;
// everything: all of all spaces.
type flushRequest struct {
	id         uint32
	gen        uint64
	start, end uint64 // pages
	everything bool
}

// apply carries out what other CPUs have asked for. Precondition: c.mu.
func (c *cpu) apply() {
	if !c.pending.Load() {
		return
	}
	c.moved++
	c.queueMu.Lock()
	queue := c.queue
	c.queue = c.spare[:0]
	c.pending.Store(false)
	c.queueMu.Unlock()
	for _, r := range queue {
		c.flush(r)
	}
	c.spare = queue
}

// flush carries out one request (flush_tlb_func). A request of pages is enough
// only if the CPU has seen every flush before it; otherwise the whole ASID
// goes. Precondition: c.mu.
func (c *cpu) flush(r flushRequest) {
	if r.everything {
		for asid := range uint16(numASIDs) {
			c.tlb.flushASID(asid + 1)
		}
		return
	}
	for i := range c.slots {
		slot := &c.slots[i]
		if slot.id != r.id {
			continue
		}
		if r.gen <= slot.gen {
			return // a full flush, or the switch to the space, was later
		}
		if asid := uint16(i + 1); r.start != r.end && r.gen == slot.gen+1 {
			c.tlb.flushRange(asid, r.start, r.end)
		} else {
			c.tlb.flushASID(asid)
		}
		slot.gen = r.gen
		return
	}
}

func (c *cpu) enqueue(r flushRequest) {
	c.queueMu.Lock()
	if n := len(c.queue); r.everything && n > 0 && c.queue[n-1].everything {
		c.queueMu.Unlock()
		return
	}
	c.queue = append(c.queue, r)
	c.pending.Store(true)
	c.queueMu.Unlock()
}

// load makes a space current (arch/x86/mm/tlb.c:switch_mm_irqs_off,
// choose_new_asid). It returns whether its ASID was flushed: the space had been
// flushed elsewhere meanwhile, or it got a new ASID. Precondition: c.mu.
func (c *cpu) load(s *Space, index int) (flushed bool) {
	if c.space == s {
		return false
	}
	if c.space != nil {
		c.space.cpus.And(^(1 << index))
	}
	c.space = s
	s.cpus.Or(1 << index) // before the count is read: see flushPages
	gen := s.tlbGen.Load()
	i := slices.IndexFunc(c.slots[:], func(u asidUse) bool { return u.id == s.id })
	if i >= 0 && c.slots[i].gen == gen {
		c.asid = uint16(i + 1)
		return false
	}
	if i < 0 {
		i = c.nextUse
		c.nextUse = (i + 1) % c.asids
	}
	c.slots[i] = asidUse{s.id, gen}
	c.asid = uint16(i + 1)
	c.tlb.flushASID(c.asid)
	return true
}

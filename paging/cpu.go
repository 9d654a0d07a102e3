package paging

import (
	"sync"
	"sync/atomic"
)

// cpu is one processor: its TLB, the address space it runs and the ASIDs it has
// given out. A task holds mu while it runs references on it. A flush from
// another CPU is queued, and applied before the CPU's next lookup: as with an
// IPI, the sender may go on once it is sent, since the queue is looked at
// before every lookup.
type cpu struct {
	mu      sync.Mutex
	tlb     *tlb
	space   *Space            // mu: running now (loaded_mm)
	asid    uint16            // mu: of space
	slots   [numASIDs]asidUse // mu: who has which ASID
	nextUse int               // mu: slot to recycle next

	pending atomic.Bool // queue is not empty
	queueMu sync.Mutex  // innermost lock
	queue   []flushRequest
	_       [64]byte // CPUs do not share cache lines
}

// numASIDs is the number of address spaces a CPU keeps entries of at a time
// (arch/x86/mm/tlb.c:TLB_NR_DYN_ASIDS).
const numASIDs = 6

type asidUse struct {
	id  uint32 // of the space, 0 = free
	gen uint64 // flushes of the space that this CPU has seen
}

// flushRequest asks a CPU to forget pages of a space; start == end: all of it.
type flushRequest struct {
	id         uint32
	gen        uint64
	start, end uint64 // pages
}

// apply carries out what other CPUs have asked for. Precondition: c.mu.
func (c *cpu) apply() {
	c.queueMu.Lock()
	queue := c.queue
	c.queue = c.queue[:0:0]
	c.pending.Store(false)
	c.queueMu.Unlock()
	for _, r := range queue {
		c.flush(r)
	}
}

// flush carries out one request. Precondition: c.mu.
func (c *cpu) flush(r flushRequest) {
	for i := range c.slots {
		if c.slots[i].id != r.id {
			continue
		}
		asid := uint16(i + 1)
		if r.start == r.end {
			c.tlb.flushASID(asid)
		} else {
			c.tlb.flushRange(asid, r.start, r.end)
		}
		c.slots[i].gen = max(c.slots[i].gen, r.gen)
	}
}

func (c *cpu) enqueue(r flushRequest) {
	c.queueMu.Lock()
	c.queue = append(c.queue, r)
	c.pending.Store(true)
	c.queueMu.Unlock()
}

// load makes a space current (arch/x86/mm/tlb.c:switch_mm_irqs_off,
// choose_new_asid). It returns whether an ASID had to be flushed: the space had
// been flushed elsewhere meanwhile, or the ASID was somebody else's.
// Precondition: c.mu.
func (c *cpu) load(s *Space, index int) (flushed bool) {
	if c.space == s {
		return false
	}
	if c.space != nil {
		c.space.cpus.And(^(1 << index))
	}
	c.space = s
	s.cpus.Or(1 << index)
	gen := s.tlbGen.Load()
	for i := range c.slots {
		if c.slots[i].id == s.id {
			c.asid = uint16(i + 1)
			if c.slots[i].gen == gen {
				return false
			}
			c.slots[i].gen = gen
			c.tlb.flushASID(c.asid)
			return true
		}
	}
	i := c.nextUse
	c.nextUse = (i + 1) % numASIDs
	used := c.slots[i].id != 0
	c.slots[i] = asidUse{s.id, gen}
	c.asid = uint16(i + 1)
	if used {
		c.tlb.flushASID(c.asid)
	}
	return used
}

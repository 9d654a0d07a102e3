package paging

import (
	"sync/atomic"
)

// frame describes a page frame: how many page-table entries map it and what it
// holds. A frame is anonymous (freed with its last mapping) or belongs to the
// page cache of a file (which keeps it).
type frame struct {
	mapcount mapCount  // counts the entry of swap of a sole owner too: its page leaves and comes back without a look here
	kind     frameKind // set when the frame is taken, before it is mapped
}

// mapCount is a number of mappings. It may be set while nobody else knows the frame.
type mapCount int32

// Load is the number now.
func (c *mapCount) Load() int32 { return atomic.LoadInt32((*int32)(c)) }

// Add changes it, and returns the new one.
func (c *mapCount) Add(n int32) int32 { return atomic.AddInt32((*int32)(c), n) }

type frameKind uint32

const (
	frameFree frameKind = iota
	frameAnon
	frameFile
	frameShmem
	frameZero     // the zero page: not counted, never freed
	frameHugeAnon // of hugetlb; only the first frame of a page counts mappings
	frameHugeFile // of hugetlb, in the cache of an object
	frameHugeFree // of hugetlb, in the pool
)

// Frame numbers: 0 is no frame.
const (
	zeroPFN    = 1
	firstPFN   = 2
	chunkShift = 14
	chunkSize  = 1 << chunkShift
	maxChunks  = 1 << 16 // 2^30 frames: 4 TiB
	lastChunk  = maxChunks - 1
	// hugeZeroPFN is the first frame of the huge zero page (mm/huge_memory.c:
	// huge_zero_pfn).
	hugeZeroPFN = lastChunk << chunkShift
	cacheBatch  = 256 // frames moved between a task and the pool at a time: with 64 two tasks met there too often
)

// framePool hands out frames. The array grows in chunks as frames are first
// used; a chunk is found without a lock.
type framePool struct {
	memory *memory // immutable: what is charged for them, nil without limit and swap
	blocks blocks  // huge pages, see framehuge.go
	_      linePad
	mu     countedMutex
	free   frameStack // mu: frames given back
	next   uint32     // mu: first frame never used
	_      linePad
	chunks [maxChunks]atomic.Pointer[chunk]
}

type chunk struct {
	frames [chunkSize]frame
	blocks [chunkSize >> tableShift]atomic.Pointer[block]
}

func newFramePool(y *layout) *framePool {
	p := &framePool{next: firstPFN, blocks: blocks{shift: y.bits}}
	p.chunks[0].Store(new(chunk))
	p.at(zeroPFN).kind = frameZero
	return p
}

// at returns the frame; it stays at its address for ever.
func (p *framePool) at(pfn uint32) *frame {
	return &p.chunks[pfn>>chunkShift].Load().frames[pfn&(chunkSize-1)]
}

// take appends n frames to dst, fewer when memory is exhausted. How often a task comes
// here does not depend on what others took before: see survey.go.
func (p *framePool) take(dst []uint32, n int) []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for want := len(dst) + n; len(dst) < want; {
		if p.free.len() == 0 {
			p.breakBlock()
		}
		if p.free.len() > 0 {
			dst = p.free.pop(dst, want-len(dst))
			continue
		}
		if !p.reach(p.next) {
			break
		}
		dst = append(dst, p.next)
		p.next++
	}
	return dst
}

// has says whether n frames and the stocks of tasks can be taken. Nobody may be taking
// any.
func (p *framePool) has(n int) bool {
	return uint64(p.next)+uint64(n)+(1<<20) < lastChunk<<chunkShift
}

// reach makes the chunk of a frame that was never used; false says that there is
// none. Precondition: p.mu.
func (p *framePool) reach(pfn uint32) bool {
	if pfn>>chunkShift >= lastChunk {
		return false
	}
	if c := &p.chunks[pfn>>chunkShift]; c.Load() == nil {
		c.Store(new(chunk))
	}
	return true
}

func (p *framePool) give(frames []uint32) {
	p.mu.Lock()
	p.free.push(frames...)
	p.mu.Unlock()
}

// frameCache is a task's own stock of free frames, so that faults of different
// tasks do not meet at the pool.
type frameCache struct {
	pool *framePool
	free []uint32
}

// alloc returns a frame of the kind with so many mappings, or 0 when there is
// none, or no room for it under the limit.
func (c *frameCache) alloc(kind frameKind, mapcount int32) uint32 {
	if len(c.free) == 0 {
		c.free = c.pool.take(c.free, cacheBatch)
		if len(c.free) == 0 {
			return 0
		}
	}
	pfn := c.free[len(c.free)-1]
	f := c.pool.at(pfn)
	f.kind = kind
	f.mapcount = mapCount(mapcount)
	if g := c.pool.memory; g != nil && !g.admit(pfn, kind) { // once admitted, others see it
		*f = frame{}
		return 0
	}
	c.free = c.free[:len(c.free)-1]
	return pfn
}

// release ends the life of a page and gives its frame back.
func (c *frameCache) release(pfn uint32) {
	if g := c.pool.memory; g == nil || g.forget(pfn) {
		c.put(pfn)
	}
}

// put gives a frame back.
func (c *frameCache) put(pfn uint32) {
	*c.pool.at(pfn) = frame{} // an entry of swap that went may still be counted
	c.pool.detach(pfn)
	c.free = append(c.free, pfn)
	if len(c.free) >= 2*cacheBatch {
		c.pool.give(c.free[cacheBatch:])
		c.free = c.free[:cacheBatch]
	}
}

// drain gives everything back.
func (c *frameCache) drain() {
	if len(c.free) > 0 {
		c.pool.give(c.free)
		c.free = nil
	}
}

package paging

import (
	"slices"
	"sync/atomic"
)

// A block is as many frames as a huge page has, at a multiple of that. Those of
// its frames that belong to one huge page are its parts. A write to a part that
// is mapped by an entry of its own depends on who maps any other: refs is what
// holds the huge page, one for each mapping of the whole and of a part
// (folio_ref_count).
type block struct {
	refs  atomic.Int32
	parts [maxHuge / 64]atomic.Uint64 // by frame
}

// maxHuge is the most frames of a huge page, with 2 levels.
const maxHuge = 1 << 10

// blocks are the free ones of a pool. Blocks of frames that were freed one by one
// are put together again when there is no other (mm/compaction.c, without moving
// anything).
type blocks struct {
	shift uint     // of a block's number; immutable
	free  []uint32 // framePool.mu: first frames of whole free blocks
	try   int      // framePool.mu: so many free frames are worth another search
}

// block returns what is known of the block of a frame, nil if there never was a
// huge page.
func (p *framePool) block(pfn uint32) *block {
	return p.blockAt(pfn).Load()
}

func (p *framePool) blockAt(pfn uint32) *atomic.Pointer[block] {
	pfn = pfn >> p.blocks.shift << p.blocks.shift
	return &p.chunks[pfn>>chunkShift].Load().blocks[pfn&(chunkSize-1)>>tableShift]
}

// part says whether a frame is part of a huge page, and of which block.
func (p *framePool) part(pfn uint32) (b *block, ok bool) {
	if b = p.block(pfn); b == nil {
		return nil, false
	}
	return b, b.has(pfn & (1<<p.blocks.shift - 1))
}

// has says whether a frame of the block is a part.
func (b *block) has(i uint32) bool { return b.parts[i/64].Load()>>(i%64)&1 != 0 }

// detach makes a frame a page of its own.
func (p *framePool) detach(pfn uint32) {
	if b := p.block(pfn); b != nil {
		i := pfn & (1<<p.blocks.shift - 1)
		b.parts[i/64].And(^(1 << (i % 64)))
	}
}

// detachAll makes every frame of a huge page a page of its own (mm/huge_memory.c:
// split_huge_page).
func (p *framePool) detachAll(pfn uint32) {
	b := p.block(pfn)
	for i := range b.parts {
		b.parts[i].Store(0)
	}
}

// takeBlock returns the first frame of a free block, 0 when there is none.
func (p *framePool) takeBlock() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.blocks.free) == 0 && p.free.len() >= p.blocks.try {
		p.join()
	}
	if n := len(p.blocks.free); n > 0 {
		head := p.blocks.free[n-1]
		p.blocks.free = p.blocks.free[:n-1]
		return head
	}
	return p.newRun(p.blocks.shift)
}

// takeRun returns the first of 1<<shift frames in a row that were never used, at
// a multiple of that; 0 when there are none.
func (p *framePool) takeRun(shift uint8) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newRun(uint(shift))
}

// newRun is takeRun. Precondition: p.mu.
func (p *framePool) newRun(shift uint) uint32 {
	size := uint32(1) << shift
	head := (p.next + size - 1) &^ (size - 1)
	for at := head; at < head+size; at += min(size, chunkSize) {
		if !p.reach(at) {
			return 0
		}
	}
	for ; p.next < head; p.next++ {
		p.reach(p.next)
		p.free.push(p.next)
	}
	p.next += size
	return head
}

// breakBlock gives the frames of a free block out one by one. Precondition: p.mu.
func (p *framePool) breakBlock() {
	n := len(p.blocks.free)
	if n == 0 {
		return
	}
	head := p.blocks.free[n-1]
	p.blocks.free = p.blocks.free[:n-1]
	for i := range uint32(1) << p.blocks.shift {
		p.free.push(head + i)
	}
}

// join looks for whole blocks among the free frames. Precondition: p.mu.
func (p *framePool) join() {
	all, size := p.free.all(), 1<<p.blocks.shift
	slices.Sort(all)
	p.free = frameStack{}
	for i := 0; i < len(all); {
		head := all[i]
		if int(head)%size == 0 && i+size <= len(all) && all[i+size-1] == head+uint32(size)-1 {
			p.blocks.free = append(p.blocks.free, head)
			i += size
			continue
		}
		p.free.push(head)
		i++
	}
	p.blocks.try = 2*p.free.len() + 4*size
}

// allocBlock returns the first of the frames of a new huge page of the kind, each
// with so many mappings; 0 when there is none.
func (p *framePool) allocBlock(kind frameKind, mapcount int32) uint32 {
	head := p.takeBlock()
	if head == 0 {
		return 0
	}
	at := p.blockAt(head)
	b := at.Load()
	if b == nil {
		b = new(block)
		at.Store(b)
	}
	b.refs.Store(mapcount)
	for i := range uint32(1) << p.blocks.shift {
		f := p.at(head + i)
		f.kind = kind
		f.mapcount = mapCount(mapcount)
		b.parts[i/64].Or(1 << (i % 64))
	}
	return head
}

// freeBlock gives the frames of a huge page back that nothing maps.
func (p *framePool) freeBlock(head uint32) {
	for i := range uint32(1) << p.blocks.shift {
		p.at(head + i).kind = frameFree
	}
	p.detachAll(head)
	p.mu.Lock()
	p.blocks.free = append(p.blocks.free, head)
	p.mu.Unlock()
}

// newHugeZero makes the huge zero page.
func (p *framePool) newHugeZero() {
	c := new(chunk)
	for i := range c.frames {
		c.frames[i].kind = frameZero
	}
	p.chunks[lastChunk].Store(c)
}

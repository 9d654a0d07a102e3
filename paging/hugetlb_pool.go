package paging

import (
	"sync/atomic"
)

// Pools of hugetlb, one for each size of page: pages that are free, those of them
// that are promised to mappings, and surplus ones that come and go with the demand
// (mm/hugetlb.c:struct hstate).

const maxHugePages = 1 << 20

// hugePools are the pools, one for each size that the machine has (hstates).
type hugePools struct {
	mu    countedMutex // innermost; taken under table locks
	pools []*hugePool
	anyOf atomic.Bool // a mapping of hugetlb was made
}

// hugePool is a pool of pages of one size (struct hstate). All but shift is
// guarded by hugePools.mu.
type hugePool struct {
	shift                 uint8 // log2 of the 4 KiB pages in one
	total, free, reserved int64 // pages: of the pool, not used, and promised of those
	surplus, overcommit   int64 // beyond the configured ones, and the most of these
	idle                  []uint32
	high, denied, stolen  int64 // most used at a time; faults without a page; pages taken from children
	grown                 int64 // for recorded mappings, see reserve
}

// HugeTLBStats is the state of a pool, in pages.
type HugeTLBStats struct {
	PageBytes                               uint64
	Total, Free, Reserved, Surplus, HighUse uint64
	Denied                                  uint64 // faults that found no page: SIGBUS
	Stolen                                  uint64 // pages of children that were unmapped for a copy of their parent
	Grown                                   uint64 // pages added because a recorded program got a mapping that the pool had no room for
}

// usage is the state of the pools.
func (h *hugePools) usage() []HugeTLBStats {
	h.mu.Mutex.Lock() // looking is not counted
	defer h.mu.Unlock()
	var out []HugeTLBStats
	for _, p := range h.pools {
		out = append(out, HugeTLBStats{PageBytes: PageSize << p.shift, Total: uint64(p.total), Free: uint64(p.free), Reserved: uint64(p.reserved),
			Surplus: uint64(p.surplus), HighUse: uint64(p.high), Denied: uint64(p.denied), Stolen: uint64(p.stolen), Grown: uint64(p.grown)})
	}
	return out
}

// newPools makes the pools of a configuration.
func (m *Machine) newPools() {
	c := &m.cfg
	add := func(shift uint, pages, overcommit uint64) {
		m.hugetlb.pools = append(m.hugetlb.pools, &hugePool{shift: uint8(shift), total: int64(pages), free: int64(pages), overcommit: int64(overcommit)})
	}
	add(m.layout.bits, c.HugePages, c.HugeOvercommit)
	if c.Levels >= 4 {
		add(2*m.layout.bits, c.GiantPages, 0)
	}
}

// pool finds the pool of a size given as log2 of its bytes, 0 for the smallest
// (hstate_sizelog); nil when there is none.
func (m *Machine) pool(log uint64) *hugePool {
	for _, p := range m.hugetlb.pools {
		if log == 0 || log == uint64(p.shift)+pageShift {
			return p
		}
	}
	return nil
}

// account reserves n pages more, or gives -n back (hugetlb_acct_memory,
// gather_surplus_pages, return_unused_surplus_pages). false: the pool is too
// small. Precondition: hugePools.mu.
func (p *hugePool) account(n int64) bool {
	if need := p.reserved + n - p.free; n > 0 && need > 0 {
		if p.surplus+need > p.overcommit {
			return false
		}
		p.surplus, p.total, p.free = p.surplus+need, p.total+need, p.free+need
	}
	p.reserved += n
	if n < 0 {
		k := min(-n, p.surplus, p.free-p.reserved)
		p.surplus, p.total, p.free = p.surplus-k, p.total-k, p.free-k
	}
	return true
}

// take takes a page, one that was reserved or any that is not; 0 when there is
// none (alloc_huge_page). Precondition: hugePools.mu.
func (p *hugePool) take(frames *framePool, kind frameKind, reserved bool) uint32 {
	switch {
	case reserved:
		p.reserved--
	case p.free-p.reserved > 0:
	case p.surplus < p.overcommit:
		p.surplus, p.total, p.free = p.surplus+1, p.total+1, p.free+1
	default:
		return 0
	}
	var head uint32
	if n := len(p.idle); n > 0 {
		head, p.idle = p.idle[n-1], p.idle[:n-1]
	} else if head = frames.takeRun(p.shift); head == 0 {
		if reserved {
			p.reserved++
		}
		return 0
	}
	p.free--
	p.high = max(p.high, p.total-p.free)
	for i := range uint32(1) << p.shift {
		frames.at(head + i).kind = kind
	}
	return head
}

// put gives a page back (free_huge_page). Precondition: hugePools.mu.
func (p *hugePool) put(frames *framePool, head uint32) {
	for i := range uint32(1) << p.shift {
		frames.at(head + i).kind = frameHugeFree
	}
	p.idle = append(p.idle, head)
	p.free++
	if p.surplus > 0 {
		p.surplus, p.total, p.free = p.surplus-1, p.total-1, p.free-1
	}
}

package paging

import (
	"sync"
	"sync/atomic"
)

// Space is an address space (mm_struct). See the lock tree in doc.go.
type Space struct {
	machine *Machine
	id      uint32 // never 0

	// mu is the mmap lock: it serialises changes of the mappings and of the
	// tree of tables. With LockMM faults hold it for reading, with LockGlobal
	// faults hold faultMu.
	mu      sync.RWMutex
	faultMu sync.Mutex

	vmas  atomic.Pointer[vmaList] // published by holders of mu
	table *pageTable
	prune atomic.Uint64 // changes whenever tables are freed: cached tables are stale
	rss   rssCounter
	users atomic.Int32 // tasks

	cpus   atomic.Uint64 // CPUs that run it now (mm_cpumask)
	tlbGen atomic.Uint64 // counts its flushes

	startBrk, brk uint64 // mu
	defFlags      vmaFlags
	lockedPages   uint64 // mu
}

// rssCounter counts resident pages by kind.
type rssCounter struct {
	pages [numRSS]atomic.Int64
	high  atomic.Int64 // most pages of all kinds at a time
}

type rssKind uint8

const (
	rssAnon rssKind = iota
	rssFile
	rssShmem
	numRSS
)

func (k frameKind) rss() rssKind {
	switch k {
	case frameFile:
		return rssFile
	case frameShmem:
		return rssShmem
	}
	return rssAnon
}

func (c *rssCounter) total() int64 {
	return c.pages[rssAnon].Load() + c.pages[rssFile].Load() + c.pages[rssShmem].Load()
}

func (c *rssCounter) add(k rssKind, n int64) {
	c.pages[k].Add(n)
	if n > 0 {
		raise(&c.high, c.total())
	}
}

// raise lifts a high-water mark.
func raise(mark *atomic.Int64, v int64) {
	for old := mark.Load(); v > old && !mark.CompareAndSwap(old, v); old = mark.Load() {
	}
}

// RSS is resident memory in bytes.
type RSS struct{ Anon, File, Shmem, Swap uint64 }

// Total is what is resident: swap is not.
func (r RSS) Total() uint64 { return r.Anon + r.File + r.Shmem }

func (c *rssCounter) bytes() RSS {
	p := func(k rssKind) uint64 { return uint64(c.pages[k].Load()) << pageShift }
	return RSS{Anon: p(rssAnon), File: p(rssFile), Shmem: p(rssShmem)}
}

// charge counts resident pages of the space and of the machine.
func (s *Space) charge(k rssKind, n int64) {
	s.rss.add(k, n)
	s.machine.rss.add(k, n)
}

func (m *Machine) newSpace() *Space {
	s := &Space{machine: m, id: m.nextSpace.Add(1), table: newPageTable(m.cfg.Levels)}
	s.vmas.Store(&vmaList{})
	return s
}

// list is the current mappings.
func (s *Space) list() vmaList { return *s.vmas.Load() }

// publish makes a list current. Precondition: s.mu is held for writing.
// Shared anonymous memory is kept alive by the mappings of it.
func (s *Space) publish(l vmaList) {
	old := s.list()
	s.vmas.Store(&l)
	s.machine.countShmem(old, l)
}

// makeTable returns the leaf table of a page, counting what it had to make.
func (s *Space) makeTable(vpn uint64) *table {
	t, grown := s.table.make(vpn)
	if grown > 0 {
		raise(&s.machine.tablesHigh, s.machine.tables.Add(int64(grown)))
	}
	return t
}

// lockEntry locks the leaf table of a page, made if need be, and returns it.
// A table that was taken out of the tree meanwhile is passed over.
func (s *Space) lockEntry(vpn uint64) *table {
	for {
		t := s.makeTable(vpn)
		t.mu.Lock()
		if !t.dead {
			return t
		}
		t.mu.Unlock()
	}
}

// set stores an entry, keeping the count of the table. Precondition: t.mu.
func (t *table) set(i uint64, e uint64) {
	old := atomic.LoadUint64(&t.ptes[i])
	switch {
	case old == 0 && e != 0:
		t.used++
	case old != 0 && e == 0:
		t.used--
	}
	atomic.StoreUint64(&t.ptes[i], e)
}

// gather collects what an unmap removed: the range to flush and the counts.
type gather struct {
	start, end uint64 // pages that had an entry: [start, end)
	pages      uint64
}

func (g *gather) add(vpn uint64) {
	if g.pages == 0 || vpn < g.start {
		g.start = vpn
	}
	g.end = max(g.end, vpn+1)
	g.pages++
}

// zap clears the entries of the pages [start, end) (mm/memory.c:
// zap_pte_range). Mappings that still cover them stay.
func (s *Space) zap(t *Task, start, end uint64, g *gather) {
	var gone [numRSS]int64
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		if tab.used == 0 {
			return
		}
		first, last := max(base, start), min(base+tableSize, end)
		for vpn := first; vpn < last; vpn++ {
			e := atomic.LoadUint64(&tab.ptes[vpn&tableMask])
			if e == 0 {
				continue
			}
			tab.set(vpn&tableMask, 0)
			g.add(vpn)
			s.drop(t, e, &gone)
		}
	})
	for k, n := range gone {
		if n > 0 {
			s.charge(rssKind(k), -n)
		}
	}
}

// drop takes one mapping of the entry's frame away; an anonymous frame without
// mappings is free.
func (s *Space) drop(t *Task, e uint64, gone *[numRSS]int64) {
	if !pteFrame(e) {
		return
	}
	pfn := ptePFN(e)
	f := s.machine.frames.at(pfn)
	if f.kind == frameZero || pfn == 0 {
		return
	}
	gone[f.kind.rss()]++
	if f.mapcount.Add(-1) == 0 && f.kind == frameAnon {
		t.frames.release(pfn)
	}
}

// freeTables frees the leaf and upper tables that no mapping of the list needs
// any more around the pages [start, end). Precondition: s.mu for writing.
func (s *Space) freeTables(l vmaList, start, end uint64) {
	floor, ceiling := uint64(0), uint64(1)<<(tableShift*s.table.levels)
	i := l.find(start << pageShift)
	if i > 0 {
		floor = (l[i-1].end + pageMask) >> pageShift
	}
	if i < len(l) {
		ceiling = l[i].start >> pageShift
	}
	if n := s.table.prune(floor, ceiling); n > 0 {
		s.machine.tables.Add(-int64(n))
		s.prune.Add(1)
	}
}

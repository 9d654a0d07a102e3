package paging

import (
	"sync"
	"sync/atomic"
)

// Space is an address space (mm_struct). See the lock tree in doc.go.
type Space struct {
	machine *Machine
	id      uint32 // never 0

	// mu is the mmap lock: held for writing it serialises changes of the
	// mappings and the freeing of tables; held for reading it keeps both as they
	// are. With LockMM faults hold it for reading, with LockGlobal faults hold
	// faultMu.
	mu      sync.RWMutex
	faultMu sync.Mutex
	vmas    atomic.Pointer[vmaList] // published by holders of mu
	_       linePad

	// What every fault reads, and hardly anybody writes.
	table *pageTable
	prune atomic.Uint64 // changes after tables were freed or moved: remembered tables are stale
	_     linePad

	rss   rssCounter
	users atomic.Int32 // tasks

	holder  *Task        // mu: holds it for writing
	huge    atomic.Int64 // transparent huge pages mapped, with those of zeros
	hugetlb atomic.Int64 // bytes of pages of hugetlb mapped (hugetlb_usage)
	scanned atomic.Bool  // on the list of the collapser
	noHuge  atomic.Bool  // PR_SET_THP_DISABLE (MMF_DISABLE_THP)

	cpus   atomic.Uint64 // CPUs that run it now (mm_cpumask)
	tlbGen atomic.Uint64 // counts its flushes

	startBrk, brk uint64   // mu
	defFlags      vmaFlags // mu: of mappings to come (mlockall)
	gone          []*File  // mu: shared anonymous memory that lost a mapping, see settleShmem
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
	rssSwap // not resident: entries that stand for pages in swap
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
	// As in include/linux/mm.h:get_mm_counter, a kind is below 0 for a while when
	// pages go before the task that faulted them in has settled.
	p := func(k rssKind) uint64 { return uint64(max(c.pages[k].Load(), 0)) << pageShift }
	return RSS{Anon: p(rssAnon), File: p(rssFile), Shmem: p(rssShmem), Swap: p(rssSwap)}
}

// charge counts resident pages of the space and of the machine. A fault uses
// Task.charge.
func (s *Space) charge(k rssKind, n int64) {
	s.rss.add(k, n)
	s.machine.rss.add(k, n)
}

// charge counts resident pages that a fault of the task makes or, if n < 0,
// takes away. Inside Run those that it makes are added up and settled at the end
// (mm/memory.c:add_mm_counter_fast, SPLIT_RSS_COUNTING); the peaks are the same,
// since nothing goes meanwhile: what does settles first.
func (t *Task) charge(k rssKind, n int64) {
	if t.running && (n > 0 || k == rssSwap) { // what is in swap has no peak
		t.made[k] += n
		return
	}
	t.chargeNow(k, n)
}

func (t *Task) chargeNow(k rssKind, n int64) {
	t.settle()
	t.space.charge(k, n)
}

// settle counts the pages that faults of Run have made so far (sync_mm_rss).
func (t *Task) settle() {
	for k, n := range t.made {
		if n != 0 {
			t.space.charge(rssKind(k), n)
			t.made[k] = 0
		}
	}
}

func (m *Machine) newSpace() *Space {
	s := &Space{machine: m, id: m.nextSpace.Add(1)}
	s.table = newPageTable(s, &m.layout)
	s.vmas.Store(&vmaList{})
	s.countTables(int(s.table.pages.Load()))
	return s
}

// list is the current mappings.
func (s *Space) list() vmaList { return *s.vmas.Load() }

// publish makes a list current. Precondition: s.mu is held for writing.
func (s *Space) publish(l vmaList) { s.publishOver(s.list(), l) }

// publishOver makes a list current where old was, before lists that were hidden
// in between. Shared anonymous memory is kept alive by the mappings of it.
func (s *Space) publishOver(old, l vmaList) {
	s.hide(l)
	s.machine.countCommit(old, l)
	s.settleHuge(old, l)
	s.countShmem(old, l)
}

// hide makes a list current for a while in the middle of a change, and marks what is
// gone: faults on what is missing from it wait for s.mu and then look again. Precondition: s.mu
// is held for writing.
func (s *Space) hide(l vmaList) {
	s.mustLock()
	old := s.list()
	s.vmas.Store(&l)
	old.notIn(l, func(v *vma) { v.gone.Store(true) })
	l.notIn(old, func(v *vma) { // nearly all of them are new
		if v.gone.Load() {
			v.gone.Store(false)
		}
	})
	s.splitEdges(l)
}

// makeTable returns the leaf table of a page, counting what it had to make.
// Precondition: s.mu is held, for reading at least.
func (s *Space) makeTable(vpn uint64) *table {
	t, grown := s.table.make(vpn)
	s.countTables(grown)
	return t
}

// countTables counts new page tables for the machine.
func (s *Space) countTables(grown int) {
	if grown > 0 {
		raise(&s.machine.tablesHigh, s.machine.tables.Add(int64(grown)))
	}
}

// zapKind says which entries an unmap takes.
type zapKind uint8

const (
	zapAll     zapKind = iota
	zapCache           // those of the page cache: private copies stay
	zapClean           // clean ones of files
	zapNothing         // none; it has met every fault that was under way
)

// takes says whether an entry of a frame goes.
func (k zapKind) takes(f *frame, e uint64) bool {
	switch k {
	case zapCache:
		return f.kind != frameAnon
	case zapClean:
		return f.kind == frameFile && e&pteD == 0 && !isSwap(e)
	case zapNothing:
		return false
	}
	return true
}

// zapAhead is how many entries are looked at together before they are cleared.
const zapAhead = 16

// zap clears the entries of the pages [start, end) (mm/memory.c:
// zap_pte_range). Mappings that still cover them stay. Each leaf table with
// dirty pages of a file is flushed before its lock is dropped, so that nobody
// writes to a page that is taken for clean.
func (s *Space) zap(g *gather, start, end uint64, kind zapKind) {
	var gone [numRSS]int64
	s.table.tables(start, end, func(base uint64, tab *table) {
		tab.lock(g.task)
		defer tab.unlock(g.task)
		if tab.ptes == nil {
			s.zapHugeTLB(g, tab, base, start, end)
			return
		}
		if tab.large() != 0 {
			if tab.holdsAll(base, start, end) {
				gone[rssAnon] += s.zapHuge(g, tab, base)
				return
			}
			s.split(g.task, tab, base)
		}
		if tab.used == 0 {
			return
		}
		dirty := false
		for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
			if m := s.machine.memory; m != nil && vpn%zapAhead == 0 {
				m.expect(tab.ptes, vpn)
			}
			e := tab.load(vpn)
			if e == 0 {
				continue
			}
			if isFileEntry(e) {
				if kind == zapAll || kind == zapCache {
					tab.set(vpn, 0)
				}
				continue
			}
			f := s.machine.frames.at(ptePFN(e))
			if !kind.takes(f, e) {
				continue
			}
			e = tab.set(vpn, 0)
			if isSwap(e) {
				gone[rssSwap]++
				g.task.zapSwap(ptePFN(e))
				continue
			}
			g.entry(vpn)
			if f.kind == frameZero {
				continue
			}
			dirty = dirty || f.kind != frameAnon && e&pteD != 0
			gone[f.kind.rss()]++
			if f.kind != frameAnon && e&pteA != 0 {
				s.machine.memory.accessed(ptePFN(e))
			}
			g.task.unmapFrame(tab, vpn, f, e)
			if g.frame() {
				dirty = false
			}
		}
		if dirty {
			g.flush()
		}
	})
	for k, n := range gone {
		if n > 0 {
			s.charge(rssKind(k), -n)
		}
	}
}

// unmapFrame takes one mapping of a frame away, by the entry that was there; an
// anonymous frame without mappings is free (page_remove_rmap), unless entries of
// swap stand for its page too.
func (t *Task) unmapFrame(tab *table, vpn uint64, f *frame, e uint64) {
	pfn := ptePFN(e)
	if b, ok := t.machine.frames.part(pfn); ok { // before the frame may be another's
		b.refs.Add(-1)
	}
	n := f.mapcount.Add(-1)
	if invariants && n < 0 {
		broken("frame %d has %d mappings", pfn, n)
	}
	free := n == 0 && f.kind == frameAnon
	if g := t.machine.memory; g != nil {
		free = g.unlink(pfn, mapping{tab, vpn}, e&pteD != 0)
	}
	if free {
		t.frames.put(pfn)
	}
}

// freeTables frees the leaf and upper tables of the pages [start, end), which
// have just lost their mappings, that no mapping of the list needs any more
// (free_pgtables). Precondition: s.mu for writing.
func (s *Space) freeTables(g *gather, l vmaList, start, end uint64) {
	around := gap{start: start, end: end, ceiling: s.table.limit()}
	i := l.find(start << pageShift)
	if i > 0 {
		around.floor = l[i-1].last()
	}
	if i < len(l) {
		around.ceiling = l[i].first()
	}
	n := int64(0)
	changed := s.table.prune(g.task, around, func(base uint64, level int) {
		g.table(base, level)
		n++
	})
	if changed {
		s.machine.tables.Add(-n)
		s.prune.Add(1)
	}
}

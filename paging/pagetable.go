package paging

import (
	"sync"
	"sync/atomic"
)

// A page-table entry is one word. Only the walker sets accessed and dirty, by
// compare-and-swap; everything else changes only under the lock of the table.
const (
	pteP         uint64 = 1 << 0  // present
	pteW         uint64 = 1 << 1  // writable
	pteA         uint64 = 1 << 5  // accessed
	pteD         uint64 = 1 << 6  // dirty
	pteSwap      uint64 = 1 << 2  // not present: stands for a page in swap
	pteHuge      uint64 = 1 << 7  // of an entry above a leaf table: it maps a large page itself (_PAGE_PSE); see large.go
	pteNone      uint64 = 1 << 8  // PROT_NONE: a frame is there, no access is permitted (_PAGE_PROTNONE)
	pteExclusive uint64 = 1 << 9  // the anonymous frame belongs to this entry alone and may be written (Linux: page flag PG_anon_exclusive)
	pteGiant     uint64 = 1 << 10 // with pteHuge: two levels above a leaf table (PUD)
	pteNX        uint64 = 1 << 63 // not executable
	ptePFNAt            = 12
)

func ptePFN(e uint64) uint32 { return uint32(e >> ptePFNAt) }

func mkPTE(pfn uint32, bits uint64) uint64 { return uint64(pfn)<<ptePFNAt | bits }

// Entries of a leaf table with 3 levels or more. The smallest stretch of pages
// that lies in one leaf table in every format.
const (
	tableShift = 9
	tableSize  = 1 << tableShift
)

// table is a leaf page table: 512 entries of 4 KiB pages, 1024 with 2 levels; or
// what is in its place, see large.go. mu is the split page table lock
// (include/linux/mm.h:pte_lockptr).
type table struct {
	mu    sync.Mutex
	used  int32    // mu: entries that are not 0
	dead  bool     // mu: taken out of the tree, or moved; look again
	shift uint8    // log2 of the pages that lie in it
	huge  uint64   // the entry above, while it maps a large page
	ptes  []uint64 // 1<<shift of them; nil where there is no table, only huge
	mark  uint64   // of the last survey that came to it
	space *Space   // immutable: whose it is; a cache line ends here: the locks of neighbours do not share one
}

func (p *pageTable) newTable() *table {
	return &table{shift: uint8(p.bits), ptes: make([]uint64, 1<<p.bits), space: p.space}
}

// pages is how many pages the table maps.
func (tab *table) pages() uint64 { return 1 << tab.shift }

// large is the entry of the large page in the table's place, or 0. Walkers set its
// bits without a lock.
func (tab *table) large() uint64 { return atomic.LoadUint64(&tab.huge) }

// entry is the place of the entry of a page that the table maps.
func (tab *table) entry(vpn uint64) *uint64 {
	if tab.ptes == nil || tab.large() != 0 {
		return &tab.huge
	}
	return tab.small(vpn)
}

// small is the place of the entry of a page that is not part of a large one.
func (tab *table) small(vpn uint64) *uint64 { return &tab.ptes[vpn&uint64(len(tab.ptes)-1)] }

// load returns the entry of a page that the table maps: of a page that lies in a
// large one, that entry with the frame of the page itself.
func (tab *table) load(vpn uint64) uint64 {
	e := atomic.LoadUint64(tab.entry(vpn))
	if e&pteHuge != 0 {
		e += (vpn & (tab.pages() - 1)) << ptePFNAt
	}
	return e
}

// set stores the entry of a page, keeping the count of the table, and returns
// the old one. Preconditions: tab.mu; no large page is there.
func (tab *table) set(vpn uint64, e uint64) (old uint64) {
	tab.mustLock()
	if invariants && tab.entry(vpn) == &tab.huge {
		broken("an entry of page %#x is set below a large page", vpn)
	}
	old = atomic.SwapUint64(tab.entry(vpn), e)
	switch {
	case old == 0 && e != 0:
		tab.used++
	case old != 0 && e == 0:
		tab.used--
	}
	return old
}

// replace stores an entry in place of one, neither of them 0, and returns the old one.
// Precondition: tab.mu.
func (tab *table) replace(p *uint64, e uint64) (old uint64) {
	tab.mustLock()
	return atomic.SwapUint64(p, e)
}

// update replaces the entry of a page by what f makes of it, again if the walker
// set a bit meanwhile. f returns the same word for no change; 0 stays 0.
// Precondition: tab.mu.
func (tab *table) update(vpn uint64, f func(e uint64) uint64) (old, now uint64) {
	tab.mustLock()
	p := tab.entry(vpn)
	for {
		old = atomic.LoadUint64(p)
		if old == 0 {
			return 0, 0
		}
		if now = f(old); now == old || atomic.CompareAndSwapUint64(p, old, now) {
			return old, now
		}
	}
}

// clearAccessed clears the accessed bit of an entry, if it maps the frame, and says
// whether it was set. The lock of the table is not needed: see walk.
func clearAccessed(p *uint64, pfn uint32) bool {
	for {
		e := atomic.LoadUint64(p)
		if e&pteA == 0 || e&(pteP|pteNone) == 0 || ptePFN(e) != pfn {
			return false
		}
		if atomic.CompareAndSwapUint64(p, e, e&^pteA) {
			return true
		}
	}
}

// dir is an upper level: its entries are directories or, at the lowest upper
// level, leaf tables. Entries go from nil to a table once (compare-and-swap)
// under the space's lock, for reading at least; they go back to nil only with
// it held for writing. They are read without a lock.
type dir struct {
	dirs   []atomic.Pointer[dir]
	tables []atomic.Pointer[table]
	giant  bool // immutable: there is no directory, the entry above maps a large page; all tables are the one in its place
}

func (d *dir) size() uint64 { return uint64(max(len(d.dirs), len(d.tables))) }

// pageTable is the tree of one address space. levels counts the leaf level:
// with 4 the root has level 3. Level 1 directories are what Linux calls PMD
// tables, level 2 PUD tables, level 3 P4D tables.
type pageTable struct {
	root   *dir
	levels int
	bits   uint
	space  *Space       // immutable
	pages  atomic.Int64 // tables in the tree, the root not counted (mm_pgtables_bytes)
}

// newPageTable makes an empty tree. With PAE the directories of the root are
// there from the beginning (arch/x86/mm/pgtable.c:preallocate_pmds).
func newPageTable(s *Space, y *layout) *pageTable {
	p := &pageTable{levels: y.levels, bits: y.bits, space: s}
	p.root = p.newDir(y.levels - 1)
	if y.levels == 3 {
		for vpn := uint64(0); vpn < y.pages(); vpn += p.span(2) {
			_, grown := p.dirOf(vpn, 1, true)
			p.pages.Add(int64(grown))
		}
	}
	return p
}

// newDir makes a directory of a level. The root of PAE has 4 entries.
func (p *pageTable) newDir(level int) *dir {
	n := 1 << p.bits
	if p.levels == 3 && level == 2 {
		n = 4
	}
	if level == 1 {
		return &dir{tables: make([]atomic.Pointer[table], n)}
	}
	return &dir{dirs: make([]atomic.Pointer[dir], n)}
}

// slot is the index of a page in a directory of a level.
func (p *pageTable) slot(vpn uint64, level int) uint64 {
	return vpn >> (uint(level) * p.bits) & (1<<p.bits - 1)
}

// span is how many pages lie below one entry of a directory of a level.
func (p *pageTable) span(level int) uint64 { return 1 << (uint(level) * p.bits) }

// limit is the end of all pages.
func (p *pageTable) limit() uint64 { return p.root.size() * p.span(p.levels-1) }

// find returns the leaf table of a page, or nil. No lock is taken.
func (p *pageTable) find(vpn uint64) *table {
	if d := p.lowest(vpn); d != nil {
		return d.tables[p.slot(vpn, 1)].Load()
	}
	return nil
}

// lowest returns the directory of leaf tables above a page, or nil. No lock is
// taken.
func (p *pageTable) lowest(vpn uint64) *dir {
	d := p.root
	for level := p.levels - 1; level > 1 && d != nil; level-- {
		d = d.dirs[p.slot(vpn, level)].Load()
	}
	return d
}

// dirOf returns the directory of a level above a page, making what is missing
// if asked to. grown is the number of tables made.
func (p *pageTable) dirOf(vpn uint64, want int, create bool) (d *dir, grown int) {
	d = p.root
	for level := p.levels - 1; level > want; level-- {
		s := &d.dirs[p.slot(vpn, level)]
		next := s.Load()
		if next == nil {
			if !create {
				return nil, grown
			}
			next = p.newDir(level - 1)
			if s.CompareAndSwap(nil, next) {
				grown++
			} else {
				next = s.Load()
			}
		}
		d = next
	}
	return d, grown
}

// make returns the leaf table of a page, making what is missing. grown is the
// number of tables made. Precondition: the space's lock, for reading at least.
func (p *pageTable) make(vpn uint64) (t *table, grown int) {
	d, grown := p.dirOf(vpn, 1, true)
	s := &d.tables[p.slot(vpn, 1)]
	if t = s.Load(); t == nil {
		t = p.newTable()
		if s.CompareAndSwap(nil, t) {
			grown++
		} else {
			t = s.Load()
		}
	}
	p.pages.Add(int64(grown))
	return t, grown
}

// tables calls f for each leaf table that overlaps the pages [start, end), in
// order, with the first page it maps. f may not change the tree.
func (p *pageTable) tables(start, end uint64, f func(base uint64, t *table)) {
	p.visit(p.root, p.levels-1, 0, start, end, f)
}

func (p *pageTable) visit(d *dir, level int, base, start, end uint64, f func(uint64, *table)) {
	first := uint64(0)
	if start > base {
		first = (start - base) / p.span(level)
	}
	for i := first; i < d.size(); i++ {
		at := base + i*p.span(level)
		if at >= end {
			return
		}
		if level > 1 {
			if next := d.dirs[i].Load(); next != nil {
				p.visit(next, level-1, at, start, end, f)
			}
		} else if t := d.tables[i].Load(); t != nil {
			if d.giant {
				f(base, t)
				return
			}
			f(at, t)
		}
	}
}

// gap is pages [floor, ceiling) without a mapping, and the part [start, end) of
// them that has just lost one.
type gap struct{ floor, start, end, ceiling uint64 }

// prune frees the tables that lie wholly in the gap and map some of its part
// that was mapped, as free_pgtables does, and calls freed with the first page of
// each and its level, 0 for a leaf table. It says whether anything left the tree:
// what stands for a large page of hugetlb there is no table, and not freed. The
// space's lock is held for writing. Preconditions: their entries have been cleared.
func (p *pageTable) prune(t *Task, g gap, freed func(base uint64, level int)) (changed bool) {
	return p.pruneDir(t, p.root, p.levels-1, 0, g, freed)
}

func (p *pageTable) pruneDir(t *Task, d *dir, level int, base uint64, g gap, freed func(uint64, int)) (changed bool) {
	first := uint64(0)
	if g.start > base {
		first = (g.start - base) / p.span(level)
	}
	for i := first; i < d.size(); i++ {
		at := base + i*p.span(level)
		if at >= g.end {
			break
		}
		whole := at >= g.floor && at+p.span(level) <= g.ceiling
		if level > 1 {
			next := d.dirs[i].Load()
			if next == nil {
				continue
			}
			changed = p.pruneDir(t, next, level-1, at, g, freed) || changed
			if !whole {
				continue
			}
			d.dirs[i].Store(nil)
			changed = true
			if next.giant {
				continue
			}
		} else {
			tab := d.tables[i].Load()
			if tab == nil || !whole {
				continue
			}
			if !d.giant || i == first {
				tab.kill(t)
			}
			d.tables[i].Store(nil)
			changed = true
			if tab.ptes == nil {
				continue
			}
		}
		p.pages.Add(-1)
		freed(at, level-1)
	}
	return changed
}

// kill takes a table out of use: whoever waits for its lock looks again.
func (tab *table) kill(t *Task) {
	tab.lock(t)
	if invariants && (tab.used != 0 || tab.large() != 0) {
		broken("a table with %d entries is freed (large: %#x)", tab.used, tab.large())
	}
	tab.dead = true
	tab.unlock(t)
}

// mirror makes in dst every table that p has over the pages [start, end), upper
// ones too, and calls f with the leaf tables of both (mm/memory.c:
// copy_page_range). Nobody else uses dst yet.
func (p *pageTable) mirror(dst *pageTable, start, end uint64, f func(base uint64, from, to *table)) {
	p.mirrorDir(p.root, dst.root, dst, p.levels-1, 0, start, end, f)
}

func (p *pageTable) mirrorDir(d, to *dir, dst *pageTable, level int, base, start, end uint64, f func(uint64, *table, *table)) {
	first := uint64(0)
	if start > base {
		first = (start - base) / p.span(level)
	}
	for i := first; i < d.size(); i++ {
		at := base + i*p.span(level)
		if at >= end {
			return
		}
		if level == 1 {
			if from := d.tables[i].Load(); from != nil {
				if to.tables[i].Load() == nil {
					dst.pages.Add(int64(dst.likeTable(from, to, i)))
				}
				f(at, from, to.tables[i].Load())
				if d.giant {
					return
				}
			}
			continue
		}
		if next := d.dirs[i].Load(); next != nil {
			if to.dirs[i].Load() == nil {
				n := dst.newDir(level - 1)
				n.giant = next.giant
				to.dirs[i].Store(n)
				if !n.giant {
					dst.pages.Add(1)
				}
			}
			p.mirrorDir(next, to.dirs[i].Load(), dst, level-1, at, start, end, f)
		}
	}
}

// move gives the table below one entry of a directory of a level (1: a leaf
// table, 2: a directory of them) to another address, if there is none yet
// (mm/mremap.c:move_normal_pmd, move_normal_pud). grown is the number of upper
// tables made for it. Precondition: the space's lock is held for writing, and
// there is something to move.
func (p *pageTable) move(t *Task, from, to uint64, level int) (moved bool, grown int) {
	src, _ := p.dirOf(from, level, false)
	dst, grown := p.dirOf(to, level, true)
	p.pages.Add(int64(grown))
	i, j := p.slot(from, level), p.slot(to, level)
	if level == 1 {
		if dst.tables[j].Load() != nil {
			return false, grown
		}
		dst.tables[j].Store(src.tables[i].Load().reborn(t))
		src.tables[i].Store(nil)
		return true, grown
	}
	if dst.dirs[j].Load() != nil {
		return false, grown
	}
	dst.dirs[j].Store(src.dirs[i].Load().reborn(t, p.newDir(level-1)))
	src.dirs[i].Store(nil)
	return true, grown
}

// reborn moves the tables of a directory to a new one.
func (d *dir) reborn(t *Task, n *dir) *dir {
	n.giant = d.giant
	for k := range n.tables {
		tab := d.tables[k].Load()
		switch {
		case tab == nil:
		case d.giant && k > 0:
			n.tables[k].Store(n.tables[0].Load())
		default:
			n.tables[k].Store(tab.reborn(t))
		}
	}
	return n
}

// reborn is the table under a new identity, so that a fault that found it under
// its old address looks again.
func (tab *table) reborn(t *Task) *table {
	tab.lock(t)
	defer tab.unlock(t)
	tab.dead = true
	return &table{ptes: tab.ptes, used: tab.used, shift: tab.shift, huge: tab.large(), space: tab.space}
}

// countDirs counts the upper tables below a directory.
func countDirs(d *dir) int64 {
	if d.dirs == nil {
		return 0
	}
	n := int64(0)
	for i := range d.dirs {
		if next := d.dirs[i].Load(); next != nil && !next.giant {
			n += 1 + countDirs(next)
		}
	}
	return n
}

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
	pteNone      uint64 = 1 << 8  // PROT_NONE: a frame is there, no access is permitted (_PAGE_PROTNONE)
	pteExclusive uint64 = 1 << 9  // the anonymous frame belongs to this entry alone and may be written (Linux: page flag PG_anon_exclusive)
	pteNX        uint64 = 1 << 63 // not executable
	ptePFNAt            = 12
)

func ptePFN(e uint64) uint32 { return uint32(e >> ptePFNAt) }

func mkPTE(pfn uint32, bits uint64) uint64 { return uint64(pfn)<<ptePFNAt | bits }

const (
	tableShift = 9
	tableSize  = 1 << tableShift
	tableMask  = tableSize - 1
)

// table is a leaf page table: 512 entries of 4 KiB pages. mu is the split page
// table lock (include/linux/mm.h:pte_lockptr).
type table struct {
	mu   sync.Mutex
	used int  // mu: entries that are not 0
	dead bool // mu: taken out of the tree, or moved; look again
	ptes *[tableSize]uint64
}

// set stores an entry, keeping the count of the table, and returns the old one.
// Precondition: tab.mu.
func (tab *table) set(i uint64, e uint64) (old uint64) {
	tab.mustLock()
	old = atomic.SwapUint64(&tab.ptes[i], e)
	switch {
	case old == 0 && e != 0:
		tab.used++
	case old != 0 && e == 0:
		tab.used--
	}
	return old
}

// update replaces an entry by what f makes of it, again if the walker set a bit
// meanwhile. f returns the same word for no change; 0 stays 0. Precondition:
// tab.mu.
func (tab *table) update(i uint64, f func(e uint64) uint64) (old, now uint64) {
	tab.mustLock()
	p := &tab.ptes[i]
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

// dir is an upper level: its entries are directories or, at the lowest upper
// level, leaf tables. Entries go from nil to a table once (compare-and-swap)
// under the space's lock, for reading at least; they go back to nil only with
// it held for writing. They are read without a lock.
type dir struct {
	dirs   *[tableSize]atomic.Pointer[dir]
	tables *[tableSize]atomic.Pointer[table]
}

func newDir(level int) *dir {
	if level == 1 {
		return &dir{tables: new([tableSize]atomic.Pointer[table])}
	}
	return &dir{dirs: new([tableSize]atomic.Pointer[dir])}
}

// pageTable is the tree of one address space. levels counts the leaf level:
// with 4 the root has level 3. Level 1 directories are what Linux calls PMD
// tables, level 2 PUD tables.
type pageTable struct {
	root   *dir
	levels int
	pages  atomic.Int64 // tables in the tree, the root not counted (mm_pgtables_bytes)
}

func newPageTable(levels int) *pageTable {
	return &pageTable{root: newDir(levels - 1), levels: levels}
}

// slot is the index of a page in a directory of a level.
func slot(vpn uint64, level int) uint64 { return vpn >> (level * tableShift) & tableMask }

// span is how many pages lie below one entry of a directory of a level.
func span(level int) uint64 { return 1 << (level * tableShift) }

// limit is the end of all pages.
func (p *pageTable) limit() uint64 { return span(p.levels) }

// find returns the leaf table of a page, or nil. No lock is taken.
func (p *pageTable) find(vpn uint64) *table {
	d := p.root
	for level := p.levels - 1; level > 1; level-- {
		if d = d.dirs[slot(vpn, level)].Load(); d == nil {
			return nil
		}
	}
	return d.tables[slot(vpn, 1)].Load()
}

// dirOf returns the directory of a level above a page, making what is missing
// if asked to. grown is the number of tables made.
func (p *pageTable) dirOf(vpn uint64, want int, create bool) (d *dir, grown int) {
	d = p.root
	for level := p.levels - 1; level > want; level-- {
		s := &d.dirs[slot(vpn, level)]
		next := s.Load()
		if next == nil {
			if !create {
				return nil, grown
			}
			next = newDir(level - 1)
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
	s := &d.tables[slot(vpn, 1)]
	if t = s.Load(); t == nil {
		t = &table{ptes: new([tableSize]uint64)}
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
		first = (start - base) / span(level)
	}
	for i := first; i < tableSize; i++ {
		at := base + i*span(level)
		if at >= end {
			return
		}
		if level > 1 {
			if next := d.dirs[i].Load(); next != nil {
				p.visit(next, level-1, at, start, end, f)
			}
		} else if t := d.tables[i].Load(); t != nil {
			f(at, t)
		}
	}
}

// prune frees the tables that lie wholly in the gap [floor, ceiling) of pages,
// as free_pgtables does when a mapping goes, and calls freed with the first page
// of each. The space's lock is held for writing. Preconditions: their entries
// have been cleared.
func (p *pageTable) prune(t *Task, floor, ceiling uint64, freed func(base uint64)) {
	p.pruneDir(t, p.root, p.levels-1, 0, floor, ceiling, freed)
}

func (p *pageTable) pruneDir(t *Task, d *dir, level int, base, floor, ceiling uint64, freed func(base uint64)) {
	first := uint64(0)
	if floor > base {
		first = (floor - base) / span(level)
	}
	for i := first; i < tableSize; i++ {
		at := base + i*span(level)
		if at >= ceiling {
			break
		}
		whole := at >= floor && at+span(level) <= ceiling
		if level > 1 {
			next := d.dirs[i].Load()
			if next == nil {
				continue
			}
			p.pruneDir(t, next, level-1, at, floor, ceiling, freed)
			if !whole {
				continue
			}
			d.dirs[i].Store(nil)
		} else {
			tab := d.tables[i].Load()
			if tab == nil || !whole {
				continue
			}
			tab.kill(t)
			d.tables[i].Store(nil)
		}
		p.pages.Add(-1)
		freed(at)
	}
}

// kill takes a table out of use: whoever waits for its lock looks again.
func (tab *table) kill(t *Task) {
	tab.lock(t)
	if invariants && tab.used != 0 {
		broken("a table with %d entries is freed", tab.used)
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
		first = (start - base) / span(level)
	}
	for i := first; i < tableSize; i++ {
		at := base + i*span(level)
		if at >= end {
			return
		}
		if level == 1 {
			if from := d.tables[i].Load(); from != nil {
				if to.tables[i].Load() == nil {
					to.tables[i].Store(&table{ptes: new([tableSize]uint64)})
					dst.pages.Add(1)
				}
				f(at, from, to.tables[i].Load())
			}
			continue
		}
		if next := d.dirs[i].Load(); next != nil {
			if to.dirs[i].Load() == nil {
				to.dirs[i].Store(newDir(level - 1))
				dst.pages.Add(1)
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
	i, j := slot(from, level), slot(to, level)
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
	n := newDir(level - 1)
	for k := range n.tables {
		if tab := src.dirs[i].Load().tables[k].Load(); tab != nil {
			n.tables[k].Store(tab.reborn(t))
		}
	}
	dst.dirs[j].Store(n)
	src.dirs[i].Store(nil)
	return true, grown
}

// reborn is the table under a new identity, so that a fault that found it under
// its old address looks again.
func (tab *table) reborn(t *Task) *table {
	tab.lock(t)
	defer tab.unlock(t)
	tab.dead = true
	return &table{ptes: tab.ptes, used: tab.used}
}

// countDirs counts the upper tables below a directory.
func countDirs(d *dir) int64 {
	if d.dirs == nil {
		return 0
	}
	n := int64(0)
	for i := range d.dirs {
		if next := d.dirs[i].Load(); next != nil {
			n += 1 + countDirs(next)
		}
	}
	return n
}

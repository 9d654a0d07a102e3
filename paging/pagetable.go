package paging

import (
	"sync"
	"sync/atomic"
)

// A page-table entry is one word. Only the walker sets accessed and dirty, by
// an atomic or; everything else changes only under the lock of the table.
//
// VMA notation in tests: PTE: p w a d, x.
const (
	pteP     uint64 = 1 << 0  // present
	pteW     uint64 = 1 << 1  // writable
	pteA     uint64 = 1 << 5  // accessed
	pteD     uint64 = 1 << 6  // dirty
	pteNone  uint64 = 1 << 8  // PROT_NONE: a frame is there, no access is permitted (_PAGE_PROTNONE)
	pteNX    uint64 = 1 << 63 // not executable
	ptePFNAt        = 12
)

func ptePFN(e uint64) uint32 { return uint32(e >> ptePFNAt) }

func mkPTE(pfn uint32, bits uint64) uint64 { return uint64(pfn)<<ptePFNAt | bits }

// pteFrame says whether the entry holds a frame, accessible or not.
func pteFrame(e uint64) bool { return e&(pteP|pteNone) != 0 }

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
	dead bool // mu: taken out of the tree; look again
	ptes *[tableSize]uint64
}

// dir is an upper level: its entries are directories or, at the lowest upper
// level, leaf tables. Entries go from nil to a table once (compare-and-swap);
// they go back to nil only with the space's lock held for writing.
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
// with 4 the root has level 3.
type pageTable struct {
	root   *dir
	levels int
	pages  atomic.Int64 // tables in the tree, the root not counted (mm_pgtables_bytes)
}

func newPageTable(levels int) *pageTable {
	return &pageTable{root: newDir(levels - 1), levels: levels}
}

// find returns the leaf table of a page, or nil. No lock is taken.
func (p *pageTable) find(vpn uint64) *table {
	d := p.root
	for level := p.levels - 1; level > 1; level-- {
		if d = d.dirs[vpn>>(level*tableShift)&tableMask].Load(); d == nil {
			return nil
		}
	}
	return d.tables[vpn>>tableShift&tableMask].Load()
}

// make returns the leaf table of a page, making what is missing. grown is the
// number of tables made.
func (p *pageTable) make(vpn uint64) (t *table, grown int) {
	d := p.root
	for level := p.levels - 1; level > 1; level-- {
		slot := &d.dirs[vpn>>(level*tableShift)&tableMask]
		next := slot.Load()
		if next == nil {
			next = newDir(level - 1)
			if slot.CompareAndSwap(nil, next) {
				grown++
			} else {
				next = slot.Load()
			}
		}
		d = next
	}
	slot := &d.tables[vpn>>tableShift&tableMask]
	if t = slot.Load(); t == nil {
		t = &table{ptes: new([tableSize]uint64)}
		if slot.CompareAndSwap(nil, t) {
			grown++
		} else {
			t = slot.Load()
		}
	}
	if grown > 0 {
		p.pages.Add(int64(grown))
	}
	return t, grown
}

// tables calls f for each leaf table that overlaps the pages [start, end), in
// order, with the first page it maps. f may not change the tree.
func (p *pageTable) tables(start, end uint64, f func(base uint64, t *table)) {
	p.visit(p.root, p.levels-1, 0, start, end, f)
}

func (p *pageTable) visit(d *dir, level int, base, start, end uint64, f func(uint64, *table)) {
	span := uint64(1) << (level * tableShift) // pages below one entry
	first := uint64(0)
	if start > base {
		first = (start - base) / span
	}
	for i := first; i < tableSize; i++ {
		at := base + i*span
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
// as free_pgtables does when a mapping goes, and returns how many. The space's
// lock is held for writing. Preconditions: their entries have been cleared.
func (p *pageTable) prune(floor, ceiling uint64) int {
	n := p.pruneDir(p.root, p.levels-1, 0, floor, ceiling)
	p.pages.Add(-int64(n))
	return n
}

func (p *pageTable) pruneDir(d *dir, level int, base, floor, ceiling uint64) int {
	span := uint64(1) << (level * tableShift)
	n := 0
	first := uint64(0)
	if floor > base {
		first = (floor - base) / span
	}
	for i := first; i < tableSize; i++ {
		at := base + i*span
		if at >= ceiling {
			break
		}
		whole := at >= floor && at+span <= ceiling
		if level > 1 {
			next := d.dirs[i].Load()
			if next == nil {
				continue
			}
			n += p.pruneDir(next, level-1, at, floor, ceiling)
			if whole {
				d.dirs[i].Store(nil)
				n++
			}
		} else if t := d.tables[i].Load(); t != nil && whole {
			t.mu.Lock()
			t.dead = true
			t.mu.Unlock()
			d.tables[i].Store(nil)
			n++
		}
	}
	return n
}

package paging

import "sync/atomic"

// dirCache remembers the lowest directories of an address space, as the
// paging-structure caches of a processor do, by the last bits of their numbers. One
// goroutine uses it at a time.
type dirCache struct {
	space *Space
	prune uint64 // Space.prune when they were found
	low   [lowestDirs]lowestDir
}

const lowestDirs = 8 // a power of two

// lowestDir is a directory of leaf tables.
type lowestDir struct {
	number uint64 // of its first page, in pages below a directory, plus 1
	tables []atomic.Pointer[table]
}

// begin makes the cache that of a space, and forgets what may be stale. What it
// remembers then is good for as long as no flush tells that tables may have been freed.
func (c *dirCache) begin(s *Space) {
	if prune := s.prune.Load(); c.space != s || c.prune != prune {
		*c = dirCache{space: s, prune: prune}
	}
}

// find is the directory above a page, of which it is the number; it has no tables if
// there is none.
func (c *dirCache) find(number, vpn uint64) *lowestDir {
	d := &c.low[number%uint64(len(c.low))]
	if low := c.space.table.lowest(vpn); low != nil {
		d.number, d.tables = number+1, low.tables
	} else {
		*d = lowestDir{}
	}
	return d
}

// of finds the leaf table of a page, or nil.
func (c *dirCache) of(s *Space, vpn uint64) *table {
	c.begin(s)
	bits := s.table.bits & 31 // so that a shift by it is one instruction
	number := vpn >> (2 * bits)
	d := &c.low[number%uint64(len(c.low))]
	if d.number != number+1 {
		d = c.find(number, vpn)
	}
	if at := vpn >> bits & (1<<bits - 1); at < uint64(len(d.tables)) {
		return d.tables[at].Load()
	}
	return nil
}

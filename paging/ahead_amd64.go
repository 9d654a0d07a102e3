package paging

import "unsafe"

// lookUp finds the entries of references, nil where there is no table, in page tables
// whose tables are indexed by so many bits, and has the processor begin to load each, but
// waits for none: a load would keep those after it in the queue. It returns how many it
// has found, up to one whose directory c does not remember.
//
//go:noescape
func lookUp(c *dirCache, bits uint, refs []Ref, entries []*uint64) int

// expectPages has the processor begin to load the entry of a page, near, and the row of
// another, far. Each is a page with a row, or 0 for none.
//
//go:noescape
func expectPages(rows *pageRows, near, far uint32)

// expectRows has the processor begin to load the rows of pages, which have one.
//
//go:noescape
func expectRows(rows *pageRows, pages []uint32)

// prefetchLine has the processor begin to load the cache line of what is at a place. The
// address of a field is no good for one that is in no cache: it is taken with a look
// at the structure, to see whether there is one.
//
//go:noescape
func prefetchLine(at unsafe.Pointer)

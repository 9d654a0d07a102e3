package paging

import "unsafe"

// prefetch has the processor begin to load the first n entries, nil ones not, and
// waits for none: a load would keep those after it in the queue.
//
//go:noescape
func prefetch(entries *[window]*uint64, n int)

// prefetchLine has the processor begin to load the cache line of what is at a place. The
// address of a field is no good for one that is in no cache: it is taken with a look
// at the structure, to see whether there is one.
//
//go:noescape
func prefetchLine(at unsafe.Pointer)

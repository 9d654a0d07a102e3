package paging

// prefetch has the processor begin to load the first n entries, nil ones not, and
// waits for none: a load would keep those after it in the queue.
//
//go:noescape
func prefetch(entries *[window]*uint64, n int)

// prefetchWord has the processor begin to load the cache line of a word.
//
//go:noescape
func prefetchWord(at *uint32)

// prefetchEntry is prefetchWord for an entry of a page table.
//
//go:noescape
func prefetchEntry(at *uint64)

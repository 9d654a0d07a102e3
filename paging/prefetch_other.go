//go:build !amd64

package paging

import "sync/atomic"

// prefetch loads the first n entries, each independently of the others.
func prefetch(entries *[window]*uint64, n int) {
	for _, e := range entries[:n] {
		if e != nil {
			atomic.LoadUint64(e)
		}
	}
}

// prefetchWord loads the cache line of a word.
func prefetchWord(at *uint32) { atomic.LoadUint32(at) }

// prefetchEntry is prefetchWord for an entry of a page table.
func prefetchEntry(at *uint64) { atomic.LoadUint64(at) }

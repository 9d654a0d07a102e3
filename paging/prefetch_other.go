//go:build !amd64

package paging

import (
	"sync/atomic"
	"unsafe"
)

// prefetch loads the first n entries, each independently of the others.
func prefetch(entries *[window]*uint64, n int) {
	for _, e := range entries[:n] {
		if e != nil {
			atomic.LoadUint64(e)
		}
	}
}

// prefetchLine loads a word of the cache line.
func prefetchLine(at unsafe.Pointer) { atomic.LoadUint32((*uint32)(at)) }

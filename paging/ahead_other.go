//go:build !amd64

package paging

import (
	"sync/atomic"
	"unsafe"
)

func lookUp(*dirCache, uint, []Ref, []*uint64) int { return 0 }

// prefetchLine loads a word of the cache line.
func prefetchLine(at unsafe.Pointer) { atomic.LoadUint32((*uint32)(at)) }

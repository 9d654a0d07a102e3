//go:build !amd64

package paging

import (
	"sync/atomic"
	"unsafe"
)

func lookUp(*dirCache, uint, []Ref, []*uint64) int { return 0 }

func expectPages(rows *pageRows, near, far uint32) {
	if near != 0 {
		if at := rows.known(near).at; at.tab != nil {
			atomic.LoadUint64(at.tab.entry(at.vpn))
		}
	}
	if far != 0 {
		prefetchLine(unsafe.Pointer(rows.known(far)))
	}
}

func expectRows(rows *pageRows, pages []uint32) {
	for _, p := range pages {
		prefetchLine(unsafe.Pointer(rows.known(p)))
	}
}

// prefetchLine loads a word of the cache line.
func prefetchLine(at unsafe.Pointer) { atomic.LoadUint32((*uint32)(at)) }

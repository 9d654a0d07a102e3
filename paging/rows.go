package paging

// pageInfo is what is known of a page beside its frame: half a cache line, so that
// an eviction waits for one line of every page that it looks at.
type pageInfo struct {
	at    mapping // where it is mapped; more places are in memory.shared
	refs  int32   // page-table entries that stand for it while it is in swap (swap_map)
	state pageState
	// Of the policy: a number of its own, the list that the page is on (0 = none), and
	// its slot there, see pageLists; when it left memory, in a time of its own.
	mark, on uint8
	slot     uint32
	gone     uint32
}

type pageState uint16

const (
	pageKnown    pageState = 1 << iota // a page of the group
	pageResident                       // in memory, and charged
	pageSlot                           // has a copy in swap
	pageDirty                          // differs from its copy; the dirty bits of entries come on top
	pageLazy                           // MADV_FREE: dropped if it is clean when its turn comes
	pageAside                          // on memory.aside
	pageHeld                           // being evicted
	pageGone                           // freed meanwhile: whoever evicts it gives the frame back
	pageYoung                          // the huge page it is part of was used since it was last asked
)

// chunked is an array by page number that grows in chunks: an array that grows by
// copying leaves garbage of its own size. The zero value is empty.
type chunked[T any] struct{ chunks []*[chunkSize]T }

// pageRows are the pages of a group.
type pageRows = chunked[pageInfo]

// at is the element of a page; it stays at its address.
func (c *chunked[T]) at(page uint32) *T {
	if n := int(page >> chunkShift); n < len(c.chunks) && c.chunks[n] != nil {
		return &c.chunks[n][page%chunkSize]
	}
	return c.grow(page)
}

// known is the element of a page that has one.
func (c *chunked[T]) known(page uint32) *T { return &c.chunks[page>>chunkShift][page%chunkSize] }

// peek is the element of a page, or nil if it has none yet.
func (c *chunked[T]) peek(page uint32) *T {
	if n := int(page >> chunkShift); n < len(c.chunks) && c.chunks[n] != nil {
		return &c.chunks[n][page%chunkSize]
	}
	return nil
}

func (c *chunked[T]) grow(page uint32) *T {
	n := int(page >> chunkShift)
	for n >= len(c.chunks) {
		c.chunks = append(c.chunks, nil)
	}
	c.chunks[n] = new([chunkSize]T)
	return &c.chunks[n][page%chunkSize]
}

// each calls f for every element that there is.
func (c *chunked[T]) each(f func(page uint32, of *T)) {
	for n, chunk := range c.chunks {
		if chunk == nil {
			continue
		}
		for k := range chunk {
			f(uint32(n<<chunkShift+k), &chunk[k])
		}
	}
}

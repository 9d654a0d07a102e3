package paging

// StackCounts are numbers of events at every size of memory. The zero value has none. It
// is not safe for concurrent use.
type StackCounts struct {
	all  stackRow // what is added from size 0 on: most events are
	rows chunked[stackRow]
}

// stackRow is what is added from a size of memory on, by event: half a cache line.
type stackRow [4]int64

func (c *StackCounts) at(size uint32) *stackRow {
	if size == 0 {
		return &c.all
	}
	return c.rows.at(size)
}

// add adds n events in memories of from up to, but not including, to pages.
func (c *StackCounts) add(what StackEvent, from, to uint32, n int64) {
	c.at(from)[what] += n
	if to != AllMemories {
		c.at(to)[what] -= n
	}
}

// From is how many more events of each kind there are in memories of so many pages than
// in those of one page less.
func (c *StackCounts) From(size uint32) (events [NumStackEvents]int64) {
	row := &c.all
	if size > 0 {
		row = c.rows.peek(size)
	}
	if row != nil {
		copy(events[:], row[:])
	}
	return events
}

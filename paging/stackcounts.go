package paging

// StackCounts are numbers of events at every size of memory. The zero value has none. It
// is not safe for concurrent use.
type StackCounts struct{ rows []stackRow }

// stackRow is what is added from a size of memory on, by event: half a cache line.
type stackRow [4]int64

// at is the row of a size, until another one is asked for.
func (c *StackCounts) at(size uint32) *stackRow {
	if int(size) < len(c.rows) {
		return &c.rows[size]
	}
	return c.grow(size)
}

func (c *StackCounts) grow(size uint32) *stackRow {
	n := max(1024, int(size)+1, len(c.rows)+len(c.rows)/2)
	c.rows = append(c.rows, make([]stackRow, n-len(c.rows))...)
	return &c.rows[size]
}

// add adds n events in memories of from up to, but not including, to pages.
func (c *StackCounts) add(what StackEvent, from, to uint32, n int64) {
	c.at(from)[what] += n
	if to != AllMemories {
		c.at(to)[what] -= n
	}
}

// below counts an event in memories of fewer than so many pages.
func (c *StackCounts) below(what StackEvent, pages uint32) {
	c.at(pages)[what]--
	c.rows[0][what]++
}

// From is how many more events of each kind there are in memories of so many pages than
// in those of one page less.
func (c *StackCounts) From(size uint32) (events [NumStackEvents]int64) {
	if int(size) < len(c.rows) {
		copy(events[:], c.rows[size][:])
	}
	return events
}

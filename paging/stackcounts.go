package paging

import "unsafe"

// StackCounts are numbers of events at every size of memory. The zero value has none. It
// is not safe for concurrent use.
type StackCounts struct {
	first  [nearRows]stackRow // of the first sizes, which are in the caches of the processor
	misses int64              // major faults from size 0 on, kept apart so that missed is inlined
	rows   []stackRow         // of all sizes, without what is counted in first

	// Of many rows hardly any is in the caches of the processor. So a change is made a
	// while after its row was asked for: when the next ones have taken its place here.
	late    [64]stackChange
	changes uint // that were late
}

// stackRow is what is added from a size of memory on, by event: half a cache line.
type stackRow [4]int64

// stackChange is what is to be added in memories of size pages or more.
type stackChange struct {
	size uint32
	n    stackDelta
}

type stackDelta [NumStackEvents]int32

// nearRows are so few that they are in the caches, as rows are where there are not
// manyPages: their changes are never late.
const nearRows = 1 << 10

// later adds events in memories of size pages or more.
func (c *StackCounts) later(size uint32, n stackDelta) {
	if int(size) >= len(c.rows) {
		c.grow(size)
	}
	if len(c.rows) <= manyPages {
		c.rows[size].add(&n)
		return
	}
	prefetchLine(unsafe.Pointer(&c.rows[size])) // a look at the row would wait for it
	l := &c.late[c.changes%uint(len(c.late))]
	c.changes++
	c.rows[l.size].add(&l.n) // of size 0 and no events before there was one
	l.size, l.n = size, n
}

func (r *stackRow) add(n *stackDelta) {
	r[StackMinor] += int64(n[StackMinor])
	r[StackMajor] += int64(n[StackMajor])
	r[StackWriteBack] += int64(n[StackWriteBack])
}

// settle makes the changes that are late.
func (c *StackCounts) settle() {
	if c.changes == 0 {
		return
	}
	for i := range c.late {
		l := &c.late[i]
		c.rows[l.size].add(&l.n)
		*l = stackChange{}
	}
	c.changes = 0
}

func (c *StackCounts) grow(size uint32) {
	n := max(1024, int(size)+1, len(c.rows)+len(c.rows)/2)
	c.rows = append(c.rows, make([]stackRow, n-len(c.rows))...)
}

// add adds n events in memories of from up to, but not including, to pages.
func (c *StackCounts) add(what StackEvent, from, to uint32, n int32) {
	c.change(what, from, n)
	if to != AllMemories {
		c.change(what, to, -n)
	}
}

func (c *StackCounts) change(what StackEvent, size uint32, n int32) {
	if size < nearRows {
		c.first[size][what] += int64(n)
		return
	}
	var one stackDelta
	one[what] = n
	c.later(size, one)
}

// missed counts a major fault in memories of fewer than so many pages. For few it is
// no call.
func (c *StackCounts) missed(pages uint32) {
	if pages < nearRows {
		c.first[pages][StackMajor]--
	} else {
		c.change(StackMajor, pages, -1)
	}
	c.misses++
}

// readBack counts that memories of fewer than so many pages had to read a page, which
// each of them had written.
func (c *StackCounts) readBack(pages uint32) {
	if n := (stackDelta{StackMajor: -1, StackWriteBack: -1}); pages < nearRows {
		c.first[pages].add(&n)
	} else {
		c.later(pages, n)
	}
	c.first[0][StackMajor]++
	c.first[0][StackWriteBack]++
}

// From is how many more events of each kind there are in memories of so many pages than
// in those of one page less.
func (c *StackCounts) From(size uint32) (events [NumStackEvents]int64) {
	c.settle()
	if int(size) < len(c.rows) {
		copy(events[:], c.rows[size][:])
	}
	if size < nearRows {
		for what := range events {
			events[what] += c.first[size][what]
		}
	}
	if size == 0 {
		events[StackMajor] += c.misses
	}
	return events
}

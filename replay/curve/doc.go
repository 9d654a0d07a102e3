// Package curve answers how a program would do with less memory: faults at every
// size of memory, from one pass over a trace.
//
//	c, err := curve.Run(ctx, src, curve.Options{})
//	if err != nil { ... }
//	c.Points[0].Major // with the least memory
//
// The replacement is exact LRU over all pages that a memory cgroup is charged for:
// anonymous memory, shared memory and, with a cold page cache, pages of files.
// Swap is ample. Pages are read one by one: there is no fault-around and no
// read-ahead, which would make what is in memory depend on more than the order of
// uses. So the curve at a size is what
//
//	vmtrace replay --reclaim lru --memory SIZE
//
// counts at that size, fault for fault; a test holds it to that. How faults follow
// from distances stands in paging/levels.go, how distances are counted in stack.go.
//
// # Not covered
//
// MADV_FREE and locked memory do not keep to the order of uses: where a trace has
// them the curve is not exact, and says so. The least memory is two pages, since a
// copy needs both of its ends. Page tables are not charged.
package curve

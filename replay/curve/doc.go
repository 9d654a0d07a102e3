// Package curve answers how a program would do with less memory: faults at every
// size of memory, from one pass over a trace.
//
//	open := func() (trace.Source, error) { return trace.Open("x.vmt") }
//	c, err := curve.Run(ctx, open, curve.Options{})
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
// # Samples
//
// With Options.Rate only a share of the pages is followed, after SHARDS (sample.go
// has the paper and its correction). References to other pages never reach the
// model, so that time and memory shrink with the rate, but for the leaf tables of
// the page table (8 bytes for each page) and for asking of each reference whether its
// page is in the sample. There are several samples, with seeds of their own, in the
// same pass; the curve is their mean, and its band goes from the lowest to the
// highest. The median of all samples is within that of n seeds with a probability of
// 1 - 2^(1-n), whatever the distribution: 94 % for 5. A result that is sampled says so
// in result.Curve.Sample, at every point and in its warnings.
//
// # Policies
//
// Options.Policies are simulated at some sizes (plan.go), all from one decode: whole,
// each in a machine of its own, which counts what "vmtrace replay" counts; or, with a
// rate, in miniature. A miniature has the sample's share of memory and of TLB entries,
// and the policy is the one of package paging. What works on neighbours cannot be
// scaled: there is no read-ahead, and linux and mglru free page by page.
//
// # Not covered
//
// MADV_FREE and locked memory do not keep to the order of uses: where a trace has
// them the curve is not exact, and says so. The least memory is two pages, since a
// copy needs both of its ends. Page tables are not charged.
package curve

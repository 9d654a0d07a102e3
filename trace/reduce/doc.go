// Package reduce drops references that cannot change the answer.
//
//	w, err := trace.NewWriter(f, header)
//	sink := reduce.New(w, 4) // exact for every memory of 4 frames or more
//
// # The rule
//
// Kaplan, Smaragdakis and Wilson, "Trace reduction for virtual memory
// simulations", SIGMETRICS 1999 (SAD): a reference may go when fewer than K
// distinct pages lie between the references to the same page before and after
// it. Page and access are then in the K most recent all the while, so an
// LRU-managed structure of K entries or more cannot tell. That holds for every
// LRU memory of K frames or more, and for every LRU set-associative TLB of K ways
// or more, since a set sees a subset of the pages.
//
// Data references and instruction fetches of one page count as two pages, as a
// TLB with separate first levels sees them; the condition only becomes stricter.
//
// A page that is written for the first time since the last barrier counts as two
// as well: copy-on-write reads one page and makes another.
//
// # Never dropped
//
//   - The first write to a page since the last barrier: it may fault although
//     reads before it did not.
//   - Anything across a barrier: every event and every change of thread.
//
// The accesses of a dropped reference are added to the next reference of the
// same page, so all counts stay what they were. That reference keeps its own
// first access; a folded write is then performed after it, which changes nothing
// since the page has been written before.
//
// # Where counts stand
//
// Counts are then gathered: of up to 2^17 references in a row, with no event and
// no other thread between them, the last one to a page has the reads (writes,
// fetches) of all that have any, less 1 that each of the others keeps. The sums
// of every page between two events stay exact; within them accesses are told
// later than they happened. No count becomes 0 and none stops being 0.
//
// # Not exact
//
// For structures that are not LRU or hold fewer than K pages.
package reduce

// Package rivals measures, beside vmtrace and by turns with it, what one would take
// instead: the LRU cache of hashicorp/golang-lru, a map with a list, a page table
// behind one lock, and the kernel itself. bench/README.md says what each number means.
//
//	go test -run '^$' -bench . ./bench/rivals
//
// The ratios (x-of-NAME) say how many times the rate of the other vmtrace has; the
// others know less: no mappings, no TLB, no permissions, no address spaces.
package rivals

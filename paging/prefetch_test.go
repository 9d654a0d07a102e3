package paging

import "testing"

// Entries that are not there are passed over, and none beyond n is looked at.
func TestPrefetch(t *testing.T) {
	var e uint64
	entries := [window]*uint64{1: &e}
	for n := range window + 1 {
		prefetch(&entries, n)
	}
}

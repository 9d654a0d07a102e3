//go:build !invariants && !race

package paging

// invariants says that preconditions are checked; see invariants_on.go. Checks
// stand behind it, so that nothing is computed for them.
const invariants = false

// lockTrace keeps nothing here.
type lockTrace struct{}

func (*lockTrace) acquire(lockRank) {}
func (*lockTrace) release(lockRank) {}

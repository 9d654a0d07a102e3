//go:build invariants || race

package paging

// invariants says that preconditions are checked: in builds with the tag
// invariants and under the race detector.
const invariants = true

// lockTrace is the ranks of the locks that a task holds, in the order taken.
type lockTrace struct{ held []lockRank }

// acquire asserts that every lock held stands above the new one in the tree.
func (l *lockTrace) acquire(r lockRank) {
	if n := len(l.held); n > 0 && l.held[n-1] >= r {
		broken("lock of rank %d taken while holding %v", r, l.held)
	}
	l.held = append(l.held, r)
}

// release asserts that the lock is held.
func (l *lockTrace) release(r lockRank) {
	for i := len(l.held) - 1; i >= 0; i-- {
		if l.held[i] == r {
			l.held = append(l.held[:i], l.held[i+1:]...)
			return
		}
	}
	broken("lock of rank %d given back while holding %v", r, l.held)
}

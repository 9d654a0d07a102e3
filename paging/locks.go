package paging

import "fmt"

// The locks of the package, taken through these methods so that builds with
// invariants can check their order. The tree stands in doc.go.

// lockRank is the place of a lock in the tree: a task takes locks in rising
// rank only.
type lockRank uint8

const (
	rankCPU    lockRank = iota + 1 // cpu.mu
	rankFile                       // File.mu
	rankFault                      // Space.faultMu
	rankSpace                      // Space.mu
	rankChild                      // Space.mu of the child, inside fork
	rankTable                      // table.mu
	rankSecond                     // table.mu of the other table, inside fork and mremap
)

func (t *Task) lockCPU(c *cpu) {
	t.locks.acquire(rankCPU)
	t.counts(LockCPU).took(&c.mu)
}

func (t *Task) unlockCPU(c *cpu) {
	c.mu.Unlock()
	t.locks.release(rankCPU)
}

// lock takes the mmap lock for changes of the mappings or of the tree of
// tables.
func (s *Space) lock(t *Task) {
	t.locks.acquire(rankSpace)
	n := t.counts(LockMMapWrite)
	n.Acquired++
	if !s.mu.TryLock() {
		n.Contended++
		s.mu.Lock()
	}
	s.holder = t
}

func (s *Space) unlock(t *Task) {
	s.mu.Unlock()
	t.locks.release(rankSpace)
}

// readSpins is how often a reader looks again before it sleeps, which sync.RWMutex by
// itself does at once: most changes of mappings take a fraction of a microsecond, and
// waking up takes tens (rwsem_optimistic_spin).
const readSpins = 100

// rlock takes the mmap lock against changes.
func (s *Space) rlock(t *Task) {
	t.locks.acquire(rankSpace)
	n := t.counts(LockMMapRead)
	n.Acquired++
	if s.mu.TryRLock() {
		return
	}
	n.Contended++
	for range readSpins {
		if s.mu.TryRLock() {
			return
		}
	}
	s.mu.RLock()
}

func (s *Space) runlock(t *Task) {
	s.mu.RUnlock()
	t.locks.release(rankSpace)
}

func (tab *table) lock(t *Task) {
	t.locks.acquire(rankTable)
	t.counts(LockPageTable).took(&tab.mu)
}

func (tab *table) unlock(t *Task) {
	tab.mu.Unlock()
	t.locks.release(rankTable)
}

func (tab *table) lockSecond(t *Task) {
	t.locks.acquire(rankSecond)
	t.counts(LockPageTable).took(&tab.mu)
}

// tryLockSecond is lockSecond if nobody has the lock.
func (tab *table) tryLockSecond(t *Task) bool {
	if !tab.mu.TryLock() {
		return false
	}
	t.locks.acquire(rankSecond)
	t.counts(LockPageTable).Acquired++
	return true
}

func (tab *table) unlockSecond(t *Task) {
	tab.mu.Unlock()
	t.locks.release(rankSecond)
}

// mustLock asserts that the mmap lock is held for writing by somebody.
func (s *Space) mustLock() {
	if invariants && s.mu.TryRLock() {
		broken("the mappings change without Space.mu")
	}
}

// mustLock asserts that the table is locked by somebody.
func (tab *table) mustLock() {
	if invariants && tab.mu.TryLock() {
		broken("an entry changes without table.mu")
	}
}

// broken panics because a promise inside the package does not hold. Calls stand
// behind invariants.
func broken(format string, args ...any) { panic("paging: " + fmt.Sprintf(format, args...)) }

package paging

import "sync"

// LockClass is a kind of lock, for counting.
type LockClass uint8

// The classes, as they stand in the tree of doc.go.
const (
	LockCPU        LockClass = iota // of a CPU and its TLB: its task and whoever inspects it
	LockInvalidate                  // of a file, over a change of its size or a hole (invalidate_lock)
	LockFault                       // of an address space, around each fault (LockGlobal)
	LockMMapRead                    // of an address space, for reading (mmap_lock)
	LockMMapWrite                   // the same, for writing
	LockPageTable                   // of a leaf table (split page table lock)
	LockHugeTLB                     // of the pools of hugetlb (hugetlb_lock)
	LockMemory                      // of the group of pages under a limit (lruvec lock, and more)
	LockFrames                      // of the pool of free frames (zone lock)
	NumLockClasses
)

var lockNames = [NumLockClasses]string{"cpu", "invalidate", "fault", "mmap_read", "mmap_write", "page_table", "hugetlb", "memory", "frames"}

func (c LockClass) String() string { return lockNames[c] }

// LockStats count what happened at the locks of one class. How many were contended,
// lost and retried depends on who ran when.
type LockStats struct {
	Acquired  uint64
	Contended uint64 // of these: somebody else had it, or waited for it
	// LostRaces are faults that found, with the lock, that another task had done what
	// they came for (do_anonymous_page: the entry is no longer none).
	LostRaces uint64
	// Retries are faults that began anew, because what they had looked up without the
	// lock was no longer so.
	Retries uint64
}

func (s *LockStats) add(o *LockStats) {
	s.Acquired += o.Acquired
	s.Contended += o.Contended
	s.LostRaces += o.LostRaces
	s.Retries += o.Retries
}

// took takes a lock and counts it.
func (s *LockStats) took(mu *sync.Mutex) {
	s.Acquired++
	if !mu.TryLock() {
		s.Contended++
		mu.Lock()
	}
}

// counts are those of the task for a class.
func (t *Task) counts(c LockClass) *LockStats { return &t.stats.locks[c] }

// again counts a fault that begins anew.
func (t *Task) again(c LockClass) {
	t.stats.retries++
	t.counts(c).Retries++
}

// linePad keeps what stands before and after it on cache lines of their own: what one
// CPU writes is not taken from under another that reads its neighbour.
type linePad [64]byte

// countedMutex counts for itself: the counts are protected by it.
type countedMutex struct {
	sync.Mutex
	LockStats
}

// Lock is sync.Mutex.Lock, counted.
func (m *countedMutex) Lock() {
	free := m.TryLock()
	if !free {
		m.Mutex.Lock()
		m.Contended++
	}
	m.Acquired++
}

// read returns the counts so far.
func (m *countedMutex) read() LockStats {
	m.Mutex.Lock()
	defer m.Unlock()
	return m.LockStats
}

// lockStats adds up the counts of all tasks and of what counts for itself.
func (m *Machine) lockStats(of [NumLockClasses]LockStats) [NumLockClasses]LockStats {
	of[LockHugeTLB] = m.hugetlb.mu.read()
	of[LockFrames] = m.frames.mu.read()
	if m.memory != nil {
		of[LockMemory] = m.memory.mu.read()
	}
	return of
}

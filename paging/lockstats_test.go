package paging

import (
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"
)

// locksOf is what f adds to the counts.
func locksOf(m *Machine, f func()) (out [NumLockClasses]LockStats) {
	before := m.Stats().Locks
	f()
	after := m.Stats().Locks
	for c := range out {
		a, b := &after[c], &before[c]
		out[c] = LockStats{a.Acquired - b.Acquired, a.Contended - b.Contended, a.LostRaces - b.LostRaces, a.Retries - b.Retries}
	}
	return out
}

// The counts of a script, by the lock tree in doc.go: a call takes the mmap lock for
// writing; a fault takes the lock of the leaf table, and the mmap lock for reading
// only where it makes a table or the anon_vma; the design decides on the rest.
func TestLockCounts(t *testing.T) {
	for _, c := range []struct {
		locking           Locking
		read, fault, cpus uint64
	}{
		{LockPerTable, 2, 0, 6}, // a table each for the first and the last page
		{LockMM, 5, 0, 6},       // every fault
		{LockGlobal, 2, 5, 6},   // as per table, inside the mutex
	} {
		t.Run(c.locking.String(), func(t *testing.T) {
			config := DefaultConfig()
			config.Locking = c.locking
			m, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			tk := m.NewProcess(1, 1, 0)
			var addr uint64
			if got := locksOf(m, func() {
				addr = tk.pages(t, 2*tableSize, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
			})[LockMMapWrite].Acquired; got != 1 {
				t.Errorf("mmap took the mmap lock %d times", got)
			}
			got := locksOf(m, func() {
				tk.touchAll(t, addr, 4, Write)
				tk.touchAll(t, addr, 1, Read)
				tk.touchAll(t, addr+tableSize*PageSize, 1, Write)
			})
			want := [NumLockClasses]LockStats{LockPageTable: {Acquired: 5}, LockMMapRead: {Acquired: c.read}, LockFault: {Acquired: c.fault}, LockCPU: {Acquired: c.cpus}}
			want[LockFrames] = got[LockFrames] // by the batch
			if got != want {
				t.Errorf("counts\n%+v, want\n%+v", got, want)
			}
			if got[LockFrames].Acquired != 1 {
				t.Errorf("the pool gave frames %d times, want one batch of %d", got[LockFrames].Acquired, cacheBatch)
			}
		})
	}
}

// untilWaiting returns when so many goroutines wait for a lock. To sleep for a while is not
// enough: on a busy machine a goroutine may not have run at all by then.
func untilWaiting(t *testing.T, n int) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	waiting := regexp.MustCompile(`(?m)^goroutine \d+.* \[sync\.(RW)?Mutex\.R?Lock`)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		found := waiting.FindAll(stacks[:runtime.Stack(stacks, true)], -1)
		if len(found) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines wait for a lock, want %d", len(found), n)
			return
		}
	}
}

// Contention that is forced: the test holds the lock until the fault has counted that
// it waits.
func TestLockContention(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	addr := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, addr, 1, Write)
	tab := tk.space.table.find(addr >> pageShift)
	held := []struct {
		class  LockClass
		lock   func()
		unlock func()
		f      func()
	}{
		{LockPageTable, tab.mu.Lock, tab.mu.Unlock, func() { tk.Access(addr+PageSize, Write) }},
		{LockMMapWrite, tk.space.mu.RLock, tk.space.mu.RUnlock, func() { tk.Mprotect(addr, PageSize, ProtRead) }},
		{LockMMapRead, tk.space.mu.Lock, tk.space.mu.Unlock, func() { tk.Access(1<<40, Write) }}, // before it is refused
		{LockCPU, m.cpus[0].mu.Lock, m.cpus[0].mu.Unlock, func() { tk.Access(addr, Read) }},
	}
	for _, h := range held {
		got := locksOf(m, func() {
			h.lock()
			var wg sync.WaitGroup
			wg.Go(h.f)
			untilWaiting(t, 1)
			h.unlock()
			wg.Wait()
		})
		if got[h.class].Contended != 1 {
			t.Errorf("%s: %+v", h.class, got[h.class])
		}
	}
}

// A fault that finds, with the lock, what another task has made loses its race
// (do_anonymous_page: "if (!pte_none(*vmf->pte))"), and one whose table is gone, or
// whose mapping was replaced, begins anew.
func TestLostRace(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	other := tk.Clone(2, 1)
	addr := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, addr, 1, Write)
	tab := tk.space.table.find(addr >> pageShift)
	got := locksOf(m, func() {
		tab.mu.Lock()
		var wg sync.WaitGroup
		for _, by := range []*Task{tk, other} {
			wg.Go(func() { by.Access(addr+PageSize, Write) })
		}
		untilWaiting(t, 2) // both have found the entry empty
		tab.mu.Unlock()
		wg.Wait()
	})
	if n := got[LockPageTable]; n.LostRaces != 1 || n.Contended < 1 || n.Retries != 0 {
		t.Errorf("two writes to one page: %+v", n)
	}
	got = locksOf(m, func() {
		tab.mu.Lock()
		var wg sync.WaitGroup
		wg.Go(func() { other.Access(addr+2*PageSize, Write) })
		untilWaiting(t, 1) // it has the mapping, and waits for the table
		wg.Go(func() { tk.Mmap(MmapArgs{Addr: addr, Len: 4 * PageSize, Prot: rw, Flags: anon | MapFixed}) })
		untilWaiting(t, 2) // it has published the new list
		tab.mu.Unlock()
		wg.Wait()
	})
	if n := got[LockMMapRead].Retries + got[LockPageTable].Retries; n < 1 {
		t.Errorf("a mapping replaced under a fault: %+v", got)
	}
	check(t, m)
}

package paging

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// together runs each function in a goroutine of its own, over and over, until
// the first one has returned.
func together(first func(), others ...func()) {
	var wg sync.WaitGroup
	var stop atomic.Bool
	for _, f := range others {
		wg.Go(func() {
			for !stop.Load() {
				f()
			}
		})
	}
	first()
	stop.Store(true)
	wg.Wait()
}

func eachLocking(t *testing.T, f func(t *testing.T, m *Machine)) {
	for _, locking := range []Locking{LockPerTable, LockMM, LockGlobal} {
		t.Run(locking.String(), func(t *testing.T) {
			c := DefaultConfig()
			c.Locking = locking
			m, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			f(t, m)
			check(t, m)
		})
	}
}

// A change that leaves an address mapped and permitted is never seen half done:
// MAP_FIXED in place of a mapping, mprotect that grants, mremap onto it. Linux
// makes the fault wait for the mmap lock.
func TestNoFaultSeesHalfAChange(t *testing.T) {
	eachLocking(t, func(t *testing.T, m *Machine) {
		const pages, rounds = 16, 200
		tk := m.NewProcess(1, 1, 0)
		a := tk.pages(t, pages, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
		readers := []*Task{tk.Clone(2, 1), tk.Clone(3, 2)}
		read := func(th *Task, access Access) func() {
			return func() {
				for p := range uint64(pages) {
					if out := th.Access(a+p*PageSize, access); out.Fatal() {
						t.Errorf("page %d: %v", p, out)
					}
				}
			}
		}
		together(func() {
			for i := range uint64(rounds) {
				tk.pages(t, pages, MmapArgs{Addr: a, Prot: rw, Flags: anon | MapFixed})
				tk.Mprotect(a+i%pages*PageSize, PageSize, rw|ProtExec)
				tk.Mprotect(a, pages*PageSize, rw)
				b := tk.pages(t, pages, MmapArgs{Prot: rw, Flags: anon})
				tk.touchAll(t, b, pages, Write)
				if got, errno := tk.Mremap(b, pages*PageSize, pages*PageSize, mremapMayMove|mremapFixed, a, 0); errno != 0 || got != a {
					t.Errorf("mremap: %#x, %v", got, errno)
				}
			}
		}, read(readers[0], Write), read(readers[1], Read))
	})
}

// Faults on a file while it is cut and grows again, and while holes are punched:
// they are resolved or SIGBUS, and no page stays that is not in the cache.
func TestFaultsAgainstTruncate(t *testing.T) {
	eachLocking(t, func(t *testing.T, m *Machine) {
		const pages, rounds = 64, 150
		tk := m.NewProcess(1, 1, 0)
		other := m.NewProcess(2, 2, 1)
		f := m.File(1, 1, pages*PageSize, "f")
		args := MmapArgs{Addr: 1 << 32, Prot: rw, Flags: MapShared | MapFixed, File: f}
		a := tk.pages(t, pages, args)
		other.pages(t, pages, args)
		private := args
		private.Flags, private.Addr = MapPrivate|MapFixed, 1<<33
		b := other.pages(t, pages, private)
		thread, forker := tk.Clone(3, 2), other.Clone(4, 3)
		pid := uint32(10)
		touch := func(th *Task, at uint64, access Access) func() {
			return func() {
				for p := range uint64(pages) {
					if out := th.Access(at+p*PageSize, access); out.Fatal() && out != SIGBUS {
						t.Errorf("page %d: %v", p, out)
					}
				}
			}
		}
		together(func() {
			for i := range uint64(rounds) {
				m.File(1, 1, i%pages*PageSize, "f")
				m.File(1, 1, pages*PageSize, "f")
				tk.Madvise(a+i%pages*PageSize, 3*PageSize, madvRemove)
				tk.Msync(a, pages*PageSize, msSync)
			}
		}, touch(thread, a, Write), touch(other, a, Read), func() {
			touch(forker, b, Write)()
			pid++
			child := forker.Fork(pid, pid, 3)
			touch(child, b, Write)()
			child.ExitGroup()
		})
	})
}

// Shared anonymous memory comes and goes in several processes at once.
func TestSharedMemoryLives(t *testing.T) {
	m := machine(t)
	parent := m.NewProcess(1, 1, 0)
	a := parent.pages(t, 32, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: MapShared | MapAnonymous | MapFixed})
	parent.touchAll(t, a, 32, Write)
	var wg sync.WaitGroup
	for i := range uint32(4) {
		child := parent.Fork(i+2, i+2, int(i))
		wg.Go(func() {
			for range 50 {
				child.touchAll(t, a, 32, Write)
				child.Munmap(a+8*PageSize, 8*PageSize)
				child.pages(t, 8, MmapArgs{Addr: a + 8*PageSize, Prot: rw, Flags: MapShared | MapAnonymous | MapFixed})
				child.Mremap(a, 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, 1<<33, 0)
				child.Mremap(1<<33, 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, a, 0)
			}
			child.ExitGroup()
		})
	}
	wg.Wait()
	check(t, m)
	if got := parent.RSS().Shmem; got != 32*PageSize {
		t.Errorf("the parent has %d bytes, want all 32 pages", got)
	}
	parent.ExitGroup()
	check(t, m)
	if s := m.Stats(); s.RSS.Total() != 0 || s.PageTableBytes != 0 {
		t.Errorf("after the last exit: %+v resident, %d bytes of tables", s.RSS, s.PageTableBytes)
	}
}

// Page tables move while other threads walk them.
func TestWalksAgainstMovedTables(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	const pages = 2 * tableSize
	from, to := uint64(1<<32), uint64(1<<33)
	tk.pages(t, pages, MmapArgs{Addr: from, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, from, pages, Write)
	readers := []*Task{tk.Clone(2, 1), tk.Clone(3, 2)}
	read := func(th *Task) func() {
		return func() {
			for p := uint64(0); p < pages; p += 61 {
				// mapped here or there, or on its way
				th.Access(from+p*PageSize, Write)
				th.Access(to+p*PageSize, Read)
			}
		}
	}
	together(func() {
		at, next := from, to
		for range 100 {
			if _, errno := tk.Mremap(at, pages*PageSize, pages*PageSize, mremapMayMove|mremapFixed, next, 0); errno != 0 {
				t.Error(errno)
			}
			at, next = next, at
		}
	}, read(readers[0]), read(readers[1]))
	check(t, m)
	if got := tk.RSS().Anon; got != pages*PageSize {
		t.Errorf("%d bytes resident, want %d", got, pages*PageSize)
	}
}

// The order of a fault and a change, one step at a time: the fault has looked
// its mapping up and waits for the leaf table when the mapping goes. It must
// look again.
func TestFaultLooksAgain(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 2, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, a, 1, Write) // the second page has its table and its anon_vma
	thread := tk.Clone(2, 1)
	tab := tk.space.table.find(a >> pageShift)
	tab.mu.Lock()
	var wg sync.WaitGroup
	var out Outcome
	wg.Go(func() { out = thread.Access(a+PageSize, Write) })
	time.Sleep(20 * time.Millisecond) // the fault comes to the lock; if it is late it sees the change, which is right too
	wg.Go(func() { tk.Munmap(a, 2*PageSize) })
	for tk.space.list().at(a) != nil { // until the new list is published
		time.Sleep(time.Millisecond)
	}
	tab.mu.Unlock()
	wg.Wait()
	if out != SIGSEGV {
		t.Errorf("the access ends in %v", out)
	}
	check(t, m)
}

// A fault that the new protection permits, on an entry that mprotect has not
// reached yet, waits for it (the entry of PROT_NONE memory holds a frame).
func TestFaultWaitsForMprotect(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: anon})
	tk.touchAll(t, a, 1, Write)
	tk.Mprotect(a, PageSize, 0)
	thread := tk.Clone(2, 1)
	s := tk.begin() // the steps of Mprotect, one by one
	l, _ := s.list().change(a, a+PageSize, func(v *vma) vmaFlags { return v.flags | vmRead | vmWrite })
	s.publish(l)
	var wg sync.WaitGroup
	var out Outcome
	wg.Go(func() { out = thread.Access(a, Write) })
	time.Sleep(20 * time.Millisecond)
	g := s.gather(tk, FlushMprotect)
	s.reprotect(&g, l.at(a), a>>pageShift, a>>pageShift+1)
	g.flush()
	s.unlock(tk)
	wg.Wait()
	if out.Fatal() || tk.RSS().Anon != PageSize {
		t.Errorf("%v, %d bytes resident", out, tk.RSS().Anon)
	}
	check(t, m)
}

// While entries move neither address is mapped: a fault on either waits, and
// then finds what mremap has left.
func TestFaultWaitsForMremap(t *testing.T) {
	m := machine(t)
	tk := m.NewProcess(1, 1, 0)
	const old, to = 1 << 32, 1<<33 + 5*PageSize
	tk.pages(t, 4, MmapArgs{Addr: old, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, old, 2, Write)
	threads := []*Task{tk.Clone(2, 1), tk.Clone(3, 2)}
	tab := tk.space.table.find(old >> pageShift)
	tab.mu.Lock()
	var wg sync.WaitGroup
	var out [2]Outcome
	wg.Go(func() { tk.Mremap(old, 4*PageSize, 4*PageSize, mremapMayMove|mremapFixed, to, 0) })
	for deadline := time.Now().Add(10 * time.Second); tk.space.list().at(old) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the old address stays mapped while its entries move")
			break
		}
	}
	wg.Go(func() { out[0] = threads[0].Access(old+3*PageSize, Write) })
	wg.Go(func() { out[1] = threads[1].Access(to+3*PageSize, Write) })
	time.Sleep(20 * time.Millisecond)
	tab.mu.Unlock()
	wg.Wait()
	if out != [2]Outcome{SIGSEGV, Minor} || tk.RSS().Anon != 3*PageSize {
		t.Errorf("%v, %d bytes resident", out, tk.RSS().Anon)
	}
	check(t, m)
}

// Nothing of a moved table is found at its old address, though what lies around
// it stays.
func TestMovedTableIsForgotten(t *testing.T) {
	tk := task(t)
	const from, to = 1 << 32, 1<<32 + 16*tableSize*PageSize
	tk.pages(t, 1, MmapArgs{Addr: from - PageSize, Prot: ProtRead, Flags: anon | MapFixed})
	tk.pages(t, 1, MmapArgs{Addr: from + tableSize*PageSize, Prot: ProtRead, Flags: anon | MapFixed})
	tk.pages(t, tableSize, MmapArgs{Addr: from, Prot: rw, Flags: anon | MapFixed})
	tk.touchAll(t, from, tableSize, Write)
	tk.touchAll(t, from-PageSize, 1, Read)
	tk.touchAll(t, from+tableSize*PageSize, 1, Read)
	tables := tk.PageTableBytes()
	if _, errno := tk.Mremap(from, tableSize*PageSize, tableSize*PageSize, mremapMayMove|mremapFixed, to, 0); errno != 0 {
		t.Fatal(errno)
	}
	if got := tk.PageTableBytes(); got != tables {
		t.Errorf("%d bytes of tables, before the move %d", got, tables)
	}
	for p := range uint64(tableSize) {
		if out := tk.Access(from+p*PageSize, Read); out != SIGSEGV {
			t.Fatalf("page %d of the old address: %v", p, out)
		}
		if out := tk.Access(to+p*PageSize, Write); out != OK {
			t.Fatalf("page %d of the new address: %v", p, out)
		}
	}
	tk.pages(t, 1, MmapArgs{Addr: from, Prot: rw, Flags: anon | MapFixed})
	if out := tk.Access(from, Write); out != Minor {
		t.Errorf("a new page at the old address: %v", out)
	}
	check(t, tk.machine)
}

// An address space that comes into being while a file's mappings are visited is
// visited too.
func TestEachMappingSeesNewSpaces(t *testing.T) {
	m := machine(t)
	f := m.File(1, 1, 4*PageSize, "f")
	mapIt := func(pid uint32) {
		m.NewProcess(pid, pid, 0).pages(t, 4, MmapArgs{Addr: 1 << 32, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: f})
	}
	mapIt(1)
	k := m.kernelTask()
	visits := 0
	f.eachMapping(k, 1, 3, func(s *Space, start, end uint64) {
		if start != 1<<20+1 || end != 1<<20+3 {
			t.Errorf("pages %#x-%#x", start, end)
		}
		if visits++; visits < 3 {
			mapIt(uint32(visits + 1))
		}
	})
	if visits != 3 {
		t.Errorf("%d visits, want 3", visits)
	}
}

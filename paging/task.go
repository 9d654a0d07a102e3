package paging

import (
	"sync/atomic"
)

// Task is a thread (task_struct). One goroutine uses a task at a time;
// different tasks may run at once. Tasks that run at once on one CPU take
// turns, a batch of references each.
type Task struct {
	machine *Machine
	space   *Space
	proc    *process
	pid     uint32
	tid     uint32
	onCPU   int
	frames  frameCache
	stats   taskStats
	last    *vma      // the mapping of the last fault
	end     uint64    // pages of user addresses
	gup     gupFlags  // of the fault at hand, 0 for one of the program
	newAnon bool      // the fault at hand gave the mapping its anon_vma
	faulted bool      // a fault was counted since used was called last
	brought bool      // the fault at hand brought the page back, and nobody wants to be told of its use
	pause   bool      // a fault was taken, and there is somebody in the background who may want to do something now
	actor   *Task     // for whom this task acts on another's address space, nil = itself
	info    FaultInfo // of the last fault, for the observer
	near    nearTable
	running bool          // inside Run
	trial   bool          // in a trial: no fault is taken
	log     *faultLog     // where faults are noted that are told later, else nil
	made    [numRSS]int64 // pages made resident inside Run, see charge
	queue   *useQueue     // uses that an exact policy has yet to be told of; nil = none ever
	places  []mapping     // of the page evicted last, to be used again
	stack   uint64        // its kernel stack, see kernelmap.go
	locks   lockTrace     // held, in builds with invariants
	dirs    dirCache
}

// process is what the threads of a process share beside the address space.
type process struct {
	threads map[*Task]struct{} // Machine.tasksMu
	killed  atomic.Bool        // SIGKILL is pending
}

// nearTable remembers the leaf table found last: a fault looks for its table
// three times, and this is faster than dirCache (copies on write take 0.87 of the time).
type nearTable struct {
	key   uint64 // page number / tableSize, plus 1
	prune uint64 // Space.prune when it was found
	t     *table
}

// PID is the process id.
func (t *Task) PID() uint32 { return t.pid }

// TID is the thread id.
func (t *Task) TID() uint32 { return t.tid }

// Machine is the machine it runs on.
func (t *Task) Machine() *Machine { return t.machine }

// Faults are the minor and major faults of this thread.
func (t *Task) Faults() (minor, major uint64) { return t.stats.minor, t.stats.major }

// RSS is the resident memory of its address space.
func (t *Task) RSS() RSS { return t.space.rss.bytes() }

// PeakRSS is the most bytes its address space has had resident (hiwater_rss).
func (t *Task) PeakRSS() uint64 { return uint64(t.space.rss.high.Load()) << pageShift }

// PageTableBytes is the memory of its page tables, the root not counted
// (VmPTE of /proc/PID/status).
func (t *Task) PageTableBytes() uint64 { return uint64(t.space.table.pages.Load()) * PageSize }

// RunOn moves the task to a CPU and makes its address space current there.
func (t *Task) RunOn(index int) {
	t.onCPU = index
	c := t.machine.cpus[index]
	t.lockCPU(c)
	t.enter(c)
	t.unlockCPU(c)
}

// begin makes the task current on its CPU, as it is when it makes a system
// call, and takes the mmap lock of its address space for changes.
func (t *Task) begin() *Space {
	t.RunOn(t.onCPU)
	t.space.lock(t)
	return t.space
}

// enter makes the space current on the CPU. Precondition: c.mu.
func (t *Task) enter(c *cpu) {
	if c.pending.Load() {
		c.apply()
	}
	if c.load(t.space, t.onCPU) {
		st := &t.stats.flushes[FlushSwitch]
		st.Requests++
		st.Full++
		st.Local++
	}
}

// perform performs the accesses of a reference that can change anything. entry is
// what lookAhead found. Precondition: c.mu.
func (t *Task) perform(c *cpu, r Ref, entry *uint64) Outcome {
	vpn, first := r.vpn(), r.first()
	asked := [2]uint64{} // what Count will count of them
	asked[side(first)]++
	out := t.touchAt(c, vpn, first, entry)
	if !out.Fatal() && r&refWrite != 0 && first != Write {
		asked[0]++
		out = t.touch(c, vpn, Write)
	}
	if !out.Fatal() && r&refExec != 0 && first != Exec {
		asked[1]++
		out = t.touch(c, vpn, Exec)
	}
	if vpn >= t.end && !out.Fatal() { // the vsyscall page: no TLB was asked
		t.stats.lookups[0] -= asked[0]
		t.stats.lookups[1] -= asked[1]
	}
	return out
}

// Access performs one access.
func (t *Task) Access(addr uint64, a Access) Outcome {
	c := t.machine.cpus[t.onCPU]
	t.lockCPU(c)
	defer t.unlockCPU(c)
	t.enter(c)
	out := t.touch(c, addr>>pageShift, a)
	t.used(addr>>pageShift, a)
	return out
}

// touch performs one access: TLB, else walk, else fault and again. A page
// outside user memory is refused before anything looks at its number.
// Precondition: c.mu.
func (t *Task) touch(c *cpu, vpn uint64, a Access) Outcome { return t.touchAt(c, vpn, a, nil) }

// touchAt is touch with what lookAhead found, nil for nothing.
func (t *Task) touchAt(c *cpu, vpn uint64, a Access, entry *uint64) Outcome {
	if vpn >= t.end {
		return t.beyond(vpn, a)
	}
	if c.pending.Load() {
		c.apply()
		entry = nil
	}
	hit, empty := tlbMiss, false
	if entry != nil {
		e := atomic.LoadUint64(entry)
		empty = e == 0 || isSwap(e)
	}
	if empty {
		c.tlb.missed(a)
	} else if hit = c.tlb.lookup(c.asid, vpn, a); hit == tlbFound {
		return OK
	}
	worst := OK
	for {
		if entry == nil {
			entry = t.entry(vpn)
		}
		if t.trial && !permits(entry, a) {
			return unsteady
		}
		if e, ok := walk(entry, a); ok {
			if e&pteHuge != 0 {
				c.tlb.insertLarge(entryClass(e), c.asid, vpn, a, entryTLB(e))
			} else if hit == tlbMiss {
				c.tlb.fill(c.asid, vpn, a, entryTLB(e))
			} else {
				c.tlb.insert(c.asid, vpn, a, entryTLB(e))
			}
			return worst
		}
		out := t.fault(vpn, a)
		if out.Fatal() {
			return out
		}
		worst = max(worst, out)
		if !empty {
			entry = nil // a large page may have been split
		}
		if c.pending.Load() {
			c.apply()
			entry = nil
		}
	}
}

// beyond performs an access beyond user memory, where only the vsyscall page is.
func (t *Task) beyond(vpn uint64, a Access) Outcome {
	if t.machine.gateAllows(vpn, a) {
		return OK
	}
	if t.trial {
		return unsteady
	}
	return t.fault(vpn, a)
}

// entryTLB is what a TLB holds of an entry. The flags are computed, since they follow
// no pattern that a branch could be guessed by.
func entryTLB(e uint64) tlbEntry {
	return tlbEntry{ptePFN(e), tlbFlags(e)&(tlbWrite|tlbDirty) | tlbFlags(^e>>63)<<2}
}

// entry is the place of the entry of a page, or nil if there is no table.
func (t *Task) entry(vpn uint64) *uint64 {
	if tab := t.leaf(vpn); tab != nil {
		return tab.entry(vpn)
	}
	return nil
}

// leaf finds the leaf table of a page.
func (t *Task) leaf(vpn uint64) *table {
	key := vpn>>tableShift + 1
	prune := t.space.prune.Load()
	if t.near.key == key && t.near.prune == prune {
		return t.near.t
	}
	tab := t.dirs.of(t.space, vpn)
	if tab != nil {
		t.near = nearTable{key, prune, tab}
	}
	return tab
}

// walk is the hardware: it looks at the entry without a lock and, where it
// permits the access, sets accessed (and dirty for a write).
func walk(p *uint64, a Access) (uint64, bool) {
	if p == nil {
		return 0, false
	}
	for {
		e := atomic.LoadUint64(p)
		if e&pteP == 0 || a == Write && e&pteW == 0 || a == Exec && e&pteNX != 0 {
			return 0, false
		}
		want := e | pteA
		if a == Write {
			want |= pteD
		}
		if want == e || atomic.CompareAndSwapUint64(p, e, want) {
			return want, true
		}
	}
}

// Copy is the kernel reading or writing length bytes of user memory at addr for
// the task (copy_from_user, copy_to_user): it uses the task's addresses and faults
// pages in as the task would, so that a protection holds for it too; other
// than getUserPages, see gup.go.
// It returns how many bytes it reached, and the outcome that stopped it.
func (t *Task) Copy(addr, length uint64, write bool) (uint64, Outcome) {
	a := Read
	if write {
		a = Write
	}
	end := addr + length
	if end < addr || end > t.machine.layout.end {
		return 0, SIGSEGV
	}
	c := t.machine.cpus[t.onCPU]
	t.lockCPU(c)
	defer t.unlockCPU(c)
	t.enter(c)
	for at := addr; at < end; at = at&^pageMask + PageSize {
		if out := t.touch(c, at>>pageShift, a); out.Fatal() {
			return at - addr, out
		}
		t.used(at>>pageShift, a)
	}
	return length, OK
}

package paging

import "sync/atomic"

// Task is a thread (task_struct). One goroutine uses a task at a time;
// different tasks may run at once. Tasks that run at once on one CPU take
// turns, a batch of references each.
type Task struct {
	machine  *Machine
	space    *Space
	proc     *process
	pid      uint32
	tid      uint32
	onCPU    int
	frames   frameCache
	stats    taskStats
	last     *vma     // the mapping of the last fault
	lastList *vmaList // and the list it is of
	near     [nearTables]nearTable
	places   []mapping // of the page evicted last, to be used again
	uses     []use     // not told yet, see exact.go
	seen     uint64    // by lookAhead
	ahead    bool      // the last references missed in the TLB: see lookAhead
	end      uint64    // pages of user addresses
	gup      gupFlags  // of the fault at hand, 0 for one of the program
	actor    *Task     // for whom this task acts on another's address space, nil = itself
	locks    lockTrace // held, in builds with invariants
}

// process is what the threads of a process share beside the address space.
type process struct {
	threads map[*Task]struct{} // Machine.tasksMu
	killed  atomic.Bool        // SIGKILL is pending
}

// nearTable remembers where the leaf table of a stretch of pages is.
type nearTable struct {
	key   uint64 // page number / tableSize, plus 1
	prune uint64 // Space.prune when it was found
	t     *table
}

const nearTables = 16

// Ref is a run of accesses to one page: First, then one write if Writes > 0 and
// First was none, then one fetch if Execs > 0 and First was none; the rest of
// the counts, which include these, are hits in the TLB.
type Ref struct {
	VPN                  uint64
	Reads, Writes, Execs uint32
	Offset               uint16
	First                Access
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

// Run performs references in order and returns how many. It stops after the
// first that ends in SIGSEGV, SIGBUS or OOM, which it returns; otherwise all are
// performed and the outcome is OK. Steady state allocates nothing; a reference
// that hits in the TLB takes no lock.
func (t *Task) Run(refs []Ref) (int, Outcome) {
	c := t.machine.cpus[t.onCPU]
	t.lockCPU(c)
	defer t.unlockCPU(c)
	t.enter(c)
	if g := t.machine.memory; g != nil && g.exact {
		return t.runExact(c, refs)
	}
	for done := 0; done < len(refs); done += aheadRefs {
		chunk := refs[done:min(done+aheadRefs, len(refs))]
		t.lookAhead(chunk)
		before := c.tlb.stats.misses[0]
		for i := range chunk {
			if out := t.perform(c, &chunk[i]); out.Fatal() {
				return done + i + 1, out
			}
		}
		t.ahead = c.tlb.stats.misses[0]-before > aheadRefs/4
	}
	return len(refs), OK
}

// aheadRefs is how many references are looked at together.
const aheadRefs = 32

// lookAhead reads the entries of references to come, if the TLB has been of
// little use: the processor that runs the model waits for all of them at once,
// and not for one after the other. It changes nothing.
func (t *Task) lookAhead(refs []Ref) {
	if !t.ahead {
		return
	}
	sum := uint64(0)
	for i := range refs {
		if vpn := refs[i].VPN; vpn < t.end {
			if tab := t.space.table.find(vpn); tab != nil {
				sum |= tab.load(vpn)
			}
		}
	}
	t.seen = sum // or the reads would be left out
}

// perform performs one reference. Precondition: c.mu.
func (t *Task) perform(c *cpu, r *Ref) Outcome {
	if out := t.touch(c, r.VPN, r.First); out.Fatal() {
		return out
	}
	data, fetches := uint64(r.Reads)+uint64(r.Writes), uint64(r.Execs)
	if r.First == Exec {
		fetches -= min(fetches, 1)
	} else {
		data -= min(data, 1)
	}
	if r.Writes > 0 && r.First != Write {
		if out := t.touch(c, r.VPN, Write); out.Fatal() {
			return out
		}
		data--
	}
	if r.Execs > 0 && r.First != Exec {
		if out := t.touch(c, r.VPN, Exec); out.Fatal() {
			return out
		}
		fetches--
	}
	c.tlb.stats.lookups[0] += data
	c.tlb.stats.lookups[1] += fetches
	return OK
}

// Access performs one access.
func (t *Task) Access(addr uint64, a Access) Outcome {
	c := t.machine.cpus[t.onCPU]
	t.lockCPU(c)
	defer t.unlockCPU(c)
	t.enter(c)
	out := t.touch(c, addr>>pageShift, a)
	t.used(addr>>pageShift, a == Write)
	return out
}

// touch performs one access: TLB, else walk, else fault and again. A page
// outside user memory is refused before anything looks at its number.
// Precondition: c.mu.
func (t *Task) touch(c *cpu, vpn uint64, a Access) Outcome {
	if vpn >= t.end {
		return t.beyond(vpn, a)
	}
	if c.pending.Load() {
		c.apply()
	}
	if c.tlb.lookup(c.asid, vpn, a) == tlbFound {
		return OK
	}
	worst := OK
	for {
		if e, ok := t.walk(vpn, a); ok {
			c.tlb.insert(c.asid, vpn, a, entryTLB(e))
			return worst
		}
		out := t.fault(vpn, a)
		if out.Fatal() {
			return out
		}
		worst = max(worst, out)
		if c.pending.Load() {
			c.apply()
		}
	}
}

// beyond performs an access beyond user memory, where only the vsyscall page is.
func (t *Task) beyond(vpn uint64, a Access) Outcome {
	if t.machine.gateAllows(vpn, a) {
		return OK
	}
	return t.fault(vpn, a)
}

func entryTLB(e uint64) tlbEntry {
	t := tlbEntry{pfn: ptePFN(e)}
	if e&pteW != 0 {
		t.flags |= tlbWrite
	}
	if e&pteD != 0 {
		t.flags |= tlbDirty
	}
	if e&pteNX == 0 {
		t.flags |= tlbExec
	}
	return t
}

// walk is the hardware: it finds the entry without a lock and, where it permits
// the access, sets accessed (and dirty for a write).
func (t *Task) walk(vpn uint64, a Access) (uint64, bool) {
	tab := t.leaf(vpn)
	if tab == nil {
		return 0, false
	}
	p := tab.entry(vpn)
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

// leaf finds the leaf table of a page, by the tables found last.
func (t *Task) leaf(vpn uint64) *table {
	key := vpn>>tableShift + 1
	n := &t.near[key%nearTables]
	prune := t.space.prune.Load()
	if n.key == key && n.prune == prune {
		return n.t
	}
	tab := t.space.table.find(vpn)
	if tab != nil {
		*n = nearTable{key, prune, tab}
	}
	return tab
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
		t.used(at>>pageShift, write)
	}
	return length, OK
}

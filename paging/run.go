package paging

import (
	"sync/atomic"
	"unsafe"
)

// Run performs references in order and returns how many. It stops after the
// first that ends in SIGSEGV, SIGBUS or OOM, which it returns; otherwise all are
// performed and the outcome is OK; but where there is a background (Config.Kswapd) it
// stops after one that took a fault as well, so that the caller can let time pass
// ([Machine.Background]). Of the lookups in the TLB it counts those of
// a reference that it stops after; the others are for the caller to add up: see
// Count. Steady state allocates nothing; a reference that hits in the TLB takes
// no lock.
func (t *Task) Run(refs []Ref) (int, Outcome) {
	c := t.machine.cpus[t.onCPU]
	t.lockCPU(c)
	defer t.unlockCPU(c)
	t.enter(c)
	t.running, t.pause = true, false
	defer t.endRun()
	if g := t.machine.memory; g != nil && g.exact {
		return t.runExact(c, refs)
	}
	var entries [window]*uint64
	done, ahead := 0, false
	for done < len(refs) && !t.pause {
		length := stretch
		if ahead {
			length = window
		}
		some := refs[done:min(done+length, len(refs))]
		n, out, misses := 0, OK, c.tlb.stats.Misses()
		if ahead {
			n, out = t.runAhead(c, some, &entries)
		} else {
			n, out = t.runThrough(c, some)
		}
		if done += n; out.Fatal() {
			return done, out
		}
		ahead = c.tlb.stats.Misses()-misses >= uint64(len(some)/8)
	}
	return done, OK
}

// runThrough performs references of which most hit, up to one that ends Run.
func (t *Task) runThrough(c *cpu, refs []Ref) (n int, out Outcome) {
	for n < len(refs) {
		if n += c.tlb.hits(c.asid, refs[n:], &c.pending); n == len(refs) {
			break
		}
		out = t.performUncounted(c, refs[n], nil)
		if n++; out.Fatal() || t.pause {
			break
		}
	}
	return n, out
}

// runAhead performs at most window references of which many miss, up to one that ends
// Run. entries is room for what lookAhead finds.
func (t *Task) runAhead(c *cpu, refs []Ref, entries *[window]*uint64) (n int, out Outcome) {
	t.lookAhead(refs, entries)
	moved, seen, begun := c.moved, 0, -1
	for n < len(refs) {
		end := t.until(n, &seen, entries[:len(refs)])
		if n += c.translate(refs[n:end], entries[n:end], !t.trial); n == end {
			continue
		}
		out = OK
		if n != begun { // else translate could not perform it after its fault either
			out, begun = t.faultFirst(c, refs[n], entries[n]), n
		}
		if out == OK {
			out = t.performUncounted(c, refs[n], entries[n])
			n++
		} else if out.Fatal() {
			n++
		}
		if out.Fatal() || t.pause {
			break
		}
		if c.moved != moved {
			moved = c.moved
			clear(entries[:])
		}
	}
	return n, out
}

// faultFirst takes the fault of a reference that has to be one, so that translate can
// perform it afterwards with the others, as a processor begins an instruction anew. It
// returns the outcome, or OK if it is not certain that there is one. entry is what
// lookAhead found. Precondition: c.mu.
func (t *Task) faultFirst(c *cpu, r Ref, entry *uint64) Outcome {
	t.brought = false
	if entry == nil || r&refOne == 0 || t.trial || t.machine.daemons || c.pending.Load() {
		return OK
	}
	if e := atomic.LoadUint64(entry); e != 0 && !isSwap(e) {
		return OK
	}
	out := t.fault(r.vpn(), r.first())
	if t.brought {
		t.faulted = false
	}
	if out.Fatal() {
		c.tlb.missed(r.first())
	}
	return out
}

// performUncounted is perform, of whose lookups in the TLB it counts only those of a
// reference that ends Run.
func (t *Task) performUncounted(c *cpu, r Ref, entry *uint64) Outcome {
	lookups := c.tlb.stats.lookups
	out := t.perform(c, r, entry)
	if !out.Fatal() {
		c.tlb.stats.lookups = lookups
	}
	return out
}

func (t *Task) endRun() {
	t.running = false
	t.settle()
}

// window is how many references are looked at ahead of being performed: more push
// what was loaded for the first ones out of the first-level cache. stretch is how many
// are performed without before it is asked again whether many miss.
const window, stretch = 32, 128

// lookAhead finds the entries of pages, nil where there is no table, and loads
// them, each independently of the others, so that the processor waits for them
// all at once. They are good for walks until a flush tells that tables may have been
// freed, and are empty, or moved (cpu.moved): as with the paging-structure caches of a
// processor.
func (t *Task) lookAhead(refs []Ref, entries *[window]*uint64) {
	refs = refs[:min(len(refs), window)]
	t.dirs.begin(t.space)
	for n := 0; ; n++ {
		if n += lookUp(&t.dirs, t.space.table.bits, refs[n:], entries[n:]); n == len(refs) {
			return
		}
		entries[n] = nil
		if vpn := refs[n].vpn(); vpn < t.end {
			if tab := t.dirs.of(t.space, vpn); tab != nil {
				entries[n] = tab.entry(vpn)
				prefetchLine(unsafe.Pointer(entries[n]))
			}
		}
	}
}

// until is how many references may be performed, of which n have been, before it is
// time for expectFaults again; seen is up to where that has looked.
func (t *Task) until(n int, seen *int, entries []*uint64) int {
	if n+faultLead >= *seen && *seen < len(entries) {
		*seen += t.expectFaults(entries[*seen:])
	}
	if *seen < len(entries) {
		return *seen - faultLead
	}
	return len(entries)
}

// expectFaults looks at some of the entries that were looked up ahead, how many it
// returns, and has what a fault asks of the pages in swap loaded.
func (t *Task) expectFaults(entries []*uint64) int {
	entries = entries[:min(len(entries), faultBatch)]
	g := t.machine.memory
	if g == nil || g.limit == 0 || t.space.rss.pages[rssSwap].Load()+t.made[rssSwap] == 0 {
		return window
	}
	var swapped [faultBatch]uint32
	n := 0
	for _, p := range entries {
		if p == nil {
			continue
		}
		if pfn := swapPFN(atomic.LoadUint64(p)); pfn != 0 {
			swapped[n] = pfn
			n++
		}
	}
	if n > 0 {
		g.loadAll(swapped[:n])
	}
	return len(entries)
}

// faultLead is how many references before it is performed the entry of one is looked
// at, and faultBatch how many at a time.
const faultLead, faultBatch = 4, 16

// Count adds the accesses of references that Run has performed, but for one it
// stopped after, to the lookups in the TLB.
func (t *Task) Count(data, fetches uint64) {
	t.stats.lookups[0] += data
	t.stats.lookups[1] += fetches
}

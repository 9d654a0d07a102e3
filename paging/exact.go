package paging

import (
	"sync/atomic"
	"unsafe"
)

// What an exact policy is told: the page of every reference, and of every copy
// the kernel makes.

// OnUse has use called for every use of a page of the group, in order, and end
// when a page's life ends: it was unmapped, discarded or truncated, or its last
// process is gone, and its number may be given to another page. A use is a
// reference (a call for each kind of access in it), an access of the kernel
// for a system call, or the reading of a page that is copied on write. Pages that
// are not charged have no calls (the zero page; pages of files with a warm cache).
//
// The machine has to be exact: Config.ReclaimExact, or a policy that always is.
// Without a limit, and as long as nobody is killed for want of memory, page
// numbers and uses are the same as under any limit and any exact policy, but for
// pages given up by MADV_FREE, which those other than opt drop under a limit. Both
// functions are called with a lock held and must not use the machine; either may
// be nil. Set it before the first task runs.
func (m *Machine) OnUse(use func(page uint32, written bool), end func(page uint32)) {
	m.memory.onUse, m.memory.onEnd = use, end
}

// queuedUse is a use of a page that the policy has yet to be told of. Run queues uses
// and tells of them together, before anything that asks the policy: a fault. So the
// processor waits for what is known of many pages at once, and the lock is taken
// once.
type queuedUse struct {
	vpn   uint64
	pfn   uint32
	write bool
}

// mostUses are those of two windows: a reference has two at most.
const mostUses = 4 * window

// useQueue is a queue of uses, or, where the policy is told of hits together and nobody
// else wants to know, only of the pages.
type useQueue struct {
	n      int
	loaded int // what is known of the pages of so many is on its way from memory
	uses   [mostUses]queuedUse
	hits   int
	pages  [mostUses]uint32
}

// full says that there may be no room for another reference, which has two uses at most.
func (q *useQueue) full() bool { return max(q.n, q.hits) > mostUses-2 }

// enqueue queues the uses of a reference that needed no fault, by its entry. There has
// to be room for two.
func (q *useQueue) enqueue(r Ref, e uint64) {
	first := r.first() == Write
	q.uses[q.n] = queuedUse{r.vpn(), ptePFN(e), first}
	q.n++
	if !first && r&refWrite != 0 {
		q.uses[q.n] = queuedUse{r.vpn(), ptePFN(e), true}
		q.n++
	}
}

// enqueuePage queues a page that was used, by its entry.
func (q *useQueue) enqueuePage(e uint64) {
	q.pages[q.hits] = ptePFN(e)
	q.hits++
}

// onlyPages says that of uses only the pages are queued.
func (g *memory) onlyPages() bool { return g.together != nil && g.onUse == nil }

// tell tells the policy of the uses in the queue.
func (t *Task) tell() {
	if t.untold() {
		t.tellSome(true)
	}
}

func (t *Task) untold() bool { return t.queue != nil && t.queue.n+t.queue.hits > 0 }

// tellSome tells the policy of the uses in the queue: of all, or, where there are many
// pages, of those whose pages have been asked for from memory at its last call.
func (t *Task) tellSome(all bool) {
	g := t.machine.memory
	g.mu.Lock()
	t.tellNow(all)
	g.mu.Unlock()
}

// tellNow is tellSome. Precondition: g.mu.
func (t *Task) tellNow(all bool) {
	g, q := t.machine.memory, t.queue
	switch {
	case g.onlyPages():
		g.fresh = 0
		g.together.hits(q.pages[:q.hits])
		q.hits = 0
	case !g.many():
		t.tellOf(q.uses[:q.n])
		q.n, q.loaded = 0, 0
	default:
		g.ahead(q.uses[q.loaded:q.n])
		if all {
			q.loaded = q.n
		}
		t.tellOf(q.uses[:q.loaded])
		q.n = copy(q.uses[:], q.uses[q.loaded:q.n])
		q.loaded = q.n
	}
}

// tellOf tells the policy of uses. Precondition: g.mu.
func (t *Task) tellOf(uses []queuedUse) {
	g := t.machine.memory
	if len(uses) == 0 {
		return
	}
	if g.stack != nil && g.onUse == nil && t.machine.cfg.THP == THPNever && len(g.shared) == 0 {
		g.measureAll(t.space, uses)
		return
	}
	for i := range uses {
		u := &uses[i]
		g.use(u.pfn, use{t.space, u.vpn, u.write, false})
	}
}

// manyPages is how many pages there have to be for it to pay to load ahead what is
// known of them; what is known of fewer is in the caches of the processor.
const manyPages = 1 << 14

func (g *memory) many() bool { return len(g.pages.chunks)<<chunkShift > manyPages }

// ahead has what is known of pages loaded, so that the processor waits for all of them
// at once, if at all. Precondition: g.mu.
func (g *memory) ahead(uses []queuedUse) {
	for i := range uses {
		if g.stack != nil {
			if p := g.rows.peek(uses[i].pfn); p != nil {
				prefetchLine(unsafe.Pointer(p))
			}
		} else if i := g.pages.peek(uses[i].pfn); i != nil {
			prefetchLine(unsafe.Pointer(i))
		}
	}
}

// expect is ahead for the pages of the zapAhead entries of a table from that of vpn on.
func (g *memory) expect(table []uint64, vpn uint64) {
	at := vpn & uint64(len(table)-1)
	g.mu.Mutex.Lock() // not counted: no kernel takes it to look ahead
	defer g.mu.Unlock()
	if !g.many() {
		return
	}
	for i := range table[at : at+zapAhead] {
		e := atomic.LoadUint64(&table[at+uint64(i)])
		if e == 0 || isFileEntry(e) {
			continue
		}
		g.load(ptePFN(e))
		if g.stack == nil {
			continue
		}
		if p := g.rows.peek(ptePFN(e)); p != nil {
			prefetchLine(unsafe.Pointer(p))
		}
	}
}

// loadAll has what is known of pages in swap loaded.
func (g *memory) loadAll(pages []uint32) {
	g.mu.Mutex.Lock() // not counted, as in expect
	expectRows(&g.pages, pages)
	if g.together != nil {
		for _, pfn := range pages {
			g.together.expect(pfn)
		}
	}
	g.mu.Unlock()
}

// load has what is known of a page and its frame loaded. Precondition: g.mu.
func (g *memory) load(pfn uint32) {
	if p := g.pages.peek(pfn); p != nil {
		prefetchLine(unsafe.Pointer(p))
		prefetchLine(unsafe.Pointer(g.m.frames.at(pfn)))
	}
}

// runExact is Run for a policy that is told of every reference. Precondition:
// c.mu.
func (t *Task) runExact(c *cpu, refs []Ref) (int, Outcome) {
	if t.queue == nil {
		t.queue = &useQueue{}
	}
	var entries [window]*uint64
	for done := 0; done < len(refs); {
		n, out := t.exactAhead(c, refs[done:min(done+window, len(refs))], &entries)
		if done += n; out.Fatal() || t.pause {
			t.tell()
			return done, out
		}
		t.tellSome(false)
	}
	t.tell()
	return len(refs), OK
}

// exactAhead is runAhead for runExact, which stops as well where the entries are good no
// longer. The policy is not told of a reference whose fault brought its page: it has begun,
// and is performed without that.
func (t *Task) exactAhead(c *cpu, refs []Ref, entries *[window]*uint64) (n int, out Outcome) {
	t.lookAhead(refs, entries)
	moved, seen, begun, stack := c.moved, 0, -1, t.machine.memory.stack != nil
	for n < len(refs) {
		end := len(refs)
		if stack {
			n += t.hitsEntries(refs[n:], entries[n:])
		} else {
			end = t.until(n, &seen, entries[:len(refs)])
			first := n
			if n += c.translate(refs[n:end], entries[n:end], !t.trial); n > first && first == begun {
				first++
			}
			t.queueHits(refs[first:n], entries[first:])
		}
		if n == end {
			continue
		}
		if n != begun && !stack {
			if out = t.faultFirst(c, refs[n], entries[n]); out.Fatal() {
				return n + 1, out
			}
			if t.brought {
				if begun = n; c.moved == moved {
					continue
				}
			}
		}
		if c.moved != moved { // in the fault
			entries[n] = nil
		}
		lookups := c.tlb.stats.lookups
		if n == begun {
			out = t.perform(c, refs[n], entries[n])
		} else {
			out = t.performExact(c, refs[n], entries[n])
		}
		if n++; out.Fatal() {
			return n, out
		}
		c.tlb.stats.lookups = lookups
		if t.pause || c.moved != moved {
			break
		}
	}
	return n, OK
}

// hitsEntries performs references for as long as the entry that was looked at ahead
// permits them with nothing left to be done, and returns how many. It takes the
// place of the TLB where nobody asks for its counts: a Stack is told of uses, which
// are the same with any TLB.
func (t *Task) hitsEntries(refs []Ref, entries []*uint64) int {
	q := t.queue
	for i, r := range refs {
		entry := entries[i]
		if entry == nil {
			return i
		}
		e := atomic.LoadUint64(entry)
		need := uint64(pteP | pteA)
		if r&refWrite != 0 || r.first() == Write {
			need |= pteW | pteD
		}
		if e&need != need || r&(refExec|refFetch) != 0 && e&pteNX != 0 {
			return i
		}
		if r&refExec != 0 && r&refFetch == 0 { // data and instructions: one access after the other
			return i
		}
		q.enqueue(r, e)
	}
	return len(refs)
}

// queueHits queues references that the TLB had, by the entries that were looked at
// ahead.
func (t *Task) queueHits(refs []Ref, entries []*uint64) {
	q, entries := t.queue, entries[:len(refs)]
	if !t.machine.memory.onlyPages() {
		for i, r := range refs {
			entry := entries[i]
			if entry == nil { // a fault has made its table since
				entry = t.entry(r.vpn())
			}
			q.enqueue(r, atomic.LoadUint64(entry))
		}
		return
	}
	pages := q.pages[q.hits:][:len(refs)]
	for i, entry := range entries {
		if entry == nil {
			entry = t.entry(refs[i].vpn())
		}
		pages[i] = ptePFN(atomic.LoadUint64(entry))
	}
	q.hits += len(refs)
}

// performExact is perform, telling of every access. Precondition: c.mu.
func (t *Task) performExact(c *cpu, r Ref, entry *uint64) Outcome {
	vpn, first := r.vpn(), r.first()
	if vpn >= t.end {
		return t.perform(c, r, nil)
	}
	out := t.touchExact(c, vpn, first, entry)
	if !out.Fatal() && r&refWrite != 0 && first != Write {
		out = t.touchExact(c, vpn, Write, nil)
	}
	if !out.Fatal() && r&refExec != 0 && first != Exec {
		out = t.touchExact(c, vpn, Exec, nil)
	}
	return out
}

func (t *Task) touchExact(c *cpu, vpn uint64, a Access, entry *uint64) Outcome {
	moved, q := c.moved, t.queue
	t.brought = false
	out := t.touchAt(c, vpn, a, entry)
	if t.brought { // by this reference, which is no use then
		t.faulted = false
		return out
	}
	if entry != nil && out == OK && !t.faulted && c.moved == moved && !q.full() {
		if e := atomic.LoadUint64(entry); e&pteP != 0 {
			if t.machine.memory.onlyPages() {
				q.enqueuePage(e)
			} else {
				q.uses[q.n] = queuedUse{vpn, ptePFN(e), a == Write}
				q.n++
			}
			return out
		}
	}
	t.tell()
	t.used(vpn, a)
	return out
}

// used tells an exact policy that the page was accessed, if it is present. It is
// called after every access, and after a fault for it was counted.
func (t *Task) used(vpn uint64, a Access) {
	g := t.machine.memory
	if g == nil || !g.exact {
		return
	}
	faulted := t.faulted
	t.faulted = false
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			g.mu.Lock()
			g.use(ptePFN(e), use{t.space, vpn, a == Write, faulted})
			g.mu.Unlock()
		}
	}
}

// use is one use of a page.
type use struct {
	space   *Space // nil: by the kernel, in a fault
	vpn     uint64
	write   bool
	faulted bool // a fault was counted for it
}

// use tells the policy of a use of a page. The reference that brought it is none.
// Precondition: g.mu.
func (g *memory) use(pfn uint32, u use) {
	i := g.info(pfn)
	fresh := pfn == g.fresh
	g.fresh = 0
	if i.state&pageKnown == 0 {
		return
	}
	if g.onUse != nil {
		g.onUse(pfn, u.write)
	}
	if g.foresee != nil && pfn != g.lastUse {
		g.foresee(pfn, g.m.cfg.Future.Next())
	}
	g.lastUse = pfn
	switch {
	case g.stack != nil:
		g.measure(pfn, i, u, fresh)
	case !fresh && i.state&(pageResident|pageAside|pageHeld) == pageResident:
		g.policy.hit(pfn)
	}
}

// allocCopy takes a frame for a copy of a page, 0 when there is none.
func (t *Task) allocCopy(source uint32) uint32 {
	if !t.machine.memory.copies(source) {
		return 0
	}
	return t.frames.alloc(frameAnon, 1)
}

// copies tells an exact policy that a fault is about to copy a page; false says
// that there is no room for the copy. The page is used before room is made, so that
// it stays; a policy that knows the future keeps it for the use that is to come.
func (g *memory) copies(pfn uint32) bool {
	if g == nil || !g.exact || pfn == 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.full()
	if !full || g.foresee == nil {
		g.use(pfn, use{faulted: true})
	}
	return !full
}

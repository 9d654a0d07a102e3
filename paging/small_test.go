package paging

import (
	"math/rand/v2"
	"testing"
)

// TestSmallMemory: with 1 to 16 frames, every policy, swap of every sort and programs
// that do what is worst for them, every access ends, and none of them for want of memory
// as long as there are two frames - what a copy takes - whose pages could leave. That is
// what mm/memcontrol.c:try_charge_memcg gives up for: nothing was reclaimed
// MAX_RECLAIM_RETRIES times.
func TestSmallMemory(t *testing.T) {
	for _, p := range policies {
		t.Run(p.name, func(t *testing.T) {
			ooms := map[uint64]int{}
			for frames := uint64(1); frames <= 16; frames++ {
				for seed, swap := range []uint64{1 << 30, 100 * PageSize, 8 * (frames % 2) * PageSize} {
					m := underLimit(t, p.name, frames, func(c *Config) {
						c.Swap, c.SwapDevice, c.LockedLimit = swap, SwapDevice(seed%2), NoLimit
					})
					m.OnFault(func(i *FaultInfo) {
						if i.Outcome != OOM {
							return
						}
						ooms[frames]++
						if stuck := cannotLeave(m); frames-stuck >= 2 {
							t.Errorf("%d frames, swap of %d: %s of %s is out of memory, %d pages cannot leave", frames, swap, i.Access, i.Name, stuck)
						}
					})
					cruel(m, rand.New(rand.NewPCG(uint64(seed), frames)), seed != 0)
					if err := m.Check(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if ooms[1] == 0 {
				t.Error("a copy takes two frames, and there was one")
			}
		})
	}
}

// cannotLeave is how many pages are in memory that the policy cannot take: locked ones,
// and, where swap is full, those without a file (mm/vmscan.c:get_scan_count: SCAN_FILE;
// get_swappiness wants MIN_LRU_BATCH slots; policies that are not the kernel's ask
// whether the page has a slot).
func cannotLeave(m *Machine) (n uint64) {
	g := m.memory
	slots := int64(1)
	if name, _ := m.Policy(); name == "mglru" {
		slots = mglruBatch
	}
	g.pages.each(func(pfn uint32, i *pageInfo) {
		if i.state&pageResident == 0 {
			return
		}
		r := reclaimer{group: g, at: g.mappings(nil, pfn)}
		full := g.slots-g.used < slots && (g.batched || i.state&pageSlot == 0)
		if r.locked() || full && g.m.frames.at(pfn).kind != frameFile {
			n++
		}
	})
	return n
}

// cruel runs processes that share, copy, write and lock more than there is. Whoever is
// to be killed for want of memory is, but for the last.
func cruel(m *Machine, r *rand.Rand, lock bool) {
	const pages = 24
	tasks := []*Task{m.NewProcess(1, 1, 0)}
	var bases []uint64
	for _, f := range []MapFlags{MapPrivate | MapAnonymous, MapShared | MapAnonymous, MapPrivate, MapShared} {
		a := MmapArgs{Len: pages * PageSize, Prot: rw, Flags: f}
		if f&MapAnonymous == 0 {
			a.File = m.File(1, 1, pages*PageSize, "/f")
		}
		base, _ := tasks[0].Mmap(a)
		bases = append(bases, base)
	}
	next := uint32(2)
	for range 400 {
		k := r.IntN(len(tasks))
		task, addr := tasks[k], bases[r.IntN(len(bases))]+r.Uint64N(pages)*PageSize
		switch op := r.IntN(100); {
		case op < 84:
			task.Access(addr, Read+Access(r.IntN(2)))
		case op < 87:
			task.Copy(addr, 3*PageSize, r.IntN(2) == 0)
		case op < 90 && len(tasks) < 4:
			tasks = append(tasks, task.Fork(next, next, r.IntN(m.CPUs())))
			next++
		case op < 92 && len(tasks) > 1:
			task.ExitGroup()
			tasks = append(tasks[:k], tasks[k+1:]...)
		case op < 96:
			task.Madvise(addr, 4*PageSize, []int{madvDontNeed, madvFree, madvCold, madvWillNeed, madvPageOut}[r.IntN(5)])
		case op < 98 && lock:
			task.Mlock(addr, 2*PageSize)
		default:
			task.Munlock(addr, pages*PageSize)
		}
	}
}

// TestAllPagesYoung: active pages that are all in use become inactive, and then leave:
// one more try than the first, for which everything is too young, is enough. Before, the
// policy linux gave up in memory of 10 pages and fewer.
func TestAllPagesYoung(t *testing.T) {
	for _, policy := range []string{"linux", "mglru"} {
		for frames := uint64(2); frames <= 16; frames++ {
			m := underLimit(t, policy, frames, nil)
			task := m.NewProcess(1, 1, 0)
			a := task.pages(t, 64, MmapArgs{Prot: rw, Flags: MapPrivate | MapAnonymous})
			for round := range 50 {
				for i := range frames + 1 { // the loop that is one page too long
					if out := task.Access(a+i*PageSize, Write); out.Fatal() {
						t.Fatalf("%s, %d frames, round %d, page %d: %v", policy, frames, round, i, out)
					}
				}
			}
			check(t, m)
		}
	}
}

// TestAsideIsBounded: a page that is locked by one process and comes and goes in another
// is set aside again and again, and stands on the list a bounded number of times.
func TestAsideIsBounded(t *testing.T) {
	m := underLimit(t, "fifo", 4, func(c *Config) { c.LockedLimit = NoLimit })
	owner, other := m.NewProcess(1, 1, 0), m.NewProcess(2, 2, 1)
	f := m.File(1, 1, PageSize, "/f")
	locked := owner.pages(t, 1, MmapArgs{Prot: rw, Flags: MapShared, File: f})
	again := other.pages(t, 1, MmapArgs{Prot: rw, Flags: MapShared, File: f})
	a := other.pages(t, 8, MmapArgs{Prot: rw, Flags: MapPrivate | MapAnonymous})
	owner.Mlock(locked, PageSize)
	for range 1000 {
		other.Access(again, Read)
		for i := range uint64(8) {
			other.Access(a+i*PageSize, Write)
		}
		other.Madvise(again, PageSize, madvDontNeed)
	}
	if n := len(m.memory.aside); n > 2*4+tidyAside {
		t.Errorf("the list has %d entries", n)
	}
	if m.memory.stats.Evictions == 0 || !m.memory.resident(f.slot(0).Load()) {
		t.Error("the locked page has left, or no other")
	}
	check(t, m)
}

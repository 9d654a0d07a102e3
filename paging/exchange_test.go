package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestExchange: pages that come back from swap in Run, where another leaves for each
// under one lock, leave behind what they do one access at a time, where every fault
// goes the way that is good for all: counts, entries, and what is known of each page.
// Pages are shared by fork, locked, discarded and given up in between, slots run out,
// and other threads run on other CPUs.
func TestExchange(t *testing.T) {
	const base, pages = 1 << 32, 300
	for _, policy := range Policies() {
		name := policy[0]
		if name == "opt" {
			continue // Config.Future has one reader
		}
		for _, c := range []struct{ memory, swap uint64 }{{40, 1000}, {200, 900}, {90, 300}} {
			config := DefaultConfig()
			config.CPUs, config.TLB, config.Reclaim, config.SwapDevice = 3, small, name, SwapZram
			config.Memory, config.Swap = c.memory<<pageShift, c.swap<<pageShift
			fewer := false
			for seed := range uint64(2) {
				many, single := twoOf(t, config, base, pages)
				r := rand.New(rand.NewPCG(seed, 7))
				for round := range 40 {
					who, refs := r.IntN(2)*2, hotRefs(r, base>>pageShift, pages)
					if round > 20 {
						who = r.IntN(4)
					}
					outs := [2]string{runAll(many[who], refs), accessAll(single[who], refs)}
					at, what := base+r.Uint64N(pages-16)<<pageShift, r.IntN(8)
					for i, tasks := range [][]*Task{many, single} {
						if outs[i] += pressed(tasks[who], at, what); round%4 == 3 {
							outs[i] += exchanged(tasks, base, pages)
						}
					}
					if a, b := outs[0], outs[1]; a != b {
						t.Fatalf("%s in %v, seed %d, round %d: many, one at a time:\n%s", name, c, seed, round, firstDifference(a, b))
					}
				}
				for _, tasks := range [][]*Task{many, single} {
					if err := tasks[0].machine.Check(); err != nil {
						t.Fatalf("%s in %v, seed %d: %v", name, c, seed, err)
					}
				}
				locks := func(tasks []*Task) uint64 { return tasks[0].machine.Stats().Locks[LockMemory].Acquired }
				fewer = fewer || 10*locks(many) < 9*locks(single)
			}
			if full := c.swap < pages*2-c.memory; !fewer && !full && name != "linux" && name != "mglru" {
				t.Errorf("%s in %v: the memory lock was taken as often as one at a time", name, c)
			}
		}
	}
}

// hotRefs are references of which most are to few pages.
func hotRefs(r *rand.Rand, vpn, pages uint64) (refs []Ref) {
	for range 200 {
		p, first := r.Uint64N(pages), [...]Access{Read, Write}[r.IntN(2)]
		if r.IntN(3) > 0 {
			p = r.Uint64N(pages / 8)
		}
		counts := [3]uint32{}
		counts[first]++
		ref, _ := MakeRef(vpn+p, first, counts[Read], counts[Write], 0)
		refs = append(refs, ref)
	}
	return refs
}

// runAll performs references, of which those out of memory are passed over.
func runAll(t *Task, refs []Ref) (outs string) {
	t.RunOn(t.onCPU)
	for len(refs) > 0 {
		n, out := t.Run(refs)
		if refs = refs[n:]; out.Fatal() {
			outs += fmt.Sprintln(len(refs), out)
		}
	}
	return outs
}

func accessAll(t *Task, refs []Ref) (outs string) {
	t.RunOn(t.onCPU)
	for i, r := range refs {
		if out := t.Access(r.vpn()<<pageShift, r.first()); out.Fatal() {
			outs += fmt.Sprintln(len(refs)-i-1, out)
		}
	}
	return outs
}

// pressed has a program do what matters to pages in swap, and those on their way there.
func pressed(t *Task, at uint64, what int) string {
	const length = 16 * PageSize
	switch what {
	case 0:
		return fmt.Sprintln(t.Madvise(at, length, madvDontNeed))
	case 1:
		return fmt.Sprintln(t.Madvise(at, length, madvFree))
	case 2:
		return fmt.Sprintln(t.Madvise(at, length, madvPageOut))
	case 3:
		return fmt.Sprintln(t.Mlock(at, PageSize))
	case 4:
		return fmt.Sprintln(t.Munlock(at, length))
	case 5:
		t.Fork(100, 100, t.onCPU).Exit()
	case 6:
		return fmt.Sprintln(t.Mprotect(at, length, ProtRead), t.Mprotect(at, length, ProtRead|ProtWrite))
	}
	return ""
}

// exchanged is what a program leaves behind, but for what its TLBs were asked and how
// often locks were taken.
func exchanged(tasks []*Task, base, pages uint64) string {
	m := tasks[0].machine
	stats := m.Stats()
	s := fmt.Sprintln(stats.Minor, stats.Major, stats.Faults, stats.Flushes, stats.Reclaim, stats.RSS, stats.PeakRSS, stats.PeakMemory)
	for _, process := range []int{0, 2} {
		s += fmt.Sprintln(tasks[process].RSS(), tasks[process].PeakRSS())
		for vpn := base >> pageShift; vpn < base>>pageShift+pages; vpn++ {
			e := uint64(0)
			if p := tasks[process].entry(vpn); p != nil {
				e = *p
			}
			s += fmt.Sprintf("%#x %#x", vpn, e)
			if i := m.memory.info(ptePFN(e)); e != 0 {
				s += fmt.Sprintln(i.at.vpn, i.refs, i.state, i.mark, i.on)
			}
		}
	}
	return s
}

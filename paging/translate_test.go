package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTranslate: references performed many at a time, when entries are looked up ahead
// and TLBs changed without a walk, do what the same references do one at a time: the
// counts, and all that stands in the TLBs. Mappings change in between; some references
// are of several kinds.
func TestTranslate(t *testing.T) {
	const base, pages = 1 << 32, 600
	wide := TLBConfig{L1I: TLBGeometry{8, 4}, L1D: TLBGeometry{16, 4}, L2: TLBGeometry{64, 32}} // no orders
	for name, c := range map[string]struct {
		tlb    TLBConfig
		thp    THP
		memory uint64 // pages
		policy string
	}{
		"middle": {tlb: TLBConfig{L1I: TLBGeometry{8, 4}, L1D: TLBGeometry{16, 4}, L2: TLBGeometry{256, 8}}}, // hits in the second level
		"small":  {tlb: small},
		"wide":   {tlb: wide},
		"fits":   {tlb: TLBConfig{L1I: TLBGeometry{16, 8}, L1D: TLBGeometry{16, 4}, L2: TLBGeometry{192, 12}}}, // translateWords
		"huge":   {tlb: small, thp: THPAlways},
		"limit":  {tlb: small, memory: 300, policy: "clock"},
		"exact":  {tlb: small, memory: 300, policy: "lru"},
		"batch":  {tlb: small, memory: 300, policy: "linux"},
	} {
		config := DefaultConfig()
		config.CPUs, config.TLB, config.THP = 3, c.tlb, c.thp
		if c.memory > 0 {
			config.Memory, config.Swap, config.Reclaim = c.memory<<pageShift, 1<<30, c.policy
		}
		for seed := range uint64(10) {
			together, single := twoOf(t, config, base, pages)
			for _, tasks := range [][]*Task{together, single} {
				for _, process := range []int{0, 2} {
					tasks[process].Mprotect(base, pages<<pageShift, ProtRead|ProtWrite|ProtExec)
				}
			}
			r := rand.New(rand.NewPCG(seed, 5))
			for range 50 {
				turns := []turn{{who: r.IntN(len(single)), refs: someRefs(r, base>>pageShift, pages)}}
				perform(t, together, turns)
				for _, ref := range turns[0].refs {
					perform(t, single, []turn{{turns[0].who, []Ref{ref}}})
				}
				at, who, what := base+r.Uint64N(pages-128)<<pageShift, r.IntN(len(single)), r.IntN(6)
				for _, tasks := range [][]*Task{together, single} {
					disturb(tasks[who], at, what)
				}
				if a, b := translated(together, base, pages), translated(single, base, pages); a != b {
					t.Fatalf("%s, seed %d: together, one at a time:\n%s", name, seed, firstDifference(a, b))
				}
			}
			if err := together[0].machine.Check(); err != nil {
				t.Fatalf("%s, seed %d: %v", name, seed, err)
			}
		}
	}
}

// translated is what references leave behind, but for how often they took a lock.
func translated(tasks []*Task, base, pages uint64) string {
	m := tasks[0].machine
	stats := m.Stats()
	var entries []uint64
	for vpn := base >> pageShift; vpn < base>>pageShift+pages; vpn++ {
		for _, process := range []int{0, 2} {
			if e := tasks[process].entry(vpn); e != nil {
				entries = append(entries, *e)
			}
		}
	}
	return fmt.Sprintln(stats.Minor, stats.Faults, stats.Flushes, stats.TLB, stats.RSS) + tlbWords(m) + tlbFrames(m) + fmt.Sprintln(entries)
}

// someRefs are enough references for several windows, of all kinds.
func someRefs(r *rand.Rand, vpn, pages uint64) (refs []Ref) {
	for range 300 {
		counts := [...]uint32{Read: r.Uint32N(2), Write: r.Uint32N(5) / 3, Exec: r.Uint32N(12) / 11}
		first := [...]Access{Read, Read, Read, Write, Write, Exec}[r.IntN(6)]
		counts[first] = 1
		ref, _ := MakeRef(vpn+r.Uint64N(pages), first, counts[Read], counts[Write], counts[Exec])
		refs = append(refs, ref)
	}
	return refs
}

// disturb changes mappings or entries of some pages.
func disturb(t *Task, at uint64, what int) {
	const rwx, length = ProtRead | ProtWrite | ProtExec, 128 * PageSize
	switch what {
	case 0:
		t.Madvise(at, length, madvDontNeed)
	case 1:
		t.Mprotect(at, length, ProtRead)
		t.Mprotect(at, length, rwx)
	case 3:
		t.Madvise(at, length, madvCold) // clears accessed bits
	case 2:
		t.Munmap(at, length)
		t.Mmap(MmapArgs{Addr: at, Len: length, Prot: rwx, Flags: MapPrivate | MapAnonymous | MapFixed})
	case 4: // what is read may be written, and is not dirty
		t.Mmap(MmapArgs{Addr: at, Len: length, Prot: rwx, Flags: MapShared | MapAnonymous | MapFixed})
	}
}

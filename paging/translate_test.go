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
		tlb TLBConfig
		thp THP
	}{
		"default": {tlb: DefaultConfig().TLB},
		"small":   {tlb: small},
		"wide":    {tlb: wide},
		"huge":    {tlb: small, thp: THPAlways},
	} {
		config := DefaultConfig()
		config.CPUs, config.TLB, config.THP = 3, c.tlb, c.thp
		for seed := range uint64(10) {
			together, single := twoOf(t, config, base, pages)
			r := rand.New(rand.NewPCG(seed, 5))
			for range 60 {
				turns := []turn{{who: r.IntN(len(single)), refs: someRefs(r, base>>pageShift, pages)}}
				perform(t, together, turns)
				for _, ref := range turns[0].refs {
					perform(t, single, []turn{{turns[0].who, []Ref{ref}}})
				}
				at, who, what := base+r.Uint64N(pages-8)<<pageShift, r.IntN(len(single)), r.IntN(6)
				for _, tasks := range [][]*Task{together, single} {
					disturb(tasks[who], at, what)
				}
				if a, b := translated(together[0].machine), translated(single[0].machine); a != b {
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
func translated(m *Machine) string {
	s := m.Stats()
	return fmt.Sprintln(s.Minor, s.Faults, s.Flushes, s.TLB, s.RSS) + tlbWords(m) + tlbFrames(m)
}

// someRefs are enough references for several windows, of all kinds.
func someRefs(r *rand.Rand, vpn, pages uint64) (refs []Ref) {
	for range 300 {
		counts := [...]uint32{Read: r.Uint32N(2), Write: r.Uint32N(5) / 3, Exec: 0}
		first := Access(1 + r.IntN(2))
		counts[first] = 1
		ref, _ := MakeRef(vpn+r.Uint64N(pages), first, counts[Read], counts[Write], counts[Exec])
		refs = append(refs, ref)
	}
	return refs
}

// disturb changes mappings or entries of some pages.
func disturb(t *Task, at uint64, what int) {
	const rw, length = ProtRead | ProtWrite, 8 * PageSize
	switch what {
	case 0:
		t.Madvise(at, length, madvDontNeed)
	case 1:
		t.Mprotect(at, length, ProtRead)
		t.Mprotect(at, length, rw)
	case 2:
		t.Munmap(at, length)
		t.Mmap(MmapArgs{Addr: at, Len: length, Prot: rw, Flags: MapPrivate | MapAnonymous | MapFixed})
	}
}

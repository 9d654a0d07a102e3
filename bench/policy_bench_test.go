package bench

import (
	"fmt"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/vmtrace/vmtrace/paging"
)

// policyPages is the footprint: popular and unpopular pages by zipf.
const policyPages = 1 << 20

// BenchmarkPolicy replays references under a limit, with mappings, page tables,
// TLBs and swap in the way. policy=simplelru is the least recently used cache of
// hashicorp/golang-lru on the same page stream: a map and a list, and nothing
// else. So few references use less than half of the pages: in 50 % nothing has to leave.
func BenchmarkPolicy(b *testing.B) {
	var names []string
	for _, policy := range paging.Policies() {
		if policy[0] != "opt" { // it wants a first pass
			names = append(names, policy[0])
		}
	}
	benchPolicies(b, 4<<20, names)
}

// BenchmarkPressure is BenchmarkPolicy with so many references that nearly all pages
// are used, and leave and come back in 50 % as well.
func BenchmarkPressure(b *testing.B) {
	benchPolicies(b, 32<<20, []string{"clock", "lru"})
}

func benchPolicies(b *testing.B, refs int, names []string) {
	order := zipf(refs, policyPages)
	for _, percent := range []int{10, 50} {
		frames := policyPages * percent / 100
		for _, name := range names {
			b.Run(fmt.Sprintf("policy=%s/memory=%d%%", name, percent), func(b *testing.B) { benchPolicy(b, name, frames, order) })
		}
		b.Run(fmt.Sprintf("policy=simplelru/memory=%d%%", percent), func(b *testing.B) { benchSimpleLRU(b, frames, order) })
	}
}

func benchPolicy(b *testing.B, policy string, frames int, order []int) {
	c := paging.DefaultConfig()
	c.Memory, c.Swap, c.SwapDevice, c.Reclaim = uint64(frames)<<pageShift, policyPages<<pageShift, paging.SwapZram, policy
	m, err := paging.New(c)
	if err != nil {
		b.Fatal(err)
	}
	t := m.NewProcess(1, 1, 0)
	refs := touches(region(b, t, policyPages, paging.MmapArgs{Prot: protRW, Flags: anonymous}), order, paging.Write)
	run(b, t, refs) // warm
	before := m.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	cpu := startProcessor()
	for range b.N {
		for k := 0; k < len(refs); k += 4096 {
			run(b, t, refs[k:k+4096])
		}
	}
	b.StopTimer()
	cpu.report(b, len(refs))
	perRef(b, len(refs), "ref")
	s := m.Stats()
	b.ReportMetric(float64(s.Major-before.Major)/float64(b.N*len(refs)), "majors/ref")
	if s.PeakMemory > c.Memory {
		b.Fatalf("%d bytes charged under a limit of %d", s.PeakMemory, c.Memory)
	}
}

func benchSimpleLRU(b *testing.B, frames int, order []int) {
	l, err := simplelru.NewLRU[uint64, struct{}](frames, nil)
	if err != nil {
		b.Fatal(err)
	}
	misses := 0
	once := func() {
		for _, p := range order {
			if _, ok := l.Get(uint64(p)); !ok {
				misses++
				l.Add(uint64(p), struct{}{})
			}
		}
	}
	once() // warm
	misses = 0
	b.ReportAllocs()
	b.ResetTimer()
	cpu := startProcessor()
	for range b.N {
		once()
	}
	b.StopTimer()
	cpu.report(b, len(order))
	perRef(b, len(order), "ref")
	b.ReportMetric(float64(misses)/float64(b.N*len(order)), "majors/ref")
}

package bench

import (
	"math/rand/v2"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
)

const (
	protRW     = paging.Prot(3)
	anonymous  = paging.MapFlags(0x22) // MAP_PRIVATE | MAP_ANONYMOUS
	sharedAnon = paging.MapFlags(0x21) // MAP_SHARED | MAP_ANONYMOUS
	private    = paging.MapFlags(0x02)
	shared     = paging.MapFlags(0x01)
	pageShift  = 12
)

// newTask returns the only task of a fresh machine.
func newTask(b *testing.B) *paging.Task {
	b.Helper()
	m, err := paging.New(paging.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	return m.NewProcess(1, 1, 0)
}

// region maps pages and returns the first page number.
func region(b *testing.B, t *paging.Task, pages int, a paging.MmapArgs) uint64 {
	b.Helper()
	a.Len = uint64(pages) << pageShift
	addr, errno := t.Mmap(a)
	if errno != 0 {
		b.Fatal(errno)
	}
	return addr >> pageShift
}

// touches makes one reference to each page of the order.
func touches(first uint64, order []int, access paging.Access) []paging.Ref {
	refs := make([]paging.Ref, len(order))
	for i, p := range order {
		reads, writes := uint32(1), uint32(0)
		if access == paging.Write {
			reads, writes = 0, 1
		}
		refs[i], _ = paging.MakeRef(first+uint64(p), access, reads, writes, 0)
	}
	return refs
}

func sequence(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func uniform(n, pages int) []int {
	rng := rand.New(rand.NewPCG(1, 2))
	order := make([]int, n)
	for i := range order {
		order[i] = rng.IntN(pages)
	}
	return order
}

func zipf(n, pages int) []int {
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, 1.01, 1, uint64(pages-1))
	order := make([]int, n)
	for i := range order {
		// scattered, so that popular pages are not neighbours
		order[i] = int(z.Uint64() * 2654435761 % uint64(pages))
	}
	return order
}

// real is the page runs of a bundled trace.
func real(b *testing.B, name string) (order []int) {
	for _, p := range PagesOf(b, "../traces/"+name+".vmt").Page {
		order = append(order, int(p))
	}
	return order
}

func run(b *testing.B, t *paging.Task, refs []paging.Ref) {
	if n, out := t.Run(refs); n != len(refs) || out.Fatal() {
		b.Fatalf("reference %d of %d: %v", n, len(refs), out)
	}
}

// BenchmarkPresent replays references to pages that are present and permitted:
// TLB and page-table walk, no fault.
func BenchmarkPresent(b *testing.B) {
	const pages = 1 << 20
	for _, c := range []struct {
		order string
		refs  func() []int
	}{
		{"one-page", func() []int { return make([]int, 1<<16) }},
		{"sequential", func() []int { return sequence(pages) }},
		{"uniform", func() []int { return uniform(1<<20, pages) }},
		{"zipf", func() []int { return zipf(1<<20, pages) }},
		{"gzip", func() []int { return real(b, "gzip") }},
		{"perl", func() []int { return real(b, "perl") }},
	} {
		b.Run("order="+c.order, func(b *testing.B) {
			t := newTask(b)
			first := region(b, t, pages, paging.MmapArgs{Prot: protRW, Flags: anonymous})
			run(b, t, touches(first, sequence(pages), paging.Write))
			minor, _ := t.Faults()
			if minor != pages {
				b.Fatalf("%d faults for %d pages", minor, pages)
			}
			refs := touches(first, c.refs(), paging.Read)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				run(b, t, refs)
			}
			b.StopTimer()
			perRef(b, len(refs), "ref")
			if after, _ := t.Faults(); after != minor {
				b.Fatalf("%d faults on present pages", after-minor)
			}
		})
	}
}

// perRef reports the rate and the time of one of n units per iteration.
func perRef(b *testing.B, n int, unit string) {
	total := float64(n) * float64(b.N)
	b.ReportMetric(total/b.Elapsed().Seconds(), unit+"s/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/"+unit)
}

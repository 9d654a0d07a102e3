package rivals

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/bench"
	"github.com/vmtrace/vmtrace/paging"
)

const (
	pageShift = 12
	regionAt  = 1 << 20 // the page where the memory of vmtrace begins
)

// stream is references to pages.
type stream struct {
	bench.Pages
	name string
}

// zipfStream is popular and unpopular pages, scattered.
func zipfStream() stream {
	const n, pages = 1 << 20, 1 << 20
	s := stream{bench.Pages{Number: pages}, "zipf"}
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, pages-1)
	for i := range n {
		s.Page = append(s.Page, z.Uint64()*2654435761%pages)
		s.Write = append(s.Write, i%3 == 0)
	}
	return s
}

// ours is vmtrace with one task and memory for so many pages.
type ours struct {
	b    *testing.B
	task *paging.Task
	size int
}

func newOurs(b *testing.B, pages int) *ours {
	b.Helper()
	m, err := paging.New(paging.DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	return &ours{b, m.NewProcess(1, 1, 0), pages}
}

func (o *ours) mmap() {
	const protRW, private = 3, 0x32 // MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
	if _, errno := o.task.Mmap(paging.MmapArgs{Addr: regionAt << pageShift, Len: uint64(o.size) << pageShift, Prot: protRW, Flags: private}); errno != 0 {
		o.b.Fatal(errno)
	}
}

func (o *ours) munmap() { o.task.Munmap(regionAt<<pageShift, uint64(o.size)<<pageShift) }

func (o *ours) run(refs []paging.Ref) {
	if n, out := o.task.Run(refs); n != len(refs) || out.Fatal() {
		o.b.Fatalf("reference %d of %d: %v", n, len(refs), out)
	}
}

// refs are the references of a stream.
func (s *stream) refs() []paging.Ref {
	refs := make([]paging.Ref, len(s.Page))
	for i, p := range s.Page {
		if s.Write[i] {
			refs[i], _ = paging.MakeRef(regionAt+p, paging.Write, 0, 1, 0)
		} else {
			refs[i], _ = paging.MakeRef(regionAt+p, paging.Read, 1, 0, 0)
		}
	}
	return refs
}

// replay touches all pages of a stream.
func (s *stream) replay(m Model) (faults int) {
	for i, p := range s.Page {
		if m.Touch(p, s.Write[i]) {
			faults++
		}
	}
	return faults
}

// BenchmarkRefs is references to pages that are present: of vmtrace with its TLB and
// page tables, beside each rival, which has room for all.
func BenchmarkRefs(b *testing.B) {
	for _, s := range []stream{zipfStream(), {bench.PagesOf(b, "../../traces/gzip.vmt"), "gzip"}, {bench.PagesOf(b, "../../traces/perl.vmt"), "perl"}} {
		for _, r := range Models {
			b.Run(fmt.Sprintf("stream=%s/rival=%s", s.name, r.Name), func(b *testing.B) {
				o, m, refs := newOurs(b, s.Number), r.New(s.Number), s.refs()
				o.mmap()
				o.run(refs)
				s.replay(m)
				bench.Pair(b, "ref", r.Name, bench.Timed(len(refs), func() { o.run(refs) }), bench.Timed(len(refs), func() {
					if n := s.replay(m); n != 0 {
						b.Fatalf("%d faults of %s on pages that it has", n, r.Name)
					}
				}))
			})
		}
	}
}

// sequential is the first writes to pages in order.
func sequential(pages int) stream {
	s := stream{bench.Pages{Number: pages}, "sequential"}
	for p := range pages {
		s.Page, s.Write = append(s.Page, uint64(p)), append(s.Write, true)
	}
	return s
}

// faults is the work of vmtrace on first writes; mapping and unmapping do not count.
func (o *ours) faults(refs []paging.Ref) bench.Work {
	return func() (int, time.Duration) {
		o.mmap()
		runtime.GC() // of the page tables of the last turn
		began := time.Now()
		o.run(refs)
		took := time.Since(began)
		o.munmap()
		return len(refs), took
	}
}

// BenchmarkFaults is first writes to anonymous pages in order.
func BenchmarkFaults(b *testing.B) {
	s := sequential(1 << 16)
	refs := s.refs()
	for _, r := range Models {
		b.Run("rival="+r.Name, func(b *testing.B) {
			o, m := newOurs(b, s.Number), r.New(s.Number)
			bench.Pair(b, "fault", r.Name, o.faults(refs), func() (int, time.Duration) {
				m.Drop()
				runtime.GC()
				began := time.Now()
				n := s.replay(m)
				return n, time.Since(began)
			})
		})
	}
}

// BenchmarkKernel is the same beside the kernel of this machine, which does clear the
// pages: one thread of it, and two.
func BenchmarkKernel(b *testing.B) {
	kernel, err := BuildKernel(b.TempDir())
	if err != nil {
		b.Skip(err)
	}
	s := sequential(1 << 16)
	refs := s.refs()
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			o, sum, spent := newOurs(b, s.Number), 0, time.Duration(0)
			bench.Pair(b, "fault", "kernel", o.faults(refs), func() (int, time.Duration) {
				n, took, err := kernel.Faults(threads, 50)
				if err != nil {
					b.Fatal(err)
				}
				sum, spent = sum+n, spent+took
				return n, took
			})
			b.ReportMetric(float64(sum)/spent.Seconds(), "kernel-faults/s")
		})
	}
}

// The rivals agree with vmtrace on what is a first touch.
func TestModels(t *testing.T) {
	s := zipfStream()
	seen := map[uint64]bool{}
	for _, p := range s.Page {
		seen[p] = true
	}
	for _, r := range Models {
		m := r.New(s.Number)
		for range 2 {
			if n := s.replay(m); n != len(seen) {
				t.Errorf("%s: %d first touches, want %d", r.Name, n, len(seen))
			}
			if n := s.replay(m); n != 0 {
				t.Errorf("%s: %d first touches of pages that it has", r.Name, n)
			}
			m.Drop()
		}
	}
}

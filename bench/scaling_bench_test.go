package bench

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/paging"
)

// crew is the tasks of one address space, each on a CPU of its own, and what each
// touches.
type crew struct {
	tasks  []*paging.Task
	layout string
}

// crewPages is what each task of a crew faults in.
const crewPages = 1 << 17

func newCrew(b *testing.B, locking paging.Locking, layout string, n int) *crew {
	b.Helper()
	c := paging.DefaultConfig()
	c.Locking = locking
	m, err := paging.New(c)
	if err != nil {
		b.Fatal(err)
	}
	w := &crew{tasks: []*paging.Task{m.NewProcess(1, 1, 0)}, layout: layout}
	for i := 1; i < n; i++ {
		w.tasks = append(w.tasks, w.tasks[0].Clone(uint32(i+1), i))
	}
	return w
}

// stripe is how many pages in a row belong to one task: of n tasks which share a
// region; a leaf table maps 512.
func (w *crew) stripe() int {
	switch w.layout {
	case "disjoint":
		return crewPages
	case "region":
		return 512
	}
	return 1 // table
}

// order is the pages of a task, of n.
func (w *crew) order(i, n int) []int {
	order, s := make([]int, crewPages), w.stripe()
	for p := range order {
		order[p] = p/s*s*n + i*s + p%s
	}
	return order
}

// faults is the work of the first n tasks: each faults in crewPages anonymous pages.
// Mapping and unmapping do not count.
func (w *crew) faults(b *testing.B, n int) Work {
	args := paging.MmapArgs{Addr: 1 << 32, Prot: protRW, Flags: anonymous | 0x10} // MAP_FIXED
	refs := make([][]paging.Ref, n)
	for i := range refs {
		refs[i] = touches(args.Addr>>pageShift, w.order(i, n), paging.Write)
	}
	return func() (int, time.Duration) {
		region(b, w.tasks[0], n*crewPages, args)
		var wg sync.WaitGroup
		var ready atomic.Int32
		began, ended := make([]time.Time, n), make([]time.Time, n)
		runtime.GC() // which would take a processor from two goroutines, and none from one
		for i := range n {
			wg.Go(func() {
				for ready.Add(1); ready.Load() < int32(n); { // waking up takes as long as thousands of faults
				}
				began[i] = time.Now()
				run(b, w.tasks[i], refs[i])
				ended[i] = time.Now()
			})
		}
		wg.Wait()
		took := slices.MaxFunc(ended, time.Time.Compare).Sub(slices.MinFunc(began, time.Time.Compare))
		w.tasks[0].Munmap(args.Addr, uint64(n*crewPages)<<pageShift)
		return n * crewPages, took
	}
}

// BenchmarkFaultScaling has two goroutines fault anonymous pages into one address
// space, each on a CPU of its own, beside one that does so alone: in regions of their
// own, in one region of which they have the tables by turns, or with every table
// shared page by page.
func BenchmarkFaultScaling(b *testing.B) {
	for _, locking := range []paging.Locking{paging.LockPerTable, paging.LockMM, paging.LockGlobal} {
		for _, layout := range []string{"disjoint", "region", "table"} {
			b.Run(fmt.Sprintf("locking=%v/layout=%s/goroutines=2", locking, layout), func(b *testing.B) {
				w := newCrew(b, locking, layout, 2)
				Pair(b, "fault", "one", w.faults(b, 2), w.faults(b, 1))
			})
		}
	}
}

// BenchmarkStorm faults in anonymous pages while another goroutine changes the
// mappings of the same address space as fast as it can, beside doing so in quiet.
func BenchmarkStorm(b *testing.B) {
	for _, locking := range []paging.Locking{paging.LockPerTable, paging.LockMM} {
		b.Run(fmt.Sprintf("calls=mmap-munmap/locking=%v", locking), func(b *testing.B) {
			w := newCrew(b, locking, "disjoint", 2)
			faults := w.faults(b, 1)
			var calls int
			Pair(b, "fault", "quiet", func() (int, time.Duration) {
				var stop atomic.Bool
				var wg sync.WaitGroup
				wg.Go(func() { calls += storm(w.tasks[1], &stop) })
				n, took := faults()
				stop.Store(true)
				wg.Wait()
				return n, took
			}, faults)
			b.ReportMetric(float64(calls)/float64(b.N+1), "calls/turn")
		})
	}
}

// storm maps and unmaps 16 pages until it is told to stop, and returns how often it
// called.
func storm(t *paging.Task, stop *atomic.Bool) (calls int) {
	for ; !stop.Load(); calls += 2 {
		addr, errno := t.Mmap(paging.MmapArgs{Len: 16 << pageShift, Prot: protRW, Flags: anonymous})
		if errno != 0 {
			return calls
		}
		t.Munmap(addr, 16<<pageShift)
	}
	return calls
}

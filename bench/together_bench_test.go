package bench

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/paging"
)

// What two CPUs cost each other is seen only while both run. On a machine with other
// work they hardly do for as long as BenchmarkFaultScaling takes, but for some 100 us
// they do often enough: here turns are short, and only those count in which the two ran
// side by side nearly all the time.

// together has n goroutines do f, beginning at once, and returns the ns that the slower
// one took, 0 if they ran side by side for less than sideBySide of it.
func together(n int, f func(i int)) float64 {
	const sideBySide = 0.85
	var wg sync.WaitGroup
	var ready atomic.Int32
	began, ended := make([]time.Time, n), make([]time.Time, n)
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread() // and never let go of: the thread ends with its CPU
			var cpu unix.CPUSet
			cpu.Set(i)
			if err := unix.SchedSetaffinity(0, &cpu); err != nil {
				panic(err) // there is no second CPU
			}
			for ready.Add(1); ready.Load() < int32(n); {
			}
			began[i] = time.Now()
			f(i)
			ended[i] = time.Now()
		})
	}
	wg.Wait()
	longest := time.Duration(0)
	for i := range n {
		longest = max(longest, ended[i].Sub(began[i]))
	}
	both := slices.MinFunc(ended, time.Time.Compare).Sub(slices.MaxFunc(began, time.Time.Compare))
	if float64(both) < sideBySide*float64(longest) {
		return 0
	}
	return float64(longest)
}

// quiet is what one in ten of the turns that count took at most: nobody disturbed those.
// It is not a number if none counts.
func quiet(turns []float64) float64 {
	turns = slices.DeleteFunc(turns, func(ns float64) bool { return ns == 0 })
	if len(turns) == 0 {
		return math.NaN()
	}
	slices.Sort(turns)
	return turns[len(turns)/10]
}

// BenchmarkLine is the rows lock.word and lock.line of the table of costs: a word of
// one's own changed, and one that another CPU changed last, with other work in between,
// since a CPU that changes a word again at once finds it where it was.
func BenchmarkLine(b *testing.B) {
	const each, work = 1000, 20 // some 20 ns
	var words [2]struct {
		_ [128]byte
		n atomic.Int64
		_ [128]byte
	}
	turn := func(change func(i int)) float64 {
		return together(2, func(i int) {
			x := uint64(i)
			for range each {
				change(i)
				for range work {
					x = x*3 + 1
				}
			}
			runtime.KeepAlive(x)
		}) / each
	}
	var none, own, shared []float64
	for range b.N {
		none = append(none, turn(func(int) {}))
		own = append(own, turn(func(i int) { words[i].n.Add(1) }))
		shared = append(shared, turn(func(int) { words[0].n.Add(1) }))
	}
	word := quiet(own)
	b.ReportMetric(word-quiet(none), "word-ns")
	b.ReportMetric(quiet(shared)-word, "line-ns")
	b.ReportMetric(0, "ns/op") // of all turns together: of no meaning
}

// BenchmarkFaultTogether is BenchmarkFaultScaling in short turns: first touches of
// frames that nobody has used for a while.
func BenchmarkFaultTogether(b *testing.B) {
	const n = 1024
	for _, locking := range []paging.Locking{paging.LockPerTable, paging.LockMM, paging.LockGlobal} {
		b.Run(fmt.Sprintf("locking=%v/goroutines=2", locking), func(b *testing.B) {
			w := newCrew(b, locking, "disjoint", 2)
			args := paging.MmapArgs{Addr: 1 << 32, Prot: protRW, Flags: anonymous | 0x10} // MAP_FIXED
			var refs [2][]paging.Ref
			for i := range refs {
				refs[i] = touches(args.Addr>>pageShift, w.order(i, 2)[:n], paging.Write)
			}
			var one, two []float64
			turn := func(k int) float64 {
				region(b, w.tasks[0], 2*crewPages, args)
				defer w.tasks[0].Munmap(args.Addr, 2*crewPages<<pageShift)
				return together(k, func(i int) { run(b, w.tasks[i], refs[i]) }) / n
			}
			for range b.N {
				one, two = append(one, turn(1)), append(two, turn(2))
			}
			alone, both := quiet(one), quiet(two)
			b.ReportMetric(alone, "one-ns")
			b.ReportMetric(both, "two-ns")
			b.ReportMetric(2*alone/both, "x-of-one")
			b.ReportMetric(0, "ns/op") // of both together: of no meaning
		})
	}
}

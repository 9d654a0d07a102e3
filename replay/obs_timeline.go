package replay

import (
	"math/bits"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

const (
	firstStep = 1024 // first width of a bucket, in accesses
	// A snapshot adds up what every thread has counted. With many threads it
	// would cost more than the accesses of a narrow bucket, so buckets become
	// wider: stepPerThread accesses or more for each living thread, as long as
	// there are fineBuckets of them.
	stepPerThread = 32
	fineBuckets   = 64
)

// timeline keeps cumulative snapshots of the model's counters at the ends of
// buckets of equal width. When it is full every second snapshot goes away and
// the width doubles: memory is bounded whatever the length of the trace, and
// since snapshots are cumulative nothing is lost but resolution. A bucket ends
// with the first reference that reaches its width, and so a reference that
// stands for many accesses can make it longer.
type timeline struct {
	limit    int
	step     uint64
	boundary uint64 // accesses at which the open bucket is full
	ends     []uint64
	rows     []paging.Stats
	working  *working    // nil: not counted
	sets     []firstUses // of the buckets, if it is
}

func newTimeline(buckets int) *timeline {
	return &timeline{limit: buckets, step: firstStep, boundary: firstStep}
}

// snapshot closes the open bucket after so many accesses, with so many threads
// alive. There is room for one more afterwards.
func (t *timeline) snapshot(accesses uint64, s paging.Stats, threads int) {
	t.ends = append(t.ends, accesses)
	t.rows = append(t.rows, s)
	if t.working != nil {
		t.sets = append(t.sets, t.working.take())
	}
	if len(t.ends) >= t.limit || len(t.ends) >= 2*fineBuckets && t.step < stepPerThread*uint64(threads) {
		t.halve()
	}
	t.boundary = (accesses/t.step + 1) * t.step
}

// halve makes one bucket of every two; an odd one at the end is open again.
func (t *timeline) halve() {
	n := 0
	for i := 1; i < len(t.ends); i += 2 {
		t.ends[n], t.rows[n] = t.ends[i], t.rows[i]
		if t.working != nil {
			t.sets[i].add(&t.sets[i-1])
			t.sets[n] = t.sets[i]
		}
		n++
	}
	if t.working != nil {
		if len(t.sets)%2 != 0 {
			t.working.open.add(&t.sets[len(t.sets)-1])
		}
		t.sets = t.sets[:n]
	}
	t.ends, t.rows = t.ends[:n], t.rows[:n]
	t.step *= 2
}

// finish closes the last bucket, which takes in what happened after the last
// access too.
func (t *timeline) finish(accesses uint64, s paging.Stats) {
	if n := len(t.ends); n > 0 && t.ends[n-1] == accesses {
		t.rows[n-1] = s
		if t.working != nil {
			t.sets[n-1].add(&t.working.open)
		}
		return
	}
	t.ends = append(t.ends, accesses)
	t.rows = append(t.rows, s)
	if t.working != nil {
		t.sets = append(t.sets, t.working.take())
	}
}

// quantity is one series: its name, unit, kind and where its value stands in
// the counters.
type quantity struct {
	name, unit string
	kind       result.SeriesKind
	value      func(*paging.Stats) uint64
}

// quantities is the table of the series of the time line. Series that are zero
// throughout are left out of the result.
func quantities() []quantity {
	q := []quantity{
		{"rss.anon", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.RSS.Anon }},
		{"rss.file", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.RSS.File }},
		{"rss.shmem", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.RSS.Shmem }},
		{"rss.swap", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.RSS.Swap }},
		{"huge", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.HugeBytes }},
		{"page_tables", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.PageTableBytes }},
		{"tlb.lookups", "lookups", result.Count, func(s *paging.Stats) uint64 { return s.TLB.Lookups() }},
		{"memory.charged", "bytes", result.Gauge, func(s *paging.Stats) uint64 { return s.Memory }},
		{"reclaim.evictions", "pages", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.Evictions }},
		{"reclaim.refaults", "pages", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.Refaults }},
		{"reclaim.kswapd", "pages", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.Kswapd.Stolen }},
		{"flusher.out", "bytes", result.Count, func(s *paging.Stats) uint64 { return (s.Flusher.Old + s.Flusher.Background) * paging.PageSize }},
		{"swap.in", "bytes", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.SwapIn * paging.PageSize }},
		{"swap.out", "bytes", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.SwapOut * paging.PageSize }},
		{"file.in", "bytes", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.FileIn * paging.PageSize }},
		{"file.out", "bytes", result.Count, func(s *paging.Stats) uint64 { return s.Reclaim.FileOut * paging.PageSize }},
		{"tlb.misses", "misses", result.Count, func(s *paging.Stats) uint64 { return s.TLB.Misses() }},
	}
	for k := range paging.NumFaultKinds {
		q = append(q, quantity{"faults." + paging.FaultKind(k).String(), "faults", result.Count,
			func(s *paging.Stats) uint64 { return s.Faults[k] }})
	}
	for c := range paging.NumFlushCauses {
		q = append(q, quantity{"tlb.flushes." + paging.FlushCause(c).String(), "flushes", result.Count,
			func(s *paging.Stats) uint64 { return s.Flushes[c].Requests }})
	}
	return q
}

// result is the time line without its series.
func (t *timeline) result() result.Timeline {
	out := result.Timeline{EndsAccesses: t.ends}
	if t.working != nil {
		out.WorkingSetAccesses = t.window()
	}
	return out
}

// series turns the snapshots into the series of the result.
func (t *timeline) series() []result.Series {
	out := []result.Series{}
	for _, q := range quantities() {
		values := make([]uint64, len(t.rows))
		var before, any uint64
		for i := range t.rows {
			v := q.value(&t.rows[i])
			any |= v
			if q.kind == result.Count {
				v, before = v-before, v
			}
			values[i] = v
		}
		if any != 0 {
			out = append(out, result.Series{Name: q.name, Unit: q.unit, Kind: q.kind, Values: values})
		}
	}
	if t.working != nil {
		out = append(out, result.Series{Name: "working_set", Unit: "bytes", Kind: result.Gauge, Values: t.workingSets()})
	}
	return out
}

// mostWindows is how many windows of the working set there are at most: what a
// program uses in the short run says little about how much memory it wants.
const mostWindows = 100

// windowShift is the power of two of the buckets in a window of the working set.
func (t *timeline) windowShift() int { return bits.Len(uint(len(t.ends)-1) / mostWindows) }

// window is the width of a window of the working set, in accesses.
func (t *timeline) window() uint64 { return t.step << t.windowShift() }

// workingSets are the pages used in the window that each bucket is in.
func (t *timeline) workingSets() []uint64 {
	steps := bits.Len64(t.window()/firstStep) - 1
	values := make([]uint64, len(t.ends))
	first, window := 0, uint64(0) // bucket with which the window begins, and its number
	from := uint64(0)             // where the bucket at hand begins
	for i, end := range t.ends {
		if window != from/t.window() {
			first, window = i, from/t.window()
		}
		values[first] += t.sets[i].pages(steps) * paging.PageSize
		for k := first + 1; k <= i; k++ {
			values[k] = values[first]
		}
		from = end
	}
	return values
}

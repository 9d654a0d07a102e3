package replay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// TestWorkingSet holds the series to distinct pages counted bucket by bucket, for
// time lines that merge their buckets often and never.
func TestWorkingSet(t *testing.T) {
	type use struct{ at, page uint64 }
	r := rand.New(rand.NewPCG(5, 5))
	for _, buckets := range []int{3, 10, 64, 5000} {
		var text strings.Builder
		fmt.Fprintf(&text, "# vmtrace text 1\nprocess op=start pid=1 tid=1\nsyscall mmap(0x10000000, 0x100000, 0x3, 0x32, -1, 0) = 0x10000000\n")
		var uses []use
		accesses := uint64(0)
		for i := range 40_000 {
			page := r.Uint64N(1 + uint64(i/200)%200)
			fmt.Fprintf(&text, "W 0x%x\n", 0x10000000+page<<12)
			uses = append(uses, use{accesses, page})
			accesses++
		}
		m := paging.DefaultConfig()
		m.Memory, m.Swap, m.Reclaim = 32<<12, 1<<40, "fifo"
		run := replayed(t, open(t, text.String()), Options{Model: m, Buckets: buckets})
		var got *result.Series
		for i := range run.Series {
			if run.Series[i].Name == "working_set" {
				got = &run.Series[i]
			}
		}
		if got == nil {
			t.Fatal("no series")
		}
		window := run.Timeline.WorkingSetAccesses
		if n := uint64(len(uses)) / window; n > mostWindows || buckets > 10 && n < 10 {
			t.Errorf("%d buckets: a window of %d accesses", buckets, window)
		}
		seen := map[use]bool{} // by window
		pages := map[uint64]uint64{}
		for _, u := range uses {
			if in := (use{u.at / window, u.page}); !seen[in] {
				seen[in] = true
				pages[in.at]++
			}
		}
		from := uint64(0)
		for b, end := range run.Timeline.EndsAccesses {
			if want := pages[from/window] * paging.PageSize; got.Values[b] != want {
				t.Errorf("%d buckets: in accesses %d to %d a working set of %d bytes, want %d", buckets, from, end, got.Values[b], want)
			}
			from = end
		}
	}
}

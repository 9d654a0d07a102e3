package replay

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// limited replays a trace under a limit with an exact policy.
func limited(t *testing.T, path, policy string, pages uint64, change func(*paging.Config)) *result.Run {
	t.Helper()
	c := paging.DefaultConfig()
	c.Cache, c.Memory, c.Swap, c.Reclaim, c.ReclaimExact = paging.CacheCold, pages*paging.PageSize, 1<<44, policy, true
	if change != nil {
		change(&c)
	}
	run, err := RunTrace(context.Background(), func() (trace.Source, error) { return trace.Open(path) }, Options{Model: c})
	if err != nil {
		t.Fatalf("%s: %s in %d pages: %v", path, policy, pages, err)
	}
	return run
}

// TestOptimalIsBound: on the bundled traces no policy brings back fewer pages, or
// has fewer major faults, than Belady's. RunTrace itself fails if the uses of
// the two passes are not as many.
func TestOptimalIsBound(t *testing.T) {
	files, err := filepath.Glob("../traces/*.vmt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			for _, pages := range []uint64{16, 60, 200} {
				bound := limited(t, file, "opt", pages, nil).Totals
				for _, policy := range []string{"lru", "fifo", "clock", "sieve"} {
					got := limited(t, file, policy, pages, nil).Totals
					if got.Reclaim.Refaults < bound.Reclaim.Refaults || got.Faults.Major < bound.Faults.Major {
						t.Errorf("%d pages: %s brought back %d pages in %d major faults, opt %d in %d", pages, policy,
							got.Reclaim.Refaults, got.Faults.Major, bound.Reclaim.Refaults, bound.Faults.Major)
					}
				}
			}
		})
	}
}

// TestFutureInBlocks turns a sequence longer than a block and holds it to what is
// found going forwards, in memory.
func TestFutureInBlocks(t *testing.T) {
	p, err := newPast()
	if err != nil {
		t.Fatal(err)
	}
	defer p.file.Close()
	var want []uint64
	at, last := map[uint32]int{}, uint32(0)
	x := uint32(7)
	for range 3 * turnBlock {
		x = x*1664525 + 1013904223
		page := 2 + x>>16%400
		if x>>28 == 0 {
			p.end(page)
			delete(at, page)
			if page == last {
				last = 0
			}
			continue
		}
		p.use(page, false)
		if page == last {
			continue
		}
		if i, ok := at[page]; ok {
			want[i] = uint64(len(want))
		}
		at[page], last = len(want), page
		want = append(want, paging.NoNextUse)
	}
	saw, err := p.turn()
	if err != nil {
		t.Fatal(err)
	}
	defer saw.file.Close()
	f := saw.reader()
	for i, n := range want {
		if got := f.Next(); got != n {
			t.Fatalf("use %d of %d is followed by one at %d, want %d", i, len(want), int64(got), int64(n))
		}
	}
	if got := f.Next(); got != paging.NoNextUse || f.err != nil {
		t.Errorf("beyond the end: %d, %v", got, f.err)
	}
}

// TestOptimalKilled: what is known of the future is wrong once a process is killed.
func TestOptimalKilled(t *testing.T) {
	run := limited(t, "../traces/sort.vmt", "opt", 16, func(c *paging.Config) { c.Swap = 0 })
	if run.Totals.Reclaim.OOMKills == 0 || !strings.Contains(strings.Join(run.Warnings, "\n"), "what is counted is no bound") {
		t.Errorf("%d killed; warnings %q", run.Totals.Reclaim.OOMKills, run.Warnings)
	}
}

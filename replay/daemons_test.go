package replay

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// sweep is a trace of a process that writes so many pages in order.
func sweep(pages int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "process op=start pid=1 tid=1\nsyscall mmap(0x10000000, %#x, 0x3, 0x22, -1, 0) = 0x10000000\n", pages*paging.PageSize)
	for i := range pages {
		fmt.Fprintf(&b, "W %#x\n", 0x10000000+i*paging.PageSize)
	}
	return b.String()
}

// TestKswapdInTime: a machine of 1024 pages, whose marks are 64, 80 and 96 (see
// paging.TestKswapd), and a program that writes 1000. The page that is taken when 80 are
// free, the 945th, wakes kswapd, which runs 5000 ns later: after the third fault of 2100
// ns. By then 947 pages are there; 32 of them leave, which makes more than 96 free.
// The same happens 30 faults later, when 80 are free again. Where faults take no time
// kswapd never gets to run, and the program makes room itself, 32 pages each time that
// but 64 are free.
func TestKswapdInTime(t *testing.T) {
	costs, err := ParseCosts([]byte(`{"costs": [{"what": "access", "ns": 0}, {"what": "fault.demand_zero", "ns": 0}]}`), "none")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		costs  Costs
		kswapd uint64 // runs
		want   uint64 // pages that left
		direct uint64 // stalls
	}{
		{DefaultCosts(), 2, 64, 0},
		{costs, 1, 64, 2},
	} {
		opts := lessonOptions(t, "#options memory=4194304 swap=1073741824 cache=cold kswapd=1")
		opts.Costs = c.costs
		text := rewritten(t, open(t, sweep(1000)))
		run, err := Run(context.Background(), open(t, text), opts)
		if err != nil {
			t.Fatal(err)
		}
		r := &run.Totals.Reclaim
		if r.Kswapd.Runs != c.kswapd || r.Direct.Runs != c.direct || r.Evictions != c.want || r.Kswapd.Stolen+r.Direct.Stolen != c.want || (c.direct == 0) != (r.Direct.Stolen == 0) {
			t.Errorf("%s: kswapd %+v, direct %+v, %d evictions", c.costs.Name(), *r.Kswapd, *r.Direct, r.Evictions)
		}
		if w := run.Config.Watermarks; *w != (result.Watermarks{MinBytes: 64 << 12, LowBytes: 80 << 12, HighBytes: 96 << 12}) {
			t.Errorf("%+v", *w)
		}
		for what, src := range variants(t, text) {
			again, err := Run(context.Background(), src, opts)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := counts(t, run), counts(t, again); a != b {
				t.Errorf("%s: another result: %s", what, firstDifference(a, b))
			}
		}
	}
}

// TestDaemonsAnyWorkers: the bundled traces, with everything in the background, give the
// same bytes whatever the number of workers and whoever shares the decode.
func TestDaemonsAnyWorkers(t *testing.T) {
	for _, name := range []string{"fork", "threads"} {
		open := func() (trace.Source, error) { return trace.Open("../traces/" + name + ".vmt") }
		all := func(workers int) []Options {
			all := everyPolicy(300)
			for i := range all {
				all[i].Model.Kswapd, all[i].Model.Flusher, all[i].Workers = true, true, workers
			}
			warm := Options{Model: paging.DefaultConfig(), Workers: workers}
			warm.Model.Flusher = true
			return append(all, warm)
		}
		want, err := RunAll(context.Background(), open, all(1))
		if err != nil {
			t.Fatal(err)
		}
		got, err := RunAll(context.Background(), open, all(4))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if a, b := counts(t, want[i]), counts(t, got[i]); a != b {
				t.Errorf("%s, %s: %s", name, want[i].Config.Reclaim, firstDifference(a, b))
			}
		}
	}
}

// TestTimeOfDaemons: time is accesses and faults by the table of costs, and never less
// than what Time records tell; these count from the first.
func TestTimeOfDaemons(t *testing.T) {
	c, costs := paging.DefaultConfig(), DefaultCosts()
	c.Kswapd = true
	d := newDaemons(&c, &costs)
	d.fault(&paging.FaultInfo{Kind: paging.DemandZero, Outcome: paging.Minor})
	d.fault(&paging.FaultInfo{Kind: paging.SwapIn, Outcome: paging.Major})
	want := uint64(2100 + 3300 + 100_000 + 7)
	if got := d.now(7); got != want {
		t.Errorf("%d ns, not %d", got, want)
	}
	for _, step := range []struct{ told, want uint64 }{
		{1 << 40, want},             // the first says when it is now
		{1<<40 - 5, want},           // it does not go back
		{1<<40 + 5000, want + 5000}, // it was later
		{1<<40 + 4000, want + 5000},
	} {
		d.tell(step.told, 7)
		if got := d.now(7); got != step.want {
			t.Errorf("told %d: %d ns, not %d", step.told, got, step.want)
		}
	}
	if got := d.now(8); got != want+5001 {
		t.Errorf("and goes on from there: %d", got)
	}
}

// TestTooMuchDirty: on a machine of 1024 pages with the mark high at 96 (see
// TestKswapdInTime) that holds nothing but pages of files, 1024-96+1 could be dirty
// (global_dirtyable_memory), and 409/4096 of them may be (domain_dirty_limits): 92. A
// program that makes 128 pages of a file dirty has 93 of them written at once.
func TestTooMuchDirty(t *testing.T) {
	opts := lessonOptions(t, "#options memory=4194304 cache=cold kswapd=1 flusher=1")
	var b strings.Builder
	fmt.Fprintln(&b, "process op=start pid=1 tid=1\nfile id=1 dev=0x801 ino=7 size=524288 fd=4 path=\"/data\"\nsyscall mmap(0x10000000, 0x80000, 0x3, 0x11, 3, 0) = 0x10000000")
	for i := range 128 {
		fmt.Fprintf(&b, "W %#x\n", 0x10000000+i*paging.PageSize)
	}
	fmt.Fprintln(&b, "W 0x10000000") // is noticed again
	run, err := Run(context.Background(), open(t, b.String()), opts)
	if err != nil {
		t.Fatal(err)
	}
	if w := run.Totals.WriteBack; *w != (result.WriteBack{BackgroundBytes: 93 << 12}) {
		t.Errorf("%+v", *w)
	}
	if r := &run.Totals.Reclaim; r.FileOutBytes != 93<<12 || r.Evictions != 0 || run.Totals.Faults.Kinds["mkwrite"] != 1 {
		t.Errorf("%+v, %v", *r, run.Totals.Faults.Kinds)
	}
}

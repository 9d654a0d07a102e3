package replay

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// everyPolicy is one configuration for each policy.
func everyPolicy(pages uint64) []Options {
	var all []Options
	for _, p := range paging.Policies() {
		m := paging.DefaultConfig()
		m.Memory, m.Swap, m.Cache, m.Reclaim = pages*paging.PageSize, 1<<44, paging.CacheCold, p[0]
		all = append(all, Options{Model: m})
	}
	return all
}

// TestRunAll: configurations that share one decode give the same bytes as each
// alone.
func TestRunAll(t *testing.T) {
	for _, name := range []string{"fork", "sort", "threads"} {
		open := func() (trace.Source, error) { return trace.Open("../traces/" + name + ".vmt") }
		all := everyPolicy(100)
		together, err := RunAll(context.Background(), open, all)
		if err != nil {
			t.Fatal(err)
		}
		for i, opts := range everyPolicy(100) {
			alone, err := RunTrace(context.Background(), open, opts)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := document(t, together[i]), document(t, alone); got != want {
				t.Errorf("%s, %s: together\n%s\nalone\n%s", name, opts.Model.Reclaim, got, want)
			}
		}
	}
}

// TestFewFrames: a real program with processes ends under every policy, however few
// frames there are, and is out of memory only with one: a copy takes two. Before, the
// policy linux gave up below 11.
func TestFewFrames(t *testing.T) {
	open := func() (trace.Source, error) { return trace.Open("../traces/fork.vmt") }
	for _, frames := range []uint64{1, 2, 5, 10} {
		runs, err := RunAll(context.Background(), open, everyPolicy(frames))
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			if oom := run.Totals.Reclaim.Outcome == result.PressureOOM; oom != (frames == 1) {
				t.Errorf("%s with %d frames: %s, %d processes killed", run.Config.Reclaim, frames, run.Totals.Reclaim.Outcome, run.Totals.Reclaim.OOMKills)
			}
		}
	}
}

func document(t *testing.T, run *result.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := run.Counts().Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// failing is a source that ends in an error.
type failing struct {
	trace.Source
	left int
}

var errBroken = errors.New("the disk is gone")

func (f *failing) Next() (*trace.Batch, error) {
	if f.left--; f.left < 0 {
		return nil, errBroken
	}
	return f.Source.Next()
}

// TestRunAllFails: one failure is a failure of all, it is told, and nobody waits
// for the others.
func TestRunAllFails(t *testing.T) {
	before := runtime.NumGoroutine()
	open := func() (trace.Source, error) { return trace.Open("../traces/sort.vmt") }
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	invalid := everyPolicy(100)
	invalid[4].Model.CPUs = -1
	for _, c := range []struct {
		what string
		ctx  context.Context
		open func() (trace.Source, error)
		opts []Options
		want string
	}{
		{"a configuration", context.Background(), open, invalid, "fifo in 409600 bytes: -1 CPUs"},
		{"the source", context.Background(), func() (trace.Source, error) {
			src, err := open()
			return &failing{src, 40}, err
		}, everyPolicy(100), errBroken.Error()},
		{"an interrupt", cancelled, open, everyPolicy(100), context.Canceled.Error()},
		{"one engine", context.Background(), func() (trace.Source, error) {
			bad := append(events(startEvent(1)), trace.Batch{Thread: 1, Refs: []trace.Ref{{VPN: 5, Reads: 1}}})
			return &list{batches: bad}, nil
		}, everyPolicy(100)[4:], "corrupt trace"},
	} {
		if _, err := RunAll(c.ctx, c.open, c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.what, err, c.want)
		}
	}
	for range 100 { // decoders end in their own time
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before %d", runtime.NumGoroutine(), before)
}

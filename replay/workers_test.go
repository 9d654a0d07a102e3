package replay

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// TestWorkers: the result of every bundled trace has the same bytes for any number of
// workers, and under a limit for two. VMTRACE_REPEAT says how often each is replayed,
// once by default.
func TestWorkers(t *testing.T) {
	times := 1
	if s := os.Getenv("VMTRACE_REPEAT"); s != "" {
		var err error
		if times, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob("../traces/*.vmt")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d bundled traces, %v", len(paths), err)
	}
	limited := paging.DefaultConfig()
	limited.Memory, limited.Swap, limited.Cache = 500*paging.PageSize, 1<<40, paging.CacheCold
	for _, path := range paths {
		for _, c := range []struct {
			name    string
			model   paging.Config
			workers []int
		}{
			{"", paging.DefaultConfig(), []int{2, 3, 8}},
			{"/limit", limited, []int{2}},
		} {
			t.Run(filepath.Base(path)+c.name, func(t *testing.T) {
				t.Parallel()
				replay := func(workers int) string {
					open := func() (trace.Source, error) {
						return trace.Open(path, trace.WithWorkers(workers), trace.WithWords(Word))
					}
					run, err := RunTrace(context.Background(), open, Options{Model: c.model, Workers: workers, Path: path})
					if err != nil {
						t.Fatal(err)
					}
					return document(t, run)
				}
				want := replay(1)
				for range times - 1 {
					if replay(1) != want {
						t.Fatal("1 worker differs from itself")
					}
				}
				for range times {
					for _, n := range c.workers {
						if got := replay(n); got != want {
							t.Fatalf("%d workers:\n%s\n1 worker:\n%s", n, got, want)
						}
					}
				}
			})
		}
	}
}

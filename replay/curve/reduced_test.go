package curve

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/capture"
	"github.com/vmtrace/vmtrace/trace/reduce"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// TestReducedIsExact holds reduced traces to full ones (package trace/reduce, after
// Kaplan, Smaragdakis and Wilson): for K of 2 to 64 both give the same minor and
// major faults and bytes written back under exact LRU with every memory of K pages
// or more, the same faults by kind, resident memory and flushes, and the same TLB
// misses with K ways or more.
func TestReducedIsExact(t *testing.T) {
	files := []string{recorded(t, "sort", "-r", "curve.go"), recorded(t, "gzip", "-9", "-c", "stack.go"), generated(t, "zipf", synth.Params{Writes: 30, Pages: 500, Refs: 40000}),
		generated(t, "fork-server", synth.Params{Writes: 30, Pages: 200}), generated(t, "mix", synth.Params{Writes: 30, Pages: 300, Refs: 40000, Threads: 2})}
	for seed := range uint64(12) {
		name := filepath.Join(t.TempDir(), fmt.Sprintf("random-%d.txt", seed))
		if err := os.WriteFile(name, []byte(program(rand.New(rand.NewPCG(seed, 9)))), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			full := curveOf(t, file)
			for _, k := range []int{2, 4, 8, 16, 64} {
				small := reduced(t, file, k)
				sameFrom(t, k, curveOf(t, small), full)
				sameCounts(t, k, countsOf(t, small, k), countsOf(t, file, k))
			}
		})
	}
}

// recorded is a real program, every page run of it. (The bundled traces are reduced:
// reducing twice is not exact, since what was dropped is missing between the
// references that are left.)
func recorded(t *testing.T, command ...string) string {
	tool := &capture.Tools[0]
	if err := tool.Check(); err != nil {
		t.Skip(err)
	}
	return written(t, func(open func(trace.Header) (*trace.Writer, error)) error {
		_, err := tool.Record(context.Background(), capture.Options{Command: command, Stdout: io.Discard, Stderr: io.Discard}, open)
		return err
	})
}

// generated is a small synthetic workload.
func generated(t *testing.T, name string, p synth.Params) string {
	return written(t, func(open func(trace.Header) (*trace.Writer, error)) error {
		return synth.Generate(name, p, func(h trace.Header) (trace.Sink, error) { return open(h) })
	})
}

// written is a trace file that make writes.
func written(t *testing.T, make func(open func(trace.Header) (*trace.Writer, error)) error) string {
	f, err := os.CreateTemp(t.TempDir(), "*.vmt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := make(func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(f, h) }); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// reduced writes the trace with K.
func reduced(t *testing.T, file string, k int) string {
	src, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	name := filepath.Join(t.TempDir(), fmt.Sprintf("%d.vmt", k))
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := *src.Header()
	h.Reduce = k
	w, err := trace.NewWriter(f, h)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := reduce.New(w, k)
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Copy(sink, src); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func curveOf(t *testing.T, file string) *result.Curve {
	c, err := Run(context.Background(), func() (trace.Source, error) { return trace.Open(file) }, Options{Replay: replay.Options{Model: model()}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// countsOf is the result without a limit, with a TLB of K ways at every level.
func countsOf(t *testing.T, file string, k int) *result.Run {
	src, err := trace.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	m := model()
	g := paging.TLBGeometry{Entries: 4 * k, Ways: k}
	m.TLB = paging.TLBConfig{L1I: g, L1D: g, L2: paging.TLBGeometry{Entries: 16 * k, Ways: k}}
	run, err := replay.Run(context.Background(), src, replay.Options{Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func sameFrom(t *testing.T, k int, got, want *result.Curve) {
	t.Helper()
	if len(got.Points) != len(want.Points) {
		t.Fatalf("K = %d: %d sizes, the full trace has %d", k, len(got.Points), len(want.Points))
	}
	for i, p := range want.Points {
		if p.Bytes >= uint64(k)*paging.PageSize && got.Points[i] != p {
			t.Fatalf("K = %d: %+v, the full trace has %+v", k, got.Points[i], p)
		}
	}
}

func sameCounts(t *testing.T, k int, got, want *result.Run) {
	t.Helper()
	g, w := &got.Totals, &want.Totals
	if !reflect.DeepEqual(g.Faults, w.Faults) || g.RSS != w.RSS || !reflect.DeepEqual(g.TLB.Flushes, w.TLB.Flushes) || g.Accesses != w.Accesses {
		t.Errorf("K = %d: %+v, the full trace has %+v", k, g, w)
	}
	if g.TLB.Misses != w.TLB.Misses || g.TLB.Lookups != w.TLB.Lookups {
		t.Errorf("K = %d: TLB %+v, the full trace has %+v", k, g.TLB, w.TLB)
	}
}

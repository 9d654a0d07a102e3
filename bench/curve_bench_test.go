package bench

import (
	"bytes"
	"context"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/curve"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// BenchmarkCurve makes the exact curve of faults against memory, and estimates from
// samples of 1 % of the pages, from bytes to a result.
func BenchmarkCurve(b *testing.B) {
	all := inputs(b)
	zipf := input{name: "zipf-written", data: written(b, 1<<20, 4<<20)}
	zipf.refs, zipf.accesses = decodeAll(b, zipf.data)
	for _, in := range append(all, zipf) {
		for _, how := range []struct {
			name string
			rate float64
		}{{"exact", 1}, {"sampled", 0.01}} {
			b.Run("how="+how.name+"/trace="+in.name, func(b *testing.B) {
				open := func() (trace.Source, error) { return trace.NewReader(bytes.NewReader(in.data)) }
				cpu := startProcessor()
				for range b.N {
					c, err := curve.Run(context.Background(), open, curve.Options{Points: 100, Rate: how.rate, Replay: replay.Options{Model: paging.DefaultConfig()}})
					if err != nil {
						b.Fatal(err)
					}
					if c.Trace.Refs != in.refs {
						b.Fatalf("%d references, want %d", c.Trace.Refs, in.refs)
					}
				}
				cpu.report(b, int(in.refs))
				rates(b, in)
			})
		}
	}
}

// written is zipf of which every page is written, so that it is charged.
func written(b *testing.B, pages, refs uint64) []byte {
	b.Helper()
	var buf bytes.Buffer
	err := synth.Generate("zipf", synth.Params{Pages: pages, Refs: refs, Seed: 1, Writes: 100}, func(h trace.Header) (trace.Sink, error) {
		return trace.NewWriter(&buf, h)
	})
	if err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// input is a trace held in memory, so that no disk is measured.
type input struct {
	name           string
	data           []byte
	refs, accesses uint64
}

// inputs are the bundled real traces, one more that VMTRACE_BENCH names, and three
// generated ones.
func inputs(b *testing.B) []input {
	b.Helper()
	var out []input
	paths, err := filepath.Glob("../traces/*.vmt")
	if err != nil || len(paths) == 0 {
		b.Fatalf("no bundled traces: %v", err)
	}
	if more := os.Getenv("VMTRACE_BENCH"); more != "" {
		paths = append(paths, more)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, input{name: strings.TrimSuffix(filepath.Base(p), ".vmt"), data: data})
	}
	for _, name := range []string{"sequential", "zipf"} {
		out = append(out, input{name: "gen-" + name, data: generated(b, name, synth.Params{Pages: 1 << 20, Refs: 4 << 20, Seed: 1})})
	}
	loop := synth.Params{Pages: 1 << 16, Refs: 4 << 20, Window: 1 << 14, Threads: 4, Seed: 1} // on four CPUs, and hardly any faults
	out = append(out, input{name: "gen-loop-4", data: generated(b, "loop", loop)})
	for i := range out {
		out[i].refs, out[i].accesses = decodeAll(b, out[i].data)
	}
	return out
}

func generated(b *testing.B, name string, p synth.Params) []byte {
	b.Helper()
	var buf bytes.Buffer
	err := synth.Generate(name, p, func(h trace.Header) (trace.Sink, error) {
		return trace.NewWriter(&buf, h)
	})
	if err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

func decodeAll(b *testing.B, data []byte) (refs, accesses uint64) {
	src, err := trace.NewReader(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	for {
		batch, err := src.Next()
		if errors.Is(err, io.EOF) {
			return refs, accesses
		}
		if err != nil {
			b.Fatal(err)
		}
		refs += uint64(len(batch.Refs))
		for i := range batch.Refs {
			accesses += batch.Refs[i].Accesses()
		}
	}
}

// BenchmarkDecode reads whole traces and adds up their accesses.
func BenchmarkDecode(b *testing.B) {
	for _, in := range inputs(b) {
		b.Run("trace="+in.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if refs, _ := decodeAll(b, in.data); refs != in.refs {
					b.Fatalf("%d references, want %d", refs, in.refs)
				}
			}
			rates(b, in)
		})
	}
}

// replayed is the main job from bytes to a result: decode, model with default TLB,
// time line and per-mapping totals.
func (in *input) replayed(b *testing.B, workers int) {
	src, err := trace.NewReader(bytes.NewReader(in.data), trace.WithWorkers(workers), trace.WithWords(replay.Word))
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	run, err := replay.Run(context.Background(), src, replay.Options{Model: paging.DefaultConfig(), Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if run.Trace.Accesses != in.accesses {
		b.Fatalf("%d accesses, want %d", run.Trace.Accesses, in.accesses)
	}
}

// BenchmarkReplay is the main job with one worker.
func BenchmarkReplay(b *testing.B) {
	for _, in := range inputs(b) {
		b.Run("trace="+in.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				in.replayed(b, 1)
			}
			rates(b, in)
		})
	}
}

// BenchmarkReplayBeside is the main job beside the half of it that only decodes, and
// with two workers beside one.
func BenchmarkReplayBeside(b *testing.B) {
	for _, in := range inputs(b) {
		n := int(in.refs)
		one := Timed(n, func() { in.replayed(b, 1) })
		b.Run("trace="+in.name+"/other=decode", func(b *testing.B) {
			Pair(b, "ref", "decode", one, Timed(n, func() { decodeAll(b, in.data) }))
		})
		b.Run("trace="+in.name+"/other=one-worker", func(b *testing.B) {
			Pair(b, "ref", "one-worker", Timed(n, func() { in.replayed(b, 2) }), one)
		})
	}
}

func rates(b *testing.B, in input) {
	perRef(b, int(in.refs), "ref")
	b.ReportMetric(float64(in.accesses)*float64(b.N)/b.Elapsed().Seconds(), "accesses/s")
	b.ReportMetric(float64(len(in.data))/float64(in.accesses), "B/access")
}

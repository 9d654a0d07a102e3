package trace

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The trace that the benchmarks read: VMTRACE_BENCH, or a made-up one that
// repeats itself as programs do. Numbers worth telling come from a real one:
//
//	VMTRACE_BENCH=gzip.vmt go test ./trace -run '^$' -bench Decode
func benchData(b *testing.B) []byte {
	b.Helper()
	if path := os.Getenv("VMTRACE_BENCH"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{Origin: "generated"})
	if err != nil {
		b.Fatal(err)
	}
	refs := make([]Ref, 1<<16)
	for round := range 64 {
		for i := range refs {
			x := uint64(i * (i + round%4))
			refs[i] = Ref{VPN: 0x7f0000000 + x%97, Offset: uint16(8 * x % 4096), First: Read, Reads: 1 + uint32(x%5)}
			if i%3 == 0 {
				refs[i] = Ref{VPN: 0x400 + uint64(i%7), Offset: uint16(16*i) % 4096, First: Exec, Execs: uint32(3 + i%13)}
			}
		}
		if err := w.Refs(1, refs, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// BenchmarkDecode reads a whole trace from memory; zstd=d is the zstd command
// on the same file, to measure against (its wall time, start and writing to
// /dev/null included).
func BenchmarkDecode(b *testing.B) {
	data := benchData(b)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			var refs, accesses uint64
			b.ReportAllocs()
			for b.Loop() {
				refs, accesses = decodeAll(b, data, WithWorkers(workers))
			}
			perSecond := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(float64(refs)*perSecond/1e6, "Mrefs/s")
			b.ReportMetric(float64(accesses)*perSecond/1e6, "Maccesses/s")
			b.ReportMetric(float64(len(data))/float64(accesses), "B/access")
		})
	}
	b.Run("zstd=d", func(b *testing.B) {
		zstd, err := exec.LookPath("zstd")
		if err != nil {
			b.Skip("the zstd command is missing: apt-get install zstd")
		}
		path := filepath.Join(b.TempDir(), "x.vmt.zst")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if out, err := exec.Command(zstd, "-dqf", path, "-o", os.DevNull).CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		}
	})
}

func decodeAll(b *testing.B, data []byte, opts ...ReaderOption) (refs, accesses uint64) {
	r, err := NewReader(bytes.NewReader(data), opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	index, err := readIndex(bytes.NewReader(data), int64(len(data)), r.feed.(*streamFeed).offset)
	if err != nil {
		b.Fatal(err)
	}
	for i := range index {
		accesses += index[i].Accesses
	}
	for {
		batch, err := r.Next()
		if err == io.EOF {
			return refs, accesses
		}
		if err != nil {
			b.Fatal(err)
		}
		refs += uint64(len(batch.Refs))
	}
}

// BenchmarkEncode writes the references of the trace again.
func BenchmarkEncode(b *testing.B) {
	refs, _ := someRefs(b)
	for _, level := range []int{1, 3, 7, 19} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			var size int64
			for b.Loop() {
				w, err := NewWriter(io.Discard, Header{}, WithLevel(level))
				if err != nil {
					b.Fatal(err)
				}
				if err := w.Refs(1, refs, nil); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				size = w.Written()
			}
			b.ReportMetric(float64(b.N*len(refs))/b.Elapsed().Seconds()/1e6, "Mrefs/s")
			b.ReportMetric(float64(size)/float64(len(refs)), "B/ref")
		})
	}
}

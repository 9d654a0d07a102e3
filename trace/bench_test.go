package trace

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// benchData is the trace that the benchmarks read: VMTRACE_BENCH, or the bundled
// one of sort, which is real but small. Made-up references repeat themselves as
// no program does. Numbers worth telling come from a large recording:
//
//	VMTRACE_BENCH=gzip.vmt go test ./trace -run '^$' -bench Decode
func benchData(b *testing.B) []byte {
	b.Helper()
	path := os.Getenv("VMTRACE_BENCH")
	if path == "" {
		path = filepath.Join("..", "traces", "sort.vmt")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkDecode reads a whole trace from memory; zstd=d is the zstd command
// on the same file, to measure against (start and writing to /dev/null
// included). cpu-s/op is processor time: on a machine that does other work too,
// trust it more than the time that passed.
func BenchmarkDecode(b *testing.B) {
	data := benchData(b)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			var refs, accesses uint64
			b.ReportAllocs()
			began := processorTime(b)
			for b.Loop() {
				refs, accesses = decodeAll(b, data, WithWorkers(workers))
			}
			b.ReportMetric((processorTime(b)-began).Seconds()/float64(b.N), "cpu-s/op")
			perSecond := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(float64(refs)*perSecond/1e6, "Mrefs/s")
			b.ReportMetric(float64(accesses)*perSecond/1e6, "Maccesses/s")
			b.ReportMetric(float64(len(data))/float64(accesses), "B/access")
		})
	}
	b.Run("zstd=d", func(b *testing.B) {
		zstd := zstdCommand(b)
		path := filepath.Join(b.TempDir(), "x.vmt.zst")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		var cpu time.Duration
		for b.Loop() {
			cmd := exec.Command(zstd, "-dqf", path, "-o", os.DevNull)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
		b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	})
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func decodeAll(b *testing.B, data []byte, opts ...ReaderOption) (refs, accesses uint64) {
	r, err := NewReader(bytes.NewReader(data), opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	index := indexOf(b, data)
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

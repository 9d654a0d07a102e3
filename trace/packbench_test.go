package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os/exec"
	"testing"
)

// BenchmarkPacking writes and reads the trace of the benchmarks as it is by default
// and packed, both without offsets, and holds their sizes against what the zstd
// command makes at level 19 of a word of page and kind for each access, which is
// how one would keep accesses without a format.
func BenchmarkPacking(b *testing.B) {
	data := benchData(b)
	plain := plainSize(b, data)
	for _, how := range []struct {
		name string
		opts []WriterOption
	}{{"default", nil}, {"packed", []WriterOption{WithPacking()}}} {
		b.Run("how="+how.name, func(b *testing.B) {
			var file bytes.Buffer
			var refs, accesses uint64
			began := processorTime(b)
			for b.Loop() {
				file.Reset()
				rewrite(b, &file, data, how.opts)
			}
			wrote := processorTime(b)
			for range b.N {
				refs, accesses = decodeAll(b, file.Bytes())
			}
			read := processorTime(b)
			b.ReportMetric(float64(wrote-began)/float64(uint64(b.N)*refs), "encode-ns/ref")
			b.ReportMetric(float64(read-wrote)/float64(uint64(b.N)*refs), "decode-ns/ref")
			b.ReportMetric(float64(file.Len())/float64(accesses), "B/access")
			b.ReportMetric(float64(plain)/float64(file.Len()), "x-smaller-than-zstd-19")
		})
	}
}

// rewrite writes the trace in data to w.
func rewrite(b *testing.B, w io.Writer, data []byte, opts []WriterOption) {
	b.Helper()
	src, err := NewReader(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	dst, err := NewWriter(w, *src.Header(), append(opts, WithoutOffsets())...)
	if err != nil {
		b.Fatal(err)
	}
	if err := Copy(dst, src); err != nil {
		b.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		b.Fatal(err)
	}
}

// plainSize is how many bytes zstd -19 makes of 8 bytes of page and kind for each
// access.
func plainSize(b *testing.B, data []byte) (size int64) {
	b.Helper()
	tool := zstdCommand(b)
	cmd := exec.Command(tool, "-19", "-c")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		written <- writePlain(in, data)
		in.Close()
	}()
	if size, err = io.Copy(io.Discard, out); err != nil {
		b.Fatal(err)
	}
	if err := <-written; err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return size
}

func writePlain(w io.Writer, data []byte) error {
	src, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer src.Close()
	out := bufio.NewWriterSize(w, 1<<20)
	var word []byte
	for {
		batch, err := src.Next()
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		for i := range batch.Refs {
			r := &batch.Refs[i]
			left := [...]uint32{Read: r.Reads, Write: r.Writes, Exec: r.Execs}
			left[r.First]--
			word = binary.LittleEndian.AppendUint64(word[:0], r.VPN<<2|uint64(r.First))
			for kind, n := range left {
				for range n {
					word = binary.LittleEndian.AppendUint64(word, r.VPN<<2|uint64(kind))
				}
			}
			if _, err := out.Write(word); err != nil {
				return err
			}
		}
	}
}

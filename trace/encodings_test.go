package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The layouts that BenchmarkLayouts compares. Each makes a raw block of references;
// only sizes and speed are looked at, so the others need no decoder.
var layouts = []struct {
	name   string
	encode func(dst []byte, refs []Ref) []byte
}{
	{"words", wordLayout},
	{"back", backLayout},
	{"symbols", func(dst []byte, refs []Ref) []byte { return symbolLayout(dst, refs, fixedCount, true) }},
	{"symbols-open", func(dst []byte, refs []Ref) []byte { return symbolLayout(dst, refs, fixedCountReduced, true) }},
	{"symbols-offsets", func(dst []byte, refs []Ref) []byte { return symbolLayout(dst, refs, fixedCount, false) }},
}

// wordLayout is the baseline: one 8-byte word of page and kind for each
// reference; counts and offsets are lost.
func wordLayout(dst []byte, refs []Ref) []byte {
	for i := range refs {
		dst = binary.LittleEndian.AppendUint64(dst, refs[i].VPN<<2|uint64(refs[i].First))
	}
	return dst
}

// backLayout says of each reference how many references ago its page was used
// (1 to 127), or the delta to the page before, in columns of token, delta, kind
// and counts; offsets are lost.
func backLayout(dst []byte, refs []Ref) []byte {
	var tokens, deltas, meta, counts []byte
	last := map[uint64]int{}
	var prev uint64
	for i := range refs {
		r := &refs[i]
		if at, ok := last[r.VPN]; ok && i-at <= 127 {
			tokens = append(tokens, byte(i-at))
		} else {
			d := zigzag(int64(r.VPN - prev))
			tokens = append(tokens, byte(128+(bits.Len64(d)+7)/8))
			for ; d != 0; d >>= 8 {
				deltas = append(deltas, byte(d))
			}
		}
		last[r.VPN], prev = i, r.VPN
		m := byte(r.First) | 1<<5
		for k, n := range [3]uint32{r.Reads, r.Writes, r.Execs} {
			if n != 0 {
				m |= metaReads << k
			}
			if n > 1 {
				m &^= 1 << 5
			}
		}
		meta = append(meta, m)
		for _, n := range [3]uint32{r.Reads, r.Writes, r.Execs} {
			if n != 0 && m&(1<<5) == 0 {
				counts = binary.AppendUvarint(counts, uint64(n))
			}
		}
	}
	return bytes.Join([][]byte{dst, tokens, deltas, meta, counts}, nil)
}

// symbolLayout is the layout of the format; counts above fixed stand with each
// reference.
func symbolLayout(dst []byte, refs []Ref, fixed uint32, noOffsets bool) []byte {
	enc := &blockEncoder{noOffsets: noOffsets, fixed: fixed}
	enc.reset(0)
	for i := range refs {
		enc.ref(&refs[i], 0, false)
	}
	return enc.finish(dst, 0)
}

// someRefs is the first few million references of the trace of the benchmarks.
func someRefs(b *testing.B) (refs []Ref, accesses uint64) {
	b.Helper()
	r, err := NewReader(bytes.NewReader(benchData(b)))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for len(refs) < 8<<20 {
		batch, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		refs = append(refs, batch.Refs...)
	}
	for i := range refs {
		accesses += refs[i].Accesses()
	}
	return refs, accesses
}

// BenchmarkLayouts compares layouts: size, and processor time of
// layout with compression and of decompression alone, per reference.
func BenchmarkLayouts(b *testing.B) {
	refs, accesses := someRefs(b)
	for _, l := range layouts {
		for _, level := range []zstd.EncoderLevel{zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
			for _, perBlock := range []int{1 << 16, 1 << 18, 1 << 20} {
				if perBlock != 1<<18 && (level != zstd.SpeedBetterCompression || l.name != "symbols") {
					continue
				}
				b.Run(fmt.Sprintf("layout=%s/level=%v/refs=%d", l.name, level, perBlock), func(b *testing.B) {
					zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level))
					if err != nil {
						b.Fatal(err)
					}
					var raw, out []byte
					size := 0
					began := processorTime(b)
					for b.Loop() {
						size = 0
						for i := 0; i < len(refs); i += perBlock {
							raw = l.encode(raw[:0], refs[i:min(i+perBlock, len(refs))])
							out = zw.EncodeAll(raw, out[:0])
							size += len(out)
						}
					}
					b.ReportMetric(float64(size)/float64(accesses), "B/access")
					b.ReportMetric(float64(size)/float64(len(refs)), "B/ref")
					b.ReportMetric(float64(processorTime(b)-began)/float64(b.N*len(refs)), "encode-ns/ref")
					b.ReportMetric(decompressTime(b, zw, l.encode, refs, perBlock), "unzstd-ns/ref")
				})
			}
		}
	}
	b.Run("layout=words/level=zstd-19", func(b *testing.B) { stockBaseline(b, refs, accesses) })
}

// decompressTime is the time to decompress the blocks, in ns per reference.
func decompressTime(b *testing.B, zw *zstd.Encoder, encode func([]byte, []Ref) []byte, refs []Ref, perBlock int) float64 {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	defer zr.Close()
	var frames [][]byte
	for i := 0; i < len(refs); i += perBlock {
		frames = append(frames, zw.EncodeAll(encode(nil, refs[i:min(i+perBlock, len(refs))]), nil))
	}
	const rounds = 3
	began := processorTime(b)
	var raw []byte
	for range rounds {
		for _, f := range frames {
			if raw, err = zr.DecodeAll(f, raw[:0]); err != nil {
				b.Fatal(err)
			}
		}
	}
	return float64(processorTime(b)-began) / float64(rounds*len(refs))
}

// stockBaseline is what the zstd command makes of the words at its level 19, in
// one frame.
func stockBaseline(b *testing.B, refs []Ref, accesses uint64) {
	tool := zstdCommand(b)
	path := filepath.Join(b.TempDir(), "words")
	if err := os.WriteFile(path, wordLayout(nil, refs), 0o600); err != nil {
		b.Fatal(err)
	}
	size := 0
	var cpu time.Duration
	for b.Loop() {
		cmd := exec.Command(tool, "-19", "-c", path)
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		size = len(out)
		cpu += cmd.ProcessState.UserTime()
	}
	b.ReportMetric(float64(size)/float64(accesses), "B/access")
	b.ReportMetric(float64(size)/float64(len(refs)), "B/ref")
	b.ReportMetric(float64(cpu)/float64(b.N*len(refs)), "encode-ns/ref")
}

package trace

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
)

// indexOf reads the index of a whole file.
func indexOf(t testing.TB, data []byte) []BlockInfo {
	t.Helper()
	first := 8 + int64(data[4]) + int64(data[5])<<8
	index, err := readIndex(bytes.NewReader(data), int64(len(data)), first)
	if err != nil || index == nil {
		t.Fatalf("index: %v, %v", index, err)
	}
	return index
}

// TestIndex holds the index against a count of the records as they were
// written.
func TestIndex(t *testing.T) {
	recs := timed(t)
	child := []record{
		event(NewProcess(11, Process{Op: OpFork, Child: 20, Tid: 20})),
		{thread: 20, ref: Ref{VPN: 1, Reads: 2, Writes: 3, First: Read}},
		event(NewProcess(20, Process{Op: OpExit})),
	}
	end := recs[len(recs)-1] // the process ends
	recs = append(append(recs[:len(recs)-1:len(recs)-1], child...), end)
	data := blocks(t, recs)
	var want []BlockInfo
	processOf := map[uint32]uint32{10: 10, 11: 10, 20: 20}
	seq := uint64(0)
	thread := uint32(0)
	for i := 0; i < len(recs); i += 100 {
		b := BlockInfo{Seq: seq}
		threads, processes := map[uint32]struct{}{}, map[uint32]struct{}{}
		for _, r := range recs[i:min(i+100, len(recs))] {
			isSched := r.ev != nil && r.ev.Kind == KindSched
			if r.thread != thread && !isSched {
				b.Records++ // the sched record that the writer puts in
			}
			thread = r.thread
			b.Records++
			threads[r.thread] = struct{}{}
			if r.ev == nil {
				b.Refs++
				b.Accesses += uint64(r.ref.Reads) + uint64(r.ref.Writes) + uint64(r.ref.Execs)
			} else if r.ev.Kind == KindTime {
				if b.Times == 0 {
					b.FirstNS = r.ev.Args[0]
				}
				b.LastNS = r.ev.Args[0]
				b.Times++
			}
			processes[processOf[r.thread]] = struct{}{}
		}
		b.Threads, b.Processes = sortedKeys(threads), sortedKeys(processes)
		seq += b.Records
		want = append(want, b)
	}
	got := indexOf(t, data)
	if len(got) != len(want) {
		t.Fatalf("%d blocks, want %d", len(got), len(want))
	}
	for i := range got {
		g := got[i]
		g.Offset, g.Compressed, g.Raw = 0, 0, 0
		if !reflect.DeepEqual(g, want[i]) {
			t.Errorf("block %d:\n got %+v\nwant %+v", i, g, want[i])
		}
	}
	r, err := NewReader(bytes.NewReader(data), WithVerify())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := drainAny(r); err != nil {
		t.Error(err)
	}
}

// withIndex is the file with another index; its checksums are right.
func withIndex(t testing.TB, data []byte, index []BlockInfo) []byte {
	t.Helper()
	blocks := indexOf(t, data)
	last := blocks[len(blocks)-1]
	out := bytes.Clone(data[:last.Offset+int64(last.Compressed)])
	seek := []seekEntry{{compressed: uint32(blocks[0].Offset)}}
	for _, b := range blocks {
		seek = append(seek, seekEntry{uint32(b.Compressed), uint32(b.Raw)})
	}
	at := len(out)
	out = indexFrame(out, index)
	return appendSeekTable(out, append(seek, seekEntry{compressed: uint32(len(out) - at)}))
}

// TestLyingIndex: an index that says other than the blocks is found, by
// WithVerify whatever it lies about, and random access never gives records that
// are not there.
func TestLyingIndex(t *testing.T) {
	recs := timed(t)
	data := blocks(t, recs)
	if same := withIndex(t, data, indexOf(t, data)); !bytes.Equal(same, data) {
		t.Fatal("rebuilding the index changes the file")
	}
	for name, lie := range map[string]func(b []BlockInfo) []BlockInfo{
		"compressed": func(b []BlockInfo) []BlockInfo { b[1].Compressed++; b[2].Compressed--; return b },
		"raw":        func(b []BlockInfo) []BlockInfo { b[1].Raw++; return b },
		"records":    func(b []BlockInfo) []BlockInfo { b[1].Records++; return b },
		"refs":       func(b []BlockInfo) []BlockInfo { b[1].Refs--; return b },
		"accesses":   func(b []BlockInfo) []BlockInfo { b[1].Accesses++; return b },
		"times":      func(b []BlockInfo) []BlockInfo { b[1].Times++; return b },
		"first time": func(b []BlockInfo) []BlockInfo { b[1].FirstNS++; return b },
		"last time":  func(b []BlockInfo) []BlockInfo { b[1].LastNS++; return b },
		"threads":    func(b []BlockInfo) []BlockInfo { b[1].Threads = append(b[1].Threads, 99); return b },
		"processes":  func(b []BlockInfo) []BlockInfo { b[1].Processes = nil; return b },
		"fewer":      func(b []BlockInfo) []BlockInfo { return b[:len(b)-1] },
		"more":       func(b []BlockInfo) []BlockInfo { return append(b, b[0]) },
		"none":       func(b []BlockInfo) []BlockInfo { return nil },
	} {
		bad := withIndex(t, data, lie(indexOf(t, data)))
		r, err := NewReader(bytes.NewReader(bad), WithVerify())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := drainAny(r); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "offset ") {
			t.Errorf("%s: verified with %v", name, err)
		}
		r.Close()
		src, err := indexedBytes(bad, WithSelection(Selection{From: Point{Record: 1}}))
		for err == nil {
			var b *Batch
			if b, err = src.Next(); err == nil {
				sameRecords(t, recs, b)
			}
		}
		if err != io.EOF && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: random access ended with %v", name, err)
		}
	}
}

// TestAbsurdIndex: sizes that cannot be are refused before memory is taken.
func TestAbsurdIndex(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	entry := func(fields ...[]byte) []byte { return append([]byte{1}, bytes.Join(fields, nil)...) }
	one, none := []byte{1}, []byte{0}
	for name, body := range map[string][]byte{
		"empty":             {},
		"blocks":            huge,
		"blocks not there":  {0x80, 0x80, 0x80, 0x01},
		"compressed":        entry(huge, one, one, one, one, none, none, none, none, none),
		"raw":               entry(one, huge, one, one, one, none, none, none, none, none),
		"records":           entry(one, one, huge, one, one, none, none, none, none, none),
		"refs over records": entry(one, one, one, []byte{2}, one, none, none, none, none, none),
		"times over events": entry(one, one, one, one, one, one, none, none, none, none),
		"threads":           entry(one, one, one, one, one, none, none, none, huge, none),
		"threads twice":     entry(one, one, one, one, one, none, none, none, []byte{2, 5, 0}, none),
		"thread too large":  entry(one, one, one, one, one, none, none, none, append([]byte{1}, huge...), none),
		"processes":         entry(one, one, one, one, one, none, none, none, none, []byte{0x7f}),
		"bytes behind":      append(entry(one, one, one, one, one, none, none, none, none, none), 0),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseIndex(appendTagged(nil, indexTag, body)[8:], 100)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: took %d bytes", name, took)
		}
	}
}

// TestRandomAccessDamage: where the end of the file does not lead to an index
// that fits, opening by index says so or falls back to reading all.
func TestRandomAccessDamage(t *testing.T) {
	recs := timed(t)[:800]
	data := blocks(t, recs)
	sel := WithSelection(Selection{From: Point{Record: 700}})
	for n := range len(data) {
		src, err := indexedBytes(data[:n], sel)
		if src != nil || err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v, %v", n, src, err)
		}
	}
	for at := len(data) - 900; at < len(data); at++ {
		for bit := range 8 {
			data[at] ^= 1 << bit
			src, err := indexedBytes(data, sel)
			for src != nil && err == nil {
				var b *Batch
				if b, err = src.Next(); err == nil {
					sameRecords(t, recs, b)
				}
			}
			if err != nil && err != io.EOF && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
			data[at] ^= 1 << bit
		}
	}
}

// TestSeekable reads the raw blocks with an independent implementation of the
// zstd seekable format.
func TestSeekable(t *testing.T) {
	data := blocks(t, timed(t))
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	r, err := seekable.NewReader(bytes.NewReader(data), zr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var at int64
	for i, b := range indexOf(t, data) {
		raw := make([]byte, b.Raw)
		if _, err := r.ReadAt(raw, at); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		want, err := zr.DecodeAll(data[b.Offset:b.Offset+int64(b.Compressed)], nil)
		if err != nil || !bytes.Equal(raw, want) {
			t.Fatalf("block %d: other bytes, %v", i, err)
		}
		at += int64(b.Raw)
	}
}

// zstdCommand is the zstd command.
func zstdCommand(tb testing.TB) string {
	tb.Helper()
	path, err := exec.LookPath("zstd")
	if err != nil {
		tb.Skip("the zstd command is missing: apt-get install zstd")
	}
	return path
}

// TestStockTools: the zstd command accepts the file and counts its frames.
func TestStockTools(t *testing.T) {
	zstd := zstdCommand(t)
	data := blocks(t, timed(t))
	path := filepath.Join(t.TempDir(), "x.zst") // zstd wants its own suffix
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(zstd, "-t", path).CombinedOutput(); err != nil {
		t.Errorf("zstd -t: %v: %s", err, out)
	}
	out, err := exec.Command(zstd, "-l", path).CombinedOutput()
	if err != nil {
		t.Fatalf("zstd -l: %v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	n := len(indexOf(t, data))
	if frames, _ := strconv.Atoi(fields[0]); frames != n+3 || fields[1] != "3" {
		t.Errorf("zstd -l: %q, want %d frames, 3 of them skippable", fields, n+3)
	}
}

// indexFrame is the index of blocks, behind dst.
func indexFrame(dst []byte, blocks []BlockInfo) []byte {
	var infos []byte
	for i := range blocks {
		infos = appendBlockInfo(infos, &blocks[i])
	}
	return appendIndex(dst, len(blocks), infos)
}

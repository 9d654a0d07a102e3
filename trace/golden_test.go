package trace

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// goldens are the files of format version 1 that every later version must still
// read, each with its text twin beside it. They were written by version 1 of
// this package; the compressor may improve, so only what they hold is compared.
var goldens = []struct {
	name string
	refs int
	ips  bool
	opts []WriterOption
}{
	{name: "v1", refs: 600},                // every record kind, several blocks
	{name: "v1-ips", refs: 300, ips: true}, // instruction pointers
	{name: "v1-offsets-none", refs: 3000, opts: []WriterOption{WithoutOffsets()}}, // more symbols than a table holds
	{name: "v1-packed", refs: 3000, opts: []WriterOption{WithPacking()}},
}

// TestGolden reads the files from front to back and by their index, verifies
// them, and compares the text they give.
func TestGolden(t *testing.T) {
	for i, g := range goldens {
		path := filepath.Join("testdata", g.name+".vmt")
		twin := filepath.Join("testdata", g.name+".txt")
		if *update {
			writeGolden(t, path, twin, sample(t, uint64(2+i), g.refs, g.ips), g.ips, g.opts)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(twin)
		if err != nil {
			t.Fatal(err)
		}
		front, err := NewReader(bytes.NewReader(data), WithVerify())
		if err != nil {
			t.Fatal(err)
		}
		index, err := indexedBytes(data)
		if err != nil || index == nil {
			t.Fatalf("%s: by index: %v, %v", g.name, index, err)
		}
		for way, src := range map[string]Source{"front to back": front, "by index": index} {
			if got := asText(t, src); !bytes.Equal(got, want) {
				t.Errorf("%s, %s: not the text of %s", g.name, way, twin)
			}
			if len(src.Warnings()) != 0 {
				t.Errorf("%s, %s: %q", g.name, way, src.Warnings())
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func asText(t *testing.T, src Source) []byte {
	t.Helper()
	var text bytes.Buffer
	w, err := NewTextWriter(&text, *src.Header())
	if err != nil {
		t.Fatal(err)
	}
	if err := Copy(w, src); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// writeGolden makes a file and its twin anew: -update, and only as long as
// version 1 is not released.
func writeGolden(t *testing.T, path, twin string, recs []record, ips bool, opts []WriterOption) {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{Origin: "generated", Tool: "test", Command: []string{"a", "b c"}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range recs {
		var ip []uint64
		if ips {
			ip = []uint64{r.ip}
		}
		if r.ev != nil {
			err = w.Event(r.ev)
		} else {
			err = w.Refs(r.thread, []Ref{r.ref}, ip)
		}
		if err == nil && i%1000 == 249 {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.WriteFile(twin, asText(t, r), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWorkedExample is the example of doc.go, to the last byte of its raw
// block: one sched, four references, one mark.
func TestWorkedExample(t *testing.T) {
	var b blockEncoder
	b.fixed = fixedCount
	b.reset(0)
	sched, mark := NewSched(Sched{Thread: 7}), NewMark(7, "hi")
	b.event(&sched)
	b.ref(&Ref{VPN: 0x10, Offset: 0x123, Reads: 1, First: Read}, 0, false)
	b.ref(&Ref{VPN: 0x11, Offset: 8, Reads: 2, Writes: 300, First: Write}, 0, false)
	b.ref(&Ref{VPN: 0x10, Offset: 0x125, Reads: 1, First: Read}, 0, false)
	b.ref(&Ref{VPN: 0x10, Offset: 0xffe, Execs: 4, First: Exec}, 0, false)
	b.event(&mark)
	got := b.finish(nil, 5)
	want := []byte{
		5, 0, 0, 0, 0, 0, 0, 0, // number of the first record
		4, 0, 0, 0, // references
		2, 0, 0, 0, // events
		0, 0, 0, 0, // thread at the beginning
		2, 0, 0, 0, // flags: offsets
		2, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, // lengths of runs, tokens, symbols,
		3, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, // pages, counts, offsets of data,
		2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, // offsets of fetches, events, instruction pointers
		0, 4, // runs: no reference before the sched, four before the mark
		255, 255, 0, 255, // tokens: two definitions, symbol 0, a definition
		0x05, 1, // symbol 0: first a read, one read
		0x2e,    // symbol 1: first a write, reads and writes, counts with each reference
		0x13, 4, // symbol 2: first a fetch, four fetches
		0x20, 0x02, 0x01, // pages: zigzag(+0x10), zigzag(+1), zigzag(-1)
		2, 0xac, 0x02, // counts: reads 2, writes 300
		0x23, 0x01, 0x08, 0x00, 0x02, 0x00, // offsets of data: 0x123, 8, 0x125 against 0x123
		0xd9, 0x0e, // offsets of fetches: 0xffe against 0x125, which was on the same page
		7, 7, 0, // sched: kind, thread, cpu
		11, 2, 'h', 'i', // mark: kind, length, label
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n% x\nwant\n% x", got, want)
	}
}

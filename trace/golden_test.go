package trace

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestGolden reads the file of format version 1 that every later version must
// still read; its records are those of sample(t, 2, 600, false). The bytes are
// compared only up to the header: the compressor may improve.
func TestGolden(t *testing.T) {
	const path = "testdata/v1.vmt"
	recs := sample(t, 2, 600, false)
	if *update {
		if err := os.WriteFile(path, blocks(t, recs), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(r)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, recs) {
		t.Fatal("records changed")
	}
}

// TestWorkedExample is the example of doc.go, to the last byte of its raw
// block: one sched, four references, one mark.
func TestWorkedExample(t *testing.T) {
	var b blockEncoder
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
		2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, // lengths of runs, tokens, symbols,
		3, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, // pages, counts, offsets of data,
		2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, // offsets of fetches, events, instruction pointers
		0, 4, // runs: no reference before the sched, four before the mark
		255, 255, 0, 255, // tokens: two definitions, symbol 0, a definition
		0, 0x05, 1, // symbol 0: first a read, one read
		0, 0x2e, // symbol 1: first a write, reads and writes, counts with each reference
		0, 0x13, 4, // symbol 2: first a fetch, four fetches
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

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
// block: one sched, three references, one mark.
func TestWorkedExample(t *testing.T) {
	var b blockEncoder
	b.reset(0)
	sched, mark := NewSched(Sched{Thread: 7}), NewMark(7, "hi")
	b.event(&sched)
	b.ref(&Ref{VPN: 0x10, Offset: 0x123, Reads: 1, First: Read}, 0, false)
	b.ref(&Ref{VPN: 0x11, Offset: 8, Reads: 2, Writes: 3, First: Write}, 0, false)
	b.ref(&Ref{VPN: 0x10, Offset: 0x125, Execs: 1, First: Exec}, 0, false)
	b.event(&mark)
	got := b.finish(nil, 5)
	want := []byte{
		got[0], got[1], got[2], got[3], // CRC-32C of what follows; computed below
		93, 0, 0, 0, // length of the raw block
		5, 0, 0, 0, 0, 0, 0, 0, // number of the first record
		3, 0, 0, 0, // references
		2, 0, 0, 0, // events
		0, 0, 0, 0, // thread at the beginning
		0, 0, 0, 0, // flags
		2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, // lengths of runs, pages, deltas, meta,
		2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, // counts, low offsets, high offsets, events,
		0, 0, 0, 0, // instruction pointers
		0, 3, // runs: no reference before the sched, three before the mark
		129, 129, 2, // pages: one byte of delta, one byte of delta, 2 references back
		0x20, 0x02, // deltas: zigzag(+0x10), zigzag(+1)
		0x25, 0x0e, 0x33, // meta: read, all 1; write with reads and writes; fetch, all 1
		2, 3, // counts: reads 2, writes 3
		0x23, 0x08, 0x02, // low offsets: 0x123, 8, 0x125 against 0x123
		0x01, 0x00, 0x00, // high offsets
		7, 7, 0, // sched: kind, thread, cpu
		11, 2, 'h', 'i', // mark: kind, length, label
	}
	seal(want)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n% x\nwant\n% x", got, want)
	}
}

package trace

import (
	"bytes"
	"errors"
	"testing"
)

// failing takes n bytes and then fails.
type failing struct{ n int }

var errFull = errors.New("full")

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// manyRefs are references of several blocks that no compressor makes small.
func manyRefs() []Ref {
	refs := make([]Ref, 3*targetRefs)
	page := uint64(1)
	for i := range refs {
		page = page*6364136223846793005 + 1442695040888963407
		refs[i] = Ref{VPN: page >> 40, First: Read, Reads: 1}
	}
	return refs
}

// A file that is compressed beside is the same to the last byte.
func TestBackgroundWritesTheSame(t *testing.T) {
	refs := manyRefs()
	var files [2]bytes.Buffer
	for i, opts := range [][]WriterOption{nil, {WithBackground()}} {
		w, err := NewWriter(&files[i], Header{}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		start := NewProcess(1, Process{Op: OpStart, Child: 1, Tid: 1})
		for _, err := range []error{w.Event(&start), w.Refs(1, refs[:1000], nil), w.Flush(), w.Refs(1, refs[1000:], nil), w.Close()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if w.Written() != int64(files[i].Len()) {
			t.Errorf("%d bytes written, the writer says %d", files[i].Len(), w.Written())
		}
	}
	if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Error("the files differ")
	}
}

// An error of the block before shows with the next one, and stays.
func TestBackgroundError(t *testing.T) {
	w, err := NewWriter(&failing{n: 1000}, Header{}, WithBackground())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Refs(1, manyRefs(), nil); !errors.Is(err, errFull) {
		t.Errorf("three blocks: error %v, want %v", err, errFull)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: error %v, want %v", err, errFull)
	}
}

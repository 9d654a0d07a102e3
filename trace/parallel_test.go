package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batches reads all batches, copying them, and the error that ended reading.
func batches(data []byte, opts ...ReaderOption) ([]Batch, []string, error) {
	r, err := NewReader(bytes.NewReader(data), opts...)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var out, held []Batch
	for {
		b, err := r.Next()
		if err != nil {
			return out, r.Warnings(), err
		}
		held = append(held, *b)
		c := *b
		c.Holds = false
		c.Refs, c.IPs, c.Words = slices.Clone(b.Refs), slices.Clone(b.IPs), slices.Clone(b.Words)
		if b.Event != nil {
			e := *b.Event
			c.Event = &e
		}
		out = append(out, c)
		if b.Holds {
			continue
		}
		for i, was := range out[len(out)-len(held):] { // what holds is as it was
			if now := held[i]; !slices.Equal(now.Refs, was.Refs) || !slices.Equal(now.IPs, was.IPs) || !slices.Equal(now.Words, was.Words) {
				return nil, nil, fmt.Errorf("batch %d of %d that hold has changed", i, len(held))
			}
		}
		held = held[:0]
	}
}

// TestWorkers: any number of workers gives the same batches, warnings and
// errors, of whole, damaged and cut-off files.
func TestWorkers(t *testing.T) {
	recs := sample(t, 4, 9000, true)
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range recs {
		if recs[i].ev != nil {
			err = w.Event(recs[i].ev)
		} else {
			err = w.Refs(recs[i].thread, []Ref{recs[i].ref}, []uint64{recs[i].ip})
		}
		if err == nil && i%2500 == 2499 {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	some := WithSelection(Selection{From: Point{Record: 1234}, To: Point{Record: 20_000}})
	files := [][]byte{buf.Bytes(), blocks(t, timed(t))}
	for i := range 150 { // one flipped bit, then cut
		data := bytes.Clone(buf.Bytes())
		at := i * len(data) / 150
		data[at] ^= 1 << (i % 8)
		files = append(files, data, buf.Bytes()[:at])
	}
	for i, data := range files {
		want, wantWarnings, wantErr := batches(data)
		for _, n := range []int{2, 3, 8} {
			got, warnings, err := batches(data, WithWorkers(n))
			if !sameError(err, wantErr) || !reflect.DeepEqual(warnings, wantWarnings) {
				t.Fatalf("file %d, %d workers: %v %q, want %v %q", i, n, err, warnings, wantErr, wantWarnings)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("file %d, %d workers: other batches", i, n)
			}
		}
		for _, n := range []int{1, 3} {
			got, _, err := batches(data, WithWorkers(n), WithWords(word))
			if !sameError(err, wantErr) {
				t.Fatalf("file %d, %d workers, words: %v, want %v", i, n, err, wantErr)
			}
			takeWords(t, got)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("file %d, %d workers, words: other batches", i, n)
			}
			got, _, _ = batches(data, WithWorkers(n), WithWords(word), some)
			takeWords(t, got)
			if part, _, _ := batches(data, some); !reflect.DeepEqual(got, part) {
				t.Fatalf("file %d, %d workers, words: another part", i, n)
			}
		}
	}
}

// word depends on all that a word may depend on.
func word(r *Ref) uint64 {
	w := r.VPN<<8 | uint64(r.First)
	for i, n := range []uint32{r.Reads, r.Writes, r.Execs} {
		if n != 0 {
			w |= 4 << i
		}
	}
	return w
}

// takeWords holds the words of batches, and their sums, against their references,
// and takes them off.
func takeWords(t *testing.T, all []Batch) {
	t.Helper()
	for i := range all {
		b := &all[i]
		if len(b.Words) != len(b.Refs) {
			t.Fatalf("%d words for %d references", len(b.Words), len(b.Refs))
		}
		sum := Sum{}
		for k := range b.Refs {
			sum.Add(&b.Refs[k])
			if want := word(&b.Refs[k]); b.Words[k] != want {
				t.Fatalf("record %d: word %#x, want %#x", b.Seq+uint64(k), b.Words[k], want)
			}
		}
		if b.Event == nil && sum != b.Sum {
			t.Fatalf("record %d: %v accesses in the batch, want %v", b.Seq, b.Sum, sum)
		}
		b.Words, b.Sum = nil, Sum{}
	}
}

// TestDecodeErrors: damage that a checksum does not catch is told the same way
// by serial and parallel reading, with the batches before it.
func TestDecodeErrors(t *testing.T) {
	b := blockEncoder{fixed: fixedCount}
	b.reset(0)
	for i := range 10_000 {
		b.ref(&Ref{VPN: uint64(i % 300), Offset: uint16(i % 4096), Reads: 1 + uint32(i%20), First: Read}, uint64(i), true)
	}
	good := b.finish(nil, 0)
	columns := func(raw []byte, col int) []byte { // the bytes of a column
		var d blockDecoder
		if err := d.open(raw); err != nil {
			t.Fatal(err)
		}
		return d.cols[col]
	}
	for name, damage := range map[string]func(raw []byte){
		"undefined symbol": func(raw []byte) { columns(raw, colTokens)[0] = 254 },
		"lying definition": func(raw []byte) { columns(raw, colSymbols)[0] = 0xff },
		"no first access":  func(raw []byte) { columns(raw, colSymbols)[0] = metaWrites | byte(Read) },
		"zero count":       func(raw []byte) { c := columns(raw, colCounts); c[len(c)-1] = 0 },
		"endless count":    func(raw []byte) { c := columns(raw, colCounts); c[len(c)-1] |= 0x80 },
		"endless ip":       func(raw []byte) { c := columns(raw, colIPs); c[len(c)-1] |= 0x80 },
		"tokens left":      func(raw []byte) { c := columns(raw, colTokens); c[len(c)-1], c[len(c)-2] = numWide, 0 },
		"more fetches":     func(raw []byte) { columns(raw, colSymbols)[0] = metaExecs | byte(Exec) },
	} {
		raw := bytes.Clone(good)
		damage(raw)
		var file bytes.Buffer
		w, err := NewWriter(&file, Header{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(w.zw.EncodeAll(raw, nil)); err != nil {
			t.Fatal(err)
		}
		want, _, wantErr := batches(file.Bytes())
		got, _, err := batches(file.Bytes(), WithWorkers(2))
		if !errors.Is(wantErr, ErrCorrupt) || !sameError(err, wantErr) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d batches, %v; serial %d batches, %v", name, len(got), err, len(want), wantErr)
		}
	}
}

// TestCloseEarly: closing in the middle ends every goroutine (goleak looks).
func TestCloseEarly(t *testing.T) {
	data := blocks(t, sample(t, 1, 5000, false))
	for _, n := range []int{0, 1, 7, 30} {
		r, err := NewReader(bytes.NewReader(data), WithWorkers(4))
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err == nil || err == io.EOF {
			t.Errorf("after Close: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
}

// TestSteadyState: reading allocates nothing per batch, with any number of
// workers.
func TestSteadyState(t *testing.T) {
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{})
	if err != nil {
		t.Fatal(err)
	}
	refs := make([]Ref, 1<<14)
	for i := range refs {
		refs[i] = Ref{VPN: uint64(i * i % 1009), Offset: uint16(i % 4096), Reads: 1 + uint32(i%11), First: Read}
	}
	for range 64 {
		if err := w.Refs(1, refs, nil); err != nil {
			t.Fatal(err)
		}
		e := NewUserCopy(1, UserCopy{Addr: 1, Len: 2})
		if err := w.Event(&e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2} {
		r, err := NewReader(bytes.NewReader(buf.Bytes()), WithWorkers(n))
		if err != nil {
			t.Fatal(err)
		}
		next := func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 150 { // more than half of it: every buffer has its size
			next()
		}
		if n := testing.AllocsPerRun(80, next); n != 0 {
			t.Errorf("%v allocations per batch", n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

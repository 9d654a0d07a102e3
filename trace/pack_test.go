package trace

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
)

// streams are symbols by what makes them hard or easy: a negative number is a
// definition.
func streams(rng *rand.Rand) map[string][]int {
	s := map[string][]int{"one": {unknown}}
	defined := 0
	add := func(name string, n int) {
		if n >= defined || defined == 0 {
			n = unknown
			defined++
		}
		s[name] = append(s[name], n)
	}
	for i := range 5000 {
		add("loop", i%37)
	}
	defined = 0
	for range 5000 {
		add("random", rng.IntN(900)) // symbols of two bytes too
	}
	defined = 0
	for i := range 6000 {
		add("nested", i%7*i%11)
	}
	for range numSymbols + 500 { // the table begins again
		s["definitions"] = append(s["definitions"], unknown)
	}
	for range 3000 {
		s["definitions"] = append(s["definitions"], rng.IntN(numSymbols))
	}
	return s
}

func tokensOf(symbols []int) (tokens []byte) {
	for _, n := range symbols {
		if n == unknown {
			tokens = append(tokens, tokenDefine)
		} else {
			tokens = appendToken(tokens, n)
		}
	}
	return tokens
}

// TestPack: what is packed comes back, one block after the other with the same
// packer, and as the specification in doc.go has it, which specUnpack was written
// from alone. A loop costs next to nothing.
func TestPack(t *testing.T) {
	var to, from packer
	for name, symbols := range streams(rand.New(rand.NewPCG(1, 2))) {
		tokens := tokensOf(symbols)
		column := to.pack(tokens)
		got, ok := from.unpack(nil, column, len(symbols))
		if !ok || !bytes.Equal(got, tokens) {
			t.Errorf("%s: not what was packed", name)
		}
		if spec, err := specUnpack(column, len(symbols)); err != nil || !reflect.DeepEqual(spec, symbols) {
			t.Errorf("%s: not packed as specified: %v", name, err)
		}
		if name == "loop" && len(column) > 200 {
			t.Errorf("a loop takes %d bytes", len(column))
		}
	}
}

// TestPackDamage: a column that is short, has bytes left over, or names symbols
// that cannot be is refused; any other damage gives tokens for as many references.
func TestPackDamage(t *testing.T) {
	var p packer
	symbols := streams(rand.New(rand.NewPCG(3, 4)))["random"]
	column := p.pack(tokensOf(symbols))
	for _, n := range []int{0, 1, 3, 4, 5, len(column) / 2, len(column) - 1} {
		if _, ok := p.unpack(nil, column[:n], len(symbols)); ok {
			t.Errorf("%d of %d bytes are enough", n, len(column))
		}
	}
	if _, ok := p.unpack(nil, append(bytes.Clone(column), 0), len(symbols)); ok {
		t.Error("a byte is left over")
	}
	for i := 0; i < len(column); i += 40 {
		bad := bytes.Clone(column)
		bad[i] ^= 1 << (i % 8)
		tokens, ok := p.unpack(nil, bad, len(symbols))
		if ok && (len(tokens) < len(symbols) || len(tokens) > 2*len(symbols)) {
			t.Fatalf("byte %d: %d bytes of tokens for %d references", i, len(tokens), len(symbols))
		}
	}
}

// TestPackedTrace: a packed trace holds the records that were written.
func TestPackedTrace(t *testing.T) {
	recs := sample(t, 9, 30_000, false)
	packed := encode(t, recs, false, WithPacking())
	for _, opts := range [][]ReaderOption{nil, {WithWorkers(2)}, {WithVerify()}, {WithWords(func(r *Ref) uint64 { return r.VPN })}} {
		r, err := NewReader(bytes.NewReader(packed), opts...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := drain(r)
		if err != nil || !reflect.DeepEqual(got, recs) {
			t.Errorf("%d records, %v; want %d", len(got), err, len(recs))
		}
		r.Close()
	}
}

// TestPackedDamage: the reader says which record it could not read, serially and in
// parallel.
func TestPackedDamage(t *testing.T) {
	b := blockEncoder{fixed: fixedCountPacked, packer: new(packer), noOffsets: true}
	b.reset(0)
	for i := range 10_000 {
		b.ref(&Ref{VPN: uint64(i % 300), Reads: 1, First: Read}, 0, false)
	}
	raw := b.finish(nil, 0)
	raw[blockHeaderBytes] ^= 0x55 // the first byte of the tokens: there are no runs
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{})
	if err != nil {
		t.Fatal(err)
	}
	file.Write(w.zw.EncodeAll(raw, nil))
	for _, workers := range []int{1, 2} {
		if got, _, err := batches(file.Bytes(), WithWorkers(workers)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d workers: %d batches, %v", workers, len(got), err)
		}
	}
}

// TestPackedBlockLimits: the largest block that a packing writer makes is within
// the limits of a reader, and so is the memory that it takes.
func TestPackedBlockLimits(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{}, WithPacking(), WithoutOffsets())
	if err != nil {
		t.Fatal(err)
	}
	refs := make([]Ref, 1<<16)
	for i := range refs {
		refs[i] = Ref{VPN: uint64(i % 1000), Reads: 1, First: Read}
	}
	for range 18 {
		if err := w.Refs(1, refs, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := w.blocks; n != 2 {
		t.Errorf("%d blocks", n)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if recs, err := drainAny(r); err != nil || recs != 18<<16+1 { // and a sched
		t.Errorf("%d records, %v", recs, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
		t.Errorf("took %d bytes", took)
	}
}

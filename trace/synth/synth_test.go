package synth

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

func generate(t *testing.T, name string, p Params) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	if err := Generate(name, p, func(h trace.Header) (trace.Sink, error) { return trace.NewTextWriter(&buf, h) }); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// counts are the references to each page of a generated trace.
func counts(t *testing.T, name string, p Params) []float64 {
	t.Helper()
	src, err := trace.NewTextReader(generate(t, name, p))
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, p.Pages)
	check := trace.NewChecker()
	for {
		b, err := src.Next()
		if err == io.EOF {
			return out
		}
		if err == nil {
			err = check.Batch(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Refs {
			out[r.VPN-base>>pageShift]++
		}
	}
}

// TestDistributions compares counts with the stated distribution: sequential
// exactly, the others within five standard deviations of each page's expected
// count (a multinomial count has variance below its mean).
func TestDistributions(t *testing.T) {
	p := Params{Pages: 100, Refs: 200_000, Seed: 3, Writes: 30}
	for _, c := range counts(t, "sequential", p) {
		if c != 2000 {
			t.Fatalf("sequential: %v references to a page, want 2000", c)
		}
	}
	for page, c := range counts(t, "random", p) {
		near(t, "random", page, c, 2000)
	}
	got := counts(t, "zipf", p)
	harmonic := 0.0
	for n := 1; n <= 100; n++ {
		harmonic += 1 / float64(n)
	}
	for n := 1; n <= 100; n++ {
		near(t, "zipf", n, got[scatter(uint64(n-1), 100)], 200_000/harmonic/float64(n))
	}
}

func near(t *testing.T, name string, page int, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 5*math.Sqrt(want) {
		t.Errorf("%s: page %d has %v references, want %.0f", name, page, got, want)
	}
}

func TestScatterIsOneToOne(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 100, 1024, 1025} {
		seen := map[uint64]bool{}
		for v := range n {
			s := scatter(v, n)
			if s >= n || seen[s] {
				t.Fatalf("scatter(%d, %d) = %d again", v, n, s)
			}
			seen[s] = true
		}
	}
}

// TestSameBytes pins the text of generated traces: the same on every machine
// and in every later version.
func TestSameBytes(t *testing.T) {
	want := map[string]string{
		"sequential": "765d4bec2fc57967", "random": "1f43751a2f8b809c", "zipf": "ad275246f5dbb7f6",
	}
	for _, g := range Generators {
		sum := sha256.Sum256(generate(t, g.Name, Params{Pages: 1000, Refs: 10_000, Seed: 42, Writes: 50}).Bytes())
		if got := fmt.Sprintf("%x", sum[:8]); got != want[g.Name] {
			t.Errorf("%s: sum %s, want %s", g.Name, got, want[g.Name])
		}
	}
}

func TestBadParams(t *testing.T) {
	open := func(trace.Header) (trace.Sink, error) { t.Fatal("opened"); return nil, nil }
	for _, p := range []Params{{Pages: 0}, {Pages: maxPages + 1}, {Pages: 1, Refs: maxRefs + 1}, {Pages: 1, Writes: 101}, {Pages: 1, Writes: -1}} {
		if Generate("zipf", p, open) == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	if Generate("nothing", Params{Pages: 1}, open) == nil {
		t.Error("an unknown generator was accepted")
	}
}

package trace

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// timed is a stream of several blocks of 100 records with a time record, an
// event and references in most of them; one stretch has references only.
func timed(t testing.TB) []record {
	t.Helper()
	var recs []record
	base := uint64(1_000_000_000_000)
	refs := sample(t, 5, 3000, false)
	for i, r := range refs {
		if len(recs) < 1200 || len(recs) > 1900 {
			switch i % 50 {
			case 10:
				recs = append(recs, event(NewTime(r.thread, Time{NS: base + uint64(i)*uint64(time.Millisecond)})))
			case 30:
				recs = append(recs, event(NewMark(r.thread, "phase "+itoa(i))))
			}
		}
		if r.ev == nil || r.ev.Kind != KindTime {
			recs = append(recs, r)
		}
	}
	return recs
}

// chosen is what a selection of recs must be, found by looking at every record.
func chosen(recs []record, s Selection) []int {
	var base uint64
	hasBase := false
	started, out := false, []int(nil)
	for i, r := range recs {
		var at time.Duration = -1
		if r.ev != nil && r.ev.Kind == KindTime {
			if !hasBase {
				base, hasBase = r.ev.Args[0], true
			}
			at = time.Duration(r.ev.Args[0] - base)
		}
		reached := func(p Point) bool {
			switch {
			case p.Mark != "":
				return r.ev != nil && r.ev.Kind == KindMark && r.ev.Text == p.Mark
			case p.IsTime:
				return at >= p.Time
			}
			return uint64(i) >= p.Record
		}
		if s.To != (Point{}) && reached(s.To) {
			break
		}
		started = started || reached(s.From)
		if started || r.ev != nil && !s.Bare {
			out = append(out, i)
		}
	}
	return out
}

var selections = []Selection{
	{},
	{From: Point{Record: 1}},
	{From: Point{Record: 750}, To: Point{Record: 751}},
	{From: Point{Record: 1250}, To: Point{Record: 1399}},
	{From: Point{Record: 99}, To: Point{Record: 101}},
	{From: Point{Record: 2400}},
	{To: Point{Record: 250}},
	{From: Point{Record: 1 << 40}},
	{From: Point{Record: 500}, To: Point{Record: 400}},
	{From: Point{IsTime: true}},
	{From: Point{IsTime: true, Time: time.Second}, To: Point{IsTime: true, Time: 2500 * time.Millisecond}},
	{From: Point{IsTime: true, Time: 1234567 * time.Microsecond}, To: Point{Record: 2000}},
	{From: Point{IsTime: true, Time: time.Hour}},
	{To: Point{IsTime: true, Time: time.Nanosecond}},
	{From: Point{Mark: "phase 0x33e"}},
	{From: Point{Mark: "phase 0x33e"}, To: Point{Mark: "phase 0x9e2"}},
	{To: Point{Mark: "phase 0x33e"}},
	{From: Point{Record: 100}, To: Point{Mark: "no such phase"}},
	{From: Point{Mark: "no such phase"}},
}

// indexedBytes opens whole .vmt data by its index.
func indexedBytes(data []byte, opts ...ReaderOption) (Source, error) {
	return openIndexed(bytes.NewReader(data), io.NopCloser(nil), int64(len(data)), newReaderOptions(opts))
}

// TestSelection: every way to read a trace gives the same part of it, and it is
// the one that a look at every record finds.
func TestSelection(t *testing.T) {
	recs := timed(t)
	data := blocks(t, recs)
	var text bytes.Buffer
	tw, err := NewTextWriter(&text, Header{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, tw, recs, false)
	dir := t.TempDir()
	vmt, txt := filepath.Join(dir, "x.vmt"), filepath.Join(dir, "x.txt")
	if err := os.WriteFile(vmt, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(txt, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(o ...ReaderOption) (Source, error){
		"stream":  func(o ...ReaderOption) (Source, error) { return NewReader(bytes.NewReader(data), o...) },
		"index":   func(o ...ReaderOption) (Source, error) { return indexedBytes(data, o...) },
		"workers": func(o ...ReaderOption) (Source, error) { return indexedBytes(data, append(o, WithWorkers(3))...) },
		"file":    func(o ...ReaderOption) (Source, error) { return Open(vmt, o...) },
		"text":    func(o ...ReaderOption) (Source, error) { return Open(txt, o...) },
	}
	for _, s := range selections {
		for _, s.Bare = range []bool{false, true} {
			want := chosen(recs, s)
			part := chosen(recs, Selection{From: s.From, To: s.To, Bare: true})
			for name, way := range ways {
				src, err := way(WithSelection(s))
				if err != nil {
					t.Fatal(err)
				}
				var got []int
				for {
					b, err := src.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%+v, %s: %v", s, name, err)
					}
					got = append(got, sameRecords(t, recs, b)...)
					if early := len(part) == 0 || b.Seq < uint64(part[0]); b.Early != early {
						t.Fatalf("%+v, %s: record %d is said to be early: %v", s, name, b.Seq, b.Early)
					}
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%+v, %s: %d records, want %d", s, name, len(got), len(want))
				}
				checkSelectionWarning(t, s, name, src.Warnings(), len(recs))
				if err := src.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// sameRecords holds a batch against the records of its numbers, which it
// returns.
func sameRecords(t *testing.T, recs []record, b *Batch) []int {
	t.Helper()
	if b.Event != nil {
		if *recs[b.Seq].ev != *b.Event {
			t.Fatalf("record %d: %+v, want %+v", b.Seq, b.Event, recs[b.Seq].ev)
		}
		return []int{int(b.Seq)}
	}
	var at []int
	for i, r := range b.Refs {
		n := int(b.Seq) + i
		if recs[n].ev != nil || recs[n].ref != r || recs[n].thread != b.Thread {
			t.Fatalf("record %d: %+v of thread %d, want %+v", n, r, b.Thread, recs[n])
		}
		at = append(at, n)
	}
	return at
}

func checkSelectionWarning(t *testing.T, s Selection, name string, warnings []string, n int) {
	t.Helper()
	text := strings.Join(warnings, "; ")
	nothing := s.From.Mark == "no such phase" || s.From.Record >= uint64(n) || s.From.Time >= time.Hour || !s.To.IsTime && s.To.Record > 0 && s.From.Record >= s.To.Record
	cold := s.From != Point{} && !s.Bare
	switch {
	case nothing && !strings.Contains(text, "nothing is selected"),
		!nothing && cold && !strings.Contains(text, "cold start"),
		!nothing && !cold && text != "":
		t.Errorf("%+v, %s: warnings %q", s, name, text)
	}
}

// counter counts the bytes that are read.
type counter struct {
	r io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += n
	return n, err
}

// TestRandomAccess: the index saves reading what is not wanted.
func TestRandomAccess(t *testing.T) {
	refs := make([]record, 40_000)
	for i := range refs {
		refs[i] = record{ref: Ref{VPN: uint64(i*i) % 7919, Reads: 1, First: Read}}
	}
	data := blocks(t, append(sample(t, 1, 10, false), refs...))
	c := &counter{r: bytes.NewReader(data)}
	s := Selection{From: Point{Record: 30_000}, To: Point{Record: 30_010}}
	src, err := openIndexed(c, io.NopCloser(nil), int64(len(data)), newReaderOptions([]ReaderOption{WithSelection(s)}))
	if err != nil {
		t.Fatal(err)
	}
	opening := c.n
	if _, err := drainAny(src); err != nil {
		t.Fatal(err)
	}
	if got := c.n - opening; got > len(data)/50 {
		t.Errorf("%d of %d bytes were read for 10 of 40,000 references", got, len(data))
	}
}

// drainAny counts records without holding them against their numbers.
func drainAny(src Source) (int, error) {
	n := 0
	for {
		b, err := src.Next()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if b.Event != nil {
			n++
		}
		n += len(b.Refs)
	}
}

func TestParsePoint(t *testing.T) {
	for in, want := range map[string]Point{
		"0":      {},
		"120000": {Record: 120000},
		"1.5s":   {IsTime: true, Time: 1500 * time.Millisecond},
		"10us":   {IsTime: true, Time: 10 * time.Microsecond},
	} {
		got, err := ParsePoint(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "-1s", "1.5"} {
		if p, err := ParsePoint(in); err == nil {
			t.Errorf("%q: %+v, expected an error", in, p)
		}
	}
}

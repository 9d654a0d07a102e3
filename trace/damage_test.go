package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
)

// readDamaged reads a damaged trace and holds the promise of Reader against
// it: an error with a sentinel, or a recovery that says so, or the records that
// were written; never others.
func readDamaged(t *testing.T, data []byte, want []record, what string) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNotTrace) {
			t.Fatalf("%s: error without sentinel: %v", what, err)
		}
		return
	}
	defer r.Close()
	n := 0
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s: error without sentinel: %v", what, err)
			}
			if !strings.Contains(err.Error(), "offset ") {
				t.Fatalf("%s: error without place: %v", what, err)
			}
			return
		}
		if b.Event != nil {
			if n >= len(want) || want[n].ev == nil || *want[n].ev != *b.Event {
				t.Fatalf("%s: record %d is wrong", what, n)
			}
			n++
			continue
		}
		for _, ref := range b.Refs {
			if n >= len(want) || want[n].ev != nil || want[n].ref != ref {
				t.Fatalf("%s: record %d is wrong", what, n)
			}
			n++
		}
	}
	if n < len(want) && len(r.Warnings()) == 0 {
		t.Fatalf("%s: %d of %d records without a warning", what, n, len(want))
	}
}

// blocks writes the records in several blocks.
func blocks(t testing.TB, recs []record) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{Origin: "generated", Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(recs); i += 100 {
		for _, r := range recs[i:min(i+100, len(recs))] {
			if r.ev != nil {
				err = w.Event(r.ev)
			} else {
				err = w.Refs(r.thread, []Ref{r.ref}, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// sweepFile is the file that the sweeps damage, with its records: one of every
// record kind in several blocks, or the file that VMTRACE_SWEEP names.
func sweepFile(t *testing.T) ([]byte, []record) {
	t.Helper()
	path := os.Getenv("VMTRACE_SWEEP")
	if path == "" {
		recs := sample(t, 2, 700, false)
		data := blocks(t, recs)
		kinds := map[Kind]bool{KindRef: true}
		for _, r := range recs {
			if r.ev != nil {
				kinds[r.ev.Kind] = true
			}
		}
		if len(kinds) != numKinds-1 {
			t.Fatalf("the sample has %d of %d record kinds", len(kinds), numKinds-1)
		}
		return data, recs
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	recs, err := drain(r)
	if err != nil {
		t.Fatal(err)
	}
	return data, recs
}

// TestTruncation cuts a file of every record kind at every byte.
func TestTruncation(t *testing.T) {
	data, recs := sweepFile(t)
	for n := range data {
		readDamaged(t, data[:n], recs, "cut at byte "+itoa(n))
	}
	t.Logf("%d truncations", len(data))
}

// TestBitFlips flips every bit of the first 4 KiB, and of the last 2.
func TestBitFlips(t *testing.T) {
	data, recs := sweepFile(t)
	flips := 0
	for i := range data {
		if i >= 4096 && i < len(data)-2048 {
			continue
		}
		for bit := range 8 {
			data[i] ^= 1 << bit
			readDamaged(t, data, recs, "bit "+itoa(8*i+bit)+" flipped")
			data[i] ^= 1 << bit
			flips++
		}
	}
	t.Logf("%d bit flips", flips)
}

func itoa(n int) string {
	return string(appendHex(nil, uint64(n)))
}

// TestHostileLengths: lying sizes do not take memory.
func TestHostileLengths(t *testing.T) {
	good := encode(t, sample(t, 1, 10, false), false)
	header := good[:8+int(uint32(good[4])|uint32(good[5])<<8)]
	cases := map[string][]byte{
		"header of 4 GiB":        {0x5b, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 'v', 'm', 't', 'r', 'a', 'c', 'e', 0},
		"block of 2^60 bytes":    append(bytes.Clone(header), 0x28, 0xb5, 0x2f, 0xfd, 0xe4, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0),
		"index of 255 MiB":       append(bytes.Clone(header), 0x5b, 0x2a, 0x4d, 0x18, 0, 0, 0xf0, 0x0f, 'v', 'm', 't', 'i', 'n', 'd', 'e', 'x'),
		"unknown skippable":      append(bytes.Clone(header), 0x51, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4),
		"run-length zstd bomb":   append(bytes.Clone(header), 0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0x80, 0, 0xfb, 0xff, 0xff, 0),
		"block that is no block": append(bytes.Clone(header), 0x28, 0xb5, 0x2f, 0xfd, 0x20, 3, 0x19, 0, 0, 'a', 'b', 'c'),
	}
	for name, data := range cases {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := NewReader(bytes.NewReader(data))
		if err == nil {
			_, err = drain(r)
			if err == nil && len(r.Warnings()) == 0 {
				t.Errorf("%s: read without a word", name)
			}
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > maxMemory {
			t.Errorf("%s: took %d bytes, the bound is %d", name, took, maxMemory)
		}
	}
}

// TestUncounted: a reference that does not count its first access, which no
// writer passes, is damage, told with its place: in a symbol with counts, and in
// one whose counts stand with the reference.
func TestUncounted(t *testing.T) {
	good := Ref{VPN: 0x10, First: Read, Reads: 1}
	for name, bad := range map[string]Ref{
		"symbol": {VPN: 0x11, First: Write, Reads: 1},
		"open":   {VPN: 0x11, First: Exec, Reads: 1000},
		"none":   {VPN: 0x11, First: Read},
	} {
		var buf bytes.Buffer
		w, err := NewWriter(&buf, Header{})
		if err != nil {
			t.Fatal(err)
		}
		block := w.Written()
		for _, r := range []Ref{good, good, bad} {
			w.enc.ref(&r, 0, false)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("offset %d, block 1: record 2: ", block)
		for _, workers := range []int{1, 2} {
			r, err := NewReader(bytes.NewReader(buf.Bytes()), WithWorkers(workers))
			if err != nil {
				t.Fatal(err)
			}
			_, err = drain(r)
			r.Close()
			if !errors.Is(err, ErrCorrupt) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s, %d workers: %v, want %q and ErrCorrupt", name, workers, err, want)
			}
		}
	}
}

// TestTextErrors: what the text parser answers to mistakes.
func TestTextErrors(t *testing.T) {
	for in, want := range map[string]string{
		"Q 0x1":                          `line 2: "Q" is not a record kind`,
		"R":                              `line 2: address: "": expected a number`,
		"R zero":                         `line 2: address: "zero": expected a number`,
		"ref 0x1000 r=1":                 `line 2: first= must name a kind`,
		"ref 0x1000 r=1 first=w":         `line 2: first= must name a kind`,
		"ref 0x1000 q=1 first=r":         `line 2: "q=1": expected r=, w=, x=`,
		"ref 0x1000 r=5000000000":        `line 2: r: `,
		"map start=0x1000 end=what":      `line 2: map: end: "what": expected a number`,
		"map prot=rwz":                   `line 2: map: prot: "rwz": expected a protection`,
		"map colour=1":                   `line 2: map: "colour" is not a field; expected start, end, prot`,
		"process op=birth":               `line 2: process: op: "birth": expected one of start, fork`,
		"syscall mmap":                   `line 2: syscall: "mmap": expected name(arguments) = result`,
		"syscall nmap() = 0":             `line 2: syscall: "nmap" is not a call of x86-64`,
		"syscall vax:mmap() = 0":         `line 2: syscall: "vax": expected an ABI`,
		"syscall mmap(1, 2":              `line 2: syscall: the arguments of mmap have no closing`,
		"syscall mmap(1, two) = 0":       `line 2: syscall: argument 2: "two"`,
		"syscall mmap(1)":                `line 2: syscall: the result is missing`,
		"syscall mmap(1,2,3,4,5,6,7) =0": `line 2: syscall: 7 arguments`,
		"mark label=open":                `line 2: mark: label: expected a quoted string`,
		"R 0x1\nheader {}":               `line 3: the header comes before the first record`,
		`header {"version":99}`:          `line 2: trace of a newer version`,
	} {
		r, err := NewTextReader(strings.NewReader(textMagic + "\n" + in + "\n"))
		if err == nil {
			_, err = drain(r)
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n  got  %v\n  want %s", in, err, want)
		}
	}
	if _, err := NewTextReader(strings.NewReader("R 0x1\n")); !errors.Is(err, ErrNotTrace) {
		t.Errorf("text without first line: %v", err)
	}
}

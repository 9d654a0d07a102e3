package trace

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"testing"
	"time"
)

// maxMemory bounds what reading any stream may allocate at a time: one
// compressed frame, one raw block, one chunk, one index, and the decoder's own.
const maxMemory = 96 << 20

// FuzzReader: any bytes whatever give no panic, bounded memory, and records
// that survive being written and read again.
func FuzzReader(f *testing.F) {
	f.Add(encode(f, sample(f, 1, 50, false), false))
	f.Add(encode(f, sample(f, 2, 300, true), true))
	f.Add(encode(f, sample(f, 3, 300, false), false, WithPacking()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		recs, err := drain(r)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > maxMemory+uint64(200*len(recs)) {
			t.Fatalf("took %d bytes for %d bytes of input", took, len(data))
		}
		if err != nil {
			return
		}
		again(t, recs)
	})
}

// FuzzBlock feeds the block decoder past the checksum, and holds decoding ahead
// against decoding batch by batch.
func FuzzBlock(f *testing.F) {
	b := blockEncoder{fixed: fixedCount}
	b.reset(0)
	for _, r := range sample(f, 1, 60, true) {
		if r.ev != nil {
			b.event(r.ev)
		} else {
			b.ref(&r.ref, r.ip, true)
		}
	}
	f.Add(b.finish(nil, 0))
	b = blockEncoder{fixed: fixedCountPacked, packer: new(packer)}
	b.reset(0)
	for i := range 200 {
		b.ref(&Ref{VPN: uint64(i % 7), Reads: 1, First: Read}, 0, false)
	}
	f.Add(b.finish(nil, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var serial, ahead blockDecoder
		errSerial, errAhead := serial.open(raw), ahead.open(raw)
		if !sameError(errSerial, errAhead) {
			t.Fatalf("%v, ahead %v", errSerial, errAhead)
		}
		if errSerial != nil {
			return
		}
		ahead.ahead()
		for {
			var a, b Batch
			okA, errA := serial.next(&a)
			okB, errB := ahead.next(&b)
			if okA != okB || !sameError(errA, errB) {
				t.Fatalf("%v %v, ahead %v %v", okA, errA, okB, errB)
			}
			if !okA || errA != nil {
				return
			}
			if a.Holds {
				t.Fatal("a batch decoded when it is asked for holds")
			}
			if b.Holds = false; !reflect.DeepEqual(a, b) {
				t.Fatalf("%+v, ahead %+v", a, b)
			}
			for i := range a.Refs {
				if err := checkRef(&a.Refs[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error()
}

// FuzzIndex: any body of an index gives an error, or entries that survive, in
// memory that the body accounts for.
func FuzzIndex(f *testing.F) {
	f.Add(indexFrame(nil, indexOf(f, blocks(f, timed(f))))[24:])
	f.Fuzz(func(t *testing.T, body []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		index, err := parseIndex(appendTagged(nil, indexTag, body)[8:], 100)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<16+uint64(40*len(body)) {
			t.Fatalf("took %d bytes for %d bytes of index", took, len(body))
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseIndex(indexFrame(nil, index)[8:], 100)
		if err != nil || !reflect.DeepEqual(again, index) {
			t.Fatalf("%v: %+v became %+v", err, index, again)
		}
	})
}

// FuzzRandomAccess: a file that verifies from front to back gives the same part
// of it by its index; any other gives no panic.
func FuzzRandomAccess(f *testing.F) {
	data := blocks(f, timed(f))
	f.Add(data, uint64(700), uint64(900), false)
	f.Add(data, uint64(1_000_000_000), uint64(2_000_000_000), true)
	f.Fuzz(func(t *testing.T, data []byte, from, to uint64, byTime bool) {
		s := Selection{From: Point{Record: from}, To: Point{Record: to}}
		if byTime {
			s = Selection{From: Point{IsTime: true, Time: time.Duration(from >> 1)}, To: Point{IsTime: true, Time: time.Duration(to >> 1)}}
		}
		var parts [2]int
		src, err := indexedBytes(data, WithSelection(s))
		if err != nil || src == nil {
			return
		}
		parts[0], err = drainAny(src)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		r, verified := NewReader(bytes.NewReader(data), WithVerify())
		if verified != nil {
			return
		}
		check := NewChecker()
		for verified == nil {
			var b *Batch
			if b, verified = r.Next(); verified == nil && check.Batch(b) != nil {
				return
			}
		}
		if verified != io.EOF || len(r.Warnings()) > 0 {
			return
		}
		r, err2 := NewReader(bytes.NewReader(data), WithSelection(s))
		if err2 == nil {
			parts[1], err2 = drainAny(r)
		}
		if err != nil || err2 != nil || parts[0] != parts[1] {
			t.Fatalf("by index %d records, %v; from front to back %d, %v", parts[0], err, parts[1], err2)
		}
	})
}

// FuzzText: any text gives an error with a line, or records that survive.
func FuzzText(f *testing.F) {
	var buf bytes.Buffer
	w, err := NewTextWriter(&buf, Header{Origin: "text"})
	if err != nil {
		f.Fatal(err)
	}
	write(f, w, sample(f, 1, 50, true), true)
	f.Add(buf.Bytes())
	f.Add([]byte(textMagic + "\nprocess op=start pid=1 tid=1\nR 0x1000\nW 0x2000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewTextReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		recs, err := drain(r)
		if err != nil {
			return
		}
		again(t, recs)
	})
}

// again writes the records in both forms and reads them back.
func again(t *testing.T, recs []record) {
	var bin, text bytes.Buffer
	w, err := NewWriter(&bin, Header{})
	if err != nil {
		t.Fatal(err)
	}
	tw, err := NewTextWriter(&text, Header{})
	if err != nil {
		t.Fatal(err)
	}
	for _, dst := range []Sink{w, tw} {
		for i := range recs {
			r := &recs[i]
			if r.ev != nil {
				err = dst.Event(r.ev)
			} else {
				err = dst.Refs(r.thread, []Ref{r.ref}, nil)
			}
			if err != nil {
				return // a value that the format has no room for
			}
		}
		if err := dst.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a, err := NewReader(&bin)
	if err != nil {
		t.Fatal(err)
	}
	fromBin, err := drain(a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewTextReader(&text)
	if err != nil {
		t.Fatal(err)
	}
	fromText, err := drain(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromBin, fromText) {
		t.Fatal("text and binary differ")
	}
}

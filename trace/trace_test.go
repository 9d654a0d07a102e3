package trace

import (
	"bytes"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
)

// sample is a small stream with every record kind, every flag of a reference,
// and enough references that a chunk ends in the middle.
func sample(t testing.TB, seed uint64, refs int, ips bool) []record {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	recs := []record{
		event(NewSched(Sched{Thread: 10, CPU: 2})),
		event(NewProcess(10, Process{Op: OpStart, Child: 10, Tid: 10, Text: "prog \"quoted\" \x00\xff arg"})),
		event(NewFile(10, File{ID: 1, Dev: 0x801, Ino: 42, Size: 123456, FD: 4, Path: "/bin/prog"})),
		event(NewMap(10, Map{Start: 0x400000, End: 0x402000, Prot: ProtRead | ProtExec, Flags: MapShared | MapRecorder, File: 1, Offset: 0x1000, Name: "/bin/prog"})),
		event(NewSyscall(10, Syscall{ABI: ABIX8664, Nr: 9, Args: [6]uint64{0, 0x2000, 3, 0x22, ^uint64(0), 0}, Ret: 0x7f0000000000})),
		event(NewSyscall(10, Syscall{ABI: ABII386, Nr: 90, Args: [6]uint64{0xbffff000}, Ret: ^uint64(21), Data: "0123"})),
		event(NewUserCopy(10, UserCopy{Addr: 0x7f0000000ff8, Len: 16, Write: true})),
		event(NewProcess(10, Process{Op: OpClone, Child: 10, Tid: 11, Flags: 0x3d0f00})),
		event(NewTime(10, Time{NS: 5, Instructions: 7})),
		event(NewTruth(10, Truth{PID: 10, Minor: 3, Major: 1, RSS: 4096})),
		event(NewFault(10, Fault{Addr: 0x1234, IP: 0x400010, Access: Write, Major: true})),
		event(NewMark(10, "phase 1")),
		event(NewLost(10, 3, "ring buffer")),
	}
	pages := []uint64{0, 1, maxVPN, 0x400, 0x7f0000000, 0x7f0000001, 0x7fff12345}
	for i := range refs {
		r := Ref{VPN: pages[rng.IntN(len(pages))], Offset: uint16(rng.IntN(4096)), First: Access(1 + rng.IntN(3))}
		if rng.IntN(20) == 0 {
			r.VPN = rng.Uint64() & maxVPN
		}
		counts := [4]*uint32{Read: &r.Reads, Write: &r.Writes, Exec: &r.Execs}
		*counts[r.First] = 1
		if rng.IntN(3) == 0 {
			*counts[1+rng.IntN(3)] += rng.Uint32N(1000)
		}
		if rng.IntN(100) == 0 {
			r.Reads = 1<<32 - 1
		}
		rec := record{thread: 10, ref: r}
		if ips {
			rec.ip = rng.Uint64() >> rng.IntN(64)
		}
		recs = append(recs, rec)
		if i == refs/2 {
			recs = append(recs, event(NewSched(Sched{Thread: 11})))
		}
		if i > refs/2 {
			recs[len(recs)-1].thread = 11
		}
	}
	return append(recs, event(NewProcess(11, Process{Op: OpGroup, Child: 10, Status: 0x100})))
}

// record is one record of a test: a reference or an event.
type record struct {
	thread uint32
	ref    Ref
	ip     uint64
	ev     *Event
}

func event(e Event) record { return record{thread: e.Thread, ev: &e} }

func write(t testing.TB, dst Sink, recs []record, ips bool) {
	t.Helper()
	for i := range recs {
		r := &recs[i]
		var err error
		switch {
		case r.ev != nil:
			err = dst.Event(r.ev)
		case ips:
			err = dst.Refs(r.thread, []Ref{r.ref}, []uint64{r.ip})
		default:
			err = dst.Refs(r.thread, []Ref{r.ref}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// drain reads all records, copying them; it checks the sequence numbers.
func drain(src Source) ([]record, error) {
	var out []record
	for {
		b, err := src.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if b.Seq != uint64(len(out)) {
			return out, io.ErrNoProgress
		}
		if b.Event != nil {
			out = append(out, event(*b.Event))
			continue
		}
		for i, r := range b.Refs {
			rec := record{thread: b.Thread, ref: r}
			if b.IPs != nil {
				rec.ip = b.IPs[i]
			}
			out = append(out, rec)
		}
	}
}

func encode(t testing.TB, recs []record, ips bool, opts ...WriterOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := NewWriter(&buf, Header{Origin: "generated", Tool: "test", Command: []string{"a", "b c"}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, recs, ips)
	return buf.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, ips := range []bool{false, true} {
		for seed := uint64(1); seed <= 20; seed++ {
			recs := sample(t, seed, int(seed*seed*40), ips)
			data := encode(t, recs, ips)
			r, err := NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			got, err := drain(r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, recs) {
				t.Fatalf("seed %d: records changed", seed)
			}
			if w := r.Warnings(); len(w) != 0 {
				t.Fatalf("warnings: %q", w)
			}
			if r.Header().Command[1] != "b c" {
				t.Fatalf("header: %+v", r.Header())
			}
		}
	}
}

func TestTextRoundTrip(t *testing.T) {
	for _, ips := range []bool{false, true} {
		recs := sample(t, 3, 10000, ips)
		var buf bytes.Buffer
		w, err := NewTextWriter(&buf, Header{Origin: "generated", Tool: "test"})
		if err != nil {
			t.Fatal(err)
		}
		write(t, w, recs, ips)
		r, err := NewTextReader(bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if r.Header().Tool != "test" {
			t.Fatalf("header: %+v", r.Header())
		}
		got, err := drain(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(recs) {
			t.Fatalf("%d records, want %d", len(got), len(recs))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], recs[i]) {
				t.Fatalf("record %d: %+v, want %+v", i, got[i], recs[i])
			}
		}
	}
}

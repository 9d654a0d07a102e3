package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// list is a source of given batches.
type list struct {
	header  *trace.Header // nil = generatedHeader
	batches []trace.Batch
	err     error // after them; nil = io.EOF
	between func(i int)
	at      int
}

func (l *list) Header() *trace.Header {
	if l.header == nil {
		return &generatedHeader
	}
	return l.header
}
func (l *list) Warnings() []string { return []string{"from the source"} }
func (l *list) Close() error       { return nil }
func (l *list) Next() (*trace.Batch, error) {
	if l.at == len(l.batches) {
		if l.err == nil {
			return nil, io.EOF
		}
		return nil, l.err
	}
	if l.between != nil {
		l.between(l.at)
	}
	l.at++
	return &l.batches[l.at-1], nil
}

func events(list ...trace.Event) []trace.Batch {
	var out []trace.Batch
	for i := range list {
		out = append(out, trace.Batch{Thread: list[i].Thread, Event: &list[i]})
	}
	return out
}

func startEvent(pid uint32) trace.Event {
	return trace.NewProcess(pid, trace.Process{Op: trace.OpStart, Child: pid, Tid: pid})
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken disk")
	opts := Options{Model: paging.DefaultConfig()}
	start := events(startEvent(1))[0]
	for _, c := range []struct {
		what string
		src  *list
		opts Options
		want string
		is   error
	}{
		{"the source fails", &list{err: broken}, opts, "broken disk", broken},
		{"configuration", &list{}, Options{}, "profile", nil},
		{"record kind", &list{batches: events(trace.Event{Kind: 99})}, opts, "record 0: trace of a newer version: record kind 99", trace.ErrVersion},
		{"process operation", &list{batches: append(events(startEvent(1)), events(trace.NewProcess(1, trace.Process{Op: 77}))...)}, opts, "record 1: process operation 77 is unknown", nil},
		{"first access", &list{batches: []trace.Batch{start, {Thread: 1, Refs: []trace.Ref{{VPN: 5, First: trace.Read, Writes: 1}}}}}, opts, "record 1: corrupt trace: the reference to page 0x5", trace.ErrCorrupt},
		{"access kind", &list{batches: []trace.Batch{start, {Thread: 1, Refs: []trace.Ref{{VPN: 5, Reads: 1}}}}}, opts, "corrupt trace", trace.ErrCorrupt},
		{"descriptor", &list{batches: append(events(startEvent(1)), events(trace.NewFile(1, trace.File{ID: 1, FD: 1 << 40}))...)}, opts, "descriptor 1099511627775", nil},
	} {
		_, err := Run(context.Background(), c.src, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: error %v, want %q", c.what, err, c.want)
		}
	}
}

// An invalid reference is told by the number of its record, after those before
// it have been replayed.
func TestInvalidReferenceIsNamed(t *testing.T) {
	refs := make([]trace.Ref, 3*chunkRefs)
	for i := range refs {
		refs[i] = trace.Ref{VPN: 1, First: trace.Read, Reads: 1}
	}
	refs[2*chunkRefs+5].Reads = 0
	e, err := newEngine(&trace.Header{Origin: "captured"}, Options{Model: paging.DefaultConfig()}, defaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	src := &list{batches: append(events(startEvent(1)), trace.Batch{Thread: 1, Refs: refs})}
	err = e.loop(context.Background(), src)
	if want := fmt.Sprintf("trace: record %d: ", 1+2*chunkRefs+5); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Cancelling stops a replay between two batches, also in a trace of events only.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var list list
	for range 100 {
		list.batches = append(list.batches, events(trace.NewMark(0, "m"))...)
	}
	list.between = func(i int) {
		if i == 10 {
			cancel()
		}
	}
	if _, err := Run(ctx, &list, Options{Model: paging.DefaultConfig()}); !errors.Is(err, context.Canceled) || list.at != 11 {
		t.Errorf("error %v after %d batches", err, list.at)
	}
}

func TestProgress(t *testing.T) {
	refs := make([]trace.Ref, 1<<19)
	for i := range refs {
		refs[i] = trace.Ref{VPN: regionBase >> 12, First: trace.Write, Writes: 2}
	}
	src := &list{batches: events(startEvent(1), trace.NewSyscall(1, trace.Syscall{ABI: trace.ABIX8664, Nr: 9,
		Args: [6]uint64{regionBase, 0x1000, 3, fixedAnon}, Ret: regionBase}))}
	for range 5 {
		src.batches = append(src.batches, trace.Batch{Thread: 1, Refs: refs})
	}
	var told []Progress
	run := replayed(t, src, Options{Model: paging.DefaultConfig(), Progress: func(p Progress) { told = append(told, p) }})
	want := []Progress{{Records: 2<<19 + 2, Accesses: 4 << 19, Faults: 1}, {Records: 4<<19 + 2, Accesses: 8 << 19, Faults: 1}}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if run.Warnings[0] != "from the source" {
		t.Errorf("warnings %q", run.Warnings)
	}
}

// What grows with the length of a trace is bounded: errors for what the model
// has to know, one row or a warning for what people read.
func TestLimits(t *testing.T) {
	replay := func(text string, lim limits) (map[string]string, error) {
		src := open(t, text)
		e, err := newEngine(src.Header(), Options{Model: paging.DefaultConfig()}, lim)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.loop(context.Background(), src); err != nil {
			return nil, err
		}
		return flatten(t, e.collect(nil)), nil
	}
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintln(&b, strings.ReplaceAll(format, "N", fmt.Sprint(10+i)))
		}
		return b.String()
	}
	start := "process op=start pid=1 tid=1\n"
	small := limits{threads: 3, files: 3, descriptors: 3, rows: 3, ignored: 3, warnings: 3, names: 1 << 10}
	for _, c := range []struct{ what, text, want string }{
		{"threads", start + many(3, "process op=clone pid=1 tid=N"), "record 3: more than 3 threads at once"},
		{"processes", start + many(3, "process op=fork pid=N"), "record 3: more than 3 threads at once"},
		{"files", start + many(4, "file id=N size=1"), "record 4: more than 3 files"},
		{"descriptors", start + many(4, "file id=1 size=1 fd=N"), "record 4: more than 3 descriptors at once"},
		{"descriptors by dup", start + "file id=1 size=1 fd=1\n" + many(3, "syscall dup(0) = N"), "record 4: more than 3 descriptors at once"},
		{"descriptors of a table that one of two gave up", start + "process op=fork pid=2 flags=0x400\n" + many(3, "file id=1 size=1 fd=N") +
			"process op=group pid=1\nsched thread=2\nfile id=1 size=1 fd=1", "record 7: more than 3 descriptors at once"},
		{"descriptors by fork", start + many(2, "file id=1 size=1 fd=N") + "process op=fork pid=2", "record 3: more than 3 descriptors at once"},
	} {
		if _, err := replay(c.text, small); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.what, err, c.want)
		}
	}

	// Descriptors and threads of the dead do not count.
	lives := many(9, "process op=fork pid=N\nsched thread=N\nfile id=1 size=1 fd=1\nprocess op=group pid=N\nsched thread=1")
	got, err := replay(start+"syscall mmap(0x10000000, 0x1000, 0x3, 0x32, -1, 0) = 0x10000000\nW 0x10000000\n"+lives, small)
	if err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{
		"processes[0].pid": "1", "processes[2].pid": "11", "processes[3].pid": "0", "processes[3].threads": "7",
		"processes[3].command": "(7 other processes)", "processes[3].rss.peak_bytes": "4096",
		"warnings": "7 processes after the first 3 share one row",
	})

	rows := many(5, "map start=0xN000000 end=0xN001000 prot=rw- name=\"mN\"\nW 0xN000000\nmark label=\"N\"\nsyscall nr_N00() = 0")
	if got, err = replay(start+rows, small); err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{
		"mappings[0].name": "(other mappings)", "mappings[0].minor": "2", "mappings[1].name": "m10", "mappings[3].name": "m12",
		"marks[2].label": "12", "agreement.syscalls.ignored": "(others):2 nr_1000:1 nr_1100:1 nr_1200:1",
		"warnings[0]": "mappings after the first 3 share one row", "warnings[1]": "more than 3 marks: those after the first are left out",
	})

	captured := "header {\"version\":1,\"origin\":\"captured\",\"tool\":\"x\"}\n"
	bad := many(6, "map start=0x1000 end=0x1000 name=\"N\"")
	if got, err = replay(captured+start+bad, small); err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{"warnings[1]": "region 0x1000-0x1000 (10) does not fit into the address space: EINVAL", "warnings[4]": "3 more warnings are left out"})

	long := "mark label=\"" + strings.Repeat("x", 2000) + "\"\n"
	if got, err = replay(start+long+"mark label=\"\\xff\"\n", small); err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{"marks[0].label": "(name left out)", "marks[1].label": "\uFFFD",
		"warnings[1]": "1 names are left out: together they are longer than 1024 bytes"})
	if got, err = replay(start+"mark label=\""+strings.Repeat("é", 4000)+"\"\n", defaultLimits); err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{"marks[0].label": strings.Repeat("é", 2048) + "..."})

	unknown := many(5, "syscall mmap(0, 0x1000, 1, 2, N, 0) = 0xN000000")
	if got, err = replay(captured+start+unknown, small); err != nil {
		t.Fatal(err)
	}
	expectValues(t, got, map[string]string{"agreement.syscalls.mismatched": "2",
		"warnings[4]": "more than 3 files: descriptors that no file record names are EBADF from there on"})
}

func expectValues(t *testing.T, got, want map[string]string) {
	t.Helper()
	for path, v := range want {
		if got[path] != v {
			t.Errorf("%s is %q, want %q", path, got[path], v)
		}
	}
}

// FuzzReplay: no text trace makes a replay panic, contradict itself or disagree
// with the same trace cut otherwise. Inputs that ask for much memory by right
// (populated or locked mappings) are passed over: the model has no limit on
// memory yet.
func FuzzReplay(f *testing.F) {
	for _, text := range lessonTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 || asksForMuch(text) {
			return
		}
		opts := Options{Model: paging.DefaultConfig(), Check: true, Buckets: 5}
		first, err := fuzzRun(text, nil, opts)
		if errors.Is(err, ErrCheck) {
			t.Fatal(err)
		}
		again, err2 := fuzzRun(text, func(int) int { return 1 }, opts)
		if fmt.Sprint(err) != fmt.Sprint(err2) || first != again {
			t.Fatalf("cut otherwise: error %v and %v; %s", err, err2, firstDifference(first, again))
		}
	})
}

func fuzzRun(text string, cut func(int) int, opts Options) (string, error) {
	src, err := trace.NewTextReader(strings.NewReader("# vmtrace text 1\n" + text))
	if err != nil {
		return "", err
	}
	var s trace.Source = src
	if cut != nil {
		s = &cutter{Source: src, next: cut}
	}
	run, err := Run(context.Background(), s, opts)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = run.Counts().Write(&b)
	return b.String(), err
}

// FuzzMemory replays anything in the least memory there is, and in little, under
// every policy, with swap and without: no run goes on for ever, none contradicts
// itself, and all say how they ended.
func FuzzMemory(f *testing.F) {
	for i, text := range lessonTexts(f) {
		f.Add(text, uint8(i), uint8(i))
	}
	policies := paging.Policies()
	f.Fuzz(func(t *testing.T, text string, policy, frames uint8) {
		if len(text) > 8<<10 || asksForMuch(text) {
			return
		}
		m := paging.DefaultConfig()
		m.Memory, m.Cache = (1+uint64(frames)%40)*paging.PageSize, paging.CacheState(frames>>7)
		m.Reclaim = policies[int(policy)%len(policies)][0]
		if m.Reclaim == "opt" {
			return // wants the future
		}
		if policy>>7 == 0 {
			m.Swap = 1 << 40
		}
		out, err := fuzzRun(text, nil, Options{Model: m, Check: true, Buckets: 5})
		if errors.Is(err, ErrCheck) {
			t.Fatal(err)
		}
		if err == nil && !strings.Contains(out, `"outcome": "`) {
			t.Fatalf("the result does not say how the run ended: %s", out)
		}
	})
}

// asksForMuch says that a trace may map more than 64 MiB at a time: the model
// would do as it is told.
func asksForMuch(text string) bool {
	const much = 64 << 20
	src, err := trace.NewTextReader(strings.NewReader("# vmtrace text 1\n" + text))
	if err != nil {
		return true
	}
	locks, heap := false, false
	for {
		b, err := src.Next()
		if err != nil {
			return locks && heap
		}
		if b.Event == nil {
			continue
		}
		switch ev := b.Event; ev.Kind {
		case trace.KindMap:
			if m := ev.Map(); m.End-m.Start > much {
				return true
			}
		case trace.KindSyscall:
			s := ev.Syscall()
			switch name := trace.SyscallName(s.ABI, s.Nr); name {
			case "mmap", "mmap2", "mremap":
				if s.Args[1] > much || name == "mremap" && s.Args[2] > much {
					return true
				}
			case "old_mmap":
				if len(s.Data) > 7 && s.Data[7] > much>>24 {
					return true
				}
			case "mlockall", "mlock", "mlock2", "madvise":
				locks = true
			case "brk":
				heap = heap || s.Args[0] > s.Ret+much || s.Args[0] == s.Ret
			}
		}
	}
}

// FuzzStream makes records of bytes, valid or not, over a few threads, pages and
// files, so that most of them meet. The demands are those of FuzzReplay.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"), true)
	for seed := range byte(20) {
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(i*i)*(seed+3) + byte(i>>3)*7
		}
		f.Add(data, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, captured bool) {
		if len(data) > 2000 {
			return
		}
		h := generatedHeader
		if captured {
			h.Origin = "captured"
		}
		src := func() *list { return &list{batches: hostile(data), header: &h} }
		opts := Options{Model: paging.DefaultConfig(), Check: true, Buckets: 5}
		run, err := Run(context.Background(), src(), opts)
		if errors.Is(err, ErrCheck) {
			t.Fatal(err)
		}
		again, err2 := Run(context.Background(), &cutter{Source: src(), next: func(int) int { return 1 }}, opts)
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("cut otherwise: error %v and %v", err, err2)
		}
		if err != nil {
			return
		}
		if a, b := counts(t, run), counts(t, again); a != b {
			t.Fatal(firstDifference(a, b))
		}
	})
}

// hostile reads records from bytes.
func hostile(data []byte) []trace.Batch {
	next := func(n uint64) uint64 { // below n
		if len(data) == 0 {
			return 0
		}
		v := uint64(data[0]) % n
		data = data[1:]
		return v
	}
	thread := func() uint32 { return uint32(1 + next(4)) }
	addr := func() uint64 { return regionBase + next(24)<<12 }
	size := func() uint64 { return next(9) << 12 }
	list := []trace.Event{startEvent(1)}
	var out []trace.Batch
	for len(data) > 0 {
		tid := thread()
		switch next(8) {
		case 0, 1: // references
			refs := make([]trace.Ref, 1+next(8))
			for i := range refs {
				refs[i] = trace.Ref{VPN: addr() >> 12, First: trace.Access(1 + next(3)), Reads: 1, Writes: uint32(next(2)), Execs: uint32(next(8) / 7)}
				switch refs[i].First {
				case trace.Write:
					refs[i].Writes = 1
				case trace.Exec:
					refs[i].Execs = 1
				}
			}
			out = append(append(out, events(list...)...), trace.Batch{Thread: tid, Refs: refs})
			list = nil
		case 2:
			list = append(list, trace.NewProcess(tid, trace.Process{Op: trace.ProcessOp(1 + next(7)), Child: thread(), Tid: thread(), Flags: next(8) << 8, Status: next(256)}))
		case 3:
			list = append(list, trace.NewFile(tid, trace.File{ID: 1 + next(3), Size: size(), FD: next(4)}))
		case 4:
			a := addr()
			list = append(list, trace.NewMap(tid, trace.Map{Start: a, End: a + size(), Prot: uint32(next(8)), Flags: trace.MapFlags(next(256)), File: next(4)}))
		case 5:
			list = append(list, trace.NewUserCopy(tid, trace.UserCopy{Addr: addr() + next(256), Len: size(), Write: next(2) == 0}))
		case 6:
			list = append(list, trace.NewSched(trace.Sched{Thread: tid, CPU: uint32(next(6))}))
		default:
			list = append(list, hostileCall(tid, next, addr, size))
		}
	}
	return append(out, events(list...)...)
}

func hostileCall(tid uint32, next func(uint64) uint64, addr, size func() uint64) trace.Event {
	numbers := []uint32{9, 9, 9, 11, 10, 25, 25, 12, 28, 28, 26, 149, 325, 150, 151, 152, 3, 32, 33}
	s := trace.Syscall{ABI: trace.ABIX8664, Nr: numbers[next(uint64(len(numbers)))], Args: [6]uint64{addr(), size(), next(8)}}
	s.Ret = []uint64{addr(), 0, ^uint64(11), addr()}[next(4)]
	switch s.Nr {
	case 9:
		s.Args[3] = []uint64{0x32, 0x22, 0x31, 0x12, 0x11, 0x8032, 0x132, 0x100022, 0x2032}[next(9)]
		s.Args[4], s.Args[5] = next(4), size()
	case 25:
		s.Args[2], s.Args[3], s.Args[4] = size(), next(8), addr()
	case 28:
		s.Args[2] = next(26)
	case 151:
		s.Args[0] = next(8)
	case 3, 32, 33:
		s.Args[0], s.Ret = next(4), next(4)
	}
	return trace.NewSyscall(tid, s)
}

// A hostile stream of many short-lived processes, files and names takes memory
// by what is alive and not by its length.
func TestMemoryDoesNotGrowWithTheTrace(t *testing.T) {
	const lives = 20_000
	var before, after runtime.MemStats
	src := &list{batches: events(startEvent(1))}
	list := make([]trace.Event, 0, 4*lives)
	for i := range uint32(lives) {
		pid := 10 + i
		list = append(list, trace.NewProcess(1, trace.Process{Op: trace.OpFork, Child: pid, Tid: pid}),
			trace.NewFile(pid, trace.File{ID: 1, Size: 4096, FD: uint64(1 + i%100)}),
			trace.NewSyscall(pid, trace.Syscall{ABI: trace.ABIX8664, Nr: 1000 + i}),
			trace.NewProcess(pid, trace.Process{Op: trace.OpGroup, Child: pid}))
	}
	src.batches = append(src.batches, events(list...)...)
	runtime.GC()
	runtime.ReadMemStats(&before)
	run := replayed(t, src, Options{Model: paging.DefaultConfig()})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the result of %d short lives holds %d bytes", lives, grown)
	}
	if n := len(run.Processes); n != defaultLimits.rows+1 {
		t.Errorf("%d rows of processes", n)
	}
}

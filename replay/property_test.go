package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/reduce"
)

// program writes a random but valid trace: processes that map, touch, protect,
// advise and unmap a few regions, and fork, clone and exit. No access is
// refused.
type program struct {
	t       testing.TB
	rng     *rand.Rand
	dst     trace.Sink
	threads []programThread
	nextID  uint32
}

type programThread struct {
	tid   uint32
	space *programSpace
}

// programSpace is what a process has mapped.
type programSpace struct {
	pid      uint32
	mapped   [6]bool
	readOnly [6]bool
}

const (
	regionPages = 24
	regionBase  = 0x10000000
	regionStep  = 0x100000
	fixedAnon   = 0x32
	fixedFile   = 0x12
	fixedShared = 0x11
)

func region(i int) uint64 { return regionBase + uint64(i)*regionStep }

func writeProgram(t testing.TB, seed uint64, steps int, dst trace.Sink) {
	p := &program{t: t, rng: rand.New(rand.NewPCG(seed, 7)), dst: dst, nextID: 2}
	p.threads = []programThread{{1, &programSpace{pid: 1}}}
	p.event(trace.NewProcess(1, trace.Process{Op: trace.OpStart, Child: 1, Tid: 1, Text: "random"}))
	p.event(trace.NewFile(1, trace.File{ID: 1, Dev: 1, Ino: 1, Size: regionPages << 12, FD: 4, Path: "/file"}))
	for range steps {
		p.step()
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

func (p *program) event(e trace.Event) {
	if err := p.dst.Event(&e); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) call(tid uint32, nr uint32, ret uint64, args ...uint64) {
	s := trace.Syscall{ABI: trace.ABIX8664, Nr: nr, Ret: ret}
	copy(s.Args[:], args)
	p.event(trace.NewSyscall(tid, s))
}

func (p *program) step() {
	at := p.rng.IntN(len(p.threads))
	th := p.threads[at]
	i := p.rng.IntN(len(th.space.mapped))
	start, length := region(i), uint64(regionPages<<12)
	if !th.space.mapped[i] {
		flags := []uint64{fixedAnon, fixedFile, fixedShared}[p.rng.IntN(3)]
		p.call(th.tid, 9, start, start, length, 3, flags, 3, 0)
		th.space.mapped[i], th.space.readOnly[i] = true, false
		return
	}
	switch p.rng.IntN(14) {
	case 0:
		p.call(th.tid, 11, 0, start, length)
		th.space.mapped[i] = false
	case 1:
		th.space.readOnly[i] = !th.space.readOnly[i]
		prot := uint64(3)
		if th.space.readOnly[i] {
			prot = 1
		}
		p.call(th.tid, 10, 0, start, length, prot)
	case 2:
		p.call(th.tid, 28, 0, start, length, 4)
	case 3:
		p.start(th)
	case 4:
		if len(p.threads) > 4 {
			p.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpExit, Child: th.space.pid, Tid: th.tid}))
			p.threads = slices.Delete(p.threads, at, at+1)
		}
	case 5:
		p.event(trace.NewUserCopy(th.tid, trace.UserCopy{Addr: start + 100, Len: 9000}))
	default:
		p.touch(th, i)
	}
}

func (p *program) start(th programThread) {
	if len(p.threads) > 8 {
		return
	}
	id := p.nextID
	p.nextID++
	if p.rng.IntN(2) == 0 {
		p.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpClone, Child: th.space.pid, Tid: id}))
		p.threads = append(p.threads, programThread{id, th.space})
		return
	}
	p.event(trace.NewProcess(th.tid, trace.Process{Op: trace.OpFork, Child: id, Tid: id}))
	space := *th.space
	space.pid = id
	p.threads = append(p.threads, programThread{id, &space})
}

// touch makes a run of references to the region, most to a hot part of it.
func (p *program) touch(th programThread, i int) {
	refs := make([]trace.Ref, 1+p.rng.IntN(300))
	for k := range refs {
		page := p.rng.Uint64N(regionPages)
		if p.rng.IntN(3) > 0 {
			page = p.rng.Uint64N(4)
		}
		r := trace.Ref{VPN: region(i)>>12 + page, First: trace.Read, Reads: 1 + p.rng.Uint32N(20)}
		if !th.space.readOnly[i] && p.rng.IntN(3) == 0 {
			r = trace.Ref{VPN: r.VPN, First: trace.Write, Writes: 1 + p.rng.Uint32N(5), Reads: p.rng.Uint32N(3)}
		}
		refs[k] = r
	}
	if err := p.dst.Refs(th.tid, refs, nil); err != nil {
		p.t.Fatal(err)
	}
}

var generatedHeader = trace.Header{Origin: "generated", Tool: "test", Command: []string{"random"}, ABI: trace.ABIX8664}

// programTrace is the program as a .vmt file, reduced with K unless K is 0.
func programTrace(t testing.TB, seed uint64, steps, k int) []byte {
	t.Helper()
	var buf bytes.Buffer
	h := generatedHeader
	h.Reduce = k
	w, err := trace.NewWriter(&buf, h)
	if err != nil {
		t.Fatal(err)
	}
	dst := trace.Sink(w)
	if k > 0 {
		if dst, err = reduce.New(w, k); err != nil {
			t.Fatal(err)
		}
	}
	writeProgram(t, seed, steps, dst)
	return buf.Bytes()
}

func vmt(t testing.TB, data []byte) trace.Source {
	t.Helper()
	src, err := trace.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func replayed(t testing.TB, src trace.Source, opts Options) *result.Run {
	t.Helper()
	run, err := Run(context.Background(), src, opts)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// smallTLB misses often and has 4 ways everywhere.
func smallTLB(t testing.TB) paging.Config {
	t.Helper()
	c := paging.DefaultConfig()
	var err error
	if c.TLB, err = paging.ParseTLB("l1i=8x4,l1d=8x4,l2=16x4"); err != nil {
		t.Fatal(err)
	}
	return c
}

// A trace reduced with K = 4 gives the faults, resident memory and flushes of
// the whole trace, and, in LRU TLBs of 4 ways or more, its misses (Kaplan,
// Smaragdakis, Wilson, SIGMETRICS 1999).
func TestReducedTraceCountsTheSame(t *testing.T) {
	for seed := range uint64(8) {
		opts := Options{Model: smallTLB(t), Check: true}
		whole := replayed(t, vmt(t, programTrace(t, seed, 300, 0)), opts)
		small := replayed(t, vmt(t, programTrace(t, seed, 300, 4)), opts)
		if small.Trace.Refs >= whole.Trace.Refs*9/10 {
			t.Errorf("seed %d: %d of %d references are left: nothing was reduced", seed, small.Trace.Refs, whole.Trace.Refs)
		}
		if whole.Totals.TLB.Misses < whole.Trace.Refs/100 {
			t.Errorf("seed %d: %d TLB misses: too few to tell", seed, whole.Totals.TLB.Misses)
		}
		totals := func(r *result.Run) string {
			x := r.Totals
			x.Refs = 0 // that is what is reduced
			return marshal(t, x) + marshal(t, r.Processes) + marshal(t, r.Mappings) + marshal(t, r.Agreement)
		}
		if a, b := totals(whole), totals(small); a != b {
			t.Errorf("seed %d:\nwhole   %s\nreduced %s", seed, a, b)
		}
		if whole.Agreement.Syscalls.Mismatched != 0 || len(whole.Warnings) != 0 {
			t.Errorf("seed %d: the program is not valid: %+v %v", seed, whole.Agreement, whole.Warnings)
		}
	}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// However the references are cut into runs, the result is the same to the last
// byte; so it is with Explain, which replays one reference at a time.
func TestResultDoesNotDependOnBlocks(t *testing.T) {
	data := programTrace(t, 3, 400, 0)
	opts := Options{Model: smallTLB(t), Buckets: 20}
	want := counts(t, replayed(t, vmt(t, data), opts))
	for range 3 {
		if got := counts(t, replayed(t, &cutter{Source: vmt(t, data), next: randomCut()}, opts)); got != want {
			t.Fatal(firstDifference(want, got))
		}
	}
	steps := uint64(0)
	opts.Explain = func(s Step) { steps++ }
	run := replayed(t, vmt(t, data), opts)
	if got := counts(t, run); got != want {
		t.Fatal(firstDifference(want, got))
	}
	if f := run.Totals.Faults; steps != f.Minor+f.Major {
		t.Errorf("%d steps explained, %d faults", steps, f.Minor+f.Major)
	}
}

// The buckets of the time line add up to the totals, whatever their number; the
// last value of a gauge is the state at the end.
func TestTimelineAddsUp(t *testing.T) {
	data := programTrace(t, 5, 900, 0)
	for _, buckets := range []int{1, 2, 3, 7, 64, 1000} {
		run := replayed(t, vmt(t, data), Options{Model: smallTLB(t), Buckets: buckets})
		ends := run.Timeline.EndsAccesses
		if len(ends) > buckets || buckets > 1 && len(ends) < min(buckets, 64)/2 || ends[len(ends)-1] != run.Totals.Accesses {
			t.Errorf("at most %d buckets: ends %v, %d accesses", buckets, ends, run.Totals.Accesses)
		}
		if !slices.IsSorted(ends) {
			t.Errorf("ends %v are not in order", ends)
		}
		sums := map[string]uint64{}
		for _, s := range run.Series {
			for _, v := range s.Values {
				sums[s.Name] += v
			}
			if s.Kind == result.Gauge {
				sums[s.Name] = s.Values[len(s.Values)-1]
			}
		}
		want := map[string]uint64{"tlb.misses": run.Totals.TLB.Misses, "tlb.lookups": run.Totals.TLB.Lookups}
		for kind, n := range run.Totals.Faults.Kinds {
			want["faults."+kind] = n
		}
		for cause, n := range run.Totals.TLB.Flushes.Causes {
			want["tlb.flushes."+cause] = n
		}
		for name, n := range want {
			if sums[name] != n {
				t.Errorf("%d buckets: %s adds up to %d, the total is %d", buckets, name, sums[name], n)
			}
		}
		if rss := sums["rss.anon"] + sums["rss.file"] + sums["rss.shmem"]; rss != run.Totals.RSS.FinalBytes {
			t.Errorf("%d buckets: the series of RSS end with %d, the total is %d", buckets, rss, run.Totals.RSS.FinalBytes)
		}
	}
}

// Buckets have equal widths: all but the last end at multiples of one step,
// within the accesses of one reference.
func TestBucketsAreEqual(t *testing.T) {
	tl := newTimeline(10)
	accesses := uint64(0)
	for range 100_000 {
		accesses++
		if accesses >= tl.boundary {
			tl.snapshot(accesses, paging.Stats{Minor: accesses}, 1)
		}
	}
	tl.finish(accesses, paging.Stats{Minor: accesses})
	for i, end := range tl.ends[:len(tl.ends)-1] {
		if end != uint64(i+1)*tl.step || tl.rows[i].Minor != end {
			t.Errorf("bucket %d ends at %d with a snapshot of %d; the step is %d", i, end, tl.rows[i].Minor, tl.step)
		}
	}
}

// A snapshot costs time by the number of threads: with many of them the buckets
// become wider, but not fewer than 64.
func TestManyThreadsMakeWideBuckets(t *testing.T) {
	const threads = 100_000
	tl := newTimeline(1000)
	snapshots := 0
	for accesses := uint64(1024); accesses < 1<<30; accesses += 1024 {
		if accesses >= tl.boundary {
			tl.snapshot(accesses, paging.Stats{}, threads)
			snapshots++
		}
	}
	if n := len(tl.ends); n < fineBuckets || snapshots > 2000 {
		t.Errorf("%d buckets from %d snapshots", n, snapshots)
	}
}

// A reference that stands for more accesses than a bucket is wide closes it, and
// the next bucket begins behind it.
func TestReferencesWiderThanABucket(t *testing.T) {
	text := "process op=start pid=1 tid=1\nsyscall mmap(0x10000000, 0x3000, 0x3, 0x32, -1, 0) = 0x10000000\n" +
		strings.Repeat("ref 0x10000000 r=4294967295 w=4294967295 first=w\n", 20)
	run := replayed(t, open(t, text), Options{Model: paging.DefaultConfig(), Buckets: 8})
	const each = 2 * (1<<32 - 1)
	if run.Totals.Accesses != 20*each {
		t.Errorf("%d accesses", run.Totals.Accesses)
	}
	for i, end := range run.Timeline.EndsAccesses {
		if end%each != 0 || i > 0 && end <= run.Timeline.EndsAccesses[i-1] {
			t.Errorf("ends %v", run.Timeline.EndsAccesses)
			break
		}
	}
}

// Explain tells the record and how many accesses came before it.
func TestExplain(t *testing.T) {
	text := `process op=start pid=1 tid=1
syscall mmap(0x10000000, 0x3000, 0x3, 0x32, -1, 0) = 0x10000000
ref 0x10000000 r=5 first=r
R 0x10000000
W 0x10001000
usercopy addr=0x10002000 len=1 write=1
`
	var got []string
	opts := Options{Model: paging.DefaultConfig(), Explain: func(s Step) {
		got = append(got, fmt.Sprintf("%d %d %d/%d %v %v %#x", s.Record, s.Accesses, s.PID, s.TID, s.Fault.Kind, s.Fault.Outcome, s.Fault.Addr))
	}}
	replayed(t, open(t, text), opts)
	want := []string{"2 0 1/1 zero_page minor 0x10000000", "4 6 1/1 demand_zero minor 0x10001000", "5 7 1/1 demand_zero minor 0x10002000"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// The steady state allocates nothing.
func TestNoAllocationPerReference(t *testing.T) {
	e, err := newEngine(&generatedHeader, Options{Model: paging.DefaultConfig()}, defaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	start := trace.NewProcess(1, trace.Process{Op: trace.OpStart, Child: 1, Tid: 1})
	mapped := trace.NewSyscall(1, trace.Syscall{ABI: trace.ABIX8664, Nr: 9, Args: [6]uint64{regionBase, 0x100000, 3, fixedAnon}, Ret: regionBase})
	for _, ev := range []trace.Event{start, mapped} {
		if err := e.event(&ev); err != nil {
			t.Fatal(err)
		}
	}
	e.timeline.boundary = 1 << 62
	refs := make([]trace.Ref, 10_000)
	for i := range refs {
		refs[i] = trace.Ref{VPN: regionBase>>12 + uint64(i)%256, First: trace.Write, Writes: 1}
	}
	if n := testing.AllocsPerRun(20, func() {
		if err := e.batch(&trace.Batch{Thread: 1}, refs); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d references", n, len(refs))
	}
}

// The keys that doc.go of package result fixes are in the result of a run.
func TestFixedKeys(t *testing.T) {
	run := replayed(t, vmt(t, programTrace(t, 1, 100, 0)), Options{Model: paging.DefaultConfig(), Path: "x.vmt"})
	var doc any
	if err := json.Unmarshal([]byte(marshal(t, run)), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(`schema trace.path trace.command trace.accesses trace.refs trace.reduce config.cpus
		totals.accesses totals.refs totals.faults.minor totals.faults.major totals.faults.kinds.demand_zero
		totals.rss.peak_bytes totals.rss.final_bytes totals.page_table_bytes totals.tlb.misses totals.tlb.walks
		totals.tlb.flushes.total totals.tlb.flushes.causes.munmap totals.reclaim.evictions totals.reclaim.refaults
		totals.estimate_ns.total totals.swap.in_bytes totals.swap.out_bytes agreement.segv agreement.syscalls.compared
		agreement.syscalls.mismatched agreement.syscalls.by_call.mmap processes.0.pid processes.0.command
		processes.0.faults processes.0.rss mappings.0 series.0 run.seconds run.refs_per_second run.workers run.order warnings`) {
		if !hasKey(doc, strings.Split(path, ".")) {
			t.Errorf("the result has no %s", path)
		}
	}
	empty := marshal(t, replayed(t, &list{}, Options{Model: paging.DefaultConfig()}))
	if strings.Contains(empty, "null") {
		t.Errorf("the result of an empty trace holds a null: %s", empty)
	}
}

func hasKey(v any, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		next, ok := v[path[0]]
		return ok && hasKey(next, path[1:])
	case []any:
		return path[0] == "0" && len(v) > 0 && hasKey(v[0], path[1:])
	}
	return false
}

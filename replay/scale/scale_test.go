package scale

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// design finds a row of the table.
func design(t *testing.T, name string) *Design {
	t.Helper()
	for i := range Designs {
		if Designs[i].Name == name {
			return &Designs[i]
		}
	}
	t.Fatalf("no design %q", name)
	return nil
}

// faulting is n threads of one address space with so many faults each: of 1000 ns of
// work, 100 of them with a table locked. own says that each has a mapping and a table
// of its own.
func faulting(n, faults int, own bool) *program {
	p := &program{faults: n * faults, objects: 1 + 2*n}
	for i := range n {
		s := step{work: 1000}
		s.at = [table + 1]uint32{mm: 1, vma: 2, table: 3}
		if own {
			s.at[vma], s.at[table] = uint32(2+2*i), uint32(3+2*i)
		}
		steps := make([]step, faults)
		for k := range steps {
			steps[k] = s
		}
		p.threads = append(p.threads, steps)
	}
	return p
}

var price = prices{word: 10, line: 90, held: 100, wake: 0}

// near says whether a time is as expected, within a part in a hundred: beginnings and
// ends are not the steady state of the closed forms.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/100 {
		t.Errorf("%s: %.0f ns, want %.0f", what, got, want)
	}
}

// Closed forms.
func TestSimulate(t *testing.T) {
	const faults = 1000
	for _, c := range []struct {
		what    string
		design  string
		threads int
		own     bool
		cpus    int
		want    float64 // for all
	}{
		{"one thread: the work", "table", 1, true, 1, faults * 1000},
		{"one thread: and two changes of a word that is its own", "mm", 1, true, 1, faults * 1020},
		{"threads that share nothing take as long as one", "table", 8, true, 8, faults * 1000},
		{"eight threads on two CPUs: four times as long", "table", 8, true, 2, 4 * faults * 1000},
		{"one table: the time with it locked adds up", "table", 16, false, 16, 16 * faults * 100},
		{"one mutex: everything adds up", "global", 8, true, 8, 8 * faults * 1000},
		{"one word: its changes add up, each from another CPU", "mm", 64, true, 64, 64 * faults * 2 * 100},
		{"a lock for each mapping: as one thread", "vma", 64, true, 64, faults * 1020},
		{"but if the mapping is one", "vma", 64, false, 64, 64 * faults * 2 * 100},
	} {
		near(t, c.what, simulate(faulting(c.threads, faults, c.own), design(t, c.design), c.cpus, price).now, c.want)
	}
}

// Three threads by hand: a fault is under way when a call wants to write, and a fault
// that comes later waits behind the call.
//
//	thread 0  0 word 10, read; work 900, held 100: until 1010; word 1010-1020
//	thread 1  arrives at 500: word to 600 (another CPU's); waits for 0 until 1110
//	thread 2  arrives at 700: word to 800; waits behind 1
//
// Thread 0 gives the lock back when its word is changed: another CPU had changed it,
// so at 1010 + 100 = 1110. Thread 1 works for 1000: until 2110. Thread 2 reads from
// 2110: 900, 100, and its word, which it had changed last itself but for thread 0:
// 100. It ends at 3210.
func TestFairness(t *testing.T) {
	at := [table + 1]uint32{mm: 1, vma: 2, table: 3}
	p := &program{objects: 3, faults: 2, threads: [][]step{
		{{work: 1000, at: at}},
		{{compute: 500, work: 1000, kind: change, at: at}},
		{{compute: 700, work: 1000, at: at}},
	}}
	if got := simulate(p, design(t, "mm"), 3, price).now; got != 3210 {
		t.Errorf("the end is at %v ns, want 3210", got)
	}
	// A lock for each mapping, and the call changes none that a fault is of: nobody waits
	// for anybody: thread 2 ends at 700 + 100 + 1000 + 100 (the word was changed by thread
	// 0 last, twice: before, and at 1010).
	if got := simulate(p, design(t, "vma"), 3, price).now; got != 1900 {
		t.Errorf("with a lock for each mapping the end is at %v ns, want 1900", got)
	}
}

// Who sleeps gives up the CPU, who spins keeps it: of two threads that want a lock for
// 1000 ns each and one that computes for 5000, on two CPUs, the third begins at once,
// or when the first has ended.
func TestSleep(t *testing.T) {
	at := [table + 1]uint32{mm: 1}
	p := &program{objects: 1, threads: [][]step{{{work: 1000, kind: change, at: at}}, {{work: 1000, kind: change, at: at}}, {{compute: 5000, at: at}}}}
	for _, c := range []struct {
		take what
		cpus int
		want float64
	}{{write, 2, 5000}, {spin, 2, 6000}, {write, 3, 5000}, {write, 1, 7000}} {
		d := &Design{change: []op{{c.take, mm}, {work, none}, {free, mm}}, fault: []op{{compute, none}}}
		if got := simulate(p, d, c.cpus, prices{wake: 7}).now; got != c.want {
			t.Errorf("lock of kind %d, %d CPUs: the end is at %v, want %v", c.take, c.cpus, got, c.want)
		}
	}
}

// predicted runs a generated workload, so many steps of it.
func predicted(t *testing.T, name string, p synth.Params, steps int, cpus ...int) map[string][]float64 {
	t.Helper()
	var buf bytes.Buffer
	if err := synth.Generate(name, p, func(h trace.Header) (trace.Sink, error) { return trace.NewWriter(&buf, h) }); err != nil {
		t.Fatal(err)
	}
	src, err := trace.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	s, err := Run(context.Background(), src, Options{Replay: replay.Options{Model: paging.DefaultConfig()}, CPUs: cpus, Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for _, d := range s.Designs {
		out[d.Name] = d.FaultsPerSecond
	}
	return out
}

// The shapes that are published: threads that fault in one address space meet at the
// mmap lock (LWN 2022, "Concurrent page-fault handling with per-VMA locks"), as they met
// at page_table_lock before it was split (Linux commit 4c21e2f2441d, "mm: split page
// table lock"): with a word or a lock that all share the rate stops growing, with locks
// of page tables it goes on. The threads of page_fault1 get mappings side by side, which
// merge: a lock for each mapping is one for all of them (published_test.go has the
// figures). Those of page_fault2 are of files and do not merge. Only faults are looked
// at, before the first munmap.
func TestShapes(t *testing.T) {
	const beforeUnmap = 20000
	got := predicted(t, "page_fault1", synth.Params{Pages: 2048, Threads: 64, Rounds: 2}, beforeUnmap, 1, 2, 16, 64)
	grows := func(name string, from, to int) float64 { return got[name][to] / got[name][from] }
	if r := grows("mm", 0, 1); r < 1.7 {
		t.Errorf("mm: %.2f times with two CPUs", r)
	}
	if r := grows("mm", 2, 3); r > 2 {
		t.Errorf("mm: %.2f times from 16 to 64 CPUs, want less than 2", r)
	}
	if r := grows("table", 0, 3); r < 40 {
		t.Errorf("table: %.2f times with 64 CPUs", r)
	}
	if r := grows("global", 0, 3); r > 1.05 {
		t.Errorf("global: %.2f times with 64 CPUs", r)
	}
	if got["table"][3] < 2*max(got["mm"][3], got["vma"][3]) {
		t.Errorf("64 CPUs, mappings that merge: table %.0f, vma %.0f, mm %.0f", got["table"][3], got["vma"][3], got["mm"][3])
	}
	got = predicted(t, "page_fault2", synth.Params{Pages: 2048, Threads: 64, Rounds: 2}, beforeUnmap, 1, 2, 16, 64)
	if got["vma"][3] < 2*got["mm"][3] || got["vma"][3] < 0.9*got["table"][3] || got["vma"][3] > got["table"][3] {
		t.Errorf("64 CPUs, mappings of their own: table %.0f, vma %.0f, mm %.0f", got["table"][3], got["vma"][3], got["mm"][3])
	}
}

func TestNothingToScale(t *testing.T) {
	if _, err := newCollector(nil, 1).program(); err == nil {
		t.Error("a program without faults")
	}
}

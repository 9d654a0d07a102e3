package paging

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestTrial: a machine on which strands are tried, and performed in turn where that
// fails, does what one does on which they are performed in turn: counts, page
// tables but for accessed bits, and all that stands in the TLBs. A trial that fails
// leaves the TLBs as they were.
func TestTrial(t *testing.T) {
	for _, thp := range []THP{THPNever, THPAlways} {
		done, failed := 0, 0
		for seed := range uint64(20) {
			d, f := compareTrials(t, seed, thp)
			done, failed = done+d, failed+f
		}
		if done < 100 || failed < 100 {
			t.Errorf("huge pages %v: %d trials, %d set back", thp, done, failed)
		}
	}
}

func compareTrials(t *testing.T, seed uint64, thp THP) (done, failed int) {
	t.Helper()
	const base, pages = 1 << 32, 600
	config := DefaultConfig()
	config.CPUs, config.THP, config.TLB = 3, thp, small
	tried, plain := twoOf(t, config, base, pages)
	r := rand.New(rand.NewPCG(seed, 11))
	for range 40 {
		var turns []turn
		touched := uint64(40 + r.IntN(80))
		for range 5 + r.IntN(20) {
			turns = append(turns, turn{who: r.IntN(len(plain)), refs: drawRefs(r, base>>pageShift, touched)})
		}
		lists, _ := strandsOf(tried, turns, config.CPUs)
		for _, l := range lists { // what others asked for is not part of the trial
			tried[0].machine.cpus[l[0].Task.onCPU].apply()
		}
		before := tlbWords(tried[0].machine) + tlbFrames(tried[0].machine)
		if ok, _ := tried[0].machine.Trial(lists, 2); ok {
			done++
		} else {
			failed++
			if after := tlbWords(tried[0].machine) + tlbFrames(tried[0].machine); after != before {
				t.Fatalf("seed %d: a trial that failed changed a TLB: before, after:\n%s", seed, firstDifference(before, after))
			}
			perform(t, tried, turns)
		}
		perform(t, plain, turns)
		if a, b := state(tried[0].machine), state(plain[0].machine); a != b {
			t.Fatalf("seed %d: with trials, in turn:\n%s", seed, firstDifference(a, b))
		}
		for _, tasks := range [][]*Task{tried, plain} { // both: it carries out what CPUs have been asked for
			if err := tasks[0].machine.Check(); err != nil {
				t.Fatal(err)
			}
		}
		if r.IntN(8) == 0 {
			at := base + uint64(r.IntN(pages-8))<<pageShift
			for _, tasks := range [][]*Task{tried, plain} {
				tasks[1].Madvise(at, 8*PageSize, madvDontNeed)
			}
		}
	}
	return done, failed
}

// TestTrialLookedAhead: a trial takes no fault where references are looked up ahead.
func TestTrialLookedAhead(t *testing.T) {
	const base, pages = 1 << 32, 200
	config := DefaultConfig()
	config.CPUs, config.TLB = 3, small
	tried, plain := twoOf(t, config, base, pages)
	r := rand.New(rand.NewPCG(1, 12))
	var warm []Ref
	for page := range uint64(100) {
		ref, _ := MakeRef(base>>pageShift+page, Write, 0, 1, 0)
		warm = append(warm, ref)
	}
	turns := []turn{{who: 0, refs: warm}, {who: 2, refs: warm}}
	perform(t, tried, turns)
	perform(t, plain, turns)
	for k := range turns {
		refs := make([]Ref, 3*stretch)
		for i := range refs {
			refs[i] = warm[r.IntN(len(warm))]
		}
		refs[2*stretch+k], _ = MakeRef(base>>pageShift+150, Write, 0, 1, 0)
		turns[k].refs = refs
	}
	lists, _ := strandsOf(tried, turns, config.CPUs)
	told := 0
	tried[0].machine.OnFault(func(*FaultInfo) { told++ })
	ok, _ := tried[0].machine.Trial(lists, 1)
	if told > 0 {
		t.Errorf("the observer was told of %d faults in a trial", told)
	}
	if !ok {
		perform(t, tried, turns)
	}
	perform(t, plain, turns)
	if a, b := state(tried[0].machine), state(plain[0].machine); a != b {
		t.Errorf("with a trial, in turn:\n%s", firstDifference(a, b))
	}
}

// turn is what one task does before another one runs.
type turn struct {
	who  int
	refs []Ref
}

func perform(t *testing.T, tasks []*Task, turns []turn) {
	t.Helper()
	last := -1
	for _, u := range turns {
		if u.who != last {
			tasks[u.who].RunOn(tasks[u.who].onCPU)
		}
		last = u.who
		if n, out := tasks[u.who].Run(u.refs); n != len(u.refs) || out != OK {
			t.Fatalf("%d of %d references, %v", n, len(u.refs), out)
		}
	}
}

func drawRefs(r *rand.Rand, vpn, pages uint64) (refs []Ref) {
	for range 1 + r.IntN(100) {
		first, writes, reads := Read, uint32(0), uint32(1)
		if r.IntN(3) == 0 {
			first, writes, reads = Write, 1, 0
		}
		ref, _ := MakeRef(vpn+r.Uint64N(pages), first, reads, writes, 0)
		refs = append(refs, ref)
	}
	return refs
}

// twoOf makes two machines with the same tasks: two processes, four threads, three
// CPUs, memory of the same addresses.
func twoOf(t *testing.T, c Config, base, pages uint64) (a, b []*Task) {
	t.Helper()
	for _, out := range []*[]*Task{&a, &b} {
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		first, second := m.NewProcess(1, 1, 0), m.NewProcess(10, 10, 2)
		for _, p := range []*Task{first, second} {
			_, errno := p.Mmap(MmapArgs{Addr: base, Len: pages << pageShift, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous | MapFixed})
			if errno != 0 {
				t.Fatal(errno)
			}
		}
		*out = []*Task{first, first.Clone(2, 1), second, second.Clone(11, 0)}
	}
	return a, b
}

func tlbWords(m *Machine) string {
	s := ""
	for _, c := range m.cpus {
		s += fmt.Sprintln(c.asid, c.slots, c.tlb.clock, c.tlb.stats, c.tlb.anyLarge)
		for _, l := range c.tlb.allLevels() {
			s += fmt.Sprintln(l.words, l.stamps, l.orders)
		}
	}
	return s
}

// tlbFrames are the frames that the TLBs know: of a first touch side by side with
// another it is not said which frame it gets.
func tlbFrames(m *Machine) string {
	s := ""
	for _, c := range m.cpus {
		for _, l := range c.tlb.allLevels() {
			s += fmt.Sprintln(l.pfns)
		}
	}
	return s
}

func state(m *Machine) string {
	s := fmt.Sprintf("%+v\n", m.Stats()) + tlbWords(m)
	spaces := m.liveSpaces()
	slices.SortFunc(spaces, func(a, b *Space) int { return cmp.Compare(a.id, b.id) })
	for _, space := range spaces {
		s += fmt.Sprintln(space.cpus.Load())
	}
	return s
}

// firstDifference are the first lines in which two texts differ.
func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return "one is longer"
}

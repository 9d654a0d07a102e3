package paging

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSurvey: strands that touch memory for the first time, each CPU in tables of its
// own or not, leave what they leave when they are performed in turn: counts (locks
// too), page tables, TLBs, mappings with their anon_vmas, and what the observer is told.
func TestSurvey(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain":        func(*Config) {},
		"huge pages":   func(c *Config) { c.THP = THPAlways },
		"no zero page": func(c *Config) { c.NoZeroPage = true },
		"two levels":   func(c *Config) { c.Levels = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			config.CPUs, config.TLB = 3, small
			change(&config)
			changed, failed := 0, 0
			for seed := range uint64(8) {
				c, f := compareSurveys(t, seed, config)
				changed, failed = changed+c, failed+f
			}
			t.Logf("%d stretches with faults side by side, %d in turn", changed, failed)
			if name != "huge pages" && changed < 25 || name != "no zero page" && failed < 20 {
				t.Errorf("%d stretches with faults side by side, %d in turn: the strands are not to the point", changed, failed)
			}
		})
	}
}

func compareSurveys(t *testing.T, seed uint64, config Config) (changed, failed int) {
	t.Helper()
	const base, pages = 1<<30 + 5<<pageShift, 6000
	tried, plain := twoOf(t, config, base, pages)
	told := [2]map[string]uint64{{}, {}}
	for i, tasks := range [][]*Task{tried, plain} {
		tasks[0].machine.OnFault(func(f *FaultInfo) {
			told[i][fmt.Sprintln(f.Task.tid, f.Kind, f.Outcome, f.Start, f.End, f.Prot, f.Name)] += f.Times
		})
	}
	r := rand.New(rand.NewPCG(seed, 7))
	both := func(f func(tasks []*Task)) { f(tried); f(plain) }
	for round := range 25 {
		var turns []turn
		stray, readers, meet := r.IntN(3) == 0, r.IntN(2) == 0, r.IntN(6) == 0
		market := r.Uint64N(pages - 600)
		for range 4 + r.IntN(12) {
			who := r.IntN(len(plain))
			from := uint64(who*1500 + r.IntN(60)*round/2)
			if stray && r.IntN(8) == 0 {
				from = r.Uint64N(pages - 60)
			}
			if meet {
				from = market + r.Uint64N(500)
			}
			turns = append(turns, turn{who, firstTouches(r, base>>pageShift+from, readers)})
		}
		lists, all := strandsOf(tried, turns, config.CPUs)
		for _, l := range lists {
			tried[0].machine.cpus[l[0].Task.onCPU].apply()
		}
		before := tlbWords(tried[0].machine) + tlbFrames(tried[0].machine)
		m := tried[0].machine
		if done, _ := m.Trial(lists, 2); done {
			if m.trial.changing {
				changed++
			}
			for _, s := range all() {
				m.Tell(s)
			}
		} else {
			failed++
			if after := tlbWords(m) + tlbFrames(m); after != before {
				t.Fatalf("seed %d: a trial that failed changed a TLB: before, after:\n%s", seed, firstDifference(before, after))
			}
			perform(t, tried, turns)
		}
		perform(t, plain, turns)
		if a, b := state(tried[0].machine)+spacesOf(tried), state(plain[0].machine)+spacesOf(plain); a != b {
			t.Fatalf("seed %d, round %d: with surveys, in turn:\n%s", seed, round, firstDifference(a, b))
		}
		if a, b := fmt.Sprint(told[0]), fmt.Sprint(told[1]); a != b {
			t.Fatalf("seed %d, round %d: the observer was told\n%s\nin turn\n%s", seed, round, a, b)
		}
		both(func(tasks []*Task) {
			if err := tasks[0].machine.Check(); err != nil {
				t.Fatal(err)
			}
		})
		who, at, n := 2*r.IntN(2), base+r.Uint64N(pages-512)<<pageShift, uint64(1+r.IntN(511))<<pageShift
		switch r.IntN(6) {
		case 0, 1: // fresh memory; what differs in a flag gets an anon_vma of its own
			flags := MapPrivate | MapAnonymous | MapFixed | []MapFlags{0, MapNoReserve}[r.IntN(2)]
			both(func(tasks []*Task) {
				tasks[who].Munmap(at, n)
				tasks[who].Mmap(MmapArgs{Addr: at, Len: n, Prot: ProtRead | ProtWrite, Flags: flags})
			})
		case 4: // a process that ends gives back frames, not a round number of them
			k := r.IntN(150)
			both(func(tasks []*Task) {
				child := tasks[who].Fork(uint32(100+round), uint32(100+round), tasks[who].onCPU)
				for i := range k {
					child.Access(at+uint64(i)<<pageShift, Write)
				}
				child.Exit()
			})
		case 2:
			both(func(tasks []*Task) { tasks[who].Madvise(at, n, madvDontNeed) })
		case 3: // neighbours, which may share an anon_vma and be one again
			both(func(tasks []*Task) {
				tasks[who].Madvise(at, n, madvDontNeed)
				tasks[who].Mprotect(at, n, ProtRead)
				tasks[who].Mprotect(at, n, ProtRead|ProtWrite)
			})
		}
	}
	return changed, failed
}

// firstTouches are references to a run of pages, mostly in order; what is read is not
// written soon, unless readers is not set.
func firstTouches(r *rand.Rand, vpn uint64, readers bool) (refs []Ref) {
	for i := range uint64(1 + r.IntN(50)) {
		first, reads, writes := Write, uint32(r.IntN(2)), uint32(1)
		if readers && vpn>>3&1 == 0 || !readers && r.IntN(200) == 0 {
			first, reads, writes = Read, 1, 0
		}
		ref, _ := MakeRef(vpn+i, first, reads, writes, 0)
		refs = append(refs, ref)
	}
	return append(refs, refs[:len(refs)/3]...)
}

// strandsOf makes the lists of a trial, and gives their strands in order afterwards.
func strandsOf(tasks []*Task, turns []turn, cpus int) (lists [][]Strand, all func() []*Strand) {
	lists = make([][]Strand, cpus)
	last := -1
	for i, u := range turns {
		task := tasks[u.who]
		lists[task.onCPU] = append(lists[task.onCPU], Strand{Task: task, Refs: u.refs, In: u.who != last, Seq: i})
		last = u.who
	}
	lists = slices.DeleteFunc(lists, func(l []Strand) bool { return len(l) == 0 })
	return lists, func() []*Strand {
		in := make([]*Strand, len(turns))
		for _, l := range lists {
			for i := range l {
				in[l[i].Seq] = &l[i]
			}
		}
		return in
	}
}

// spacesOf are the mappings of the processes, their anon_vmas by order of appearance,
// and their memory.
func spacesOf(tasks []*Task) string {
	out, seen := "", []*anonVMA{}
	for _, t := range tasks {
		for _, v := range t.space.list() {
			a := v.anon.Load()
			i := slices.Index(seen, a)
			if i < 0 {
				i = len(seen)
				seen = append(seen, a)
			}
			out += fmt.Sprintf("%d %#x-%#x %#x %v anon %d\n", t.tid, v.start, v.end, v.flags, v.name, i)
		}
		out += fmt.Sprintln(t.tid, t.RSS(), t.PeakRSS(), t.PageTableBytes(), len(t.frames.free))
	}
	return out
}

// Ten frames that were given back are in the pool: how often a task comes to it does not
// depend on who takes them (framePool.take).
func TestSurveyFrames(t *testing.T) {
	config := DefaultConfig()
	config.CPUs = 3
	tried, plain := twoOf(t, config, 1<<30, 2000)
	run := func(vpn uint64, n uint64) (refs []Ref) {
		for i := range n {
			ref, _ := MakeRef(1<<30>>pageShift+vpn+i, Write, 0, 1, 0)
			refs = append(refs, ref)
		}
		return refs
	}
	for _, tasks := range [][]*Task{tried, plain} {
		for i, at := range []uint64{0, 600} { // tables, an anon_vma, and no stock
			tasks[i].Run(run(at, 1))
			tasks[i].frames.drain()
		}
		pool := tasks[0].machine.frames
		pool.free.pop(nil, pool.free.len()-10)
	}
	turns := []turn{{0, run(1, 8)}, {1, run(601, 60)}}
	lists, _ := strandsOf(tried, turns, config.CPUs)
	slices.Reverse(lists)
	if done, _ := tried[0].machine.Trial(lists, 1); !done || !tried[0].machine.trial.changing {
		t.Fatal("the strands are not apart")
	}
	perform(t, plain, turns)
	if a, b := tried[0].machine.Stats().Locks[LockFrames], plain[0].machine.Stats().Locks[LockFrames]; a != b {
		t.Errorf("the lock of the pool: %+v, in turn %+v", a, b)
	}
}

// A survey in which hardly anybody takes a fault says that it did not pay.
func TestSurveyPays(t *testing.T) {
	config := DefaultConfig()
	config.CPUs = 3
	for _, few := range []bool{true, false} {
		tried, _ := twoOf(t, config, 1<<30, 2000)
		hits := 1
		if few {
			hits = 2 * surveyPays
		}
		var turns []turn
		for i, at := range []uint64{0, 600} {
			var refs []Ref
			for page := range uint64(20) {
				ref, _ := MakeRef(1<<30>>pageShift+at+page, Write, 0, 1, 0)
				for range hits {
					refs = append(refs, ref)
				}
			}
			turns = append(turns, turn{i, refs})
		}
		lists, _ := strandsOf(tried, turns, config.CPUs)
		if done, paid := tried[0].machine.Trial(lists, 1); !done || paid == few {
			t.Errorf("%d references a fault: done %v, paid %v", hits, done, paid)
		}
	}
}

package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// known is the future as a first pass without a limit has seen it.
type known struct {
	next  []uint64 // of each run of uses
	at    map[uint32]int
	last  uint32
	asked int
}

// watch has the machine tell what is used.
func watch(m *Machine) *known {
	k := &known{at: map[uint32]int{}}
	m.OnUse(func(p uint32, _ bool) {
		if p == k.last {
			return
		}
		n := len(k.next)
		if i, ok := k.at[p]; ok {
			k.next[i] = uint64(n)
		}
		k.next, k.at[p], k.last = append(k.next, NoNextUse), n, p
	}, func(p uint32) {
		delete(k.at, p)
		if k.last == p {
			k.last = 0
		}
	})
	return k
}

func (k *known) Next() uint64 {
	k.asked++
	return k.next[k.asked-1]
}

// guess is a future for tests in which nobody knows it.
type guess struct{ rand.PCG }

func (g *guess) Next() uint64 { return g.Uint64() >> 1 }

// foreseen runs the program without a limit, then under the limit with the
// policy, which for opt knows the future, and returns what reclaim did.
func foreseen(t *testing.T, policy string, frames uint64, program func(m *Machine)) ReclaimStats {
	t.Helper()
	first := underLimit(t, policy, 0, func(c *Config) { c.ReclaimExact = true })
	future := watch(first)
	program(first)
	m := underLimit(t, policy, frames, func(c *Config) { c.ReclaimExact, c.Future = true, future })
	again := watch(m)
	program(m)
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(again.next) != fmt.Sprint(future.next) || policy == "opt" && future.asked != len(future.next) {
		t.Fatalf("%s with %d frames: %d runs of uses, asked for %d, without a limit there were %d, or others", policy, frames, len(again.next), future.asked, len(future.next))
	}
	return m.Stats().Reclaim
}

// writes is a program that writes pages of anonymous memory.
func writes(t *testing.T, refs []int) func(m *Machine) {
	return func(m *Machine) {
		task := m.NewProcess(1, 1, 0)
		base, errno := task.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		if errno != 0 {
			t.Fatal(errno)
		}
		for _, r := range refs {
			if out := task.Access(base+uint64(r)*PageSize, Write); out.Fatal() {
				t.Fatalf("page %d: %v", r, out)
			}
		}
	}
}

// bruteOPT counts what misses when the page leaves whose next use, looked for in
// the string itself, is farthest.
func bruteOPT(refs []int, frames int) (misses uint64) {
	in := map[int]bool{}
	for i, r := range refs {
		if in[r] {
			continue
		}
		misses++
		if len(in) == frames {
			far, leaves := -1, 0
			for p := range in {
				k := i
				for k < len(refs) && refs[k] != p {
					k++
				}
				if k > far {
					far, leaves = k, p
				}
			}
			delete(in, leaves)
		}
		in[r] = true
	}
	return misses
}

func distinct(refs []int) uint64 {
	seen := map[int]bool{}
	for _, r := range refs {
		seen[r] = true
	}
	return uint64(len(seen))
}

// TestOptTextbook: 9 faults on the reference string of Silberschatz, Galvin, Gagne
// (Operating System Concepts, "Optimal page replacement"); 7 and 6 on the one of
// Belady's anomaly, worked by hand.
func TestOptTextbook(t *testing.T) {
	belady := []int{1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5}
	silberschatz := []int{7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1}
	for _, c := range []struct {
		refs   []int
		frames uint64
		want   uint64
	}{{silberschatz, 3, 9}, {belady, 3, 7}, {belady, 4, 6}} {
		got := foreseen(t, "opt", c.frames, writes(t, c.refs)).Refaults + distinct(c.refs)
		if got != c.want {
			t.Errorf("%v with %d frames: %d faults, by the book %d", c.refs, c.frames, got, c.want)
		}
	}
}

// TestOptBruteForce holds opt to the search of bruteOPT.
func TestOptBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	z := rand.NewZipf(r, 1.1, 3, 39)
	for round := range 30 {
		refs := make([]int, 400)
		for i := range refs {
			if refs[i] = r.IntN(30); round%2 == 0 {
				refs[i] = int(z.Uint64())
			}
		}
		for _, frames := range []uint64{1, 2, 3, 7, 12, 25} {
			want := bruteOPT(refs, int(frames))
			if got := foreseen(t, "opt", frames, writes(t, refs)).Refaults + distinct(refs); got != want {
				t.Errorf("round %d, %d frames: %d misses, the search finds %d", round, frames, got, want)
			}
		}
	}
}

// lives is a program in which pages live and die: mappings are made and undone,
// pages discarded by that advice, processes forked, and pages copied from others and
// from files.
func lives(seed uint64, advice ...int) func(m *Machine) {
	return func(m *Machine) {
		const pages = 24
		r := rand.New(rand.NewPCG(seed, 2))
		tasks := []*Task{m.NewProcess(1, 1, 0)}
		file := m.File(1, 1, pages*PageSize, "/f")
		kinds := []MapFlags{MapPrivate | MapAnonymous, MapShared | MapAnonymous, MapPrivate, MapShared}
		args := make([]MmapArgs, len(kinds))
		for i, k := range kinds {
			args[i] = MmapArgs{Addr: 1<<30 + uint64(i)<<20, Len: pages * PageSize, Prot: ProtRead | ProtWrite, Flags: k | MapFixed}
			if k&MapAnonymous == 0 {
				args[i].File = file
			}
			tasks[0].Mmap(args[i])
		}
		next := uint32(2)
		for range 1500 {
			k, a := r.IntN(len(tasks)), args[r.IntN(len(args))]
			task, addr, n := tasks[k], a.Addr+r.Uint64N(pages)*PageSize, 1+r.Uint64N(6)
			switch op := r.IntN(200); {
			case op < 3 && len(tasks) < 4:
				tasks = append(tasks, task.Fork(next, next, 0))
				next++
			case op < 5 && len(tasks) > 1:
				task.ExitGroup()
				tasks = append(tasks[:k], tasks[k+1:]...)
			case op < 9:
				task.Madvise(addr, n*PageSize, advice[r.IntN(len(advice))])
			case op < 12:
				task.Munmap(a.Addr, a.Len)
				task.Mmap(a)
			case op < 15:
				task.Copy(addr, n*PageSize, r.IntN(2) == 0)
			default:
				task.Access(addr, Read+Access(r.IntN(2)))
			}
		}
	}
}

// TestOptIsBound: no policy brings back fewer pages than opt, whatever else
// happens to pages, and uses are the same under every policy as without a limit; with
// MADV_FREE, where others drop pages, they are under opt.
func TestOptIsBound(t *testing.T) {
	program := func(seed uint64) func(*Machine) { return lives(seed, madvDontNeed, madvWillNeed, madvRemove) }
	for seed := range uint64(8) {
		for _, frames := range []uint64{4, 9, 17, 30, 50} {
			bound := foreseen(t, "opt", frames, program(seed)).Refaults
			foreseen(t, "opt", frames, lives(seed, madvDontNeed, madvFree, madvWillNeed))
			for _, p := range policies {
				if p.batched || p.future {
					continue
				}
				if got := foreseen(t, p.name, frames, program(seed)).Refaults; got < bound {
					t.Errorf("seed %d, %d frames: %s brought back %d pages, opt %d", seed, frames, p.name, got, bound)
				}
			}
		}
	}
}

// TestOneFrame: a fault that needs two pages at a time and has one frame ends, as
// out of memory.
func TestOneFrame(t *testing.T) {
	for _, p := range policies {
		m := underLimit(t, p.name, 1, nil)
		task := m.NewProcess(1, 1, 0)
		base, _ := task.Mmap(MmapArgs{Len: PageSize, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		file, _ := task.Mmap(MmapArgs{Len: PageSize, Prot: ProtRead | ProtWrite, Flags: MapPrivate, File: m.File(1, 1, PageSize, "/f")})
		if out := task.Access(base, Write); out.Fatal() {
			t.Fatal(out)
		}
		if out := task.Access(file, Write); out != OOM {
			t.Errorf("%s: the copy of a page of a file: %v", p.name, out)
		}
		child := task.Fork(2, 2, 0)
		if out := child.Access(base, Write); out != OOM {
			t.Errorf("%s: the copy of an anonymous page: %v", p.name, out)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

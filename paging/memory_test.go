package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// underLimit is a machine with a limit of so many pages and ample swap.
func underLimit(t *testing.T, policy string, pages uint64, change func(*Config)) *Machine {
	t.Helper()
	c := DefaultConfig()
	c.Memory, c.Swap, c.Reclaim, c.Cache = pages*PageSize, 1<<30, policy, CacheCold
	if policy == "opt" {
		c.Future = &guess{}
	}
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// misses is how many of the writes of a reference string miss, in exact mode.
func misses(t *testing.T, policy string, frames uint64, refs []int) uint64 {
	m := underLimit(t, policy, frames, func(c *Config) { c.ReclaimExact = true })
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
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	s := m.Stats()
	return s.Minor + s.Major
}

// TestTextbook holds fault counts against examples worked by hand in textbooks:
// Belady's anomaly (Belady, Nelson, Shedler: An Anomaly in Space-Time
// Characteristics of Certain Programs Running in a Paging Machine, CACM 1969)
// and the reference string of Silberschatz, Galvin, Gagne: Operating System
// Concepts, chapter on virtual memory.
func TestTextbook(t *testing.T) {
	belady := []int{1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5}
	silberschatz := []int{7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1}
	for _, c := range []struct {
		policy string
		frames uint64
		refs   []int
		want   uint64
	}{
		{"fifo", 3, belady, 9},
		{"fifo", 4, belady, 10},
		{"lru", 3, belady, 10},
		{"lru", 4, belady, 8},
		{"fifo", 3, silberschatz, 15},
		{"lru", 3, silberschatz, 12},
	} {
		if got := misses(t, c.policy, c.frames, c.refs); got != c.want {
			t.Errorf("%s with %d frames: %d faults, the book has %d", c.policy, c.frames, got, c.want)
		}
	}
}

// TestUnderPressure runs random calls and accesses of several processes under a
// tight limit and recounts everything; the sizes are such that every page is
// evicted many times. What memory holds is followed by a page's life: a fault
// that brings back a page which was never there would show in the counts.
func TestUnderPressure(t *testing.T) {
	for _, p := range policies {
		for _, swap := range []uint64{1 << 30, 64 * PageSize} {
			t.Run(fmt.Sprintf("%s/swap=%d", p.name, swap), func(t *testing.T) {
				for seed := range uint64(6) {
					m := underLimit(t, p.name, 24, func(c *Config) { c.Swap = swap })
					pressure(t, m, rand.New(rand.NewPCG(seed, 1)), func() {})
				}
			})
		}
	}
}

func pressure(t *testing.T, m *Machine, r *rand.Rand, between func()) {
	const pages = 40
	tasks := []*Task{m.NewProcess(1, 1, 0)}
	file := m.File(1, 1, pages*PageSize, "/f")
	flags := []MapFlags{MapPrivate | MapAnonymous, MapShared | MapAnonymous, MapPrivate, MapShared}
	var bases []uint64
	for _, f := range flags {
		a := MmapArgs{Len: pages * PageSize, Prot: ProtRead | ProtWrite, Flags: f}
		if f&MapAnonymous == 0 {
			a.File = file
		}
		base, errno := tasks[0].Mmap(a)
		if errno != 0 {
			t.Fatal(errno)
		}
		bases = append(bases, base)
	}
	next := uint32(2)
	for step := range 3000 {
		k := r.IntN(len(tasks))
		task := tasks[k]
		addr := bases[r.IntN(len(bases))] + r.Uint64N(pages)*PageSize
		n := 1 + r.Uint64N(8)
		switch op := r.IntN(100); {
		case op < 80:
			if out := task.Access(addr, Read+Access(r.IntN(2))); out == OOM {
				victim := m.OOMVictim()
				for i := range tasks {
					if tasks[i] == victim && len(tasks) > 1 {
						victim.ExitGroup()
						tasks = append(tasks[:i], tasks[i+1:]...)
						break
					}
				}
			}
		case op < 83 && len(tasks) < 5:
			tasks = append(tasks, task.Fork(next, next, r.IntN(m.CPUs())))
			next++
		case op < 85 && len(tasks) > 1:
			task.ExitGroup()
			tasks = append(tasks[:k], tasks[k+1:]...)
		case op < 90:
			task.Madvise(addr, n*PageSize, []int{madvDontNeed, madvFree, madvCold, madvWillNeed, madvPageOut, madvRemove}[r.IntN(6)])
		case op < 93:
			task.Mprotect(addr, n*PageSize, []Prot{ProtRead, ProtRead | ProtWrite, 0}[r.IntN(3)])
			task.Mprotect(addr, n*PageSize, ProtRead|ProtWrite)
		case op < 95:
			task.Mlock(addr, min(n, 4)*PageSize)
			task.Munlock(addr, 4*PageSize)
		case op < 96:
			task.Msync(addr, n*PageSize, msSync)
		case op < 97:
			m.File(1, 1, r.Uint64N(pages)*PageSize, "/f")
			m.File(1, 1, pages*PageSize, "/f")
		default:
			task.RunOn(r.IntN(m.CPUs()))
		}
		between()
		if step%16 == 0 || testing.Verbose() && step%2 == 0 {
			if err := m.Check(); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
	}
	s := m.Stats()
	if s.Reclaim.Evictions == 0 || s.PeakMemory > 24*PageSize {
		t.Fatalf("%d evictions, at most %d bytes charged under a limit of %d", s.Reclaim.Evictions, s.PeakMemory, 24*PageSize)
	}
}

// TestReclaimSweeps holds the linux policy against what a live kernel (6.18, a
// memory cgroup of version 1, swap on zram) took for sweeping over anonymous
// memory again and again: 65,536, 30,073, 30,068 and 0 major faults.
func TestReclaimSweeps(t *testing.T) {
	for _, c := range []struct {
		pages, limit, sweeps, want uint64 // pages; pages of the limit; major faults
	}{
		{32768, 16384, 3, 65536},
		{10000, 4096, 4, 30073},
		{10000, 8192, 4, 30068},
		{10000, 12288, 4, 0},
	} {
		m := underLimit(t, "linux", c.limit, func(c *Config) { c.SwapDevice = SwapZram })
		task := m.NewProcess(1, 1, 0)
		base, _ := task.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		for range c.sweeps {
			for p := range c.pages {
				if out := task.Access(base+p*PageSize, Write); out.Fatal() {
					t.Fatal(out)
				}
			}
		}
		got := m.Stats().Major
		if diff := max(got, c.want) - min(got, c.want); diff > c.want/100 {
			t.Errorf("%d sweeps over %d pages in %d: %d major faults, the live kernel took %d", c.sweeps, c.pages, c.limit, got, c.want)
		}
	}
}

package paging

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// TestStress has eight goroutines do random calls and accesses in one address
// space at once, forks among them, and recounts everything at every quiet point.
// It is short unless VMTRACE_STRESS is a duration, such as 10m; run it under the race
// detector, which checks the locks and their order as well.
func TestStress(t *testing.T) {
	long := 2 * time.Second
	if s := os.Getenv("VMTRACE_STRESS"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		name string
		set  func(c *Config)
	}{
		{"per-table", func(c *Config) {}},
		{"mm", func(c *Config) { c.Locking = LockMM }},
		{"global", func(c *Config) { c.Locking = LockGlobal }},
		{"per-table, huge pages", func(c *Config) { c.THP = THPAlways }},
		{"mm, huge pages", func(c *Config) { c.Locking, c.THP = LockMM, THPAlways }},
		{"under a limit", func(c *Config) { c.Memory, c.Swap = 600*PageSize, 1<<30 }},
		{"under a limit, huge pages", func(c *Config) { c.Memory, c.Swap, c.THP = 1600*PageSize, 1<<30, THPMadvise }},
	}
	for seed, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := DefaultConfig()
			config.HugePages, config.LockedLimit = 6, NoLimit
			c.set(&config)
			m, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			stress(t, m, uint64(seed), time.Now().Add(long/time.Duration(len(cases))))
		})
	}
}

const (
	stressBase  = 1 << 32
	stressPages = 6 * tableSize
	stressTLB   = 1 << 33 // mappings of hugetlb
)

func stress(t *testing.T, m *Machine, seed uint64, until time.Time) {
	const workers, steps = 8, 60
	first := m.NewProcess(1, 1, 0)
	tasks := []*Task{first}
	for i := uint32(2); i <= workers; i++ {
		tasks = append(tasks, first.Clone(i, int(i)%m.CPUs()))
	}
	file := m.File(1, 1, 100*PageSize, "/f")
	rounds := 0
	for ; rounds == 0 || time.Now().Before(until); rounds++ {
		var wg sync.WaitGroup
		for i, task := range tasks {
			wg.Go(func() {
				w := stressor{task: task, r: rand.New(rand.NewPCG(seed<<32+uint64(rounds), uint64(i))), file: file, pid: uint32(1000 + i)}
				for range steps {
					w.step()
				}
			})
		}
		wg.Wait()
		m.Pass(uint64(rounds) * uint64(m.cfg.CollapseEvery))
		if err := m.Check(); err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
	}
	s := m.Stats()
	t.Logf("%d rounds of %d steps: %d minor faults, %d retries, %+v", rounds, workers*steps, s.Minor, s.Retries, s.Huge)
	first.ExitGroup()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	if s := m.Stats(); s.RSS.Total() != 0 || s.HugeBytes != 0 || s.PageTableBytes != 0 {
		t.Errorf("after the end %+v, huge pages of %d bytes, tables of %d", s.RSS, s.HugeBytes, s.PageTableBytes)
	}
}

type stressor struct {
	task *Task
	r    *rand.Rand
	file *File
	pid  uint32
}

// span draws a range of the field: a few pages, or whole tables.
func (w *stressor) span() (addr, n uint64) {
	if w.r.IntN(3) == 0 {
		return stressBase + w.r.Uint64N(stressPages/tableSize)*tableSize*PageSize, tableSize
	}
	page := w.r.Uint64N(stressPages)
	return stressBase + page*PageSize, min(1+w.r.Uint64N(64), stressPages-page)
}

func (w *stressor) step() {
	addr, n := w.span()
	t, r := w.task, w.r
	switch op := r.IntN(100); {
	case op < 45:
		w.sweep(t, addr, n)
	case op < 60:
		a := MmapArgs{Addr: addr, Len: n * PageSize, Prot: rw, Flags: anon | MapFixed}
		switch r.IntN(6) {
		case 0:
			a.Flags = MapShared | MapAnonymous | MapFixed
		case 1:
			a.Flags, a.File = MapPrivate|MapFixed, w.file
		case 2:
			a.Flags, a.File = MapShared|MapFixed, w.file
		}
		t.Mmap(a)
	case op < 66:
		t.Munmap(addr, n*PageSize)
	case op < 74:
		t.Mprotect(addr, n*PageSize, []Prot{ProtRead, rw, rw, 0}[r.IntN(4)])
	case op < 86:
		t.Madvise(addr, n*PageSize, []int{madvDontNeed, madvFree, madvCold, madvHugePage, madvNoHugePage, madvCollapse, madvPopulateWrite, madvPageOut}[r.IntN(8)])
	case op < 90:
		to, _ := w.span()
		t.Mremap(addr, n*PageSize, n*PageSize, mremapMayMove|mremapFixed, to, 0)
	case op < 93:
		w.fork()
	case op < 95:
		w.file.Truncate((50 + r.Uint64N(50)) * PageSize)
	default:
		w.hugetlb()
	}
}

func (w *stressor) sweep(t *Task, addr, n uint64) {
	a := []Access{Read, Write, Write}[w.r.IntN(3)]
	for i := uint64(0); i < n; i += 1 + w.r.Uint64N(9) {
		t.Access(addr+i*PageSize, a)
	}
}

func (w *stressor) fork() {
	child := w.task.Fork(w.pid, w.pid, w.r.IntN(w.task.machine.CPUs()))
	for range 4 {
		addr, n := w.span()
		w.sweep(child, addr, n)
		child.Munmap(addr, PageSize)
	}
	child.Access(stressTLB, Write)
	child.ExitGroup()
}

func (w *stressor) hugetlb() {
	t, addr := w.task, stressTLB+w.r.Uint64N(3)*tableSize*PageSize
	switch w.r.IntN(4) {
	case 0:
		t.Munmap(addr, tableSize*PageSize)
	case 1:
		t.Access(addr, Write)
	case 2:
		t.Access(addr, Read)
	default:
		t.Mmap(MmapArgs{Addr: addr, Len: tableSize * PageSize, Prot: rw, Flags: []MapFlags{MapPrivate, MapShared}[w.r.IntN(2)] | MapAnonymous | mapHugeTLB | MapFixed})
	}
}

// TestHugeUnderPressure is TestUnderPressure with huge pages, which the policies of
// a kernel split when they need room.
func TestHugeUnderPressure(t *testing.T) {
	for _, policy := range []string{"linux", "mglru"} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(policy, seed), func(t *testing.T) {
				m := underLimit(t, policy, 1300, func(c *Config) { c.THP, c.Swap = THPMadvise, 1<<30 })
				w := stressor{task: m.NewProcess(1, 1, 0), r: rand.New(rand.NewPCG(seed, 2)), file: m.File(1, 1, 100*PageSize, "/f"), pid: 7}
				w.task.pages(t, stressPages, MmapArgs{Addr: stressBase, Prot: rw, Flags: anon | MapFixed})
				w.task.Madvise(stressBase, stressPages*PageSize, madvHugePage)
				for step := range 600 {
					if addr, n := w.span(); w.r.IntN(4) > 0 {
						w.sweep(w.task, addr, n)
					} else if step%3 > 0 {
						w.task.Madvise(addr, n*PageSize, []int{madvDontNeed, madvFree, madvCold, madvPageOut, madvCollapse}[w.r.IntN(5)])
					} else {
						w.fork()
					}
					if step%8 == 0 {
						m.Pass(uint64(step) * uint64(m.cfg.CollapseEvery))
					}
					if step%10 > 0 {
						continue
					}
					if err := m.Check(); err != nil {
						t.Fatalf("step %d: %v", step, err)
					}
				}
				s := m.Stats()
				if s.Reclaim.Evictions == 0 || s.Huge.SplitPage == 0 || s.PeakMemory > 1300*PageSize {
					t.Errorf("%d evictions, %d huge pages split, at most %d bytes charged", s.Reclaim.Evictions, s.Huge.SplitPage, s.PeakMemory)
				}
				t.Logf("%+v %+v", s.Huge, s.Reclaim)
			})
		}
	}
}

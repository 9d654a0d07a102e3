package paging

import (
	"math/rand/v2"
	"testing"
)

// TestGenerationsByHand follows mm/vmscan.c of Linux 6.1 with CONFIG_LRU_GEN by
// hand, for four pages in four frames and a fifth that comes. The four are in
// generation 3 of 0 to 3. Nothing is looked at (4 pages >> priority) down to
// priority 2, which finds the old generations empty: min_seq = 2, too few to
// evict. Priority 1 ages: all bits are set, and cleared; max_seq = 4, min_seq = 3.
// Priority 0 ages: no bit is set; max_seq = 5, and generation 3 is evicted, whole,
// since a batch is more than it has. A page that was used between the two agings
// would have gone to generation 4; here the next page back does, and stays.
func TestGenerationsByHand(t *testing.T) {
	m := underLimit(t, "mglru", 4, func(c *Config) { c.SwapDevice = SwapZram })
	task := m.NewProcess(1, 1, 0)
	base, _ := task.Mmap(MmapArgs{Len: 1 << 20, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
	for i, c := range []struct {
		page      uint64
		want      Outcome
		evictions uint64
	}{{0, Minor, 0}, {1, Minor, 0}, {2, Minor, 0}, {3, Minor, 0}, {4, Minor, 4}, {0, Major, 4}, {4, OK, 4}, {1, Major, 4}} {
		out := task.Access(base+c.page*PageSize, Write)
		if got := m.Stats().Reclaim.Evictions; out != c.want || got != c.evictions {
			t.Errorf("access %d, to page %d: %v, %d evictions; by hand %v, %d", i, c.page, out, got, c.want, c.evictions)
		}
	}
}

// TestGenerationsKeepHot: pages that are used all the time survive a scan over
// pages used once, which first in, first out does not see to.
func TestGenerationsKeepHot(t *testing.T) {
	count := func(policy string) uint64 {
		m := underLimit(t, policy, 512, func(c *Config) { c.SwapDevice = SwapZram })
		task := m.NewProcess(1, 1, 0)
		base, _ := task.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		r := rand.New(rand.NewPCG(1, 1))
		for i := range uint64(40000) {
			page := 1000 + i // of the scan
			if i%4 != 0 {
				page = r.Uint64N(128)
			}
			if out := task.Access(base+page*PageSize, Write); out.Fatal() {
				t.Fatal(out)
			}
			if i%128 == 0 { // another program runs: the TLB keeps no translations that hide uses
				task.space.flushPages(task, FlushSwitch, 0, 0)
			}
		}
		return m.Stats().Major
	}
	if fifo, mglru := count("fifo"), count("mglru"); mglru*10 > fifo {
		t.Errorf("mglru brought back %d pages, fifo %d", mglru, fifo)
	}
}

// TestGenerationsController holds the choice of a kind against values of
// positive_ctrl_err computed by hand with swappiness 60: below 64 refaults of
// files files are taken; then 100 * (1000+64) * 60 = 6,384,000 is compared with
// (refaults of anonymous memory + 1) * 1000 * 140.
func TestGenerationsController(t *testing.T) {
	for _, c := range []struct {
		anon, file int // refaults
		want       uint8
	}{{0, 63, linuxFile}, {0, 100, linuxAnon}, {44, 100, linuxAnon}, {45, 100, linuxFile}} {
		l := newMGLRU(&memory{}).(*mglruPolicy)
		l.ctrl[linuxAnon].refaulted[0], l.ctrl[linuxAnon].evicted[0] = c.anon, 1000
		l.ctrl[linuxFile].avgRefaulted[0], l.ctrl[linuxFile].avgTotal[0] = c.file, 1000
		if got, _ := l.kindToScan(linuxAnon); got != c.want {
			t.Errorf("%d refaults of anonymous memory, %d of files: kind %d, by hand %d", c.anon, c.file, got, c.want)
		}
	}
}

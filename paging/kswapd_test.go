package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestWatermarks: min_free_kbytes by the table in the comment above
// mm/page_alloc.c:calculate_min_free_kbytes; the distance between the marks by
// __setup_per_zone_wmarks, a quarter of min or a thousandth of memory.
func TestWatermarks(t *testing.T) {
	for _, c := range []struct{ mib, minKiB int64 }{
		{16, 512}, {32, 724}, {64, 1024}, {128, 1448}, {256, 2048}, {512, 2896}, {1024, 4096}, {2048, 5792},
		{4096, 8192}, {8192, 11584}, {16384, 16384},
		{1, 128}, {8 << 20, 262144}, // the clamp
	} {
		pages := c.mib << 8
		w := newWatermarks(pages)
		apart := max(w.min/4, pages/1000)
		if want := (watermarks{c.minKiB / 4, c.minKiB/4 + apart, c.minKiB/4 + 2*apart}); w != want {
			t.Errorf("%d MiB: %+v, the kernel has %+v", c.mib, w, want)
		}
	}
}

// wholeMachine has 1024 pages: min is 64 of them (sqrt(4096 KiB * 16) is 256 KiB), low
// 80 and high 96. Its swap has room for so many pages.
func wholeMachine(t *testing.T, policy string, swap uint64, costs BackgroundCosts) (*Machine, func(page int)) {
	m := underLimit(t, policy, 1024, func(c *Config) {
		c.Kswapd, c.Swap, c.BackgroundCosts = true, swap*PageSize, costs
	})
	task := m.NewProcess(1, 1, 0)
	base, errno := task.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
	if errno != 0 {
		t.Fatal(errno)
	}
	return m, func(page int) {
		t.Helper()
		if out := task.Access(base+uint64(page)*PageSize, Write); out.Fatal() {
			t.Fatalf("page %d: %v", page, out)
		}
	}
}

// TestKswapd: the page that is taken when no more than low are free wakes kswapd
// (get_page_from_freelist asks whether free pages are more than the mark), which stops
// when more than high are (pgdat_balanced).
func TestKswapd(t *testing.T) {
	for _, p := range policies {
		m, write := wholeMachine(t, p.name, 1<<20, BackgroundCosts{})
		for page := range 944 { // 80 are left
			write(page)
		}
		m.Background(1)
		if s := m.Stats().Reclaim; s.Kswapd.Runs != 0 || s.Evictions != 0 {
			t.Errorf("%s: above low: %+v", p.name, s)
		}
		write(944)
		m.Background(2)
		s := m.Stats()
		if r := s.Reclaim; r.Kswapd.Runs != 1 || r.Kswapd.Stolen != 32 || r.Kswapd.Scanned < 32 || r.Direct != (ReclaimRuns{}) {
			t.Errorf("%s: below low: %+v", p.name, r)
		}
		if free := 1024 - s.Memory/PageSize; free != 79+32 {
			t.Errorf("%s: %d pages are free", p.name, free)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestKswapdTakesTime: kswapd runs only when it has been woken for so long, and the
// next batch begins when the one before is over: 32 pages at least that were looked at
// and written. Programs meanwhile make room themselves, when they are down to min.
func TestKswapdTakesTime(t *testing.T) {
	m, write := wholeMachine(t, "fifo", 1<<20, BackgroundCosts{Wake: 10, Page: 1, Write: 2})
	stolen := func(now uint64) uint64 {
		m.Background(now)
		return m.Stats().Reclaim.Kswapd.Stolen
	}
	for page := range 960 {
		write(page)
	}
	m.Background(0)
	// 64+32 free are not more than high, so a second batch follows
	for _, c := range []struct{ now, want uint64 }{{9, 0}, {10, 32}, {105, 32}, {106, 64}, {1 << 40, 64}} {
		if got := stolen(c.now); got != c.want {
			t.Errorf("at %d ns: %d pages, not %d", c.now, got, c.want)
		}
	}
	for page := range 2 * 960 { // no time goes by
		write(page)
	}
	if s := m.Stats(); s.Reclaim.Direct.Runs == 0 || s.PeakMemory != 960*PageSize {
		t.Errorf("%+v, at most %d pages", s.Reclaim, s.PeakMemory/PageSize)
	}
}

// TestKswapdGivesUp: after MAX_RECLAIM_RETRIES turns without a page kswapd sleeps until
// somebody else has freed one (prepare_kswapd_sleep, shrink_node).
func TestKswapdGivesUp(t *testing.T) {
	for _, p := range policies {
		m, write := wholeMachine(t, p.name, 0, BackgroundCosts{Page: time.Nanosecond})
		for page := range 945 {
			write(page)
		}
		for now := range uint64(100) {
			m.Background(now << 20)
			if k := m.memory.kswapd; now > 17 && (k.awake || k.failures != maxReclaimRetries) {
				t.Fatalf("%s: awake is %v after %d failures", p.name, k.awake, k.failures)
			}
		}
		write(945)
		if s := m.Stats().Reclaim; s.Kswapd.Runs != 1 || s.Kswapd.Stolen != 0 {
			t.Errorf("%s: %+v", p.name, s.Kswapd)
		}
	}
}

// TestKswapdUnderPressure is TestUnderPressure with time that passes: a machine that has
// as few pages for programs as there.
func TestKswapdUnderPressure(t *testing.T) {
	for i, p := range policies {
		t.Run(p.name, func(t *testing.T) {
			m := underLimit(t, p.name, 32+24, func(c *Config) {
				c.Kswapd, c.Swap = true, []uint64{64 * PageSize, 1 << 30}[i%2]
			})
			now := uint64(0)
			pressure(t, m, rand.New(rand.NewPCG(uint64(i), 1)), func() {
				now++
				m.Background(now)
			})
			if s := m.Stats(); s.PeakMemory > 24*PageSize || s.Reclaim.Kswapd.Runs == 0 {
				t.Errorf("%+v", s.Reclaim)
			}
		})
	}
}

// TestTinyMachine: one that has no page above min is refused, and says so.
func TestTinyMachine(t *testing.T) {
	for pages := uint64(1); pages < 40; pages++ {
		c := DefaultConfig()
		c.Memory, c.Kswapd = pages*PageSize, true
		if _, err := New(c); (err != nil) != (pages <= 32) {
			t.Errorf("%d pages: %v", pages, err)
		}
	}
	c := DefaultConfig()
	c.Kswapd = true
	m, err := New(c) // without a size of memory there is nothing to watch
	if err != nil || m.daemons {
		t.Error(err, fmt.Sprint(m.daemons))
	}
}

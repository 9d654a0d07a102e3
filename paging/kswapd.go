package paging

import (
	"fmt"
	"math"
	"time"
)

// Background reclaim of a whole machine (Config.Kswapd). A memory cgroup has a limit
// and nothing else: whoever wants a page too many makes room. The memory of a machine
// has watermarks as well. Below the mark low whoever takes a page wakes kswapd, which
// frees pages beside the programs until there are more than high; programs make room
// themselves (direct reclaim) only where no more than min are free, which are for the
// kernel (mm/page_alloc.c:get_page_from_freelist, __alloc_pages_slowpath,
// mm/vmscan.c:balance_pgdat).
//
// kswapd works while time passes ([Machine.Background]), in batches. A batch begins
// when the time that the one before took is over.

// watermarks are numbers of free pages.
type watermarks struct{ min, low, high int64 }

// watermarkScale is how far apart the marks are, in ten-thousandths of memory
// (mm/page_alloc.c:watermark_scale_factor).
const watermarkScale = 10

// newWatermarks are the marks of a machine of so many pages in one zone
// (mm/page_alloc.c:calculate_min_free_kbytes, __setup_per_zone_wmarks).
func newWatermarks(pages int64) watermarks {
	kib := int64(math.Sqrt(float64(pages * (PageSize >> 10) * 16)))
	lowest := min(max(kib, 128), 262144) / (PageSize >> 10)
	apart := max(lowest/4, pages*watermarkScale/10000)
	return watermarks{lowest, lowest + apart, lowest + 2*apart}
}

// kswapd is the reclaimer in the background, and the memory that it watches.
type kswapd struct {
	watermarks
	total    int64 // immutable: pages of the machine
	costs    BackgroundCosts
	awake    bool   // memory.mu
	failures int    // memory.mu: batches in a row that freed nothing (kswapd_failures)
	files    int64  // memory.mu: pages of files in memory
	passed   uint64 // ns until which it has worked
	credit   int64  // ns that it has, below 0 those that its last batch still takes
}

// BackgroundCosts are how long what kswapd does takes.
type BackgroundCosts struct {
	Wake  time.Duration // until it runs
	Page  time.Duration // for each page it looks at
	Write time.Duration // and for each it writes
}

// ReclaimRuns counts what one of the two ways to reclaim did, in pages as /proc/vmstat
// has them.
type ReclaimRuns struct {
	Runs    uint64 // times kswapd was woken (pageoutrun); times a program had to make room (allocstall)
	Scanned uint64 // looked at at the end of an inactive list or of the oldest generation (pgscan); of policies that are not the kernel's those that were chosen
	Stolen  uint64 // freed (pgsteal)
}

// watch gives the memory of a machine its marks: what is above min is the limit of
// its programs.
func (g *memory) watch(c *Config) {
	if !c.Kswapd || g.limit == 0 {
		return
	}
	g.kswapd = &kswapd{watermarks: newWatermarks(g.limit), total: g.limit, costs: c.BackgroundCosts}
	g.limit -= g.kswapd.min
}

// validateKswapd refuses a machine none of whose pages is for programs.
func (c Config) validateKswapd() error {
	if pages := int64(c.Memory >> pageShift); c.Kswapd && pages > 0 && pages <= newWatermarks(pages).min {
		return fmt.Errorf("a machine of %d pages: Linux keeps %d of them free for itself (min_free_kbytes); give it more, or leave kswapd out", pages, newWatermarks(pages).min)
	}
	return nil
}

// taken notes that a page is about to be taken: below the mark low kswapd is woken,
// unless it has given up (mm/vmscan.c:wakeup_kswapd). Precondition: g.mu.
func (k *kswapd) taken(g *memory, pfn uint32) {
	if g.m.frames.at(pfn).kind == frameFile {
		k.files++
	}
	if k.awake || k.total-g.charged > k.low || k.failures >= maxReclaimRetries {
		return
	}
	k.awake, k.credit = true, -int64(k.costs.Wake)
	g.stats.Kswapd.Runs++
}

// gone notes that a page of the kind is free again. Precondition: g.mu.
func (k *kswapd) gone(kind frameKind) {
	if kind == frameFile {
		k.files--
	}
}

// early says whether room for what is read ahead is made before it is short: in a
// group, which is charged for all of it at once; on a machine that is for kswapd.
func (g *memory) early() bool { return g.kswapd == nil || g.tight(1) }

// Background lets the time of the machine go on to now, in ns: what the kernel does
// beside the programs, with Config.Kswapd and Config.Flusher, is done. Call it while no
// task runs.
func (m *Machine) Background(now uint64) {
	if g := m.memory; g != nil && g.kswapd != nil {
		g.kswapd.pass(g, now)
	}
	if m.flusher != nil {
		m.flusher.pass(m, now)
	}
}

// Marks are the watermarks in bytes, all 0 without [Config.Kswapd].
func (m *Machine) Marks() (least, low, high uint64) {
	g := m.memory
	if g == nil || g.kswapd == nil {
		return 0, 0, 0
	}
	k := g.kswapd
	return uint64(k.min) << pageShift, uint64(k.low) << pageShift, uint64(k.high) << pageShift
}

// pass is what kswapd does until now.
func (k *kswapd) pass(g *memory, now uint64) {
	left := min(now-min(now, k.passed), math.MaxInt64/2)
	k.passed = max(now, k.passed)
	if !k.awake {
		return
	}
	k.credit += int64(left)
	if k.credit < 0 {
		return
	}
	t := g.m.kernelTask()
	for k.awake && k.credit >= 0 {
		k.credit -= int64(k.batch(t, g))
	}
	g.m.retire(t)
}

// batch is a turn of balance_pgdat: it frees pages and returns how long that takes.
// kswapd goes to sleep when there are more than high free (pgdat_balanced), or when
// nothing could be freed too often (prepare_kswapd_sleep).
func (k *kswapd) batch(t *Task, g *memory) time.Duration {
	r := reclaimer{task: t, group: g, away: true}
	by := &g.stats.Kswapd
	g.mu.Lock()
	scanned, written := by.Scanned, g.stats.SwapOut+g.stats.FileOut
	freed := 0
	for again := false; freed < reclaimBatch; {
		if pfn := g.choose(0, by); pfn != 0 {
			if r.evict(pfn, g.info(pfn)) {
				freed++
			}
		} else if again || !g.reconsider() {
			break
		} else {
			again = true
		}
	}
	by.Stolen += uint64(freed)
	if freed == 0 {
		k.failures++
	}
	k.awake = k.failures < maxReclaimRetries && k.total-g.charged <= k.high
	took := time.Duration(by.Scanned-scanned)*k.costs.Page + time.Duration(g.stats.SwapOut+g.stats.FileOut-written)*k.costs.Write
	g.mu.Unlock()
	r.flush()
	return took
}

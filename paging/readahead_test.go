package paging

import (
	"fmt"
	"testing"
)

// A cold page cache: which pages of a sweep of 256 wait for the disk (M) and
// which fault without waiting (m). Worked out from Linux 6.1
// mm/filemap.c:do_sync_mmap_readahead (windows of 32 pages, half below the page,
// mark at three quarters), do_async_mmap_readahead, next_uptodate_page (fault-
// around passes the marked page over) and mm/readahead.c:ondemand_readahead. A
// live 6.18 kernel takes one major fault and one minor every 16 pages on the
// same sweep, and 256 major ones with MADV_RANDOM.
func TestColdSweeps(t *testing.T) {
	const pages = 256
	type fault struct {
		page uint64
		out  Outcome
	}
	every16 := func(from uint64) (f []fault) {
		for p := from; p < pages; p += 16 {
			f = append(f, fault{p, Minor})
		}
		return f
	}
	all := func(out Outcome) (f []fault) {
		for p := range uint64(pages) {
			f = append(f, fault{p, out})
		}
		return f
	}
	for _, c := range []struct {
		what   string
		advice int
		order  func(i uint64) uint64
		want   []fault
	}{
		// window [0, 32) with its mark at 24; the fault there reads [32, 64),
		// marked at 32, and so on
		{"forwards", madvNormal, func(i uint64) uint64 { return i }, append([]fault{{0, Major}, {16, Minor}, {24, Minor}}, every16(32)...)},
		// the first window has its mark in the middle
		{"forwards, MADV_SEQUENTIAL", madvSequential, func(i uint64) uint64 { return i }, append([]fault{{0, Major}}, every16(16)...)},
		{"MADV_RANDOM: nothing is read but the page", madvRandom, func(i uint64) uint64 { return i }, all(Major)},
		{"read ahead by MADV_WILLNEED", madvWillNeed, func(i uint64) uint64 { return i }, every16(0)},
	} {
		t.Run(c.what, func(t *testing.T) {
			config := DefaultConfig()
			config.Cache = CacheCold
			m, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			tk := m.NewProcess(1, 1, 0)
			f := m.File(1, 1, pages*PageSize, "cold")
			a := tk.pages(t, pages, MmapArgs{Addr: 1 << 32, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: f})
			if errno := tk.Madvise(a, pages*PageSize, c.advice); errno != 0 {
				t.Fatal(errno)
			}
			var got []fault
			for i := range uint64(pages) {
				p := c.order(i)
				if out := tk.Access(a+p*PageSize, Read); out != OK {
					got = append(got, fault{p, out})
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("faults %v\nwant %v", got, c.want)
			}
			check(t, m)
			if got := tk.RSS().File; got != pages*PageSize {
				t.Errorf("%d bytes resident", got)
			}
		})
	}
}

// After a hundred misses more than hits nothing is read around any more
// (MMAP_LOTSAMISS); hits bring it back.
func TestColdMisses(t *testing.T) {
	config := DefaultConfig()
	config.Cache, config.FaultAround = CacheCold, PageSize
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	f := m.File(1, 1, 1<<30, "cold")
	a, errno := tk.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead, Flags: MapPrivate, File: f})
	if errno != 0 {
		t.Fatal(errno)
	}
	cached := func(page uint64) int64 {
		before := f.cached.Load()
		tk.Access(a+page*PageSize, Read)
		return f.cached.Load() - before
	}
	for i := range uint64(120) {
		// each fault counts one miss and, for the page it maps, one hit
		if got := cached(1000 + i*1000); got != 32 {
			t.Fatalf("fault %d read %d pages", i, got)
		}
	}
	f.ahead.miss = raLotsaMiss
	if got := cached(200_000); got != 1 {
		t.Errorf("after too many misses a fault read %d pages, want 1", got)
	}
}

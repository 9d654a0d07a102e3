package paging

import (
	"cmp"
	"slices"
	"sync"
)

// The flusher writes dirty pages of files back (Config.Flusher, fs/fs-writeback.c:
// wb_workfn). A page is dirty from the fault on that made it writable in a shared
// mapping (page_mkwrite), and a file is as old as the first of its dirty pages. Every 5
// seconds, as long as there are any, files that have been dirty for 30 are written, with
// all of their dirty pages; and where memory is that of a whole machine, the oldest ones
// as soon as more than a tenth of what could be dirty is. What is written is clean and
// write-protected again, so that the next write to it is one more fault
// (mm/page-writeback.c:folio_clear_dirty_for_io, mm/rmap.c:folio_mkclean).
//
// Writing takes no time here, and nobody waits because too much is dirty
// (mm/page-writeback.c:balance_dirty_pages).

const (
	flushEvery      = 5_000_000_000  // ns: dirty_writeback_interval
	flushAge        = 30_000_000_000 // ns: dirty_expire_interval
	flushRatio      = 10             // percent: dirty_background_ratio
	flushBatch      = 1024           // pages of a file before another has its turn (MIN_WRITEBACK_PAGES)
	flushTidy       = 64             // clean files on the list of dirty ones, beside as many as are dirty
	flushRatioParts = 4096           // of which flushRatio is a share, rounded down (domain_dirty_limits)
)

// flusher knows what is dirty. nil: nobody writes back by age.
type flusher struct {
	mu     sync.Mutex            // innermost
	dirty  map[uint32]*dirtyFile // mu: by page
	byFile map[*File]*dirtyFile  // mu
	files  []*dirtyFile          // mu: the oldest first (bdi_writeback.b_dirty), and some that are clean by now
	clean  int                   // mu: how many are
	now    uint64                // mu: ns
	next   uint64                // mu: when it looks for old files, 0 = it need not
	stats  FlusherStats          // mu
}

func newFlusher() *flusher {
	return &flusher{dirty: map[uint32]*dirtyFile{}, byFile: map[*File]*dirtyFile{}}
}

// dirtyFile is a file with dirty pages.
type dirtyFile struct {
	file  *File
	since uint64            // ns (inode.dirtied_when)
	pages map[uint32]uint64 // by number: page of the file
}

// FlusherStats counts pages that the flusher wrote.
type FlusherStats struct {
	Old        uint64 // because their file had been dirty for 30 s
	Background uint64 // because too much was dirty
}

// add notes that a page of a file is dirty (fs/fs-writeback.c:__mark_inode_dirty).
func (w *flusher) add(f *File, index uint64, pfn uint32) {
	if w == nil || f.shmem {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dirty[pfn] != nil {
		return
	}
	d := w.byFile[f]
	if d == nil {
		d = &dirtyFile{f, w.now, map[uint32]uint64{}}
		w.files, w.byFile[f] = append(w.files, d), d
		if w.next == 0 {
			w.next = w.now + flushEvery // wb_wakeup_delayed
		}
	}
	d.pages[pfn], w.dirty[pfn] = index, d
}

// drop notes that a page is clean, or no more.
func (w *flusher) drop(pfn uint32) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.dirty[pfn]
	if d == nil {
		return
	}
	delete(w.dirty, pfn)
	if delete(d.pages, pfn); len(d.pages) > 0 {
		return
	}
	delete(w.byFile, d.file)
	if w.clean++; w.clean > flushTidy+len(w.byFile) {
		w.files, w.clean = slices.DeleteFunc(w.files, isClean), 0
	}
}

func isClean(d *dirtyFile) bool { return len(d.pages) == 0 }

// has says whether a page is dirty.
func (w *flusher) has(pfn uint32) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dirty[pfn] != nil
}

// pass is what the flusher does until now. Precondition, also of what it calls: no task
// runs, so that nothing becomes dirty.
func (w *flusher) pass(m *Machine, now uint64) {
	w.now = max(now, w.now)
	for d := w.old(); d != nil; d = w.old() {
		w.stats.Old += w.write(m, d, len(d.pages))
	}
	for limit := m.dirtyLimit(); int64(len(w.dirty)) > limit; {
		for _, d := range slices.Clone(w.files) {
			if int64(len(w.dirty)) > limit && !isClean(d) {
				w.stats.Background += w.write(m, d, flushBatch)
			}
		}
	}
}

// old is a file that is old enough at one of the times, every 5 s, when the flusher
// looks (wb_check_old_data_flush, move_expired_inodes); nil when there is none.
func (w *flusher) old() *dirtyFile {
	for len(w.files) > 0 && isClean(w.files[0]) {
		w.files = w.files[1:]
		w.clean--
	}
	if len(w.files) == 0 {
		if w.next <= w.now {
			w.next = 0
		}
		return nil
	}
	oldest := w.files[0]
	if due := oldest.since + flushAge; w.next < due {
		w.next += (due - w.next + flushEvery - 1) / flushEvery * flushEvery
	}
	if w.next > w.now {
		return nil
	}
	return oldest
}

// write writes the first dirty pages of a file, n at most, and returns how many.
func (w *flusher) write(m *Machine, d *dirtyFile, n int) uint64 {
	type page struct {
		index uint64
		pfn   uint32
	}
	pages := make([]page, 0, len(d.pages))
	for pfn, index := range d.pages {
		pages = append(pages, page{index, pfn})
	}
	slices.SortFunc(pages, func(a, b page) int { return cmp.Compare(a.index, b.index) })
	pages = pages[:min(n, len(pages))]
	t := m.kernelTask()
	d.file.protect(t, pages[0].index, pages[len(pages)-1].index+1)
	m.retire(t)
	for _, p := range pages {
		if m.memory != nil {
			m.memory.cleaned(p.pfn)
		}
		w.drop(p.pfn)
	}
	return uint64(len(pages))
}

// dirtyLimit is how many pages may be dirty before they are written in the background
// (mm/page-writeback.c:global_dirtyable_memory, domain_dirty_limits): a share of what is
// free above the mark high, or holds pages of files. Who does not know the memory of the
// machine has no limit.
func (m *Machine) dirtyLimit() int64 {
	g := m.memory
	if g == nil || g.kswapd == nil {
		return NoLimit >> 1
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.kswapd
	avail := max(k.total-g.charged-k.high, 0) + k.files + 1
	return flushRatio * flushRatioParts / 100 * avail / flushRatioParts
}

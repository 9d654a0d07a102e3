package paging

import "sync"

// Read-ahead of a file that is mapped, for a cold page cache, after Linux 6.1
// mm/filemap.c:do_sync_mmap_readahead, do_async_mmap_readahead and
// mm/readahead.c:ondemand_readahead. A fault on a page that is not there reads
// a window around it and marks one page in it; the fault on the marked page
// finds it present and reads the next window, so that a sweep waits for the
// disk once.

// Sizes in pages.
const (
	raPages     = 32  // of a window: 128 KiB (include/linux/mm.h:VM_READAHEAD_PAGES)
	raLotsaMiss = 100 // misses ahead of hits after which nothing is read around (MMAP_LOTSAMISS)
)

// readAhead is the state of read-ahead (file_ra_state).
type readAhead struct {
	mu          sync.Mutex
	start, size uint64 // of the last window
	async       uint64 // its end part: the mark stands at the beginning of that
	miss        int    // misses minus hits
	marked      map[uint64]struct{}
}

// bringIn makes sure that the page of a file is in the cache before a fault maps
// it, and says whether that took waiting for the disk. It happens before the
// table is locked, since it may sleep.
// Precondition: f.cold().
func (f *File) bringIn(t *Task, v *vma, index uint64) (waited bool) {
	g := t.machine.memory
	alone := g != nil && !g.batched
	if g != nil && g.limit > 0 && !f.resident(index) {
		n := raPages
		if alone {
			n = 1
		}
		if g.early() {
			t.makeRoom(n, f.slot(index).Load())
		}
	}
	r := &f.ahead
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.resident(index) {
		if v.flags&vmRandRead == 0 {
			r.miss = max(0, r.miss-1)
			if _, ok := r.marked[index]; ok {
				delete(r.marked, index)
				if f.ondemand(index, true) {
					f.read(t, r.start, r.size, r.async)
				}
			}
		}
		return false
	}
	if g != nil && g.limit > 0 {
		f.frame(t, index) // before its neighbours take the room
	}
	switch {
	case alone, v.flags&vmRandRead != 0:
		f.read(t, index, 1, 0)
	case v.flags&vmSeqRead != 0:
		f.ondemand(index, false)
		f.read(t, r.start, r.size, r.async)
	default:
		if r.miss < 10*raLotsaMiss {
			r.miss++
		}
		if r.miss > raLotsaMiss {
			f.read(t, index, 1, 0)
			break
		}
		r.start, r.size, r.async = index-min(index, raPages/2), raPages, raPages/4
		f.read(t, r.start, r.size, r.async)
	}
	return true
}

// ondemand chooses the window for a reader at index, which is a marked page or
// the first that is missing; false says that nothing is to be read.
// Precondition: f.ahead.mu.
func (f *File) ondemand(index uint64, marked bool) bool {
	r := &f.ahead
	switch {
	case index != 0 && (index == r.start+r.size-r.async || index == r.start+r.size):
		r.start += r.size // sequential: the next window
		r.size = nextWindow(r.size)
		r.async = r.size
	case index != 0 && marked: // another reader's mark: go on where the cache ends
		next := index + 1
		for f.resident(next) {
			if next++; next-index > raPages {
				return false
			}
		}
		r.start, r.size = next, nextWindow(next-index+raPages)
		r.async = r.size
	default:
		r.start, r.size, r.async = index, raPages, raPages
	}
	if index == r.start && r.size == r.async {
		r.size, r.async = raPages, raPages/2 // the mark would be met at once
	}
	return true
}

// nextWindow ramps a window up (get_next_ra_size).
func nextWindow(size uint64) uint64 {
	switch {
	case size < raPages/16:
		return 4 * size
	case size <= raPages/2:
		return 2 * size
	}
	return raPages
}

// read takes the pages [start, start+n) into the cache, as far as the file goes,
// and marks the one that begins the last async pages (do_page_cache_ra).
// Precondition: f.ahead.mu.
func (f *File) read(t *Task, start, n, async uint64) {
	if start >= f.pages() {
		return
	}
	n = min(n, f.pages()-start)
	for i := start; i < start+n; i++ {
		fresh := !f.resident(i)
		if g := t.machine.memory; fresh && g != nil && g.limit > 0 && g.tight(3) {
			return // the fault may want a page beside this one
		}
		if f.frame(t, i) == 0 {
			return
		}
		if fresh && async != 0 && n >= async && i == start+n-async {
			if f.ahead.marked == nil {
				f.ahead.marked = map[uint64]struct{}{}
			}
			f.ahead.marked[i] = struct{}{}
		}
	}
}

// readRange takes the pages [first, last) into the cache without a mark
// (mm/fadvise.c: POSIX_FADV_WILLNEED).
func (f *File) readRange(t *Task, first, last uint64) {
	if g := t.machine.memory; g != nil && (g.exact || t.machine.cfg.Only != nil) {
		return // what is read early depends on how much room there is
	}
	f.ahead.mu.Lock()
	defer f.ahead.mu.Unlock()
	if first < last {
		f.read(t, first, last-first, 0)
	}
}

// aroundSkips says which of the n <= 512 pages from index on fault-around leaves
// out although they are in the cache: those with a mark (mm/filemap.c:
// next_uptodate_page). Each of the n counts as a hit.
func (f *File) aroundSkips(index, n uint64) (skip [tableSize / 64]uint64) {
	if !f.cold() {
		return skip
	}
	f.ahead.mu.Lock()
	defer f.ahead.mu.Unlock()
	for i := range f.ahead.marked {
		if i-index < n {
			skip[(i-index)/64] |= 1 << ((i - index) % 64)
		}
	}
	f.ahead.miss = max(0, f.ahead.miss-int(n))
	return skip
}

package paging

import (
	"cmp"
	"math"
	"slices"
)

// Recycling of the page cache: clean pages of files leave memory although they are
// mapped, as when the kernel needs their frames for somebody else (mm/vmscan.c:
// shrink_folio_list, mm/truncate.c:invalidate_mapping_pages). The mappings and the
// identity of the file stay, and the next fault comes back through the cache and
// has to read.

// Recycle drops every clean page of every file that no mapping locks, and returns
// how many; it is safe for concurrent use. Dirty pages and shared memory stay. What
// was written through a mapping that is gone counts as written back, unless there is a
// flusher.
func (m *Machine) Recycle() (pages uint64) {
	m.filesMu.Lock()
	files := make([]*File, 0, len(m.files))
	for _, f := range m.files {
		if !f.shmem {
			files = append(files, f)
		}
	}
	m.filesMu.Unlock()
	slices.SortFunc(files, func(a, b *File) int { return cmp.Or(cmp.Compare(a.dev, b.dev), cmp.Compare(a.ino, b.ino)) })
	t := m.kernelTask()
	for _, f := range files {
		pages += f.drop(t, 0, math.MaxUint64, true)
	}
	m.retire(t)
	return pages
}

// DontNeed drops the clean pages [first, limit) of the file that nothing maps
// (mm/fadvise.c: POSIX_FADV_DONTNEED), and returns how many.
func (f *File) DontNeed(first, limit uint64) (pages uint64) {
	if f.shmem {
		return 0
	}
	t := f.machine.kernelTask()
	defer f.machine.retire(t)
	return f.drop(t, first, limit, false)
}

// WillNeed reads the pages [first, limit) into the cache (POSIX_FADV_WILLNEED,
// readahead(2)).
func (f *File) WillNeed(first, limit uint64) {
	if !f.cold() {
		return
	}
	t := f.machine.kernelTask()
	f.readRange(t, first, min(limit, f.pages()))
	f.machine.retire(t)
}

// pageRange is the pages [first, limit) of a file.
type pageRange struct{ first, limit uint64 }

func inRanges(list []pageRange, index uint64) bool {
	return slices.ContainsFunc(list, func(r pageRange) bool { return index >= r.first && index < r.limit })
}

// drop takes clean pages out of the cache: those that are mapped too, or not. It
// returns how many frames that freed.
func (f *File) drop(t *Task, first, limit uint64, mapped bool) (pages uint64) {
	f.begin(t)
	defer f.end(t)
	limit = min(limit, f.pages())
	g := f.machine.memory
	if g != nil && g.counts(frameFile) {
		r := reclaimer{task: t, group: g}
		f.eachFrame(first, limit, func(_ uint64, pfn uint32) {
			if r.recycle(pfn, mapped) {
				pages++
			}
		})
		r.flush()
		return pages
	}
	f.unmapClean(t, first, limit, mapped)
	f.eachFrame(first, limit, func(index uint64, pfn uint32) {
		if f.machine.frames.at(pfn).mapcount.Load() == 0 && !f.machine.flusher.has(pfn) {
			f.slot(index).Store(0)
			t.frames.release(pfn)
			f.cached.Add(-1)
			pages++
		}
	})
	f.leave(pageRange{first, limit})
	return pages
}

// leave notes that what the model has no frame for in a range is no longer in a warm
// cache. Precondition: f.mu.
func (f *File) leave(r pageRange) {
	if f.machine.cfg.Cache != CacheWarm || r.first >= r.limit {
		return
	}
	var now []pageRange
	if old := f.left.Load(); old != nil {
		for _, o := range *old {
			if o.first <= r.limit && r.first <= o.limit {
				r = pageRange{min(r.first, o.first), max(r.limit, o.limit)}
			} else {
				now = append(now, o)
			}
		}
	}
	now = append(now, r)
	f.left.Store(&now)
}

// eachFrame calls do with the pages [first, limit) that the cache has a frame for, in
// order.
func (f *File) eachFrame(first, limit uint64, do func(index uint64, pfn uint32)) {
	var chunks []uint64
	f.chunks.Range(func(at, _ any) bool {
		chunks = append(chunks, at.(uint64))
		return true
	})
	slices.Sort(chunks)
	for _, at := range chunks {
		for index := max(first, at*cacheChunk); index < min(limit, (at+1)*cacheChunk); index++ {
			if pfn := f.slot(index).Load(); pfn != 0 {
				do(index, pfn)
			}
		}
	}
}

// unmapClean takes the entries of clean pages out of every address space, but for
// locked memory, with one flush each mapping; or it only waits for the faults that
// are about to map one.
func (f *File) unmapClean(t *Task, first, limit uint64, mapped bool) {
	f.eachMapping(t, first, limit, func(s *Space, start, end uint64) {
		g := s.gather(t, FlushReclaim)
		kind := zapClean
		if v := s.list().at(start << pageShift); !mapped || v.flags&vmLocked != 0 {
			kind = zapNothing
		}
		s.zap(&g, start, end, kind)
		g.flush()
	})
}

// recycle evicts a page of the group if it is clean, and mapped nowhere unless mapped
// is set.
func (r *reclaimer) recycle(pfn uint32, mapped bool) bool {
	g := r.group
	g.mu.Lock()
	defer g.mu.Unlock()
	r.at = g.mappings(r.at[:0], pfn)
	i := g.info(pfn)
	if i.state&pageDirty != 0 || r.dirty(pfn) || !mapped && len(r.at) > 0 || r.locked() || !g.take(pfn, i) {
		return false
	}
	return r.evict(pfn, i)
}

package paging

import "math"

// What acts on all mappings of a file in all address spaces: truncation, holes
// and write-back. Linux finds the mappings by the interval tree of the file
// (mm/rmap.c); the model looks through the address spaces.

// eachMapping calls do for every part [start, end) of an address space, in
// pages, that maps pages [first, limit) of the file linearly, with the space
// locked against changes of its mappings.
func (f *File) eachMapping(t *Task, first, limit uint64, do func(s *Space, start, end uint64)) {
	f.eachVMA(t, func(s *Space, v *vma) {
		if v.flags&vmNonLinear != 0 || v.pgoff >= limit || v.pgoff+v.pages() <= first {
			return
		}
		start, end := v.first(), v.last()
		if first > v.pgoff {
			start += first - v.pgoff
		}
		if rest := limit - v.pgoff; rest < v.pages() {
			end = v.first() + rest
		}
		do(s, start, end)
	})
}

// eachVMA calls do for every mapping of the file. A space that fork makes
// meanwhile is visited too: it is known before the parent's entries are copied,
// which happens under the parent's lock.
func (f *File) eachVMA(t *Task, do func(s *Space, v *vma)) {
	done := map[*Space]bool{}
	for more := true; more; {
		more = false
		for _, s := range f.machine.liveSpaces() {
			if done[s] {
				continue
			}
			done[s], more = true, true
			s.rlock(t)
			for _, v := range s.list() {
				if v.file == f {
					do(s, v)
				}
			}
			s.runlock(t)
		}
	}
}

// resize changes the size of the file, in bytes.
func (f *File) resize(t *Task, size uint64) {
	f.begin(t)
	defer f.end(t)
	old := f.size.Swap(size)
	if size < old {
		f.invalidate(t, FlushTruncate, zapAll, pageUp(size)>>pageShift, math.MaxUint64)
	}
}

// punch makes a hole of pages [first, limit): they read as zeros afterwards
// (truncate_pagecache_range; private copies stay).
func (f *File) punch(t *Task, first, limit uint64) {
	f.begin(t)
	defer f.end(t)
	f.invalidate(t, FlushMadvise, zapCache, first, limit)
}

// begin keeps faults on the file out until end. A fault looks at busy under the
// lock of its leaf table: either it sees it and waits, or its entry is there
// when the tables are visited.
func (f *File) begin(t *Task) {
	t.locks.acquire(rankFile)
	t.counts(LockInvalidate).took(&f.mu)
	f.busy.Store(true)
}

func (f *File) end(t *Task) {
	f.busy.Store(false)
	f.mu.Unlock()
	t.locks.release(rankFile)
}

// await waits for whoever has set busy.
func (f *File) await(t *Task) {
	t.locks.acquire(rankFile)
	t.counts(LockInvalidate).took(&f.mu)
	f.mu.Unlock() // only the waiting is wanted
	t.locks.release(rankFile)
}

// invalidate takes pages out of every address space, with one flush each
// mapping (unmap_mapping_range_tree), and out of the cache.
func (f *File) invalidate(t *Task, cause FlushCause, kind zapKind, first, limit uint64) {
	f.eachMapping(t, first, limit, func(s *Space, start, end uint64) {
		g := s.gather(t, cause)
		s.zap(&g, start, end, kind)
		g.flush()
	})
	if f.remapped.Load() {
		f.eachVMA(t, func(s *Space, v *vma) {
			if v.flags&vmNonLinear != 0 {
				g := s.gather(t, cause)
				s.zapIndexed(&g, v, v.first(), v.last(), first, limit)
				g.flush()
			}
		})
	}
	f.dropRange(&t.frames, first, limit)
}

// writeBack writes the pages [first, limit) of the file.
func (f *File) writeBack(t *Task, first, limit uint64) {
	f.protect(t, first, limit)
	if g := f.machine.memory; g != nil {
		f.eachCached(first, limit, g.cleaned)
	}
	if w := f.machine.flusher; w != nil {
		f.eachCached(first, limit, w.drop)
	}
}

// protect cleans the entries of the pages [first, limit) of the file in every address
// space and takes their write permission, so that the next write is noticed again; each
// entry is flushed by itself (mm/rmap.c:page_vma_mkclean_one).
func (f *File) protect(t *Task, first, limit uint64) {
	f.eachMapping(t, first, limit, func(s *Space, start, end uint64) {
		s.table.tables(start, end, func(base uint64, tab *table) {
			tab.lock(t)
			defer tab.unlock(t)
			for vpn := max(base, start); vpn < min(base+tab.pages(), end); vpn++ {
				old, now := tab.update(vpn, func(e uint64) uint64 {
					if e&(pteP|pteNone) == 0 || s.machine.frames.at(ptePFN(e)).kind != frameFile {
						return e // a private copy
					}
					return e &^ (pteD | pteW)
				})
				if now != old {
					s.flushPages(t, FlushWriteProtect, vpn, vpn+1)
				}
				if old&pteD != 0 && now&pteD == 0 {
					s.machine.memory.dirtied(ptePFN(old))
				}
			}
		})
	})
}

// eachCached calls do with the frames of the pages [first, limit) that the cache
// knows.
func (f *File) eachCached(first, limit uint64, do func(pfn uint32)) {
	for index := first; index < min(limit, f.pages()); index++ {
		if pfn := f.slot(index).Load(); pfn != 0 {
			do(pfn)
		}
	}
}

package paging

import (
	"math"
	"sync"
	"sync/atomic"
)

// File is a file with its page cache, or the object behind shared anonymous
// memory. It is safe for concurrent use.
type File struct {
	machine  *Machine
	dev, ino uint64
	path     string
	size     atomic.Uint64 // bytes
	shmem    bool          // shared anonymous memory: pages are made on demand, zeroed
	foreign  bool          // belongs to the recorder
	maps     int           // shmem: mappings of it; guarded by Machine.shmemMu

	chunks sync.Map     // index / cacheChunk -> *[cacheChunk]atomic.Uint32
	cached atomic.Int64 // frames held
}

const cacheChunk = 512

// slot returns the place of a page's frame number in the cache, made if need
// be.
func (f *File) slot(index uint64) *atomic.Uint32 {
	c, ok := f.chunks.Load(index / cacheChunk)
	if !ok {
		c, _ = f.chunks.LoadOrStore(index/cacheChunk, new([cacheChunk]atomic.Uint32))
	}
	return &c.(*[cacheChunk]atomic.Uint32)[index%cacheChunk]
}

// pages is the number of pages of the file.
func (f *File) pages() uint64 {
	if f.shmem {
		return math.MaxUint64
	}
	return pageUp(f.size.Load()) >> pageShift
}

// resident says whether a page is in the cache: for a file with a warm cache
// every page is, whether the model has given it a frame yet or not.
func (f *File) resident(index uint64) bool {
	if f.machine.cfg.Cache == CacheWarm && !f.shmem {
		return index < f.pages()
	}
	return f.slot(index).Load() != 0
}

// frame returns the frame of a page, taken now if the cache has none; 0 when
// there is no memory. The frame is not mapped by this.
func (f *File) frame(t *Task, index uint64) uint32 {
	s := f.slot(index)
	if pfn := s.Load(); pfn != 0 {
		return pfn
	}
	kind := frameFile
	if f.shmem {
		kind = frameShmem
	}
	pfn := t.frames.alloc(kind, 0)
	if pfn == 0 {
		return 0
	}
	if !s.CompareAndSwap(0, pfn) {
		t.frames.release(pfn) // another task brought it first
		return s.Load()
	}
	f.cached.Add(1)
	return pfn
}

// readAhead is the size of the read-around window of a mapped file in pages:
// 128 KiB (include/linux/mm.h:VM_READAHEAD_PAGES).
const readAhead = 32

// readAround brings a page in from disk with its neighbours, as
// mm/filemap.c:do_sync_mmap_readahead does for a mapping without advice: the
// window begins half its size below the page.
func (f *File) readAround(t *Task, v *vma, index uint64) {
	first, last := index, index+1
	switch {
	case v.flags&vmRandRead != 0:
	case v.flags&vmSeqRead != 0:
		last = index + readAhead
	default:
		first = index - min(index, readAhead/2)
		last = first + readAhead
	}
	for i := first; i < min(last, f.pages()); i++ {
		if f.frame(t, i) == 0 {
			return
		}
	}
}

// dropFrom takes the frames of the pages from first on out of the cache.
// Precondition: nothing maps them.
func (f *File) dropFrom(c *frameCache, first uint64) { f.dropRange(c, first, math.MaxUint64) }

// dropRange takes the frames of the pages [first, end) out of the cache, except
// those that another address space still maps.
func (f *File) dropRange(c *frameCache, first, end uint64) {
	f.chunks.Range(func(at, chunk any) bool {
		for i := range chunk.(*[cacheChunk]atomic.Uint32) {
			slot := &chunk.(*[cacheChunk]atomic.Uint32)[i]
			index := at.(uint64)*cacheChunk + uint64(i)
			pfn := slot.Load()
			if index < first || index >= end || pfn == 0 || c.pool.at(pfn).mapcount.Load() > 0 {
				continue
			}
			if slot.CompareAndSwap(pfn, 0) {
				c.release(pfn)
				f.cached.Add(-1)
			}
		}
		return true
	})
}

type fileKey struct{ dev, ino uint64 }

// File returns the file with this identity, made if it is new, and brings its
// size up to date. A smaller size truncates: pages beyond it leave every
// address space, and a later access to them is SIGBUS (mm/truncate.c:
// truncate_pagecache).
func (m *Machine) File(dev, ino, size uint64, path string) *File {
	m.filesMu.Lock()
	f := m.files[fileKey{dev, ino}]
	if f == nil {
		f = &File{machine: m, dev: dev, ino: ino, path: path}
		f.size.Store(size)
		m.files[fileKey{dev, ino}] = f
		m.filesMu.Unlock()
		return f
	}
	m.filesMu.Unlock()
	if old := f.size.Swap(size); size < old {
		m.truncate(f, pageUp(size)>>pageShift)
	}
	return f
}

// SetForeign says that the file belongs to the recorder and not to the program:
// faults on its mappings are counted apart. Call it before the file is mapped.
func (f *File) SetForeign() { f.foreign = true }

// truncate takes the pages from first on out of every address space and the
// cache.
func (m *Machine) truncate(f *File, first uint64) {
	t := &Task{machine: m, frames: frameCache{pool: m.frames}}
	for _, s := range m.liveSpaces() {
		s.mu.Lock()
		for _, v := range s.list() {
			if v.file != f || v.pgoff+v.pages() <= first {
				continue
			}
			start := v.start >> pageShift
			if first > v.pgoff {
				start += first - v.pgoff
			}
			var g gather
			s.zap(t, start, v.end>>pageShift, &g)
			s.flushGather(nil, FlushTruncate, &g)
		}
		s.mu.Unlock()
	}
	f.dropFrom(&t.frames, first)
	t.frames.drain()
}

// newShmem makes the object behind a shared anonymous mapping.
func (m *Machine) newShmem() *File {
	m.anyShmem.Store(true)
	return &File{machine: m, shmem: true, path: "/dev/zero (deleted)"}
}

// countShmem keeps count of the mappings of shared anonymous memory when a list
// takes the place of another. What is mapped nowhere any more is freed by
// freeShmem, once its entries are gone.
func (m *Machine) countShmem(old, now vmaList) {
	if !m.anyShmem.Load() {
		return
	}
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	for _, v := range now {
		if v.file != nil && v.file.shmem {
			v.file.maps++
		}
	}
	for _, v := range old {
		if v.file != nil && v.file.shmem {
			if v.file.maps--; v.file.maps == 0 {
				m.orphans = append(m.orphans, v.file)
			}
		}
	}
}

// freeShmem frees the pages of shared anonymous memory without mappings.
func (m *Machine) freeShmem(t *Task) {
	if !m.anyShmem.Load() {
		return
	}
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	for _, f := range m.orphans {
		if f.maps == 0 {
			f.dropFrom(&t.frames, 0)
		}
	}
	m.orphans = m.orphans[:0]
}

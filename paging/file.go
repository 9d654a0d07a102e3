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
	size     atomic.Uint64   // bytes; changes under mu
	shmem    bool            // shared memory: pages are made on demand, zeroed
	sized    bool            // shared memory with a size: tmpfs, memfd, System V
	foreign  bool            // belongs to the recorder
	held     int             // Machine.shmemMu: descriptors and names that keep shared memory
	promised int64           // pages of it that count against the commit limit; set once
	hugetlb  *hugePool       // an object of hugetlbfs: where its pages come from, else nil
	reserves map[uint64]bool // hugePools.mu: of one of hugetlbfs, offsets of pages that it has or is promised
	segment  *segment        // of System V shared memory, nil for none
	maps     int             // Machine.shmemMu: mappings of shared memory
	change   int             // Machine.shmemMu: of maps, while lists are compared

	remapped atomic.Bool // has been mapped non-linearly
	indices  sync.Map    // frame number -> index, of those that non-linear mappings have mapped

	chunks sync.Map     // index / cacheChunk -> *[cacheChunk]atomic.Uint32
	cached atomic.Int64 // frames held

	// left are the parts of a warm cache that left it after all (recycle.go): what the
	// model has a frame for came back. nil for none; changes under mu.
	left atomic.Pointer[[]pageRange]

	// mu is the invalidate lock: one resize or hole at a time. While busy is
	// set faults on the file wait for mu.
	mu   sync.Mutex
	busy atomic.Bool

	ahead readAhead // of a cold cache
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
	if f.shmem && !f.sized {
		return math.MaxUint64
	}
	return pageUp(f.size.Load()) >> pageShift
}

// cold says that pages of the file have to be read before they are mapped.
func (f *File) cold() bool {
	return !f.shmem && (f.machine.cfg.Cache == CacheCold || f.left.Load() != nil)
}

// resident says whether a page is in the cache: for a file with a warm cache
// every page is, whether the model has given it a frame yet or not.
func (f *File) resident(index uint64) bool {
	if f.machine.cfg.Cache == CacheWarm && !f.shmem {
		if left := f.left.Load(); left == nil || !inRanges(*left, index) {
			return index < f.pages()
		}
	}
	pfn := f.slot(index).Load()
	return pfn != 0 && f.machine.memory.resident(pfn)
}

// swappedOut says that a page of shared anonymous memory is in swap.
func (f *File) swappedOut(index uint64) bool {
	if f.machine.memory == nil || !f.shmem {
		return false
	}
	pfn := f.slot(index).Load()
	return pfn != 0 && !f.machine.memory.resident(pfn)
}

// frame returns the frame of a page, taken now if the cache has none, or brought
// back if it left; 0 when there is no memory. The frame is not mapped by this.
func (f *File) frame(t *Task, index uint64) uint32 {
	s := f.slot(index)
	kind := frameFile
	if f.shmem {
		kind = frameShmem
	}
	if pfn := s.Load(); pfn != 0 {
		if g := f.machine.memory; g != nil && !g.resident(pfn) && !g.admitBack(pfn, kind) {
			return 0
		}
		return pfn
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
	if f.shmem {
		t.kmapLocal(1) // zeroed
	}
	return pfn
}

// dropRange takes the frames of the pages [first, end) out of the cache.
// Precondition: nothing maps them, and no fault can (see invalidate).
func (f *File) dropRange(c *frameCache, first, end uint64) {
	if f.hugetlb != nil {
		f.dropHuge(first, end)
		return
	}
	f.chunks.Range(func(at, chunk any) bool {
		for i := range chunk.(*[cacheChunk]atomic.Uint32) {
			index := at.(uint64)*cacheChunk + uint64(i)
			if index < first || index >= end {
				continue
			}
			if pfn := chunk.(*[cacheChunk]atomic.Uint32)[i].Swap(0); pfn != 0 {
				if invariants && c.pool.at(pfn).mapcount.Load() != 0 {
					broken("page %d of %s leaves the cache while it is mapped", index, f.path)
				}
				if f.remapped.Load() {
					f.indices.Delete(pfn)
				}
				f.machine.flusher.drop(pfn)
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
// address space, private copies too, and a later access to them is SIGBUS
// (mm/truncate.c:truncate_pagecache).
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
	if f.size.Load() != size {
		t := m.kernelTask()
		f.resize(t, size)
		m.retire(t)
	}
	return f
}

// SetForeign says that the file belongs to the recorder and not to the program:
// faults on its mappings are counted apart. Call it before the file is mapped.
func (f *File) SetForeign() { f.foreign = true }

package paging

import "math"

// Shared memory (mm/shmem.c): an object whose pages are made on demand and live
// as long as it does. The one behind a shared anonymous mapping lives as long as
// there are mappings of it, in whatever address space; others also as long as a
// descriptor or a name is left.

// newShmem makes the object behind a shared anonymous mapping (mm/shmem.c:
// shmem_zero_setup).
func (m *Machine) newShmem() *File {
	m.anyShmem.Store(true)
	return &File{machine: m, shmem: true, path: "/dev/zero (deleted)"}
}

// SharedFile is File for a file whose pages are shared memory: one of tmpfs, or
// the object of memfd_create. It is new without pages, and forgotten with the
// last Release once nothing maps it.
func (m *Machine) SharedFile(dev, ino, size uint64, path string) *File {
	m.anyShmem.Store(true)
	m.filesMu.Lock()
	if k := (fileKey{dev, ino}); m.files[k] == nil {
		m.files[k] = &File{machine: m, dev: dev, ino: ino, path: path, shmem: true, sized: true}
	}
	m.filesMu.Unlock()
	return m.File(dev, ino, size, path)
}

// Identify gives shared memory another identity, size and path: those that a
// recording tells of an object later than it made it. Nothing else uses the file
// meanwhile.
func (f *File) Identify(dev, ino, size uint64, path string) {
	m := f.machine
	m.filesMu.Lock()
	if k := (fileKey{f.dev, f.ino}); m.files[k] == f {
		delete(m.files, k)
	}
	f.dev, f.ino, f.path = dev, ino, path
	m.files[fileKey{dev, ino}] = f
	m.filesMu.Unlock()
	f.Truncate(size)
}

// Device is the device number of its identity.
func (f *File) Device() uint64 { return f.dev }

// Size is the size of the file in bytes.
func (f *File) Size() uint64 { return f.size.Load() }

// Truncate changes the size of the file (ftruncate); see Machine.File for what
// goes with a smaller one.
func (f *File) Truncate(size uint64) {
	if f.size.Load() != size {
		t := f.machine.kernelTask()
		f.resize(t, size)
		f.machine.retire(t)
	}
}

// Punch makes a hole of the pages [first, limit) (FALLOC_FL_PUNCH_HOLE).
func (f *File) Punch(first, limit uint64) {
	t := f.machine.kernelTask()
	f.punch(t, first, limit)
	f.machine.retire(t)
}

// Hold keeps shared memory alive for one more descriptor; other files do not
// need it.
func (f *File) Hold() {
	if f.shmem {
		f.machine.shmemMu.Lock()
		f.held++
		f.machine.shmemMu.Unlock()
	}
}

// Release takes back one Hold. With the last of them, and the last mapping, the
// pages go.
func (f *File) Release() {
	if !f.shmem {
		return
	}
	m := f.machine
	t := m.kernelTask()
	m.shmemMu.Lock()
	f.held--
	f.reap(&t.frames)
	m.shmemMu.Unlock()
	m.retire(t)
}

// reap frees the object if nothing keeps it. Precondition: Machine.shmemMu.
func (f *File) reap(c *frameCache) {
	if f.maps > 0 || f.held > 0 {
		return
	}
	m := f.machine
	f.dropRange(c, 0, math.MaxUint64)
	m.addCommit(-f.promised)
	f.promised = 0
	if f.segment != nil {
		m.sysv.destroy(f.segment)
	}
	m.filesMu.Lock()
	if k := (fileKey{f.dev, f.ino}); m.files[k] == f {
		delete(m.files, k)
	}
	m.filesMu.Unlock()
}

// countShmem keeps count of the mappings of shared memory when a list
// takes the place of another. What is gone is counted by settleShmem.
// Precondition: s.mu is held for writing.
func (s *Space) countShmem(old, now vmaList) {
	m := s.machine
	if !m.anyShmem.Load() {
		return
	}
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	each := func(l vmaList, do func(f *File)) {
		for _, v := range l {
			if v.file != nil && v.file.shmem {
				do(v.file)
			}
		}
	}
	each(now, func(f *File) { f.change++ })
	each(old, func(f *File) { f.change-- })
	settle := func(f *File) {
		f.maps += max(0, f.change)
		for ; f.change < 0; f.change++ {
			s.gone = append(s.gone, f)
		}
		f.change = 0
	}
	each(now, settle)
	each(old, settle)
}

// settleShmem is for the end of a change that has cleared the entries of
// mappings: memory that nothing keeps any more is freed. Precondition: s.mu is
// held for writing.
func (s *Space) settleShmem(t *Task) {
	if len(s.gone) == 0 {
		return
	}
	m := s.machine
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	for _, f := range s.gone {
		f.maps--
		f.reap(&t.frames)
	}
	s.gone = s.gone[:0]
}

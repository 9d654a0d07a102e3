package paging

import "math"

// Shared anonymous memory: the object behind a mapping lives as long as there
// are mappings of it, in whatever address space.

// newShmem makes the object behind a shared anonymous mapping (mm/shmem.c:
// shmem_zero_setup).
func (m *Machine) newShmem() *File {
	m.anyShmem.Store(true)
	return &File{machine: m, shmem: true, path: "/dev/zero (deleted)"}
}

// countShmem keeps count of the mappings of shared anonymous memory when a list
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
// mappings: memory that nothing maps any more is freed. Precondition: s.mu is
// held for writing.
func (s *Space) settleShmem(t *Task) {
	if len(s.gone) == 0 {
		return
	}
	m := s.machine
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	for _, f := range s.gone {
		if f.maps--; f.maps == 0 {
			f.dropRange(&t.frames, 0, math.MaxUint64)
		}
	}
	s.gone = s.gone[:0]
}

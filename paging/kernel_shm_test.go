package paging

func init() { kernelCases["shm"] = shmCases }

// segment attaches a segment of the case's pages.
func (s *steps) segment() int32 {
	id, errno := s.tk.Shmget(ShmArgs{Size: kernelN * PageSize, ID: -1})
	if errno != 0 {
		s.t.Fatal(errno)
	}
	s.shmat(id, 0)
	return id
}

func (s *steps) shmat(id int32, flags int) {
	if _, errno := s.tk.Shmat(id, kernelBase, flags, 0); errno != 0 {
		s.t.Fatal(errno)
	}
}

// object is what memfd_create gives.
func (s *steps) object() *File {
	f := s.tk.machine.SharedFile(2, 1, kernelN*PageSize, "/memfd:micro")
	f.Hold()
	return f
}

// shmCases mirror shm.c.
var shmCases = []func(s *steps){
	func(s *steps) {
		const a = kernelBase
		id := s.segment()
		s.count("sysv_write_stride", func() { s.wr(a, kernelN/2, 2) })
		s.tk.Shmdt(a)
		s.shmat(id, shmRdonly)
		s.count("sysv_read_again", func() { s.rd(a, kernelN, 1) })
		s.tk.machine.Shmrm(id)
		s.shmat(id, shmRemap)
		s.count("sysv_write_removed", func() { s.wr(a, kernelN, 1) })
	},
	func(s *steps) {
		const a = kernelBase
		s.tk.machine.Shmrm(s.segment())
		s.wr(a, kernelN, 1)
		child := s.fork()
		child.count("sysv_child_read", func() { child.rd(a, kernelN, 1) })
		child.tk.Exit()
		s.count("sysv_parent_write", func() { s.wr(a, kernelN, 1) })
	},
	func(s *steps) {
		f := s.object()
		a := s.mmap(kernelBase, kernelN, rw, MapShared, f)
		s.count("memfd_write_stride", func() { s.wr(a, kernelN, 4) })
		s.tk.Munmap(a, kernelN*PageSize)
		s.mmap(a, kernelN, rw, MapShared, f)
		s.count("memfd_read_again", func() { s.rd(a, kernelN, 1) })
		s.count("memfd_write_again", func() { s.wr(a, kernelN, 1) })
		s.mmap(a, kernelN, rw, MapPrivate, f)
		s.count("memfd_private", func() { s.rd(a, kernelN, 1); s.wr(a, kernelN, 2) })
	},
	func(s *steps) {
		f := s.object()
		a := s.mmap(kernelBase, kernelN, rw, MapShared, f)
		// fallocate: its pages are not mapped around a fault before they are used
		s.count("memfd_allocated_read", func() { s.rd(a, kernelN, 1) })
		f.Punch(0, kernelN/2)
		s.count("memfd_punched_write", func() { s.wr(a, kernelN, 1) })
	},
}

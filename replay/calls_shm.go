package replay

import (
	"strings"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// Shared memory: System V segments, and files whose pages are shared memory. In
// a captured trace the identifier of a new segment and the address of an
// attachment are the recorded ones, as for mmap.

// applyShmget performs shmget. A captured program may find a segment by its key
// that was made before recording began: it is taken for new then, as long as the
// call says.
func applyShmget(e *engine, th *thread, s *trace.Syscall) uint64 {
	const creat, excl = 0o1000, 0o2000
	a := paging.ShmArgs{Key: int32(s.Args[0]), Size: s.Args[1], Flags: int(int32(s.Args[2])), ID: -1}
	failed := isErrno(s.Ret)
	if e.imposed && !failed {
		a.ID = int32(s.Ret)
	}
	id, errno := th.task.Shmget(a)
	switch {
	case errno == paging.ENOENT && e.imposed && !failed && a.Size > 0:
		e.warnings.add("shmget of key %d by process %d: the segment was there before; taken for one of %d bytes without pages", a.Key, th.proc.pid, a.Size)
		a.Flags |= creat
		id, errno = th.task.Shmget(a)
	case errno == 0 && e.imposed && failed && (a.Key == 0 || a.Flags&(creat|excl) == creat|excl):
		e.machine.Shmrm(id) // a call that failed leaves nothing
	}
	return value(uint64(id), errno)
}

// applyShmat performs shmat. One that failed when it was recorded leaves nothing.
func applyShmat(e *engine, th *thread, s *trace.Syscall) uint64 {
	id, addr, flags := int32(s.Args[0]), s.Args[1], int(int32(s.Args[2]))
	failed := isErrno(s.Ret)
	at := uint64(0)
	if e.imposed && !failed {
		at = s.Ret
	}
	if e.imposed && failed {
		flags &^= 0o40000 // SHM_REMAP would take away what is there
	}
	got, errno := th.task.Shmat(id, addr, flags, at)
	if e.imposed && failed && errno == 0 {
		th.task.Shmdt(got)
	}
	return value(got, errno)
}

// applyShmctl performs shmctl. Commands that only inform are asked whether the
// segment exists; those that take an index into the kernel's table are not
// judged.
func applyShmctl(e *engine, th *thread, s *trace.Syscall) uint64 {
	const (
		rmid, set, stat = 0, 1, 2
		lock, unlock    = 11, 12
		ipc64           = 0x100 // i386: the newer structure
	)
	id := int32(s.Args[0])
	if id < 0 {
		return raw(paging.EINVAL)
	}
	switch cmd := uint32(s.Args[1]) &^ ipc64; cmd {
	case rmid:
		if e.imposed && isErrno(s.Ret) { // EPERM of another user's segment
			break
		}
		return raw(e.machine.Shmrm(id))
	case set, stat, lock, unlock:
		if !e.machine.ShmExists(id) {
			return raw(paging.EINVAL)
		}
	}
	return s.Ret
}

// devMemfd is the device of objects of memfd_create whose identity no File
// record has told yet.
const devMemfd = ^uint64(0) - 3

// followMemfd gives the new descriptor an empty object.
func followMemfd(e *engine, p *process, s *trace.Syscall) error {
	if s.Ret > maxDescriptor {
		return nil
	}
	e.memfds++
	if f := e.hugeMemfd(s.Args[1]); f != nil {
		return e.openDescriptor(p, int32(s.Ret), f)
	}
	return e.openDescriptor(p, int32(s.Ret), e.machine.SharedFile(devMemfd, e.memfds, 0, "/memfd: (deleted)"))
}

// sharedPath says by its path that a file's pages are shared memory.
func sharedPath(path string) bool {
	return strings.HasPrefix(path, "/memfd:") || strings.HasPrefix(path, "/dev/shm/")
}

// sharedFile is the model's file for a File record of shared memory. A record
// that names the descriptor of a memfd_create tells the identity of that
// object; a file of tmpfs is kept by its name.
func (e *engine) sharedFile(tid uint32, f *trace.File, isNew bool) *paging.File {
	path := e.names.keep(f.Path)
	if th := e.threads[tid]; th != nil && f.FD != 0 && f.FD-1 <= maxDescriptor {
		if o := th.proc.fds.files[int32(f.FD-1)]; o != nil && o.Device() == devMemfd {
			o.Identify(f.Dev, f.Ino, f.Size, path)
			return o
		}
	}
	o := e.machine.SharedFile(f.Dev, f.Ino, f.Size, path)
	if isNew && !strings.HasPrefix(path, "/memfd:") {
		o.Hold()
	}
	return o
}

// followTruncate changes the size of the file that a descriptor names.
func followTruncate(e *engine, p *process, s *trace.Syscall) error {
	if f := p.fds.files[int32(s.Args[0])]; f != nil {
		f.Truncate(s.Args[1])
	}
	return nil
}

// followTruncate64 has the size in two arguments (arch/x86/kernel/sys_ia32.c:
// ia32_ftruncate64).
func followTruncate64(e *engine, p *process, s *trace.Syscall) error {
	s.Args[1] |= s.Args[2] << 32
	return followTruncate(e, p, s)
}

// followFallocate grows the file or makes a hole (fallocate(2)). The pages that it
// gives to shared memory are not up to date before their first fault, which finds
// and maps them one by one (mm/shmem.c:shmem_fallocate, mm/filemap.c:
// next_uptodate_page): as if they were not there yet. On i386 offset and length
// are two arguments each (ia32_fallocate).
func followFallocate(e *engine, p *process, s *trace.Syscall) error {
	const punchHole = 2
	f := p.fds.files[int32(s.Args[0])]
	mode, offset, length := s.Args[1], s.Args[2], s.Args[3]
	if s.ABI == trace.ABII386 {
		offset, length = s.Args[2]|s.Args[3]<<32, s.Args[4]|s.Args[5]<<32
	}
	end := offset + length
	switch {
	case f == nil || end < offset || end > 1<<63:
	case mode&punchHole != 0:
		f.Punch(pageUp(offset)>>12, end>>12)
	case mode == 0 && end > f.Size():
		f.Truncate(end)
	}
	return nil
}

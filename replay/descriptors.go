package replay

import (
	"fmt"
	"maps"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// Descriptors: which file an mmap call means. File records say what a
// descriptor names; calls that make, close or copy descriptors are followed here, so
// that a closed one is EBADF and a copy is found. Close-on-exec is not in the
// trace: after exec a process keeps what it had.

// maxDescriptor is the highest descriptor: an int.
const maxDescriptor = 1<<31 - 1

// descriptorTable is what the descriptors of a process name (files_struct).
type descriptorTable struct {
	files map[int32]*paging.File
	users int // processes
}

func newDescriptorTable() *descriptorTable {
	return &descriptorTable{files: map[int32]*paging.File{}, users: 1}
}

// openDescriptor makes a descriptor name a file.
func (e *engine) openDescriptor(p *process, fd int32, f *paging.File) error {
	old := p.fds.files[fd]
	if old == nil {
		if e.descriptors >= e.limits.descriptors {
			return fmt.Errorf("more than %d descriptors at once", e.limits.descriptors)
		}
		e.descriptors++
	}
	f.Hold()
	p.fds.files[fd] = f
	if old != nil {
		old.Release()
	}
	return nil
}

func (e *engine) closeDescriptor(p *process, fd int32) {
	if f := p.fds.files[fd]; f != nil {
		f.Release()
		e.descriptors--
		delete(p.fds.files, fd)
	}
}

// inheritDescriptors returns the table of a child: a copy, or, with
// CLONE_FILES, the table itself.
func (e *engine) inheritDescriptors(t *descriptorTable, share bool) (*descriptorTable, error) {
	if share {
		t.users++
		return t, nil
	}
	if e.descriptors+len(t.files) > e.limits.descriptors {
		return nil, fmt.Errorf("more than %d descriptors at once", e.limits.descriptors)
	}
	for _, f := range t.files {
		f.Hold()
	}
	e.descriptors += len(t.files)
	return &descriptorTable{files: maps.Clone(t.files), users: 1}, nil
}

// dropDescriptors gives up one use of the table.
func (e *engine) dropDescriptors(t *descriptorTable) {
	if t.users--; t.users == 0 {
		for _, f := range t.files {
			f.Release()
		}
		e.descriptors -= len(t.files)
	}
}

// followedCalls is the table of the calls that close or copy descriptors, change the
// file behind one or what is in memory of it, or switch huge pages off; they are followed when the recording
// says that they succeeded.
var followedCalls = byNumber(map[string]func(e *engine, p *process, s *trace.Syscall) error{
	"close": func(e *engine, p *process, s *trace.Syscall) error {
		e.closeDescriptor(p, int32(s.Args[0]))
		return nil
	},
	"close_range":  followCloseRange,
	"prctl":        followPrctl,
	"fadvise64":    followFadvise,
	"fadvise64_64": followFadvise64,
	"readahead":    followReadahead,
	"memfd_create": followMemfd,
	"ftruncate":    followTruncate,
	"ftruncate64":  followTruncate64,
	"fallocate":    followFallocate,
	"dup":          followDup,
	"dup2":         followDup,
	"dup3":         followDup,
	"fcntl":        followFcntl,
	"fcntl64":      followFcntl,
})

func followDup(e *engine, p *process, s *trace.Syscall) error {
	from, to := int32(s.Args[0]), int32(s.Ret)
	if from == to {
		return nil
	}
	if f := p.fds.files[from]; f != nil {
		return e.openDescriptor(p, to, f)
	}
	e.closeDescriptor(p, to)
	return nil
}

func followFcntl(e *engine, p *process, s *trace.Syscall) error {
	const fDupFD, fDupFDCloexec = 0, 1030
	if cmd := uint32(s.Args[1]); cmd == fDupFD || cmd == fDupFDCloexec {
		return followDup(e, p, s)
	}
	return nil
}

func followCloseRange(e *engine, p *process, s *trace.Syscall) error {
	const unshare, cloexec = 2, 4
	first, last, flags := uint32(s.Args[0]), uint32(s.Args[1]), s.Args[2]
	if flags&unshare != 0 && p.fds.users > 1 {
		own, err := e.inheritDescriptors(p.fds, false)
		if err != nil {
			return err
		}
		p.fds.users--
		p.fds = own
	}
	if flags&cloexec != 0 {
		return nil
	}
	for fd := range p.fds.files {
		if uint32(fd) >= first && uint32(fd) <= last {
			e.closeDescriptor(p, fd)
		}
	}
	return nil
}

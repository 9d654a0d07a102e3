package capture

import (
	"path/filepath"

	"github.com/vmtrace/vmtrace/trace"
)

// descriptors follows what descriptors name, and the size of files that
// programs map, through a completed call.
func (p *lackeyProcess) descriptors(tid uint32, c *pendingCall) {
	s := &c.s
	if failed(s.Ret) {
		return
	}
	text := func(i int) string {
		if i < len(c.text) {
			return c.text[i]
		}
		return ""
	}
	fd := int32(s.Args[0])
	switch s.Nr {
	case nrOpen:
		p.fds.open(p.pid, int32(s.Ret), atFDCWD, text(0))
	case nrOpenat:
		p.fds.open(p.pid, int32(s.Ret), fd, text(1))
	case nrMemfd:
		p.fds.memfd(p.pid, int32(s.Ret), text(0))
	case nrClose:
		p.fds.close(fd)
	case nrCloseRange:
		p.fds.closeRange(s.Args[0], s.Args[1])
	case nrDup, nrDup2, nrDup3:
		p.fds.dup(fd, int32(s.Ret))
	case nrFcntl:
		const fDupFD, fDupFDCloexec = 0, 1030
		if s.Args[1] == fDupFD || s.Args[1] == fDupFDCloexec {
			p.fds.dup(fd, int32(s.Ret))
		}
	case nrChdir:
		p.fds.chdir(text(0))
	case nrFchdir:
		if f := p.fds.at(p.pid, fd); f != nil {
			p.fds.chdir(f.path)
		}
	case nrFtruncate:
		if f := p.fds.at(p.pid, fd); f != nil {
			f.size = s.Args[1]
			p.event(trace.NewFile(tid, p.rec.files.record(f, 0)))
		}
	case nrFallocate:
		if f := p.fds.at(p.pid, fd); f != nil {
			f.refresh(p.pid, fd)
			p.event(trace.NewFile(tid, p.rec.files.record(f, 0)))
		}
	}
}

// announceFile records what is being mapped by a call of mmap: the file that
// its descriptor names by the log, else the one that is mapped now.
func (p *lackeyProcess) announceFile(tid uint32, mmap *trace.Syscall) {
	fd := int32(mmap.Args[4])
	f := p.fds.at(p.pid, fd)
	if f == nil {
		f = mappedFile(p.pid, mmap.Ret)
	}
	if f == nil {
		p.rec.warn("process %d maps descriptor %d, and what it names is not known", p.pid, fd)
		return
	}
	f.refresh(p.pid, fd)
	if f.unseen(p.pid) {
		f.size = max(f.size, mmap.Args[1]+mmap.Args[5])
	}
	p.event(trace.NewFile(tid, p.rec.files.record(f, fd+1)))
}

// mappedFile is the file that the mapping of a process at an address is of.
func mappedFile(pid uint32, addr uint64) *openFile {
	all, err := readMaps(pid)
	if err != nil {
		return nil
	}
	for i := range all {
		if m := &all[i]; addr >= m.start && addr < m.end {
			return m.file
		}
	}
	return nil
}

// absolute is a path of the program as seen from the root.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

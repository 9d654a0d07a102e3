package convert

import (
	"encoding/binary"
	"fmt"
	"path"

	"github.com/vmtrace/vmtrace/trace"
)

// file is a file that was mapped. Its size is not known to the formats: it is
// what its mappings reach.
type file struct {
	id, size uint64
	dev, ino uint64
	path     string
}

const maxFiles = 1 << 18

// oldMmapBlock is the length of the block of arguments of old_mmap on i386.
const oldMmapBlock = 6 * 4

// announce records what a descriptor names and how far it is mapped; fd is as
// in trace.File: 1 + descriptor, or 0 for none.
func (b *builder) announce(th *thread, key string, f file, reach, fd uint64) (id uint64, err error) {
	if err := b.register(key, f); err != nil {
		return 0, err
	}
	known := b.files[key]
	known.size = max(known.size, reach)
	b.event(trace.NewFile(th.tid, trace.File{ID: known.id, Dev: known.dev, Ino: known.ino, Size: known.size, FD: fd, Path: known.path}))
	return known.id, nil
}

// register gives a file a number, if it has none yet.
func (b *builder) register(key string, f file) error {
	if b.files[key] != nil {
		return nil
	}
	if len(b.files) >= maxFiles {
		return fmt.Errorf("%w: more than %d files", trace.ErrCorrupt, maxFiles)
	}
	b.tally("the sizes of files are not in the input (%d files): what was mapped of one is taken for all of it")
	f.id = uint64(len(b.files) + 1)
	b.files[key] = &f
	return nil
}

// userRange is [addr, addr+length) in whole pages; ok is false where it is empty
// or not of user memory.
func userRange(addr, length uint64) (start, end uint64, ok bool) {
	start = addr &^ (pageSize - 1)
	end = (addr + length + pageSize - 1) &^ (pageSize - 1)
	return start, end, length > 0 && addr < userEnd && length <= userEnd && end <= userEnd
}

func failed(ret uint64) bool { return ret > ^uint64(4095) }

// Flags of mmap(2), mremap(2) and clone(2) on x86-64 (include/uapi).
const (
	mapShared       = 1
	mapPrivate      = 2
	mapFixed        = 0x10
	mapAnonymous    = 0x20
	mremapStays     = 4 // MREMAP_DONTUNMAP
	cloneVM         = 0x100
	cloneVFork      = 0x4000
	cloneThread     = 0x10000
	fcntlDup        = 0
	fcntlDupCloexec = 1030
	atFDCWD         = -100
)

// completed records a call and what it did to mappings and descriptors. text
// holds the strings behind its arguments, as far as the format tells.
func (b *builder) completed(th *thread, s trace.Syscall, text []string) error {
	b.found++
	name := trace.SyscallName(s.ABI, s.Nr)
	does := s // with the arguments of what it does
	if name == "old_mmap" && len(s.Data) == oldMmapBlock {
		name = "mmap"
		for i := range does.Args {
			does.Args[i] = uint64(binary.LittleEndian.Uint32([]byte(s.Data[4*i:])))
		}
	}
	if !failed(s.Ret) {
		if err := b.before(th, name, &does); err != nil {
			return err
		}
	}
	if label, ok := trace.CallMark(s.ABI, s.Nr, text); ok {
		b.event(trace.NewMark(th.tid, label))
	}
	b.event(trace.NewSyscall(th.tid, s))
	if failed(s.Ret) && name != "brk" {
		return nil
	}
	if err := b.remapped(th, name, &does); err != nil {
		return err
	}
	th.proc.follow(name, &s, text)
	return nil
}

// before infers what must have been mapped for the call to succeed, and
// announces the file that it maps.
func (b *builder) before(th *thread, name string, s *trace.Syscall) error {
	addr, length := s.Args[0], s.Args[1]
	switch name {
	case "mprotect", "pkey_mprotect", "mlock", "mlock2", "madvise", "msync", "mremap", "remap_file_pages":
		if start, end, ok := userRange(addr, length); ok && b.regions == byPage {
			return b.needRange(th, start, end)
		}
	case "mmap", "mmap2":
		if s.Args[3]&mapAnonymous != 0 {
			return nil
		}
		fd := int32(s.Args[4])
		offset := s.Args[5]
		if name == "mmap2" {
			offset <<= pageShift
		}
		p, ok := th.proc.fds[fd]
		if !ok {
			p = fmt.Sprintf("descriptor %d of process %d", fd, th.proc.pid)
		}
		_, err := b.announce(th, p, file{path: p}, offset+length, uint64(uint32(fd))+1)
		return err
	}
	return nil
}

// remapped keeps track of what is mapped.
func (b *builder) remapped(th *thread, name string, s *trace.Syscall) error {
	sp := th.proc.space
	switch name {
	case "mmap", "mmap2":
		if start, end, ok := userRange(s.Ret, s.Args[1]); ok {
			return b.mapped(sp, start, end, s.Args[2])
		}
	case "munmap":
		if start, end, ok := userRange(s.Args[0], s.Args[1]); ok {
			sp.unmapped(start, end)
		}
	case "mprotect", "pkey_mprotect":
		if start, end, ok := userRange(s.Args[0], s.Args[1]); ok {
			return b.mapped(sp, start, end, s.Args[2])
		}
	case "mremap":
		old, oldEnd, ok := userRange(s.Args[0], s.Args[1])
		var prot uint64
		if ok && sp.writable.covers(old) {
			prot = trace.ProtWrite
		}
		if ok && s.Args[3]&mremapStays == 0 {
			sp.unmapped(old, oldEnd)
		}
		if start, end, ok := userRange(s.Ret, s.Args[2]); ok {
			return b.mapped(sp, start, end, prot)
		}
	case "brk":
		return b.moveBrk(sp, s.Ret)
	}
	return nil
}

// moveBrk notes the end of the heap. The first call only tells where it is.
func (b *builder) moveBrk(sp *space, end uint64) error {
	old := sp.brk
	if end >= userEnd {
		return nil
	}
	sp.brk = (end + pageSize - 1) &^ (pageSize - 1)
	switch {
	case old == 0 || sp.brk == old:
	case sp.brk > old:
		return b.mapped(sp, old, sp.brk, trace.ProtWrite)
	default:
		sp.unmapped(sp.brk, old)
	}
	return nil
}

// maxOpen bounds the descriptors that are followed in a process.
const maxOpen = 1 << 16

// follow keeps track of what descriptors name.
func (p *process) follow(name string, s *trace.Syscall, text []string) {
	arg := func(i int) string {
		if i < len(text) {
			return text[i]
		}
		return ""
	}
	fd := int32(s.Args[0])
	switch name {
	case "open", "creat":
		p.open(int32(s.Ret), atFDCWD, arg(0))
	case "openat", "openat2":
		p.open(int32(s.Ret), fd, arg(1))
	case "memfd_create":
		p.open(int32(s.Ret), atFDCWD, "/memfd:"+arg(0))
	case "close":
		delete(p.fds, fd)
	case "close_range":
		for n := range p.fds {
			if uint32(n) >= uint32(fd) && uint32(n) <= uint32(s.Args[1]) {
				delete(p.fds, n)
			}
		}
	case "dup", "dup2", "dup3":
		p.dup(fd, int32(s.Ret))
	case "fcntl", "fcntl64":
		if s.Args[1] == fcntlDup || s.Args[1] == fcntlDupCloexec {
			p.dup(fd, int32(s.Ret))
		}
	case "chdir":
		p.cwd = resolve(p.cwd, arg(0))
	}
}

func (p *process) open(fd, dir int32, name string) {
	base := p.cwd
	if dir != atFDCWD {
		base = p.fds[dir]
	}
	if name != "" && len(p.fds) < maxOpen {
		p.fds[fd] = resolve(base, name)
	}
}

func (p *process) dup(from, to int32) {
	if name, ok := p.fds[from]; ok && len(p.fds) < maxOpen {
		p.fds[to] = name
	} else if from != to {
		delete(p.fds, to)
	}
}

func resolve(base, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(base, name)
}

package replay

import (
	"encoding/binary"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// The calls that choose addresses. In a captured trace the recorder chose them,
// and what it chose is imposed; so are its refusals to let a mapping grow, where
// something of its own may stand in the way. See doc.go.

func applyMmap(e *engine, th *thread, s *trace.Syscall) uint64 {
	return mmap(e, th, "mmap", s.Args, s.Args[5], s.Ret)
}

// applyMmap2 takes the offset in units of 4096 bytes (mmap2(2)).
func applyMmap2(e *engine, th *thread, s *trace.Syscall) uint64 {
	return mmap(e, th, "mmap2", s.Args, s.Args[5]<<12, s.Ret)
}

// applyOldMmap reads its six arguments from the block that the one argument
// points to (arch/x86/kernel/sys_ia32.c:ia32_mmap, struct mmap_arg_struct32).
func applyOldMmap(e *engine, th *thread, s *trace.Syscall) uint64 {
	const size = 24
	if len(s.Data) < size {
		if !isErrno(s.Ret) {
			e.warnings.once("old_mmap without its argument block: the trace does not say what it mapped")
		}
		return raw(paging.EFAULT)
	}
	var args [6]uint64
	for i := range args {
		args[i] = uint64(binary.LittleEndian.Uint32([]byte(s.Data[4*i : 4*i+4])))
	}
	return mmap(e, th, "old_mmap", args, args[5], s.Ret)
}

// Flags of mmap(2) and mremap(2).
const (
	mapAnonymous  = 0x20
	mapHugeTLB    = 0x40000
	mremapMayMove = 1
)

// mmap performs a call of the family; offset is in bytes. The order of the
// errors is the kernel's: the offset (arch/x86/kernel/sys_x86_64.c:mmap), then
// the descriptor (mm/mmap.c:ksys_mmap_pgoff), then the rest. A recorded refusal of
// huge pages is imposed: it depends on the machine and on its pool
// (ksys_mmap_pgoff: EINVAL without pages of that size; fs/hugetlbfs/inode.c:
// hugetlb_file_setup: ENOMEM), and QEMU refuses them all with EINVAL.
func mmap(e *engine, th *thread, name string, args [6]uint64, offset, recorded uint64) uint64 {
	failed := isErrno(recorded)
	m := paging.MmapArgs{Addr: args[0], Len: args[1], Prot: paging.Prot(args[2]), Flags: paging.MapFlags(args[3]), Offset: offset}
	if offset&0xfff != 0 {
		return raw(paging.EINVAL)
	}
	if args[3]&mapAnonymous == 0 {
		fd := int32(args[4])
		m.File = th.proc.fds.files[fd]
		if m.File == nil && e.imposed && !failed {
			m.File = e.assumeFile(th.proc, fd, args[1], offset)
		}
		if m.File == nil {
			return raw(paging.EBADF)
		}
	}
	if args[3]&mapHugeTLB != 0 && e.imposed && (recorded == raw(paging.EINVAL) || recorded == raw(paging.ENOMEM)) {
		e.agree.impose(name)
		return recorded
	}
	if e.imposed && failed {
		return probe(th, m)
	}
	if e.imposed {
		m.At = recorded
	}
	return value(th.task.Mmap(m))
}

// probe asks the model about a call that failed when it was recorded, and keeps
// nothing of it: no fault is taken, and what MAP_FIXED would replace stays. It
// returns the address asked for where the model would have succeeded.
func probe(th *thread, m paging.MmapArgs) uint64 {
	asked := m.Addr
	m.Flags &^= paging.MapPopulate | paging.MapLocked
	replace := m.Flags&(paging.MapFixed|paging.MapFixedNoReplace) == paging.MapFixed
	if replace {
		m.Flags = m.Flags&^paging.MapFixed | paging.MapFixedNoReplace
	}
	v, errno := th.task.Mmap(m)
	if replace && errno == paging.EEXIST {
		// The address is good and in use, which MAP_FIXED does not mind: the
		// other rules are asked for anywhere else.
		m.Flags, m.Addr = m.Flags&^paging.MapFixedNoReplace, 0
		v, errno = th.task.Mmap(m)
	}
	if errno != 0 {
		return raw(errno)
	}
	th.task.Munmap(v, m.Len)
	return asked
}

// unknownFile stands for what a descriptor names that no File record told.
type unknownFile struct {
	file *paging.File
	size uint64
}

// assumeFile returns the file of such a descriptor: as long as what is mapped of
// it. It returns nil where there are too many.
func (e *engine) assumeFile(p *process, fd int32, length, offset uint64) *paging.File {
	id := uint64(p.pid)<<32 | uint64(uint32(fd))
	size := offset + length
	if size < offset {
		size = ^uint64(0)
	}
	k := e.unknown[id]
	if k == nil {
		if len(e.files)+len(e.unknown) >= e.limits.files {
			e.warnings.once("more than %d files: descriptors that no file record names are EBADF from there on", e.limits.files)
			return nil
		}
		e.warnings.add("mmap of descriptor %d by process %d: no file record names it; taken for a file of its own, as long as what is mapped", fd, p.pid)
		k = &unknownFile{}
		e.unknown[id] = k
	}
	k.size = max(k.size, size)
	k.file = e.machine.File(devByDescriptor, id, k.size, "(unknown file)")
	return k.file
}

// applyMremap performs mremap. A recorded refusal to grow in place is imposed:
// it depends on what lies behind the mapping.
func applyMremap(e *engine, th *thread, s *trace.Syscall) uint64 {
	old, oldLen, newLen, flags, to := s.Args[0], s.Args[1], s.Args[2], s.Args[3], s.Args[4]
	at := uint64(0)
	if e.imposed && !isErrno(s.Ret) {
		at = s.Ret
	}
	got, errno := th.task.Mremap(old, oldLen, newLen, flags, to, at)
	if e.imposed && errno == 0 && flags&mremapMayMove == 0 && s.Ret == raw(paging.ENOMEM) && newLen > oldLen {
		th.task.Munmap(old+pageUp(oldLen), pageUp(newLen)-pageUp(oldLen))
		e.agree.impose("mremap")
		return s.Ret
	}
	return value(got, errno)
}

// applyBrk performs brk. Where no Map record told where the heap is, the first
// call does: a program asks for the break before it moves it. A recorded
// refusal to grow is imposed: it depends on what lies behind the heap.
func applyBrk(e *engine, th *thread, s *trace.Syscall) uint64 {
	asked := s.Args[0]
	if !e.learnHeap(th, asked, s.Ret) {
		return 0
	}
	before := th.task.Brk(0)
	got := th.task.Brk(asked)
	if e.imposed && got == asked && asked > before && s.Ret == before {
		th.task.Brk(before)
		e.agree.impose("brk")
		return s.Ret
	}
	return got
}

// learnHeap takes from the first brk of a process where its heap is, and says
// whether that is known.
func (e *engine) learnHeap(th *thread, asked, ret uint64) bool {
	h := &th.proc.heap
	first := !h.asked
	h.asked = true
	switch {
	case h.known && e.imposed && first && asked == 0 && ret > h.start && pageUp(ret) == h.end:
		th.task.SetBrk(h.start, ret) // the region is of whole pages, the break need not be
	case h.known || ret == 0 || isErrno(ret):
	default:
		if asked == ret {
			e.warnings.add("the first brk of process %d moves the break: its heap is taken to begin where it ends then, %#x", th.proc.pid, ret)
		}
		th.task.SetBrk(ret, ret)
		h.known = true
	}
	return h.known
}

// pageUp rounds up to whole pages.
func pageUp(n uint64) uint64 { return (n + paging.PageSize - 1) &^ (paging.PageSize - 1) }

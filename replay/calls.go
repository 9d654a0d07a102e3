package replay

import (
	"encoding/binary"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// call is a system call that acts on an address space.
type call struct {
	name  string
	args  int // arguments it has
	apply func(e *engine, th *thread, s *trace.Syscall) uint64
}

type callKey struct {
	abi trace.ABI
	nr  uint32
}

// calls is the table of the system calls that the model takes part in. Numbers
// are those of arch/x86/entry/syscalls/syscall_{64,32}.tbl and
// include/uapi/asm-generic/unistd.h (aarch64).
var calls = buildCalls([]struct {
	call
	x8664, i386, aarch64 int // -1: the ABI does not have it
}{
	{call{"mmap", 6, applyMmap}, 9, -1, 222},
	{call{"mmap2", 6, applyMmap2}, -1, 192, -1},
	{call{"old_mmap", 1, applyOldMmap}, -1, 90, -1},
	{call{"munmap", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munmap(s.Args[0], s.Args[1]))
	}}, 11, 91, 215},
	{call{"mprotect", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mprotect(s.Args[0], s.Args[1], paging.Prot(s.Args[2])))
	}}, 10, 125, 226},
	{call{"mremap", 5, applyMremap}, 25, 163, 216},
	{call{"brk", 1, applyBrk}, 12, 45, 214},
	{call{"madvise", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Madvise(s.Args[0], s.Args[1], int(int32(s.Args[2]))))
	}}, 28, 219, 233},
	{call{"msync", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Msync(s.Args[0], s.Args[1], int(int32(s.Args[2]))))
	}}, 26, 144, 227},
	{call{"mlock", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlock(s.Args[0], s.Args[1]))
	}}, 149, 150, 228},
	{call{"mlock2", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlock2(s.Args[0], s.Args[1], int(int32(s.Args[2]))))
	}}, 325, 376, 284},
	{call{"munlock", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munlock(s.Args[0], s.Args[1]))
	}}, 150, 151, 229},
	{call{"mlockall", 1, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlockall(int(int32(s.Args[0]))))
	}}, 151, 152, 230},
	{call{"munlockall", 0, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munlockall())
	}}, 152, 153, 231},
})

func buildCalls(rows []struct {
	call
	x8664, i386, aarch64 int
}) map[callKey]call {
	out := map[callKey]call{}
	for _, r := range rows {
		for abi, nr := range map[trace.ABI]int{trace.ABIX8664: r.x8664, trace.ABII386: r.i386, trace.ABIAArch64: r.aarch64} {
			if nr >= 0 {
				out[callKey{abi, uint32(nr)}] = r.call
			}
		}
	}
	return out
}

// raw is the return value of a call that gives 0 or an error.
func raw(e paging.Errno) uint64 { return value(0, e) }

// value is the raw return value of a call: -errno when it failed.
func value(v uint64, e paging.Errno) uint64 {
	if e != 0 {
		return -uint64(e)
	}
	return v
}

func applyMmap(e *engine, th *thread, s *trace.Syscall) uint64 {
	return mmap(e, th, s.Args, s.Args[5], s.Ret)
}

// applyMmap2 takes the offset in units of 4096 bytes (mmap2(2)).
func applyMmap2(e *engine, th *thread, s *trace.Syscall) uint64 {
	return mmap(e, th, s.Args, s.Args[5]<<12, s.Ret)
}

// applyOldMmap reads its six arguments from the block that the one argument
// points to (arch/x86/kernel/sys_ia32.c:ia32_mmap, struct mmap_arg_struct32).
func applyOldMmap(e *engine, th *thread, s *trace.Syscall) uint64 {
	const size = 24
	if len(s.Data) < size {
		return raw(paging.EFAULT)
	}
	var args [6]uint64
	for i := range args {
		args[i] = uint64(binary.LittleEndian.Uint32([]byte(s.Data[4*i:])))
	}
	if args[5]&0xfff != 0 {
		return raw(paging.EINVAL)
	}
	return mmap(e, th, args, args[5], s.Ret)
}

const mapAnonymous = 0x20 // MAP_ANONYMOUS of mmap(2)

func mmap(e *engine, th *thread, args [6]uint64, offset, recorded uint64) uint64 {
	m := paging.MmapArgs{Addr: args[0], Len: args[1], Prot: paging.Prot(args[2]), Flags: paging.MapFlags(args[3]), Offset: offset}
	if args[3]&mapAnonymous == 0 {
		m.File = th.proc.fds[args[4]&0xffffffff]
		if m.File == nil {
			if e.imposed && !isErrno(recorded) {
				e.warn("mmap of descriptor %d by process %d: no File record names it; mapped as an empty file", int32(args[4]), th.proc.pid)
				m.File = e.machine.File(0, 1<<63|args[4], args[1]+offset, "(unknown file)")
			} else {
				return raw(paging.EBADF)
			}
		}
	}
	if e.imposed && !isErrno(recorded) {
		m.At = recorded
	}
	v, errno := th.task.Mmap(m)
	if errno == 0 && e.imposed && isErrno(recorded) {
		th.task.Munmap(v, args[1]) // the program never had it
	}
	return value(v, errno)
}

func applyMremap(e *engine, th *thread, s *trace.Syscall) uint64 {
	at := uint64(0)
	if e.imposed && !isErrno(s.Ret) {
		at = s.Ret
	}
	v, errno := th.task.Mremap(s.Args[0], s.Args[1], s.Args[2], s.Args[3], s.Args[4], at)
	return value(v, errno)
}

// applyBrk learns the start of the heap of a captured process from the first
// call, which asks for it, and then compares.
func applyBrk(e *engine, th *thread, s *trace.Syscall) uint64 {
	if e.imposed && !th.proc.heapSet {
		th.proc.heapSet = true
		th.task.SetBrk(s.Ret, s.Ret)
	}
	return th.task.Brk(s.Args[0])
}

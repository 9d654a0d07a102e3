package replay

import (
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// call is a system call that acts on an address space.
type call struct {
	name  string
	args  int // arguments it has
	apply func(e *engine, th *thread, s *trace.Syscall) uint64
}

// callKey is how a trace names a call.
type callKey struct {
	abi trace.ABI
	nr  uint32
}

// calls is the table of the system calls that the model takes part in. Package
// trace knows their numbers. The answer of each is compared with the recorded
// one.
var calls = buildCalls([]call{
	{"mmap", 6, applyMmap},
	{"mmap2", 6, applyMmap2},
	{"old_mmap", 1, applyOldMmap},
	{"munmap", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munmap(s.Args[0], s.Args[1]))
	}},
	{"mprotect", 3, applyMprotect},
	{"pkey_mprotect", 4, applyMprotect},
	{"mremap", 5, applyMremap},
	{"remap_file_pages", 5, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.RemapFilePages(s.Args[0], s.Args[1], paging.Prot(s.Args[2]), s.Args[3], paging.MapFlags(s.Args[4])))
	}},
	{"brk", 1, applyBrk},
	{"madvise", 3, applyMadvise},
	{"msync", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Msync(s.Args[0], s.Args[1], int(int32(s.Args[2]))))
	}},
	{"mlock", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlock(s.Args[0], s.Args[1]))
	}},
	{"mlock2", 3, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlock2(s.Args[0], s.Args[1], int(int32(s.Args[2]))))
	}},
	{"munlock", 2, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munlock(s.Args[0], s.Args[1]))
	}},
	{"mlockall", 1, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Mlockall(int(int32(s.Args[0]))))
	}},
	{"shmget", 3, applyShmget},
	{"shmat", 3, applyShmat},
	{"shmctl", 3, applyShmctl},
	{"shmdt", 1, func(e *engine, th *thread, s *trace.Syscall) uint64 { return raw(th.task.Shmdt(s.Args[0])) }},
	{"munlockall", 0, func(e *engine, th *thread, s *trace.Syscall) uint64 {
		return raw(th.task.Munlockall())
	}},
})

// unmodelled are calls that change what is mapped or resident and that the
// model does not know. A trace that holds one is told apart by a warning.
var unmodelled = map[string]bool{
	"process_madvise": true, "process_vm_writev": true,
	"process_mrelease": true, "userfaultfd": true, "memfd_secret": true,
}

func buildCalls(rows []call) map[callKey]call {
	byName := map[string]call{}
	for _, r := range rows {
		byName[r.name] = r
	}
	return byNumber(byName)
}

// byNumber finds the numbers of named calls in every ABI that has them.
func byNumber[T any](byName map[string]T) map[callKey]T {
	out := map[callKey]T{}
	for name, v := range byName {
		for _, abi := range []trace.ABI{trace.ABIX8664, trace.ABII386, trace.ABIAArch64} {
			if nr, ok := trace.SyscallNumber(abi, name); ok {
				out[callKey{abi, nr}] = v
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

// isErrno says whether a raw return value is -errno: the kernel reserves the
// last 4095 values for it (include/linux/err.h:IS_ERR_VALUE).
func isErrno(ret uint64) bool { return ret > ^uint64(4095) }

// applyMprotect serves pkey_mprotect too: protection keys are not modelled.
func applyMprotect(e *engine, th *thread, s *trace.Syscall) uint64 {
	return raw(th.task.Mprotect(s.Args[0], s.Args[1], paging.Prot(s.Args[2])))
}

func applyMadvise(e *engine, th *thread, s *trace.Syscall) uint64 {
	const hugePage = 14 // MADV_HUGEPAGE
	advice := int(int32(s.Args[2]))
	if c := e.machine.Config(); advice == hugePage && c.THP == paging.THPNever {
		e.warnings.once("madvise(MADV_HUGEPAGE): the advised memory is mapped page by page; --thp madvise gives it huge pages")
	}
	return raw(th.task.Madvise(s.Args[0], s.Args[1], advice))
}

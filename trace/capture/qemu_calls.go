package capture

import "github.com/vmtrace/vmtrace/trace"

// pluginCalls is the table of plugin/ring.h: what the plugin does at a system
// call, by ABI and number.
func pluginCalls() map[trace.ABI][1024]callFacts {
	names := map[string]callFacts{
		"munmap": callCut, "mprotect": callCut, "pkey_mprotect": callCut, "mremap": callCut, "brk": callCut, "madvise": callCut,
		"shmdt": callCut, "remap_file_pages": callCut,
		"mmap": callCut | callMmap, "mmap2": callCut | callMmap, "old_mmap": callCut | callOldMmap,
		"ftruncate": callSize, "ftruncate64": callSize, "fallocate": callSize,
		"readv": callVector, "preadv": callVector, "preadv2": callVector, "writev": callVector, "pwritev": callVector, "pwritev2": callVector,
		"sendmsg": callMessage, "recvmsg": callMessage,
		"exit": callExit, "execve": callExec, "fork": callFork, "vfork": callVFork, "clone": callClone,
	}
	tables := map[trace.ABI][1024]callFacts{}
	for _, abi := range []trace.ABI{trace.ABIX8664, trace.ABII386, trace.ABIAArch64} {
		var t [1024]callFacts
		for name, facts := range names {
			if nr, ok := trace.SyscallNumber(abi, name); ok && int(nr) < len(t) {
				t[nr] = facts
			}
		}
		for nr, arg := range trace.MarkCalls(abi) {
			if int(nr) < len(t) {
				t[nr] |= callPath << arg
			}
		}
		tables[abi] = t
	}
	return tables
}

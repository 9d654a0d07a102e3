package replay

import (
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// The numbers of Linux 6.1: arch/x86/entry/syscalls/syscall_64.tbl and
// syscall_32.tbl (where old_mmap is called mmap), and, for aarch64,
// include/uapi/asm-generic/unistd.h. 0: the ABI does not have the call.
var callNumbers = []struct {
	name                 string
	x8664, i386, aarch64 uint32
}{
	{"mmap", 9, 0, 222},
	{"mmap2", 0, 192, 0},
	{"old_mmap", 0, 90, 0},
	{"munmap", 11, 91, 215},
	{"mprotect", 10, 125, 226},
	{"pkey_mprotect", 329, 380, 288},
	{"mremap", 25, 163, 216},
	{"remap_file_pages", 216, 257, 234},
	{"brk", 12, 45, 214},
	{"madvise", 28, 219, 233},
	{"msync", 26, 144, 227},
	{"mlock", 149, 150, 228},
	{"mlock2", 325, 376, 284},
	{"munlock", 150, 151, 229},
	{"mlockall", 151, 152, 230},
	{"munlockall", 152, 153, 231},
	{"shmget", 29, 395, 0},
	{"shmat", 30, 397, 196},
	{"shmctl", 31, 396, 0},
	{"shmdt", 67, 398, 197},
	{"memfd_create", 319, 356, 0},
	{"ftruncate", 77, 93, 0},
	{"ftruncate64", 0, 194, 0},
	{"fallocate", 285, 324, 0},
	{"close", 3, 6, 57},
	{"close_range", 436, 436, 436},
	{"dup", 32, 41, 23},
	{"prctl", 157, 172, 0},
	{"fadvise64", 221, 250, 0},
	{"fadvise64_64", 0, 272, 0},
	{"readahead", 187, 225, 0},
	{"dup2", 33, 63, 0},
	{"dup3", 292, 330, 24},
	{"fcntl", 72, 55, 25},
	{"fcntl64", 0, 221, 0},
}

func TestCallNumbers(t *testing.T) {
	want := map[callKey]string{}
	for _, c := range callNumbers {
		for abi, nr := range map[trace.ABI]uint32{trace.ABIX8664: c.x8664, trace.ABII386: c.i386, trace.ABIAArch64: c.aarch64} {
			if nr != 0 {
				want[callKey{abi, nr}] = c.name
			}
		}
	}
	got := map[callKey]string{}
	for key, c := range calls {
		got[key] = c.name
	}
	for key := range followedCalls {
		got[key] = trace.SyscallName(key.abi, key.nr)
	}
	for key, name := range want {
		if got[key] != name {
			t.Errorf("call %d of %s is %q, want %s", key.nr, key.abi, got[key], name)
		}
	}
	for key, name := range got {
		if want[key] != name {
			t.Errorf("call %d of %s is %s, want %q", key.nr, key.abi, name, want[key])
		}
	}
	for name := range unmodelled {
		if _, ok := trace.SyscallNumber(trace.ABIX8664, name); !ok {
			t.Errorf("%s is no call of x86-64", name)
		}
	}
}

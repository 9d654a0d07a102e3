package capture

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// Sizes are those of section 2 of the manual and of the structures of
// include/uapi/linux on x86-64.
func TestUserCopies(t *testing.T) {
	errno := func(n uint64) uint64 { return -n }
	type copies = []trace.UserCopy
	for _, c := range []struct {
		name string
		call string
		args [6]uint64
		ret  uint64
		want copies
	}{
		{"read fills as much as it returns", "read", [6]uint64{3, 0x1000, 8192}, 100, copies{{Addr: 0x1000, Len: 100, Write: true}}},
		{"read at the end of a file", "read", [6]uint64{3, 0x1000, 8192}, 0, nil},
		{"read that fails", "read", [6]uint64{3, 0x1000, 8192}, errno(9), nil},
		{"write", "write", [6]uint64{1, 0x1000, 50}, 50, copies{{Addr: 0x1000, Len: 50}}},
		{"a path is read though there is no such file", "openat", [6]uint64{0xffffff9c, 0x2000}, errno(2), copies{{Addr: 0x2000, Len: 1}}},
		{"a path that cannot be reached", "openat", [6]uint64{0xffffff9c, 0x2000}, errno(14), nil},
		{"struct stat", "newfstatat", [6]uint64{3, 0x2000, 0x3000}, 0, copies{{Addr: 0x2000, Len: 1}, {Addr: 0x3000, Len: 144, Write: true}}},
		{"struct statx", "statx", [6]uint64{3, 0x2000, 0, 0, 0x3000}, 0, copies{{Addr: 0x2000, Len: 1}, {Addr: 0x3000, Len: 256, Write: true}}},
		{"a null pointer is not followed", "rt_sigaction", [6]uint64{2, 0, 0x3000, 8}, 0, copies{{Addr: 0x3000, Len: 32, Write: true}}},
		{"wait4 writes the status of a child", "wait4", [6]uint64{^uint64(0), 0x1000, 0, 0x2000}, 77, copies{{Addr: 0x1000, Len: 4, Write: true}, {Addr: 0x2000, Len: 144, Write: true}}},
		{"wait4 with WNOHANG and none to report", "wait4", [6]uint64{^uint64(0), 0x1000, 1, 0x2000}, 0, nil},
		{"poll: struct pollfd is 8 bytes", "poll", [6]uint64{0x1000, 3, 0}, 1, copies{{Addr: 0x1000, Len: 24, Write: true}}},
		{"select: fd_set is of words", "select", [6]uint64{65, 0x1000, 0, 0, 0}, 1, copies{{Addr: 0x1000, Len: 16, Write: true}}},
		{"epoll_wait: struct epoll_event is packed, 12 bytes", "epoll_wait", [6]uint64{3, 0x1000, 10, 0}, 2, copies{{Addr: 0x1000, Len: 24, Write: true}}},
		{"mincore: a byte for each page", "mincore", [6]uint64{0x10000, 4097, 0x1000}, 0, copies{{Addr: 0x1000, Len: 2, Write: true}}},
		{"TCGETS: struct termios of the kernel", "ioctl", [6]uint64{0, 0x5401, 0x1000}, 0, copies{{Addr: 0x1000, Len: 36, Write: true}}},
		{"an ioctl that is not known", "ioctl", [6]uint64{0, 0x9999, 0x1000}, 0, nil},
		{"getcwd returns the length", "getcwd", [6]uint64{0x1000, 4096}, 6, copies{{Addr: 0x1000, Len: 6, Write: true}}},
		{"prlimit64 both ways", "prlimit64", [6]uint64{0, 3, 0x1000, 0x2000}, 0, copies{{Addr: 0x1000, Len: 16}, {Addr: 0x2000, Len: 16, Write: true}}},
		{"a call without buffers", "getpid", [6]uint64{}, 5, nil},
		{"an absurd length", "connect", [6]uint64{3, 0x1000, 1 << 50}, 0, nil},
	} {
		nr, ok := trace.SyscallNumber(trace.ABIX8664, c.call)
		if !ok {
			t.Fatalf("%s has no number", c.call)
		}
		var got copies
		none := func(uint64, []byte) bool { t.Errorf("%s: memory was read", c.name); return false }
		s := trace.Syscall{ABI: trace.ABIX8664, Nr: nr, Args: c.args, Ret: c.ret}
		if !userCopies(&s, none, func(u trace.UserCopy) { got = append(got, u) }) {
			t.Errorf("%s: not whole", c.name)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// memory is a program's memory from address 0x1000 on.
type memory []byte

func (m memory) read(addr uint64, b []byte) bool {
	if addr < 0x1000 || addr-0x1000+uint64(len(b)) > uint64(len(m)) {
		return false
	}
	copy(b, m[addr-0x1000:])
	return true
}

func words(v ...uint64) memory {
	var m memory
	for _, w := range v {
		m = binary.LittleEndian.AppendUint64(m, w)
	}
	return m
}

func TestUserCopiesVector(t *testing.T) {
	iov := words(0x5000, 10, 0x6000, 0, 0x7000, 20)
	// struct msghdr (recvmsg(2)): name, name's length, iovec, its length, control, its length, flags
	msg := append(iov, words(0, 0, 0x1000, 3, 0, 0, 0)...)
	for _, c := range []struct {
		name string
		call string
		args [6]uint64
		ret  uint64
		mem  memory
		want []trace.UserCopy
		all  bool
	}{
		{"readv", "readv", [6]uint64{3, 0x1000, 3}, 30, iov, []trace.UserCopy{{Addr: 0x1000, Len: 48}, {Addr: 0x5000, Len: 10, Write: true}, {Addr: 0x7000, Len: 20, Write: true}}, true},
		{"writev", "writev", [6]uint64{3, 0x1000, 1}, 10, iov, []trace.UserCopy{{Addr: 0x1000, Len: 16}, {Addr: 0x5000, Len: 10}}, true},
		{"recvmsg", "recvmsg", [6]uint64{3, 0x1030, 0}, 30, msg, []trace.UserCopy{{Addr: 0x1030, Len: 56}, {Addr: 0x5000, Len: 10, Write: true}, {Addr: 0x7000, Len: 20, Write: true}}, true},
		{"the vector has been overwritten", "readv", [6]uint64{3, 0x1000, 3}, 31, iov, []trace.UserCopy{{Addr: 0x1000, Len: 48}}, false},
		{"the program has gone", "readv", [6]uint64{3, 0x1000, 3}, 30, nil, []trace.UserCopy{{Addr: 0x1000, Len: 48}}, false},
		{"nothing came", "readv", [6]uint64{3, 0x1000, 3}, 0, iov, []trace.UserCopy{{Addr: 0x1000, Len: 48}}, true},
	} {
		nr, _ := trace.SyscallNumber(trace.ABIX8664, c.call)
		var got []trace.UserCopy
		s := trace.Syscall{ABI: trace.ABIX8664, Nr: nr, Args: c.args, Ret: c.ret}
		all := userCopies(&s, c.mem.read, func(u trace.UserCopy) { got = append(got, u) })
		if all != c.all || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v whole=%v\nwant %+v whole=%v", c.name, got, all, c.want, c.all)
		}
	}
}

// Every name of the table is a system call, and every buffer an argument of it.
func TestBuffersTable(t *testing.T) {
	for name, list := range buffers {
		if _, ok := trace.SyscallNumber(trace.ABIX8664, name); !ok {
			t.Errorf("%s is no system call", name)
		}
		for _, b := range list {
			if b.arg < 0 || b.arg > 5 {
				t.Errorf("%s: argument %d", name, b.arg)
			}
			if refers := b.how == byArg || b.how == perArg || b.how == bits || b.how == perPage || b.how == vector; refers && (b.n < 0 || b.n > 5 || b.n == b.arg) {
				t.Errorf("%s: the length of argument %d is argument %d", name, b.arg, b.n)
			}
		}
	}
}

package capture

import (
	"encoding/binary"

	"github.com/vmtrace/vmtrace/trace"
)

// The memory that a system call reads or writes, by table. It matters because
// the kernel's accesses fault like the program's: read(2) into fresh memory is
// where many programs take their faults.

// length says how long a buffer is.
type length uint8

const (
	fixed   length = iota // n bytes
	byRet                 // as many bytes as the call returned
	ifRet                 // n bytes, if the call did not return 0
	perRet                // n bytes for each that the call returned
	byArg                 // as many bytes as argument n says
	perArg                // 8 bytes for each that argument n says (pollfd)
	bits                  // one bit for each that argument n says, in words of 8 bytes (fd_set)
	perPage               // one byte for each page that argument n says in bytes (mincore)
	text                  // a string: its first byte faults its page
	vector                // iovec[argument n], used up to the result
	message               // msghdr, whose iovec is used up to the result
)

// buffer is one user buffer of a call.
type buffer struct {
	arg   int // argument that points to it
	how   length
	n     int
	write bool // the kernel writes it
}

const (
	in  = false // the kernel reads the buffer
	out = true  // the kernel writes it
)

// Sizes of structures of the kernel on x86-64, in bytes.
const (
	sizeStat, sizeStatx, sizeStatfs, sizeTimespec, sizeTimeval = 144, 256, 120, 16, 16
	sizeSigaction, sizeSigset, sizeRlimit, sizeRusage          = 32, 8, 16, 144
	sizeUtsname, sizeSysinfo, sizeTermios, sizeEpoll, sizeTms  = 390, 112, 36, 12, 32
	sizeSiginfo, sizeStack, sizeSockaddr, sizeOffset           = 128, 24, 16, 8
)

// buffers is the table: by name of the call, after its page in section 2 of the
// manual.
var buffers = map[string][]buffer{
	"read":              {{1, byRet, 0, out}},
	"pread64":           {{1, byRet, 0, out}},
	"write":             {{1, byRet, 0, in}},
	"pwrite64":          {{1, byRet, 0, in}},
	"readv":             {{1, vector, 2, out}},
	"preadv":            {{1, vector, 2, out}},
	"preadv2":           {{1, vector, 2, out}},
	"writev":            {{1, vector, 2, in}},
	"pwritev":           {{1, vector, 2, in}},
	"pwritev2":          {{1, vector, 2, in}},
	"recvfrom":          {{1, byRet, 0, out}, {4, fixed, sizeSockaddr, out}, {5, fixed, 4, out}},
	"sendto":            {{1, byRet, 0, in}, {4, byArg, 5, in}},
	"recvmsg":           {{1, message, 0, out}},
	"sendmsg":           {{1, message, 0, in}},
	"open":              {{0, text, 0, in}},
	"openat":            {{1, text, 0, in}},
	"openat2":           {{1, text, 0, in}, {2, byArg, 3, in}},
	"creat":             {{0, text, 0, in}},
	"stat":              {{0, text, 0, in}, {1, fixed, sizeStat, out}},
	"lstat":             {{0, text, 0, in}, {1, fixed, sizeStat, out}},
	"fstat":             {{1, fixed, sizeStat, out}},
	"newfstatat":        {{1, text, 0, in}, {2, fixed, sizeStat, out}},
	"statx":             {{1, text, 0, in}, {4, fixed, sizeStatx, out}},
	"statfs":            {{0, text, 0, in}, {1, fixed, sizeStatfs, out}},
	"fstatfs":           {{1, fixed, sizeStatfs, out}},
	"access":            {{0, text, 0, in}},
	"faccessat":         {{1, text, 0, in}},
	"faccessat2":        {{1, text, 0, in}},
	"readlink":          {{0, text, 0, in}, {1, byRet, 0, out}},
	"readlinkat":        {{1, text, 0, in}, {2, byRet, 0, out}},
	"getcwd":            {{0, byRet, 0, out}},
	"chdir":             {{0, text, 0, in}},
	"chmod":             {{0, text, 0, in}},
	"fchmodat":          {{1, text, 0, in}},
	"truncate":          {{0, text, 0, in}},
	"mkdir":             {{0, text, 0, in}},
	"mkdirat":           {{1, text, 0, in}},
	"rmdir":             {{0, text, 0, in}},
	"unlink":            {{0, text, 0, in}},
	"unlinkat":          {{1, text, 0, in}},
	"rename":            {{0, text, 0, in}, {1, text, 0, in}},
	"renameat":          {{1, text, 0, in}, {3, text, 0, in}},
	"renameat2":         {{1, text, 0, in}, {3, text, 0, in}},
	"link":              {{0, text, 0, in}, {1, text, 0, in}},
	"symlink":           {{0, text, 0, in}, {1, text, 0, in}},
	"execve":            {{0, text, 0, in}},
	"execveat":          {{1, text, 0, in}},
	"getdents":          {{1, byRet, 0, out}},
	"getdents64":        {{1, byRet, 0, out}},
	"utimensat":         {{1, text, 0, in}, {2, fixed, 2 * sizeTimespec, in}},
	"sendfile":          {{2, fixed, sizeOffset, out}},
	"copy_file_range":   {{1, fixed, sizeOffset, out}, {3, fixed, sizeOffset, out}},
	"splice":            {{1, fixed, sizeOffset, out}, {3, fixed, sizeOffset, out}},
	"uname":             {{0, fixed, sizeUtsname, out}},
	"sysinfo":           {{0, fixed, sizeSysinfo, out}},
	"getrandom":         {{0, byRet, 0, out}},
	"getgroups":         {{1, perRet, 4, out}},
	"getresuid":         {{0, fixed, 4, out}, {1, fixed, 4, out}, {2, fixed, 4, out}},
	"getresgid":         {{0, fixed, 4, out}, {1, fixed, 4, out}, {2, fixed, 4, out}},
	"pipe":              {{0, fixed, 8, out}},
	"pipe2":             {{0, fixed, 8, out}},
	"poll":              {{0, perArg, 1, out}},
	"ppoll":             {{0, perArg, 1, out}, {2, fixed, sizeTimespec, in}, {3, fixed, sizeSigset, in}},
	"select":            {{1, bits, 0, out}, {2, bits, 0, out}, {3, bits, 0, out}, {4, fixed, sizeTimeval, out}},
	"pselect6":          {{1, bits, 0, out}, {2, bits, 0, out}, {3, bits, 0, out}, {4, fixed, sizeTimespec, in}},
	"epoll_wait":        {{1, perRet, sizeEpoll, out}},
	"epoll_pwait":       {{1, perRet, sizeEpoll, out}},
	"epoll_ctl":         {{3, fixed, sizeEpoll, in}},
	"time":              {{0, fixed, 8, out}},
	"times":             {{0, fixed, sizeTms, out}},
	"clock_gettime":     {{1, fixed, sizeTimespec, out}},
	"clock_getres":      {{1, fixed, sizeTimespec, out}},
	"clock_nanosleep":   {{2, fixed, sizeTimespec, in}},
	"nanosleep":         {{0, fixed, sizeTimespec, in}},
	"gettimeofday":      {{0, fixed, sizeTimeval, out}, {1, fixed, 8, out}},
	"getitimer":         {{1, fixed, 2 * sizeTimeval, out}},
	"setitimer":         {{1, fixed, 2 * sizeTimeval, in}, {2, fixed, 2 * sizeTimeval, out}},
	"getrlimit":         {{1, fixed, sizeRlimit, out}},
	"setrlimit":         {{1, fixed, sizeRlimit, in}},
	"prlimit64":         {{2, fixed, sizeRlimit, in}, {3, fixed, sizeRlimit, out}},
	"getrusage":         {{1, fixed, sizeRusage, out}},
	"rt_sigaction":      {{1, fixed, sizeSigaction, in}, {2, fixed, sizeSigaction, out}},
	"rt_sigprocmask":    {{1, fixed, sizeSigset, in}, {2, fixed, sizeSigset, out}},
	"rt_sigpending":     {{0, fixed, sizeSigset, out}},
	"rt_sigsuspend":     {{0, fixed, sizeSigset, in}},
	"rt_sigtimedwait":   {{0, fixed, sizeSigset, in}, {1, fixed, sizeSiginfo, out}, {2, fixed, sizeTimespec, in}},
	"sigaltstack":       {{0, fixed, sizeStack, in}, {1, fixed, sizeStack, out}},
	"wait4":             {{1, ifRet, 4, out}, {3, ifRet, sizeRusage, out}},
	"waitid":            {{2, fixed, sizeSiginfo, out}, {4, fixed, sizeRusage, out}},
	"sched_getaffinity": {{2, byRet, 0, out}},
	"sched_setaffinity": {{2, byArg, 1, in}},
	"futex":             {{0, fixed, 4, in}},
	"mincore":           {{2, perPage, 1, out}},
	"getsockname":       {{1, fixed, sizeSockaddr, out}, {2, fixed, 4, out}},
	"getpeername":       {{1, fixed, sizeSockaddr, out}, {2, fixed, 4, out}},
	"connect":           {{1, byArg, 2, in}},
	"bind":              {{1, byArg, 2, in}},
	"accept":            {{1, fixed, sizeSockaddr, out}, {2, fixed, 4, out}},
	"accept4":           {{1, fixed, sizeSockaddr, out}, {2, fixed, 4, out}},
	"setsockopt":        {{3, byArg, 4, in}},
	"getsockopt":        {{3, fixed, 4, out}, {4, fixed, 4, out}},
	"socketpair":        {{3, fixed, 8, out}},
	"memfd_create":      {{0, text, 0, in}},
	"rseq":              {{0, fixed, 32, out}},
}

// ioctls is the memory of the requests that programs make of terminals and
// pipes (ioctl_tty(2)); the third argument points to it.
var ioctls = map[uint64]buffer{
	0x5401: {2, fixed, sizeTermios, out}, // TCGETS
	0x5402: {2, fixed, sizeTermios, in},  // TCSETS
	0x5403: {2, fixed, sizeTermios, in},  // TCSETSW
	0x5413: {2, fixed, 8, out},           // TIOCGWINSZ
	0x540f: {2, fixed, 4, out},           // TIOCGPGRP
	0x541b: {2, fixed, 4, out},           // FIONREAD
	0x5421: {2, fixed, 4, in},            // FIONBIO
}

// readMem reads the program's memory as it is now; false if it cannot.
type readMem func(addr uint64, b []byte) bool

// userCopies lists the user memory that a completed call read or wrote. The
// parts of vectors are looked up by read. The program may have gone on
// meanwhile, so parts that do not add up to the result of the call are left out;
// whole says that none were.
func userCopies(s *trace.Syscall, read readMem, emit func(trace.UserCopy)) (whole bool) {
	const efault = 14
	if s.Ret == ^uint64(efault)+1 {
		return true // it could not reach one of them
	}
	name := trace.SyscallName(s.ABI, s.Nr)
	list := buffers[name]
	if name == "ioctl" {
		if b, ok := ioctls[s.Args[1]]; ok {
			list = []buffer{b}
		}
	}
	whole = true
	for i := range list {
		b := &list[i]
		addr := s.Args[b.arg]
		if addr == 0 || failed(s.Ret) && b.write {
			continue
		}
		n := b.bytes(s)
		const most = 1 << 40 // no buffer is longer; addr+n cannot overflow for user addresses
		if n > 0 && n < most && addr < 1<<63 {
			write := b.write && b.how != vector && b.how != message // these are read
			emit(trace.UserCopy{Addr: addr, Len: n, Write: write})
		}
		if failed(s.Ret) || s.Ret == 0 {
			continue
		}
		switch b.how {
		case vector:
			whole = vectorCopies(addr, s.Args[b.n], s.Ret, b.write, read, emit)
		case message:
			whole = messageCopies(addr, s.Ret, b.write, read, emit)
		}
	}
	return whole
}

const (
	sizeIovec  = 16
	sizeMsghdr = 56
	maxVector  = 1024 // UIO_MAXIOV
)

// bytes is how long the buffer itself is, without what it points to.
func (b *buffer) bytes(s *trace.Syscall) uint64 {
	n := uint64(b.n)
	switch b.how {
	case byRet, perRet, ifRet:
		switch {
		case failed(s.Ret) || s.Ret == 0:
			return 0
		case b.how == byRet:
			return s.Ret
		case b.how == perRet:
			return n * min(s.Ret, 1<<20)
		}
		return n
	case byArg:
		return s.Args[n]
	case perArg:
		return 8 * min(s.Args[n], 1<<20)
	case bits:
		return (min(s.Args[n], 1<<20) + 63) / 64 * 8
	case perPage:
		return s.Args[n]/4096 + min(s.Args[n]%4096, 1)
	case text:
		return 1
	case vector:
		return sizeIovec * min(s.Args[n], maxVector)
	case message:
		return sizeMsghdr
	}
	return n
}

// vectorCopies goes through an iovec. A call that transfers less than the iovec
// holds cannot be told from an iovec that has been overwritten since.
func vectorCopies(addr, parts, total uint64, write bool, read readMem, emit func(trace.UserCopy)) bool {
	iov := make([]byte, sizeIovec*min(parts, maxVector))
	if !read(addr, iov) {
		return false
	}
	var copies []trace.UserCopy
	sum := uint64(0)
	for ; len(iov) > 0; iov = iov[sizeIovec:] {
		base, size := binary.LittleEndian.Uint64(iov), binary.LittleEndian.Uint64(iov[8:])
		if size > total || base >= 1<<63 {
			return false
		}
		if sum += size; size > 0 {
			copies = append(copies, trace.UserCopy{Addr: base, Len: size, Write: write})
		}
	}
	if sum != total {
		return false
	}
	for _, c := range copies {
		emit(c)
	}
	return true
}

// messageCopies goes through the iovec of a msghdr: pointer and count stand 16
// and 24 bytes into it.
func messageCopies(addr, total uint64, write bool, read readMem, emit func(trace.UserCopy)) bool {
	var h [sizeMsghdr]byte
	return read(addr, h[:]) && vectorCopies(binary.LittleEndian.Uint64(h[16:]), binary.LittleEndian.Uint64(h[24:]), total, write, read, emit)
}

package convert

import (
	"strconv"
	"strings"
)

// The arguments of calls as strace prints them.

// straceNames are the constants of calls that change mappings, descriptors or
// processes (include/uapi/linux and include/uapi/asm-generic of Linux 6.1).
var straceNames = map[string]uint64{
	"NULL": 0, "AT_FDCWD": 1<<64 - 100,
	"PROT_NONE": 0, "PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "PROT_SEM": 8, "PROT_GROWSDOWN": 0x1000000, "PROT_GROWSUP": 0x2000000,
	"MAP_FILE": 0, "MAP_SHARED": 1, "MAP_PRIVATE": 2, "MAP_SHARED_VALIDATE": 3, "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20, "MAP_ANON": 0x20,
	"MAP_32BIT": 0x40, "MAP_GROWSDOWN": 0x100, "MAP_DENYWRITE": 0x800, "MAP_EXECUTABLE": 0x1000, "MAP_LOCKED": 0x2000, "MAP_NORESERVE": 0x4000,
	"MAP_POPULATE": 0x8000, "MAP_NONBLOCK": 0x10000, "MAP_STACK": 0x20000, "MAP_HUGETLB": 0x40000, "MAP_SYNC": 0x80000,
	"MAP_FIXED_NOREPLACE": 0x100000, "MAP_UNINITIALIZED": 0x4000000,
	"MREMAP_MAYMOVE": 1, "MREMAP_FIXED": 2, "MREMAP_DONTUNMAP": 4,
	"MADV_NORMAL": 0, "MADV_RANDOM": 1, "MADV_SEQUENTIAL": 2, "MADV_WILLNEED": 3, "MADV_DONTNEED": 4, "MADV_FREE": 8, "MADV_REMOVE": 9,
	"MADV_DONTFORK": 10, "MADV_DOFORK": 11, "MADV_MERGEABLE": 12, "MADV_UNMERGEABLE": 13, "MADV_HUGEPAGE": 14, "MADV_NOHUGEPAGE": 15,
	"MADV_DONTDUMP": 16, "MADV_DODUMP": 17, "MADV_WIPEONFORK": 18, "MADV_KEEPONFORK": 19, "MADV_COLD": 20, "MADV_PAGEOUT": 21,
	"MADV_POPULATE_READ": 22, "MADV_POPULATE_WRITE": 23, "MADV_DONTNEED_LOCKED": 24, "MADV_COLLAPSE": 25, "MADV_HWPOISON": 100, "MADV_SOFT_OFFLINE": 101,
	"MS_ASYNC": 1, "MS_INVALIDATE": 2, "MS_SYNC": 4, "MCL_CURRENT": 1, "MCL_FUTURE": 2, "MCL_ONFAULT": 4, "MLOCK_ONFAULT": 1,
	"CLONE_VM": 0x100, "CLONE_FS": 0x200, "CLONE_FILES": 0x400, "CLONE_SIGHAND": 0x800, "CLONE_PIDFD": 0x1000, "CLONE_PTRACE": 0x2000,
	"CLONE_VFORK": 0x4000, "CLONE_PARENT": 0x8000, "CLONE_THREAD": 0x10000, "CLONE_NEWNS": 0x20000, "CLONE_SYSVSEM": 0x40000, "CLONE_SETTLS": 0x80000,
	"CLONE_PARENT_SETTID": 0x100000, "CLONE_CHILD_CLEARTID": 0x200000, "CLONE_DETACHED": 0x400000, "CLONE_UNTRACED": 0x800000,
	"CLONE_CHILD_SETTID": 0x1000000, "CLONE_NEWCGROUP": 0x2000000, "CLONE_NEWUTS": 0x4000000, "CLONE_NEWIPC": 0x8000000, "CLONE_NEWUSER": 0x10000000,
	"CLONE_NEWPID": 0x20000000, "CLONE_NEWNET": 0x40000000, "CLONE_IO": 0x80000000, "CLONE_CLEAR_SIGHAND": 1 << 32, "CLONE_INTO_CGROUP": 1 << 33,
	"SIGCHLD":  17,
	"O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_CREAT": 0x40, "O_EXCL": 0x80, "O_NOCTTY": 0x100, "O_TRUNC": 0x200, "O_APPEND": 0x400,
	"O_NONBLOCK": 0x800, "O_DSYNC": 0x1000, "O_DIRECT": 0x4000, "O_LARGEFILE": 0x8000, "O_DIRECTORY": 0x10000, "O_NOFOLLOW": 0x20000,
	"O_NOATIME": 0x40000, "O_CLOEXEC": 0x80000, "O_SYNC": 0x101000, "O_PATH": 0x200000, "O_TMPFILE": 0x410000,
	"F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_DUPFD_CLOEXEC": 1030, "FD_CLOEXEC": 1,
	"MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "MFD_HUGETLB": 4, "CLOSE_RANGE_UNSHARE": 2, "CLOSE_RANGE_CLOEXEC": 4,
	"IPC_CREAT": 0x200, "IPC_EXCL": 0x400, "IPC_PRIVATE": 0, "IPC_RMID": 0, "SHM_RDONLY": 0x1000, "SHM_RND": 0x2000, "SHM_REMAP": 0x4000, "SHM_EXEC": 0x8000,
}

// straceShifts are what a number is shifted by in flags such as
// 21<<MAP_HUGE_SHIFT.
var straceShifts = map[string]uint{"MAP_HUGE_SHIFT": 26, "MFD_HUGE_SHIFT": 26}

// straceErrnos are the error numbers by name: those below 41 in order
// (asm-generic/errno-base.h, errno.h), - for none.
var straceErrnos = func() map[string]uint64 {
	out := map[string]uint64{"ENOTSUP": 95, "EOPNOTSUPP": 95, "ETIMEDOUT": 110, "EOVERFLOW": 75, "EMSGSIZE": 90, "ENOBUFS": 105, "ENOTCONN": 107,
		"ECONNREFUSED": 111, "EINPROGRESS": 115, "ENODATA": 61, "EHWPOISON": 133, "ENOTSOCK": 88, "EAFNOSUPPORT": 97, "EADDRINUSE": 98, "EILSEQ": 84}
	for i, name := range strings.Fields(`EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK
		EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE
		EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP`) {
		out[name] = uint64(i + 1)
	}
	return out
}()

// straceSplit splits a list at the commas that are in no string or bracket, and
// returns what follows the parenthesis that closes it. closed is false where
// there is none.
func straceSplit(s string) (args []string, rest string, closed bool) {
	depth, begin := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(', '[', '{':
			depth++
		case ']', '}':
			depth--
		case ')':
			if depth <= 0 {
				if arg := strings.TrimSpace(s[begin:i]); arg != "" {
					args = append(args, arg)
				}
				return args, s[i+1:], true
			}
			depth--
		case ',':
			if depth <= 0 {
				args = append(args, strings.TrimSpace(s[begin:i]))
				begin = i + 1
			}
		}
	}
	if arg := strings.TrimSpace(s[min(begin, len(s)):]); arg != "" {
		args = append(args, arg)
	}
	return args, "", false
}

// straceValue is the number that an argument prints, and the string behind it:
// of "path", 3</path>, or AT_FDCWD</path>. A string or structure is a pointer
// that strace does not print: its number is 0. ok is false for what is not
// known.
func straceValue(s string) (v uint64, text string, ok bool) {
	if i := strings.Index(s, " /*"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	if s == "" {
		return 0, "", false
	}
	switch s[0] {
	case '"':
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return 0, strings.Trim(strings.TrimSuffix(s, "..."), `"`), true
		}
		if text, err = strconv.Unquote(q); err != nil { // octal digits that Go writes otherwise
			text = strings.Trim(q, `"`)
		}
		return 0, text, true
	case '{', '[':
		return 0, "", true
	}
	if i := strings.IndexByte(s, '<'); i > 0 && strings.HasSuffix(s, ">") {
		s, text = s[:i], s[i+1:len(s)-1]
	}
	for word := range strings.SplitSeq(s, "|") {
		n, known := straceWord(strings.TrimSpace(word))
		if !known {
			return 0, text, false
		}
		v |= n
	}
	return v, text, true
}

func straceWord(s string) (uint64, bool) {
	if v, ok := straceNames[s]; ok {
		return v, true
	}
	if num, shift, ok := strings.Cut(s, "<<"); ok {
		v, err := strconv.ParseUint(num, 0, 64)
		by, known := straceShifts[shift]
		return v << by, err == nil && known
	}
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(v), true
	}
	v, err := strconv.ParseUint(s, 0, 64)
	return v, err == nil
}

// straceField is a field of a structure or a named argument: what follows name=
// in s, "" if it is not there.
func straceField(s, name string) string {
	for {
		i := strings.Index(s, name+"=")
		if i < 0 {
			return ""
		}
		if i == 0 || s[i-1] == ' ' || s[i-1] == '{' || s[i-1] == '(' {
			s = s[i+len(name)+1:]
			return s[:min(len(s), len(s)-len(strings.TrimLeft(s, "0123456789abcdefxABCDEF_GHIJKLMNOPQRSTUVWXYZ|")))]
		}
		s = s[i+1:]
	}
}

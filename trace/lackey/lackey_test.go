package lackey

import (
	"reflect"
	"testing"
)

func TestSplitCall(t *testing.T) {
	for _, c := range []struct {
		line string
		name string
		args []string
		tail string
	}{
		{"sys_getpid ( )[sync] --> Success(0x1)", "sys_getpid", nil, "[sync] --> Success(0x1)"},
		{"sys_close ( 4 )[sync] --> Success(0x0)", "sys_close", []string{"4"}, "[sync] --> Success(0x0)"},
		{"sys_fcntl[ARG3=='arg'] ( 3, 1030, 10 )[sync] --> Success(0xa)", "sys_fcntl[ARG3=='arg']", []string{"3", "1030", "10"}, "[sync] --> Success(0xa)"},
		{"sys_rename ( 0x10(/a), 0x20(/b) ) --> [async] ...", "sys_rename", []string{"0x10(/a)", "0x20(/b)"}, " --> [async] ..."},
		// A path may hold commas, parentheses, and what looks like the end.
		{"sys_openat ( 4294967196, 0x20(/tmp/a, b (c) --> [x), 0 ) --> [async] ...", "sys_openat", []string{"4294967196", "0x20(/tmp/a, b (c) --> [x)", "0"}, " --> [async] ..."},
		// execveat's list is never closed.
		{"sys_execveat ( 3, 0x20(), 0x30, 0x40, 4096", "sys_execveat", []string{"3", "0x20()", "0x30", "0x40", "4096"}, ""},
		{"sys_nothing", "sys_nothing", nil, ""},
	} {
		name, args, tail := splitCall(c.line)
		if name != c.name || !reflect.DeepEqual(args, c.args) || tail != c.tail {
			t.Errorf("%s:\n got %q %q %q\nwant %q %q %q", c.line, name, args, tail, c.name, c.args, c.tail)
		}
	}
}

// The formats are those of the PRINT lines of valgrind 3.19: %ld, %lu, %#lx,
// %#lx(%s), and %lx for three arguments.
func TestArgument(t *testing.T) {
	for _, c := range []struct {
		s    string
		call string
		i    int
		v    uint64
		text string
	}{
		{"12", "mmap", 1, 12, ""},
		{"-1", "mmap", 4, ^uint64(0), ""},
		{"4294967295", "mmap", 4, 0xffffffff, ""},
		{"18446744073709551615", "mmap", 1, ^uint64(0), ""},
		{"0x4a27740", "mmap", 0, 0x4a27740, ""},
		{"0x4034bb0(/etc/passwd)", "openat", 1, 0x4034bb0, "/etc/passwd"},
		{"0x4034bb0(/a (b))", "openat", 1, 0x4034bb0, "/a (b)"},
		{"1200011", "clone", 0, 0x1200011, ""},
		{"0x5229f70", "clone", 1, 0x5229f70, ""},
		{"4027740", "arch_prctl", 1, 0x4027740, ""},
		{"4098", "arch_prctl", 0, 4098, ""},
		{"3", "mlockall", 0, 3, ""},
		{"EPOLL_CTL_ADD", "epoll_ctl", 1, 0, ""},
	} {
		if v, text := Argument(c.s, c.call, c.i); v != c.v || text != c.text {
			t.Errorf("argument %d of %s, %q: got %#x %q, want %#x %q", c.i, c.call, c.s, v, text, c.v, c.text)
		}
	}
}

// The forms that lackey prints (lackey/lk_main.c: "I  %08lx,%lu", " L ", " S ", " M "),
// and what is none of them.
func TestAccess(t *testing.T) {
	for _, c := range []struct {
		line string
		addr uint64
		size uint64
		kind byte
	}{
		{"I  0401ca60,3", 0x401ca60, 3, 'I'},
		{" L 1ffeffe7e8,8", 0x1ffeffe7e8, 8, 'L'},
		{" S 1ffeffe7e8,16", 0x1ffeffe7e8, 16, 'S'},
		{" M ffffffffffffffff,4", ^uint64(0), 4, 'M'},
		{"I  0,1", 0, 1, 'I'},
		{" S 12,", 0, 0, 0}, {" S ,4", 0, 0, 0}, {" S 12", 0, 0, 0}, {" S 10000000000000000,4", 0, 0, 0}, {" X 1,2", 0, 0, 0},
		{" S 12,4x", 0, 0, 0}, {"IL 12,4", 0, 0, 0}, {"", 0, 0, 0}, {"SYSCALL[1,1](1)", 0, 0, 0},
	} {
		if addr, size, kind := Access([]byte(c.line)); addr != c.addr || size != c.size || kind != c.kind {
			t.Errorf("%q: %#x %d %c", c.line, addr, size, kind)
		}
	}
	line := []byte(" L 1ffeffe7e8,8")
	if n := testing.AllocsPerRun(100, func() { Access(line) }); n != 0 {
		t.Errorf("%v allocations for each line", n)
	}
}

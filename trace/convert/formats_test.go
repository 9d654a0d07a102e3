package convert

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// body is a text twin without its first two lines.
func body(text string) string {
	_, text, _ = strings.Cut(text, "\n")
	_, text, _ = strings.Cut(text, "\n")
	return text
}

const begin = "sched thread=1\nprocess op=start pid=1 tid=1\n"

// handBuilt is what the samples of make.py become, listed by hand from what
// make.py writes.
var handBuilt = []struct{ file, want string }{
	// An instruction of 3 bytes at 0x401ffe reaches into 0x402000; the bundle
	// goes on at 0x402001 with 4 and 5 bytes. The prefetch at 0x999000 and
	// the read at 0xffff800000000000 are left out. Thread 6 is on CPU 1, 2 ms
	// later.
	{"threads.trace", `sched thread=5
process op=start pid=5 tid=5
sched thread=5 cpu=1
map start=0x400000 end=0x600000 prot=rwx flags=inferred name="[inferred]"
X 0x401ffe
ref 0x402000 x=3 first=x
map start=0x7ffe00000000 end=0x7ffe00200000 prot=rwx flags=inferred name="[inferred]"
R 0x7ffe00001000
process op=clone pid=5 tid=6
sched thread=6
time ns=2000000
sched thread=6 cpu=2
W 0x7ffe00001004
process op=exit pid=5 tid=6
sched thread=5
process op=group pid=5
`},
	// Reads come before the writes of an instruction.
	{"champsim", begin + `map start=0x400000 end=0x600000 prot=rwx flags=inferred name="[inferred]"
X 0x401000
map start=0x7fe00000 end=0x80000000 prot=rwx flags=inferred name="[inferred]"
W 0x7ffe1000
X 0x401004
map start=0x600000 end=0x800000 prot=rwx flags=inferred name="[inferred]"
ref 0x602010 r=2 first=r
ref 0x401006 x=2 first=x
ref 0x602010 r=1 w=1 first=r
X 0x401108
`},
	{"pinatrace.out", begin + `map start=0x400000 end=0x600000 prot=rwx flags=inferred name="[inferred]"
X 0x401000
map start=0x7fe00000 end=0x80000000 prot=rwx flags=inferred name="[inferred]"
W 0x7ffe1000
X 0x401004
map start=0x600000 end=0x800000 prot=rwx flags=inferred name="[inferred]"
R 0x602010
X 0x401004
R 0x602ff8
X 0x401100
R 0x602010
X 0x401100
W 0x602010
`},
	// Objects 3 and 4 are pages 3 and 4 of 0x1000000000; 2^60+1 is the first
	// that is too large.
	{"oracleGeneral", begin + `map start=0x1000000000 end=0x1000200000 prot=rwx flags=inferred name="[inferred]"
R 0x1000003000
R 0x1000004000
time ns=1000000000
R 0x1000003000
time ns=2000000000
map start=0x600000000000 end=0x600000200000 prot=rwx flags=inferred name="[inferred]"
R 0x600000000000
time ns=4000000000
R 0x1000003000
time ns=5000000000
R 0x600000000000
`},
	{"pages.csv", begin + `map start=0x1000000000 end=0x1000200000 prot=rwx flags=inferred name="[inferred]"
R 0x1000003000
W 0x1000004000
R 0x1000003000
map start=0x600000000000 end=0x600000200000 prot=rwx flags=inferred name="[inferred]"
R 0x600000000000
`},
	{"pages.txt", begin + `map start=0x1000000000 end=0x1000200000 prot=rwx flags=inferred name="[inferred]"
R 0x1000001000
R 0x1000002000
R 0x1000003000
R 0x1000001000
`},
	{"plain-swapped.txt", begin + `map start=0x400000 end=0x600000 prot=rwx flags=inferred name="[inferred]"
R 0x41f7a0
map start=0x13e00000 end=0x14000000 prot=rwx flags=inferred name="[inferred]"
R 0x13f5e2c0
map start=0x5e00000 end=0x6000000 prot=rwx flags=inferred name="[inferred]"
W 0x5e78900
`},
}

func TestHandBuilt(t *testing.T) {
	for _, c := range handBuilt {
		if got := body(sampleText(t, c.file)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.file, got, c.want)
		}
	}
}

// accesses adds up the counts of all references.
func accesses(text string) (n int) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) > 2 && strings.Contains("RWX", line[:1]) && line[1] == ' ' {
			n++
		}
		if strings.HasPrefix(line, "ref ") {
			for _, m := range regexp.MustCompile(` [rwx]=(\d+)`).FindAllStringSubmatch(line, -1) {
				k, _ := strconv.Atoi(m[1])
				n += k
			}
		}
	}
	return n
}

// TestLackey holds the import against the log, read by regular expressions: every
// access (none of the sample's crosses a page), and every call with its result.
func TestLackey(t *testing.T) {
	log := string(sampleData(t, "lackey.txt"))
	text := sampleText(t, "lackey.txt")
	if got, want := accesses(text), len(regexp.MustCompile(`(?m)^(I | [LSM]) +[0-9a-f]+,\d+$`).FindAllString(log, -1)); got != want {
		t.Errorf("%d accesses, the log has %d", got, want)
	}
	var results []string // of all calls but fork and exit_group
	for _, m := range regexp.MustCompile(`(?m)(?:Success|Failure)\((0x[0-9a-f]+)\)`).FindAllStringSubmatch(log, -1) {
		results = append(results, "= "+m[1])
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^syscall .* (= 0x[0-9a-f]+)`).FindAllStringSubmatch(text, -1) {
		got = append(got, m[1])
	}
	if want := results[:len(results)-1]; !slices.Equal(got, want) { // the last is of exit_group
		t.Errorf("results %v, the log has %v", got, want)
	}
	for _, want := range []string{
		`process op=start pid=\d+ tid=\d+ text="/tmp/sample"`,
		`syscall mmap\(0x0, 0x10000, 0x3, 0x22, -1, 0x0\) = 0x4800000`,
		`file id=1 size=4096 fd=\d path="/etc/hostname"\nsyscall mmap\(0x0, 0x1000, 0x1, 0x2, 0x\d, 0x0\) = 0x4810000`,
		`syscall mremap\(0x4802000, 0xe000, 0x20000, 0x1, 0x0, 0x0\) = 0x4811000`,
		`map start=0x401000 end=0x402000 prot=rwx flags=inferred`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no record like %s", want)
		}
	}
	// What calls mapped is not inferred: the 16 pages of the mmap, for one.
	if regexp.MustCompile(`map start=0x48`).MatchString(text) {
		t.Error("a region is inferred that mmap had mapped")
	}
}

// TestLackeyThreads: a thread has the id that clone returned, and its number is
// known when it runs first. The lines are those of valgrind 3.19.
func TestLackeyThreads(t *testing.T) {
	const log = `==10== Lackey, an example Valgrind tool
==10== Command: ./t a b
--10--   SCHED[1]:  acquired lock (thread_wrapper(starting new thread))
I  401000,4
SYSCALL[10,1](56) sys_clone ( 3d0f00, 0x5a50f30, 0x5a51910, 0x5a51910, 0x5a51640 )--10--   SCHED[1]: releasing lock (VG_(client_syscall)[async]) -> VgTs_WaitSys
 --> [pre-success] Success(0xb)
 L 5a50000,8
--10--   SCHED[2]:  acquired lock (thread_wrapper(starting new thread))
 S 5a50f30,8
SYSCALL[10,2](60) exit( 0 ) --> [pre-success] Success(0x0)
--10--   SCHED[1]:  acquired lock (VG_(client_syscall)[async])
 M 401ffc,8
`
	src, err := openBytes([]byte(log), "")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := toText(t, src)
	const want = `sched thread=10
process op=start pid=10 tid=10 text="./t a b"
map start=0x401000 end=0x402000 prot=rwx flags=inferred name="[inferred]"
X 0x401000
syscall clone(0x3d0f00, 0x5a50f30, 0x5a51910, 0x5a51910, 0x5a51640, 0x0) = 0xb
process op=clone pid=10 tid=11 flags=0x3d0f00
map start=0x5a50000 end=0x5a51000 prot=rwx flags=inferred name="[inferred]"
R 0x5a50000
sched thread=11
W 0x5a50f30
process op=exit pid=10 tid=11
sched thread=10
W 0x401ffc
map start=0x402000 end=0x403000 prot=rwx flags=inferred name="[inferred]"
W 0x402000
`
	if got := body(text); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestStrace: every call that maps is there with its result, read by regular
// expressions; and the text with ids, times and durations, whose lines strace
// breaks, gives the same calls as the one with -o.
func TestStrace(t *testing.T) {
	log := string(sampleData(t, "strace.txt"))
	text := sampleText(t, "strace.txt")
	for _, name := range []string{"mmap", "munmap", "mprotect", "mremap", "brk", "madvise"} {
		var want, got []string
		for _, m := range regexp.MustCompile(`(?m)^\d+ +`+name+`\(.*\) += (\S+)`).FindAllStringSubmatch(log, -1) {
			want = append(want, strings.TrimPrefix(m[1], "0x"))
		}
		for _, m := range regexp.MustCompile(`(?m)^syscall `+name+`\(.*\) = 0x(\S+)`).FindAllStringSubmatch(text, -1) {
			got = append(got, m[1])
		}
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: results %v, strace printed %v", name, got, want)
		}
	}
	for _, want := range []string{
		`process op=start pid=\d+ tid=\d+ text="/tmp/threads"`,
		`syscall clone3\(.*\nprocess op=clone pid=\d+ tid=\d+ flags=0x3d0f00`,
		`process op=exec pid=\d+ tid=\d+ text="sample"`,
		`process op=group pid=\d+ status=0x300`,
		`path="/lib/x86_64-linux-gnu/libc.so.6"\nsyscall mmap\(0x7f[0-9a-f]+, 0x156000, 0x5, 0x812, 0x3, 0x26000\)`,
		`map start=0x55[0-9a-f]+000 end=0x5[0-9a-f]+000 prot=rwx flags=inferred name="\[inferred\]"\nsyscall mprotect\(`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no record like %s", want)
		}
	}
	shape := func(s string) string {
		s = regexp.MustCompile(`(?m)^(header|sched) .*\n`).ReplaceAllString(s, "")
		// The size of clone3's structure is printed after the child has been seen.
		return regexp.MustCompile(`0x[0-9a-f]{4,}|[pt]id=\d+|clone3\(0x0, 0x[0-9a-f]+`).ReplaceAllString(s, "N")
	}
	if a, b := shape(text), shape(sampleText(t, "strace-stderr.txt")); a != b {
		t.Errorf("-o and standard error differ: %s", firstDifference(a, b))
	}
}

// TestStraceForms: other forms that strace prints.
func TestStraceForms(t *testing.T) {
	const log = `mmap(NULL, 2097152, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = -1 ENOMEM (Cannot allocate memory)
openat(AT_FDCWD</home/u>, "data", O_RDONLY) = 3</home/u/data>
+0.000012 mmap(NULL, 10000, PROT_READ, MAP_SHARED, 3</home/u/data>, 0x1000) = 0x7f0000000000 <0.000010>
[00007f1122334455] munmap(0x7f0000000000, 10000) = 0
--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x7f0000000000} ---
+++ killed by SIGSEGV (core dumped) +++
`
	src, err := openBytes([]byte(log), "")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := toText(t, src)
	// 0x22 + MAP_HUGETLB 0x40000 + 21<<26; ENOMEM is 12; /home/u is not printed by
	// openat without -y but is the directory here.
	const want = `sched thread=1
process op=start pid=1 tid=1
syscall mmap(0x0, 0x200000, 0x3, 0x54040022, -1, 0x0) = -12
syscall openat(-100, 0x0, 0x0, 0x0, 0x0, 0x0) = 0x3
file id=1 size=14096 fd=4 path="data"
syscall mmap(0x0, 0x2710, 0x1, 0x1, 0x3, 0x1000) = 0x7f0000000000
syscall munmap(0x7f0000000000, 0x2710, 0x0, 0x0, 0x0, 0x0) = 0x0
process op=group pid=1 status=0xb
`
	if got := body(text); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestStrace32: calls of i386. mmap2 takes its offset in pages, and old_mmap its
// arguments in a block (arch/x86/ia32/sys_ia32.c).
func TestStrace32(t *testing.T) {
	const log = `[ Process PID=9 runs in 32 bit mode. ]
9 mmap2(NULL, 8192, PROT_READ, MAP_PRIVATE, 3, 0x5000) = 0xf7d00000
9 old_mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0xf7c00000
9 mprotect(0xf7c00000, 4096, PROT_READ) = 0
`
	src, err := openBytes([]byte(log), "strace")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := toText(t, src)
	const want = `sched thread=9
process op=start pid=9 tid=9
file id=1 size=28672 fd=4 path="descriptor 3 of process 9"
syscall i386:mmap2(0x0, 0x2000, 0x1, 0x2, 0x3, 0x5) = 0xf7d00000
syscall i386:old_mmap(0x0, 0x0, 0x0, 0x0, 0x0, 0x0) = 0xf7c00000 data="\x00\x00\x00\x00\x00\x10\x00\x00\x03\x00\x00\x00\"\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00"
syscall i386:mprotect(0xf7c00000, 0x1000, 0x1, 0x0, 0x0, 0x0) = 0x0
`
	if got := body(text); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestPerf holds perf.data against what perf script printed of it: its own
// decoding. Processors and times apart, whose digits the text cuts, both give the
// same records.
func TestPerf(t *testing.T) {
	cut := func(s string) string {
		return regexp.MustCompile(`(?m)^(header|time|sched) .*\n`).ReplaceAllString(s, "")
	}
	for _, pair := range [][2]string{{"perf-calls.data", "perf-script.txt"}, {"perf-points.data", "perf-points-script.txt"}} {
		a, b := cut(sampleText(t, pair[0])), cut(sampleText(t, pair[1]))
		if pair[0] == "perf-points.data" { // the text has symbols in the place of addresses of the kernel
			kernel := regexp.MustCompile(` ip=0xf[0-9a-f]{15}`)
			a, b = kernel.ReplaceAllString(a, ""), kernel.ReplaceAllString(b, "")
		}
		if a != b {
			t.Errorf("%s and %s differ:\n%s", pair[0], pair[1], firstDifference(a, b))
		}
	}
	script := sampleData(t, "perf-script.txt")
	text := sampleText(t, "perf-calls.data")
	if got, want := strings.Count(text, "\nfault "), bytes.Count(script, []byte(" page-faults: ")); got != want || want < 100 {
		t.Errorf("%d faults, perf script prints %d", got, want)
	}
	if strings.Contains(text, ", 0x100000, ") {
		// Calls are recorded: only what exec maps has no call of its own, over
		// what exec mapped before, and there a call of mprotect says the same.
		for line := range strings.Lines(text) {
			if strings.Contains(line, ", 0x100000, ") && !strings.Contains(line, "0x2000) = 0x55") && !strings.Contains(line, "0x2000) = 0x56") {
				t.Errorf("a mapping of a recorded call is recorded twice: %s", line)
			}
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return "one ends early"
}

// TestPerfForms: plain, compressed and in pipe mode, recordings of the same
// program have the same processes, mappings and, but for a few that depend on
// what is in the page cache and where things lie, the same number of faults.
func TestPerfForms(t *testing.T) {
	shape := func(s string) string {
		s = regexp.MustCompile(`(?m)^(header|sched|time|fault|[RWX]|ref) .*\n`).ReplaceAllString(s, "")
		// Descriptors differ: in pipe mode the program inherits one more.
		return regexp.MustCompile(`0x[0-9a-f]{6,}|[pt]id=\d+|fd=\d+|, 0x[345], 0x[0-9a-f]+\) =`).ReplaceAllString(s, "N")
	}
	for _, group := range [][]string{{"perf.data", "perf-z.data", "perf-pipe.data"}, {"perf-points.data", "perf-points-pipe.data"}} {
		want := sampleText(t, group[0])
		for _, name := range group[1:] {
			got := sampleText(t, name)
			if shape(got) != shape(want) {
				t.Errorf("%s and %s differ: %s", group[0], name, firstDifference(shape(want), shape(got)))
			}
			a, b := strings.Count(want, "\nfault "), strings.Count(got, "\nfault ")
			if a < 100 || b < a-10 || b > a+10 {
				t.Errorf("%s: %d faults, %s: %d", group[0], a, name, b)
			}
		}
	}
	kinds := map[string]bool{}
	for _, m := range regexp.MustCompile(`access=([rwx])`).FindAllStringSubmatch(sampleText(t, "perf-points.data"), -1) {
		kinds[m[1]] = true
	}
	if len(kinds) != 3 {
		t.Errorf("kinds of faults from error codes: %v, want r, w and x", kinds)
	}
}

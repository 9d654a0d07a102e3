package capture

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// heard is a lineSink that writes down what it is told.
type heard struct{ lines []string }

func (h *heard) say(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *heard) access(kind byte, addr, size uint64) { h.say("%c %#x %d", kind, addr, size) }
func (h *heard) call(n int, nr uint32, name string, args []string) {
	h.say("call %d %d %s %q", n, nr, name, args)
}
func (h *heard) result(n int, ret uint64) { h.say("result %d %#x", n, ret) }
func (h *heard) scheduled(n int)          { h.say("scheduled %d", n) }
func (h *heard) entered(n int)            { h.say("entered %d", n) }
func (h *heard) command(line string)      { h.say("command %s", line) }

// The lines are of the form that valgrind 3.19 prints, see the comment on
// parser; what they say was written down by hand.
var parserCases = []struct {
	name, log string
	want      []string
}{
	{"accesses", "I  0401ab70,3\n S 1fff000678,8\n L 04032e40,16\n M 04033e06,1\n",
		[]string{"I 0x401ab70 3", "S 0x1fff000678 8", "L 0x4032e40 16", "M 0x4033e06 1"}},
	{"preamble", "==77== Lackey, an example Valgrind tool\n==77== Command: sh -c exit\\ 3\n==77== Parent PID: 1\n==77== \n" +
		"--77--   SCHED[1]:  acquired lock (thread_wrapper(starting new thread))\n--77--   SCHED[1]: entering VG_(scheduler)\n",
		[]string{`command sh -c exit\ 3`, "scheduled 1", "entered 1"}},
	{"a call that is answered at once", "SYSCALL[77,1](12) sys_brk ( 0x0 ) --> [pre-success] Success(0x4035000) \n",
		[]string{`call 1 12 sys_brk ["0x0"]`, "result 1 0x4035000"}},
	{"a failure is -errno", "SYSCALL[77,1](21) sys_access ( 0x402a2a0(/etc/ld.so.preload), 4 )[sync] --> Failure(0x2) \n",
		[]string{`call 1 21 sys_access ["0x402a2a0(/etc/ld.so.preload)" "4"]`, "result 1 0xfffffffffffffffe"}},
	{"a call that lets others run", "SYSCALL[77,2](0) sys_read ( 4, 0x1ffeffed28, 832 ) --> [async] ... \n" +
		"--77--   SCHED[2]: releasing lock (VG_(client_syscall)[async]) -> VgTs_WaitSys\n" +
		"--77--   SCHED[1]:  acquired lock (VG_(client_syscall)[async])\n" +
		"--77--   SCHED[2]:  acquired lock (VG_(client_syscall)[async])\nSYSCALL[77,2](0) ... [async] --> Success(0x340) \n",
		[]string{`call 2 0 sys_read ["4" "0x1ffeffed28" "832"]`, "scheduled 1", "scheduled 2", "result 2 0x340"}},
	{"a call that is not implemented takes two lines", "SYSCALL[77,1](435) unimplemented (by the kernel) syscall: 435! (ni_syscall)\n --> [pre-fail] Failure(0x26) \n",
		[]string{`call 1 435 unimplemented []`, "result 0 0xffffffffffffffda"}},
	{"clone yields before its line ends", "SYSCALL[77,1](56) sys_clone ( 3d0f00, 0x5229f70, 0x522a990, 0x522a990, 0x522a6c0 ) --> [pre-success] Success(0x271b) " +
		"--77--   SCHED[1]: releasing lock (VG_(vg_yield)) -> VgTs_Yielding\n" +
		"--77--   SCHED[2]:  acquired lock (thread_wrapper(starting new thread))\n--77--   SCHED[2]: entering VG_(scheduler)\n",
		[]string{`call 1 56 sys_clone ["3d0f00" "0x5229f70" "0x522a990" "0x522a990" "0x522a6c0"]`, "result 1 0x271b", "scheduled 2", "entered 2"}},
	{"the lock taken in the middle of a line", "SYSCALL[77,1](56) sys_clone ( 11, 0x0 ) --> [pre-success] Success(0x5) --77--   SCHED[3]:  acquired lock (VG_(vg_yield))\n\n",
		[]string{`call 1 56 sys_clone ["11" "0x0"]`, "result 1 0x5", "scheduled 3"}},
	{"exit", "SYSCALL[77,2](60) exit( 0 ) --> [pre-success] Success(0x0) \n", []string{`call 2 60 exit ["0"]`, "result 2 0x0"}},
	{"noise", "\n==77== \n==77== Counted 0 calls to main()\nI  zz,3\nI  12\n S 12,\n S ,\nSYSCALL\nSYSCALL[1\nSYSCALL[1,x](2) a\n--77-- WARNING: x\nhello\n X 1,2\n",
		nil},
}

func TestParser(t *testing.T) {
	for _, c := range parserCases {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{len(c.log), 7, 1} { // the same whatever the pieces are
				var h heard
				p := parser{sink: &h}
				for s := c.log; s != ""; s = s[min(piece, len(s)):] {
					p.write([]byte(s[:min(piece, len(s))]))
				}
				if !reflect.DeepEqual(h.lines, c.want) {
					t.Errorf("in pieces of %d:\n got %q\nwant %q", piece, h.lines, c.want)
				}
			}
		})
	}
}

// A process that is stopped inside a call has logged the beginning of its line.
func TestParserInterrupted(t *testing.T) {
	var h heard
	p := parser{sink: &h}
	p.write([]byte("SYSCALL[77,1](57) sys_fork ( )"))
	p.interrupted()
	p.write([]byte(" --> [pre-success] Success(0x2a) \n"))
	if want := []string{`call 1 57 sys_fork []`, "result 0 0x2a"}; !reflect.DeepEqual(h.lines, want) {
		t.Errorf("got %q, want %q", h.lines, want)
	}
}

func TestParserBoundsLines(t *testing.T) {
	p := parser{sink: &heard{}}
	for range 1000 {
		p.write([]byte(strings.Repeat("x", 4096)))
	}
	if len(p.rest) > maxLine {
		t.Errorf("%d bytes of a line are kept, the limit is %d", len(p.rest), maxLine)
	}
}

// FuzzLackeyLog: whatever a log holds, nothing panics, a line keeps a bounded
// amount of memory, and the records obey the rules of a stream.
func FuzzLackeyLog(f *testing.F) {
	all := ""
	for _, c := range parserCases {
		all += c.log
		f.Add([]byte(c.log), uint8(16))
	}
	f.Add([]byte(all), uint8(200))
	f.Fuzz(func(t *testing.T, log []byte, piece uint8) {
		sink := &checkedSink{t: t, checker: trace.NewChecker()}
		r := &lackeyRecorder{session: session{sink: sink}, procs: map[uint32]*lackeyProcess{}, files: fileIDs{}}
		p := r.newProcess(noProcess, &fdTable{files: map[int32]*openFile{}, cwd: "/"})
		p.building = true
		p.entered(1)
		for len(log) > 0 {
			n := min(int(piece)+1, len(log))
			p.parser.write(log[:n])
			log = log[n:]
		}
		p.gone(0)
		r.pass()
		if len(p.parser.rest) > maxLine {
			t.Errorf("%d bytes of a line are kept", len(p.parser.rest))
		}
	})
}

// noProcess is beyond the largest process id (PID_MAX_LIMIT, 2^22).
const noProcess = 1 << 23

// checkedSink holds a stream against the rules.
type checkedSink struct {
	t       *testing.T
	checker *trace.Checker
}

func (s *checkedSink) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	for i := range refs {
		if r := &refs[i]; r.VPN >= 1<<52 || r.Offset > 0xfff || r.First < trace.Read || r.First > trace.Exec || r.Accesses() == 0 {
			s.t.Errorf("reference %+v is out of range", *r)
		}
	}
	return s.check(&trace.Batch{Thread: thread, Refs: refs})
}

func (s *checkedSink) Event(e *trace.Event) error {
	return s.check(&trace.Batch{Thread: e.Thread, Event: e})
}

func (s *checkedSink) Close() error { return nil }

func (s *checkedSink) check(b *trace.Batch) error {
	if err := s.checker.Batch(b); err != nil {
		s.t.Error(err)
	}
	return nil
}

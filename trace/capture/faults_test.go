package capture

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

// The kernel counts the faults of a process itself, and tells the recorder when it ends
// (getrusage(2), as wait4 gives it): both counts are of one run. Those before the
// program's own exec are not in the trace.
func TestFaultsEqualRusage(t *testing.T) {
	needTool(t, faults)
	for _, command := range [][]string{{modes(t), "pages", "3000"}, {modes(t), "fork"}, {modes(t), "threads"}} {
		rec := record(t, faults, Options{}, command...)
		c := rec.contents(t)
		want := int(rec.res.Faults)
		t.Logf("%v: %d faults recorded, the kernel counted %d", command[1:], c.faults, want)
		if d := max(c.faults, want) - min(c.faults, want); d > 2 {
			t.Errorf("%v: %d faults recorded, the kernel counted %d", command[1:], c.faults, want)
		}
		if c.lost != 0 || c.header.Labels["faults"] != "only" {
			t.Errorf("%v: %d lost, labels %v", command[1:], c.lost, c.header.Labels)
		}
		rec.replayed(t)
	}
}

// What a replay of the faults touches first is what the kernel mapped.
func TestFaultsReplay(t *testing.T) {
	needTool(t, faults)
	rec := record(t, faults, Options{IP: true}, modes(t), "pages", "500")
	if pages, _ := rec.contents(t).writtenTo("mmap", 500<<12); pages != 500 {
		t.Errorf("%d pages of the mapping faulted, want 500", pages)
	}
	run := rec.replayed(t)
	if n := run.Totals.Faults.Minor; n < 500 || n > 550 {
		t.Errorf("%d minor faults replayed, want 500 and a few dozen", n)
	}
	if !slices.ContainsFunc(run.Warnings, func(w string) bool { return strings.Contains(w, "faults only") }) {
		t.Errorf("the result does not say that it is of faults only: %v", run.Warnings)
	}
}

func TestFaultsExitStatus(t *testing.T) {
	needTool(t, faults)
	if rec := record(t, faults, Options{}, modes(t), "exit", "41"); rec.res.ExitCode != 41 {
		t.Errorf("exit status %d, want 41", rec.res.ExitCode)
	}
	if rec := record(t, faults, Options{}, modes(t), "crash"); rec.res.Signal != int(syscall.SIGSEGV) {
		t.Errorf("signal %d, want SIGSEGV", rec.res.Signal)
	}
	if rec := record(t, faults, Options{}, modes(t), "exec", modes(t), "pages", "50"); rec.contents(t).count(trace.OpExec) != 1 {
		t.Error("the second image is not in the trace")
	}
}

// Without root the kernel's own faults are not permitted where
// kernel.perf_event_paranoid is 2, and perf events not at all above.
func TestFaultsUnprivileged(t *testing.T) {
	needTool(t, faults)
	if os.Getuid() != 0 {
		t.Log("all tests here run without privilege")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "vmtrace-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, from := range []string{self, modes(t)} { // where another user can reach them
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "trace.vmt")
	cmd := exec.Command(filepath.Join(dir, filepath.Base(self)))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VMTRACE_TEST_RECORDER=faults", "VMTRACE_TEST_TRACE="+path, "VMTRACE_TEST_PROGRAM="+filepath.Join(dir, filepath.Base(modes(t)))+" pages 200; :")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		if !strings.Contains(string(out), "kernel.perf_event_paranoid is ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	c := recording{path: path}.contents(t)
	if pages, _ := c.writtenTo("mmap", 200<<12); pages != 200 || !strings.HasPrefix(c.header.Labels["faults"], "only") {
		t.Errorf("%d pages of the mapping faulted, want 200; labels %v", pages, c.header.Labels)
	}
}

// eventSink keeps events.
type eventSink struct{ events []trace.Event }

func (s *eventSink) Refs(uint32, []trace.Ref, []uint64) error { return nil }
func (s *eventSink) Event(e *trace.Event) error               { s.events = append(s.events, *e); return nil }
func (s *eventSink) Close() error                             { return nil }

// mmap2 is a PERF_RECORD_MMAP2 without header and trailer, by the layout of
// include/uapi/linux/perf_event.h.
func mmap2(pid uint32, start, size, offset, ino uint64, prot uint32, name string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(nil, pid), pid)
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, start), size), offset)
	b = le.AppendUint32(le.AppendUint32(b, 0), 7) // device
	b = le.AppendUint64(le.AppendUint64(b, ino), 0)
	b = le.AppendUint32(le.AppendUint32(b, prot), unix.MAP_PRIVATE)
	return append(append(b, name...), 0)
}

// The kernel tells of mappings as they are after they have merged with their
// neighbours. Letters are files, small ones without write permission.
func TestFaultsMappings(t *testing.T) {
	const rw, ro = 3, 1
	for name, tc := range map[string]struct {
		records [][]byte
		want    []string
	}{
		"[...] then [....|..] merged": {[][]byte{mmap2(1, 0x1000, 0x3000, 0, 0, rw, "//anon"), mmap2(1, 0x1000, 0x5000, 0, 0, rw, "//anon")},
			[]string{"mmap 0x1000-0x4000", "mmap 0x4000-0x6000"}},
		"AAAA then AaaA by mprotect": {[][]byte{mmap2(1, 0x1000, 0x4000, 0, 5, rw, "A"), mmap2(1, 0x2000, 0x2000, 0x1000, 5, ro, "A")},
			[]string{"mmap 0x1000-0x5000", "mprotect 0x2000-0x4000"}},
		"AAAA then ABBA": {[][]byte{mmap2(1, 0x1000, 0x4000, 0, 5, rw, "A"), mmap2(1, 0x2000, 0x2000, 0, 6, rw, "B")},
			[]string{"mmap 0x1000-0x5000", "mmap 0x2000-0x4000"}},
		"A at another offset": {[][]byte{mmap2(1, 0x1000, 0x2000, 0, 5, rw, "A"), mmap2(1, 0x1000, 0x2000, 0x7000, 5, rw, "A")},
			[]string{"mmap 0x1000-0x3000", "mmap 0x1000-0x3000"}},
		"gap filled": {[][]byte{mmap2(1, 0x1000, 0x1000, 0, 0, rw, ""), mmap2(1, 0x3000, 0x1000, 0, 0, rw, ""), mmap2(1, 0x1000, 0x3000, 0, 0, rw, "")},
			[]string{"mmap 0x1000-0x2000", "mmap 0x3000-0x4000", "mmap 0x2000-0x3000"}},
	} {
		sink := &eventSink{}
		r := &faultsRecorder{session: session{sink: sink}, procs: map[uint32]*faultsProcess{}, files: fileIDs{}, abi: trace.ABIX8664}
		r.exec(1, "test")
		for _, b := range tc.records {
			r.mmap(b)
		}
		var got []string
		for i := range sink.events {
			if e := &sink.events[i]; e.Kind == trace.KindSyscall {
				s := e.Syscall()
				got = append(got, trace.SyscallName(s.ABI, s.Nr)+" "+hexRange(s.Args[0], s.Args[0]+s.Args[1]))
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestFaultsLost(t *testing.T) {
	sink := &eventSink{}
	r := &faultsRecorder{session: session{sink: sink}, procs: map[uint32]*faultsProcess{}, files: fileIDs{}, abi: trace.ABIX8664}
	body := binary.LittleEndian.AppendUint64(make([]byte, 8), 321) // id, lost
	r.record(&perfRecord{kind: unix.PERF_RECORD_LOST, body: append(body, make([]byte, perfTrailer)...)})
	if n, _ := sink.events[0].Lost(); len(sink.events) != 1 || n != 321 || r.lost != 321 {
		t.Errorf("%v", sink.events)
	}
}

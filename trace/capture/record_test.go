package capture

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// need skips a test where a command is missing; CI installs them all.
func need(t *testing.T, command, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(command); err != nil {
		t.Skipf("%s is not installed: apt-get install %s", command, debianPackage)
	}
}

// built are the programs of testdata that have been compiled, by flags.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// compile builds a program of testdata, once for all tests.
func compile(t *testing.T, source string, flags ...string) string {
	t.Helper()
	need(t, "cc", "gcc libc6-dev")
	built.Lock()
	defer built.Unlock()
	if built.paths == nil {
		dir, err := os.MkdirTemp("", "vmtrace-programs-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	key := source
	for _, f := range flags {
		key += f
	}
	if path, ok := built.paths[key]; ok {
		return path
	}
	path := filepath.Join(built.dir, key)
	args := append([]string{"-O1", "-o", path, filepath.Join("testdata", source)}, flags...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc %v: %v\n%s", args, err, out)
	}
	built.paths[key] = path
	return path
}

func TestMain(m *testing.M) {
	if os.Getenv("VMTRACE_TEST_RECORDER") != "" {
		os.Exit(victim())
	}
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// modes is the program testdata/modes.c without a dynamic linker.
func modes(t *testing.T) string { return compile(t, "modes.c", "-static", "-pthread") }

// recording is a finished one.
type recording struct {
	path string
	res  Result
}

// record records a command, which must succeed, and holds the trace against the
// rules of a stream.
func record(t *testing.T, tool Tool, o Options, command ...string) recording {
	t.Helper()
	rec, err := tryRecord(t, context.Background(), tool, o, command...)
	if err != nil {
		t.Fatalf("%s %v: %v", tool.Name, command, err)
	}
	src := openTrace(t, rec.path)
	defer src.Close()
	if err := trace.Validate(src); err != nil {
		t.Fatalf("%s %v: %v", tool.Name, command, err)
	}
	return rec
}

func tryRecord(t *testing.T, ctx context.Context, tool Tool, o Options, command ...string) (recording, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "trace.vmt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	o.Command = command
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	res, err := tool.Record(ctx, o, func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(f, h, trace.WithBackground()) })
	if err == nil && ctx.Err() == context.DeadlineExceeded {
		t.Fatalf("%s %v did not end in time", tool.Name, command)
	}
	return recording{f.Name(), res}, err
}

func openTrace(t *testing.T, path string) trace.Source {
	t.Helper()
	src, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// replayed is the result of a recording in the model. No access and no call may
// be refused: the program did run.
func (rec recording) replayed(t *testing.T) *result.Run {
	t.Helper()
	src := openTrace(t, rec.path)
	defer src.Close()
	run, err := replay.Run(context.Background(), src, replay.Options{Model: paging.DefaultConfig(), Check: true})
	if err != nil {
		t.Fatal(err)
	}
	if run.Agreement.Segv != 0 {
		t.Errorf("%d accesses were refused: %s", run.Agreement.Segv, run.Agreement.FirstSegv)
	}
	if run.Agreement.Syscalls.Mismatched != 0 {
		t.Errorf("%d calls ended otherwise than recorded: %s", run.Agreement.Syscalls.Mismatched, run.Agreement.Syscalls.First)
	}
	return run
}

// inAnotherDirectory records a program that changes its directory: the trace is
// where it was asked for, and a file that is opened by a name relative to the new
// directory has its whole name.
func inAnotherDirectory(t *testing.T, tool Tool) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rec := record(t, tool, Options{Reduce: 4}, modes(t), "chdir", dir)
	if pages, _ := rec.contents(t).writtenTo("mmap", 100<<12); pages != 100 || rec.res.ExitCode != 0 {
		t.Errorf("%d pages written, want 100; exit status %d", pages, rec.res.ExitCode)
	}
	for _, m := range rec.replayed(t).Mappings {
		if m.Name == filepath.Join(dir, "mapped") && m.Minor == 100 {
			return
		}
	}
	t.Errorf("no mapping of %s/mapped with 100 faults", dir)
}

// contents is what a trace holds, as the tests look at it.
type contents struct {
	header    trace.Header
	calls     []trace.Syscall
	copies    []trace.UserCopy
	processes []trace.Process
	lost      uint64
	faults    int
	pages     map[uint64]struct{}
	written   map[uint64]uint64 // page -> writes
	accesses  uint64
	reads     uint64
	warnings  []string
}

func (rec recording) contents(t *testing.T) *contents {
	t.Helper()
	src := openTrace(t, rec.path)
	defer src.Close()
	c := &contents{header: *src.Header(), pages: map[uint64]struct{}{}, written: map[uint64]uint64{}}
	for {
		b, err := src.Next()
		if err == io.EOF {
			c.warnings = src.Warnings()
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Refs {
			r := &b.Refs[i]
			c.pages[r.VPN] = struct{}{}
			c.accesses += r.Accesses()
			c.reads += uint64(r.Reads)
			if r.Writes > 0 {
				c.written[r.VPN] += uint64(r.Writes)
			}
		}
		if b.Event != nil {
			c.event(b.Event)
		}
	}
}

func (c *contents) event(e *trace.Event) {
	switch e.Kind {
	case trace.KindSyscall:
		c.calls = append(c.calls, e.Syscall())
	case trace.KindUserCopy:
		c.copies = append(c.copies, e.UserCopy())
	case trace.KindProcess:
		c.processes = append(c.processes, e.Process())
	case trace.KindLost:
		n, _ := e.Lost()
		c.lost += n
	case trace.KindFault:
		c.faults++
	}
}

// writtenTo counts the pages written in the memory that calls of a mapping call
// with this many bytes gave, and the writes.
func (c *contents) writtenTo(name string, bytes uint64) (pages int, writes uint64) {
	seen := map[uint64]bool{}
	for i := range c.calls {
		s := &c.calls[i]
		if trace.SyscallName(s.ABI, s.Nr) != name || s.Args[1] != bytes || failed(s.Ret) {
			continue
		}
		for page := s.Ret >> 12; page < (s.Ret+bytes)>>12; page++ {
			if n := c.written[page]; n > 0 && !seen[page] {
				seen[page] = true
				pages++
				writes += n
			}
		}
	}
	return pages, writes
}

// count is how many process records of an operation there are.
func (c *contents) count(op trace.ProcessOp) (n int) {
	for _, p := range c.processes {
		if p.Op == op {
			n++
		}
	}
	return n
}

package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/trace"
)

func needLackey(t *testing.T) {
	t.Helper()
	needTool(t, lackey)
}

// The program writes one word to each of 300 fresh pages and to no other page of
// that mapping: what is written to them is known exactly.
func TestLackeyPages(t *testing.T) {
	needLackey(t)
	for _, reduce := range []int{0, 4} {
		rec := record(t, lackey, Options{Reduce: reduce}, modes(t), "pages", "300")
		c := rec.contents(t)
		if pages, writes := c.writtenTo("mmap", 300<<12); pages != 300 || writes != 300 {
			t.Errorf("reduced by %d: %d writes to %d pages, want 300 to 300", reduce, writes, pages)
		}
		if c.accesses != rec.res.Progress.Accesses || len(c.warnings) != 0 || len(rec.res.Warnings) != 0 {
			t.Errorf("%d accesses in the trace, %d told; warnings %v %v", c.accesses, rec.res.Progress.Accesses, c.warnings, rec.res.Warnings)
		}
		run := rec.replayed(t)
		if n := run.Totals.Faults.Kinds["demand_zero"]; n < 300 || n > 330 {
			t.Errorf("%d zeroed pages, want 300 and few of the program's start", n)
		}
	}
}

// A program with a dynamic loader: the regions at start, the files that the
// loader maps, and the library of valgrind's that is not the program's.
func TestLackeyDynamic(t *testing.T) {
	needLackey(t)
	program := compile(t, "modes.c", "-pthread")
	rec := record(t, lackey, Options{Reduce: 4}, program, "pages", "10")
	var regions, files []string
	each(t, rec, func(b *trace.Batch) {
		switch {
		case b.Event == nil:
		case b.Event.Kind == trace.KindMap:
			regions = append(regions, b.Event.Map().Name)
		case b.Event.Kind == trace.KindFile:
			files = append(files, b.Event.File().Path)
		}
	})
	has := func(list []string, part string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
	}
	if !has(regions, program) || !has(regions, "ld-linux") || !has(files, "libc.so") || has(regions, "lackey") {
		t.Errorf("regions %q and files %q: want the program, its loader and its C library, and nothing of valgrind's", regions, files)
	}
	run := rec.replayed(t)
	if run.Totals.Faults.Foreign == 0 {
		t.Error("no faults on the library that valgrind preloads")
	}
	if len(run.Warnings) != 0 {
		t.Errorf("warnings %q", run.Warnings)
	}
}

// each calls f for every batch of a recording.
func each(t *testing.T, rec recording, f func(*trace.Batch)) {
	t.Helper()
	src := openTrace(t, rec.path)
	defer src.Close()
	for {
		b, err := src.Next()
		if err != nil {
			return // io.EOF: record has validated the whole
		}
		f(b)
	}
}

func TestLackeyExitStatus(t *testing.T) {
	needLackey(t)
	for _, c := range []struct {
		args   []string
		code   int
		signal syscall.Signal
		status uint64 // as wait(2) gives it
	}{
		{[]string{"exit", "0"}, 0, 0, 0},
		{[]string{"exit", "3"}, 3, 0, 3 << 8},
		{[]string{"crash"}, 128 + 11, syscall.SIGSEGV, 11},
	} {
		rec := record(t, lackey, Options{Reduce: 4}, append([]string{modes(t)}, c.args...)...)
		if rec.res.ExitCode != c.code || rec.res.Signal != int(c.signal) || rec.res.Stopped != "" {
			t.Errorf("%v: code %d, signal %d, stopped %q; want %d, %d and not stopped", c.args, rec.res.ExitCode, rec.res.Signal, rec.res.Stopped, c.code, c.signal)
		}
		p := rec.contents(t).processes
		if last := p[len(p)-1]; last.Op != trace.OpGroup || last.Status&^0x80 != c.status { // 0x80: it dumped core
			t.Errorf("%v: the last process record is %+v, want the end with status %#x", c.args, last, c.status)
		}
		rec.replayed(t)
	}
}

// Each of four threads writes to 50 pages of mappings of its own: no page of
// them is another thread's, and every thread has started and ended.
func TestLackeyThreads(t *testing.T) {
	needLackey(t)
	rec := record(t, lackey, Options{Reduce: 4}, modes(t), "threads")
	const size = 50 << 12
	maps := map[uint32]int{}    // thread -> mappings it made
	var owner [1 << 10]struct { // of mappings that are there
		start uint64
		tid   uint32
	}
	live := 0
	each(t, rec, func(b *trace.Batch) {
		for i := range b.Refs {
			for _, m := range owner[:live] {
				if addr := b.Refs[i].VPN << 12; addr >= m.start && addr < m.start+size && b.Thread != m.tid {
					t.Fatalf("thread %d touches %#x, which thread %d has mapped for itself", b.Thread, addr, m.tid)
				}
			}
		}
		if b.Event == nil || b.Event.Kind != trace.KindSyscall {
			return
		}
		s := b.Event.Syscall()
		switch name := trace.SyscallName(s.ABI, s.Nr); {
		case name == "mmap" && s.Args[1] == size:
			owner[live].start, owner[live].tid = s.Ret, b.Thread
			live++
			maps[b.Thread]++
		case name == "munmap" && s.Args[1] == size:
			for i := range owner[:live] {
				if owner[i].start == s.Args[0] {
					live--
					owner[i] = owner[live]
					break
				}
			}
		}
	})
	if len(maps) != 4 {
		t.Errorf("%d threads made mappings, want 4", len(maps))
	}
	for tid, n := range maps {
		if n != 20 {
			t.Errorf("thread %d made %d mappings, want 20", tid, n)
		}
	}
	c := rec.contents(t)
	if clones, exits := c.count(trace.OpClone), c.count(trace.OpExit); clones != 4 || exits != 4 {
		t.Errorf("%d threads started and %d ended, want 4 each", clones, exits)
	}
	if run := rec.replayed(t); run.Processes[0].Threads != 5 {
		t.Errorf("%d threads in the model, want 5", run.Processes[0].Threads)
	}
}

// Three children write 50 of 100 inherited pages each. The last of the four
// processes to write a page is its sole owner, if the others are gone: of the 150
// writes at least 100 copy, and none is less than a fault.
func TestLackeyFork(t *testing.T) {
	needLackey(t)
	rec := record(t, lackey, Options{Reduce: 4}, modes(t), "fork")
	c := rec.contents(t)
	if forks, ends := c.count(trace.OpFork), c.count(trace.OpGroup); forks != 3 || ends != 4 {
		t.Errorf("%d forks and %d ends of processes, want 3 and 4", forks, ends)
	}
	for _, p := range c.processes {
		if p.Op == trace.OpGroup && p.Child != c.processes[0].Child && p.Status != 3<<8 {
			t.Errorf("child %d ended with status %#x, want %#x", p.Child, p.Status, 3<<8)
		}
	}
	run := rec.replayed(t)
	if n := run.Totals.Faults.Kinds["cow_copy"] + run.Totals.Faults.Kinds["cow_reuse"]; n < 150 {
		t.Errorf("%d faults on shared pages, want the 150 of the children and those of their stacks", n)
	}
	if len(run.Processes) != 4 {
		t.Errorf("%d processes in the model, want 4", len(run.Processes))
	}
}

// What comes after an exec belongs to the new image, and an exec that fails
// changes nothing. A parent in vfork does not run before its child has its own
// image or is gone.
func TestLackeyExec(t *testing.T) {
	needLackey(t)
	rec := record(t, lackey, Options{Reduce: 4}, compile(t, "spawn.c", "-static"), modes(t))
	if rec.res.ExitCode != 0 {
		t.Errorf("the program says that step %d failed", rec.res.ExitCode)
	}
	waiting := map[uint32]uint32{} // child -> parent
	execs, vforks, failures := 0, 0, 0
	each(t, rec, func(b *trace.Batch) {
		for child, parent := range waiting {
			if b.Thread == parent && (b.Event == nil || b.Event.Kind == trace.KindSyscall) {
				t.Fatalf("record %d of thread %d, which waits in vfork for %d", b.Seq, parent, child)
			}
		}
		if b.Event == nil {
			return
		}
		switch b.Event.Kind {
		case trace.KindProcess:
			switch p := b.Event.Process(); p.Op {
			case trace.OpVFork:
				vforks++
				waiting[p.Child] = b.Thread
			case trace.OpExec:
				execs++
				delete(waiting, b.Thread)
			case trace.OpGroup:
				delete(waiting, p.Child)
			}
		case trace.KindSyscall:
			s := b.Event.Syscall()
			if trace.SyscallName(s.ABI, s.Nr) == "execve" && -s.Ret == uint64(syscall.ENOENT) {
				failures++
			}
		}
	})
	if vforks != 3 || execs != 3 || failures != 2 {
		t.Errorf("%d vforks, %d execs, %d that failed; want 3, 3 and 2", vforks, execs, failures)
	}
	rec.replayed(t)
}

// A program that closes every descriptor, changes its directory, maps a file
// that has no name any more, and lets the kernel write fresh memory.
func TestLackeyFiles(t *testing.T) {
	needLackey(t)
	dir := t.TempDir()
	rec := record(t, lackey, Options{Reduce: 4}, compile(t, "files.c", "-static"), dir)
	if rec.res.ExitCode != 0 {
		t.Errorf("the program says that step %d failed", rec.res.ExitCode)
	}
	c := rec.contents(t)
	size := uint64(0)
	each(t, rec, func(b *trace.Batch) {
		if b.Event != nil && b.Event.Kind == trace.KindFile {
			if f := b.Event.File(); f.Path == filepath.Join(dir, "data") {
				size = f.Size
			}
		}
	})
	if size != 3<<12 {
		t.Errorf("the file that was mapped has %d bytes, want %d", size, 3<<12)
	}
	if !slices.ContainsFunc(c.copies, func(u trace.UserCopy) bool { return u.Write && u.Len == 40<<12 }) {
		t.Errorf("no copy of the 40 pages that read filled")
	}
	run := rec.replayed(t)
	kinds := run.Totals.Faults.Kinds
	if shared := kinds["file_shared"] + kinds["file_read"] + kinds["make_writable"] + kinds["mkwrite"]; shared == 0 {
		t.Errorf("no fault on the shared mapping: %v", kinds)
	}
	if n := kinds["demand_zero"]; n < 40 {
		t.Errorf("%d zeroed pages, want the 40 that the kernel wrote and more", n)
	}
}

// The programs that recorders find difficult; what each writes is known.
func TestLackeyUnusualPrograms(t *testing.T) {
	needLackey(t)
	for _, c := range []struct {
		mode  string
		pages int // of the mapping of 100
	}{{"close", 100}, {"daemon", 100}} {
		rec := record(t, lackey, Options{Reduce: 4}, modes(t), c.mode)
		if pages, _ := rec.contents(t).writtenTo("mmap", 100<<12); pages != c.pages {
			t.Errorf("%s: %d pages written, want %d", c.mode, pages, c.pages)
		}
		rec.replayed(t)
	}
}

func TestLackeyChangesDirectory(t *testing.T) {
	needLackey(t)
	inAnotherDirectory(t, lackey)
}

// A shell with a pipeline: four processes, one after the other or at once.
func TestLackeyShell(t *testing.T) {
	needLackey(t)
	var out strings.Builder
	rec := record(t, lackey, Options{Reduce: 4, Stdout: &out}, "sh", "-c", modes(t)+" exit 5 | cat; "+modes(t)+" exit 6; echo $?")
	if out.String() != "6\n" || rec.res.ExitCode != 0 {
		t.Errorf("output %q, exit code %d; want 6 and 0", out.String(), rec.res.ExitCode)
	}
	c := rec.contents(t)
	if forks, execs, ends := c.count(trace.OpFork)+c.count(trace.OpVFork), c.count(trace.OpExec), c.count(trace.OpGroup); forks != 3 || execs != 3 || ends != 4 {
		t.Errorf("%d forks, %d execs, %d ends; want 3, 3 and 4", forks, execs, ends)
	}
	rec.replayed(t)
}

func TestLackeyInstructionPointers(t *testing.T) {
	needLackey(t)
	rec := record(t, lackey, Options{IP: true}, modes(t), "exit", "0")
	fetches := 0
	each(t, rec, func(b *trace.Batch) {
		if b.Event == nil && len(b.IPs) != len(b.Refs) {
			t.Fatalf("%d instruction pointers for %d references", len(b.IPs), len(b.Refs))
		}
		for i := range b.Refs {
			if r := &b.Refs[i]; r.First == trace.Exec {
				fetches++
				// The pointer of a fetch is what is fetched, or, where an
				// instruction crosses into the next page, just before it.
				at := r.VPN<<12 | uint64(r.Offset)
				if ip := b.IPs[i]; ip > at || at-ip > 15 {
					t.Fatalf("fetch at %#x with instruction pointer %#x", at, ip)
				}
			}
		}
	})
	if fetches == 0 {
		t.Error("no instruction fetches")
	}
}

// However recording is stopped, the program ends and the trace is whole.
func TestLackeyStopped(t *testing.T) {
	needLackey(t)
	for _, c := range []struct {
		why  string
		opts Options
		code int
	}{
		{"interrupt", Options{}, 128 + int(syscall.SIGINT)},
		{"duration", Options{Duration: 2 * time.Second, Reduce: 4}, 0},
		{"max-size", Options{MaxBytes: 20_000, Reduce: 4}, 0},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		if c.why == "interrupt" {
			c.opts.Progress = func(p Progress) {
				if p.Refs > 50_000 { // the program is in its loop
					cancel()
				}
			}
		}
		rec, err := tryRecord(t, ctx, lackey, c.opts, modes(t), "spin")
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		if rec.res.Stopped != c.why || rec.res.ExitCode != c.code || rec.res.Signal != 0 {
			t.Errorf("stopped by %q with code %d, signal %d; want %q, %d, 0", rec.res.Stopped, rec.res.ExitCode, rec.res.Signal, c.why, c.code)
		}
		if got := rec.contents(t); got.accesses == 0 || len(got.warnings) != 0 {
			t.Errorf("%s: %d accesses, warnings %v", c.why, got.accesses, got.warnings)
		}
		rec.replayed(t)
	}
}

// What cannot be recorded is said before anything runs.
func TestLackeyRefuses(t *testing.T) {
	needLackey(t)
	data, err := os.ReadFile(modes(t))
	if err != nil {
		t.Fatal(err)
	}
	setuid := filepath.Join(t.TempDir(), "setuid")
	if err := os.WriteFile(setuid, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRecord(t, context.Background(), lackey, Options{}, setuid); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "setuid") {
		t.Errorf("a setuid program: %v", err)
	}
	if _, err := tryRecord(t, context.Background(), lackey, Options{}, "/nonexistent/program"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
	if _, err := tryRecord(t, context.Background(), lackey, Options{}); err == nil {
		t.Error("no program: no error")
	}
}

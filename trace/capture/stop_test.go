package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmtrace/vmtrace/trace"
)

// stoppable are the recorders of this file's tests.
var stoppable = []Tool{qemu, faults}

func needTool(t *testing.T, tool Tool) {
	t.Helper()
	if err := tool.Check(); err != nil {
		t.Skipf("%s: %v", tool.Name, err)
	}
}

// A recording that is stopped ends the program and leaves a whole trace.
func TestStopped(t *testing.T) {
	for _, tool := range stoppable {
		needTool(t, tool)
		for want, o := range map[string]Options{
			"duration":  {Duration: 2 * time.Second, Reduce: 4},
			"interrupt": {Reduce: 4},
			"max-size":  {Reduce: 4, MaxBytes: 20_000},
		} {
			if tool.Name == "faults" && want != "duration" {
				continue // this program takes its few faults at once
			}
			ctx, cancel := context.WithCancel(context.Background())
			if want == "interrupt" {
				o.Progress = func(p Progress) {
					if p.Refs > 100_000 { // the program is in its loop: it starts with 3,000
						cancel()
					}
				}
			}
			rec, err := tryRecord(t, ctx, tool, o, modes(t), "spin")
			cancel()
			if err != nil {
				t.Fatalf("%s, %s: %v", tool.Name, want, err)
			}
			if rec.res.Stopped != want || rec.res.Signal != 0 {
				t.Errorf("%s: stopped by %q with signal %d, want %q and none", tool.Name, rec.res.Stopped, rec.res.Signal, want)
			}
			c := rec.contents(t)
			if pages, _ := c.writtenTo("mmap", 300<<12); pages != 300 || len(c.warnings) != 0 {
				t.Errorf("%s, %s: %d pages written, want 300; warnings %v", tool.Name, want, pages, c.warnings)
			}
		}
	}
}

// full is a disk with room for n bytes.
type full struct {
	f *os.File
	n int
}

func (d *full) Write(b []byte) (int, error) {
	if len(b) > d.n {
		n, _ := d.f.Write(b[:d.n])
		d.n = 0
		return n, syscall.ENOSPC
	}
	d.n -= len(b)
	return d.f.Write(b)
}

// A full disk ends the recording with an error, and what was written opens.
func TestDiskFull(t *testing.T) {
	needTool(t, qemu)
	f, err := os.Create(filepath.Join(t.TempDir(), "trace.vmt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	disk := &full{f, 100_000}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = qemu.Record(ctx, Options{Command: []string{modes(t), "spin"}, Stderr: io.Discard},
		func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(disk, h, trace.WithBackground()) })
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want ENOSPC", err)
	}
	c := recording{path: f.Name()}.contents(t)
	if c.accesses == 0 || len(c.warnings) == 0 {
		t.Errorf("%d accesses could be read, with warnings %v", c.accesses, c.warnings)
	}
}

// victim is a recorder in a process of its own: TestKilledRecorder kills it.
func victim() int {
	for _, tool := range Tools {
		if tool.Name != os.Getenv("VMTRACE_TEST_RECORDER") {
			continue
		}
		f, err := os.Create(os.Getenv("VMTRACE_TEST_TRACE"))
		if err != nil {
			return 1
		}
		program := os.Getenv("VMTRACE_TEST_PROGRAM")
		_, err = tool.Record(context.Background(), Options{Command: []string{"sh", "-c", "echo $$; " + program}, Stdout: os.Stdout, Stderr: os.Stderr, Reduce: 4},
			func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(f, h, trace.WithBackground()) })
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	return 0
}

// After kill -9 of the recorder its file opens, and no program is left behind.
func TestKilledRecorder(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const moments = 3
	for _, tool := range stoppable {
		needTool(t, tool)
		for range moments {
			path := filepath.Join(t.TempDir(), "trace.vmt")
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "VMTRACE_TEST_RECORDER="+tool.Name, "VMTRACE_TEST_TRACE="+path, "VMTRACE_TEST_PROGRAM="+modes(t)+" spin & "+modes(t)+" spin; :")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 32)
			n, err := out.Read(line) // the program runs
			if err != nil {
				t.Fatalf("%s: the program did not start: %v", tool.Name, err)
			}
			shell := strings.TrimSpace(string(line[:n]))
			for end := time.Now().Add(10 * time.Second); len(descendants(cmd.Process.Pid)) < 2 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // on a busy machine the shell takes a while to its first child
			}
			time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
			group := descendants(cmd.Process.Pid)
			cmd.Process.Kill()
			cmd.Wait()
			if len(group) < 2 {
				t.Errorf("%s: only processes %v of shell %s ran", tool.Name, group, shell)
			}
			waitGone(t, group)
			c := recording{path: path}.contents(t)
			for _, w := range c.warnings {
				if !strings.Contains(w, "cut") && !strings.Contains(w, "index") {
					t.Errorf("%s: warning %q", tool.Name, w)
				}
			}
		}
	}
}

// descendants are the processes that come of a process, by /proc.
func descendants(pid int) (out []int) {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		for field := range strings.FieldsSeq(string(data)) {
			child, err := strconv.Atoi(field)
			if err == nil {
				out = append(append(out, child), descendants(child)...)
			}
		}
	}
	return out
}

// waitGone waits until the processes are gone or zombies.
func waitGone(t *testing.T, pids []int) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		alive := 0
		for _, pid := range pids {
			data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
			_, state, _ := strings.Cut(string(data), ") ")
			if err == nil && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X") {
				alive++
			}
		}
		if alive == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("of the processes %v %d are left behind", pids, alive)
		}
	}
}

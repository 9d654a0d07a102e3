package capture

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// markers are the recorders that see the calls by which programs set marks.
var markers = []Tool{qemu, lackey}

// setMarks are those of testdata/marks.c, in order.
var setMarks = []string{strings.Repeat("x", 255), "access", "faccessat", "stat", "lstat", "newfstatat", "statx", "ready"}

func marksOf(t *testing.T, rec recording) (labels []string) {
	t.Helper()
	src := openTrace(t, rec.path)
	defer src.Close()
	for {
		b, err := src.Next()
		if errors.Is(err, io.EOF) {
			return labels
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Event != nil && b.Event.Kind == trace.KindMark {
			labels = append(labels, b.Event.Mark())
		}
	}
}

func TestMarks(t *testing.T) {
	for _, tool := range markers {
		needTool(t, tool)
		all := record(t, tool, Options{Reduce: 4}, compile(t, "marks.c", "-static"))
		if got := marksOf(t, all); !slices.Equal(got, setMarks) {
			t.Errorf("%s: marks %q, want %q", tool.Name, got, setMarks)
		}
		if pages, _ := all.contents(t).writtenTo("mmap", 100<<12); pages != 100 {
			t.Errorf("%s, all: %d pages written first, want 100", tool.Name, pages)
		}
		cut := record(t, tool, Options{Reduce: 4, After: "ready"}, compile(t, "marks.c", "-static"))
		if got := marksOf(t, cut); !slices.Equal(got, setMarks) {
			t.Errorf("%s, after ready: marks %q, want %q", tool.Name, got, setMarks)
		}
		a, c := all.contents(t), cut.contents(t)
		before, _ := c.writtenTo("mmap", 100<<12)
		behind, writes := c.writtenTo("mmap", 200<<12)
		if before != 0 || behind != 200 || writes != 200 {
			t.Errorf("%s, after ready: %d pages written before it, want 0; %d behind it by %d writes, want 200 by 200", tool.Name, before, behind, writes)
		}
		if len(a.calls) != len(c.calls) || cut.res.Progress.Accesses != c.accesses || c.accesses >= a.accesses {
			t.Errorf("%s, after ready: %d calls, want %d; %d accesses told, %d there, of %d in all", tool.Name, len(c.calls), len(a.calls), cut.res.Progress.Accesses, c.accesses, a.accesses)
		}
		run := cut.replayed(t)
		if w := strings.Join(run.Warnings, "\n"); !strings.Contains(w, `recorded from the mark "ready" on`) {
			t.Errorf("%s: the warnings do not tell of the mark: %s", tool.Name, w)
		}
		if run.Agreement.Segv != 0 || run.Agreement.Syscalls.Mismatched != 0 {
			t.Errorf("%s: %d SIGSEGV, %d calls differ", tool.Name, run.Agreement.Segv, run.Agreement.Syscalls.Mismatched)
		}
	}
}

// A mark that does not come is an error that says which did and how to set one, and
// the trace is whole; who sees no system calls refuses before the program runs.
func TestMarkMissing(t *testing.T) {
	program := compile(t, "marks.c", "-static")
	for _, tool := range markers {
		needTool(t, tool)
		rec, err := tryRecord(t, context.Background(), tool, Options{After: "steady"}, program)
		if err == nil || !strings.Contains(err.Error(), `"statx" "ready"`) || !strings.Contains(err.Error(), `access("vmtrace:steady", F_OK)`) {
			t.Errorf("%s: %v", tool.Name, err)
		}
		if got := marksOf(t, rec); !slices.Equal(got, setMarks) {
			t.Errorf("%s: marks %q, want %q", tool.Name, got, setMarks)
		}
	}
	if _, err := tryRecord(t, context.Background(), faults, Options{After: "steady"}, program); !errors.Is(err, ErrProgram) {
		t.Errorf("faults: %v", err)
	}
}

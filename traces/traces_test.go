package traces_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/trace"
)

const (
	maxTrace  = 1 << 20 // bytes of one trace
	maxFolder = 4 << 20 // of all
)

// row is a row of the first table of README.md.
var row = regexp.MustCompile("(?m)^\\| `([a-z]+\\.vmt)` \\| `([^`]+)` \\| (\\d+) \\| (\\d+) \\| `([0-9a-f]{64})` \\|$")

// counts is a row of the second: perf's minor and major, wait4's minor, the model's.
var counts = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d+), (\\d+) \\| (\\d+) \\([^|]*\\) \\| (\\d+) \\|")

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTraces(t *testing.T) {
	files, err := filepath.Glob("*.vmt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d traces, want 5 or more (%v)", len(files), err)
	}
	documented := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(readme(t), -1) {
		documented[m[1]] = m
	}
	total := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(data)
		if len(data) >= maxTrace {
			t.Errorf("%s has %d bytes, the limit is %d", name, len(data), maxTrace)
		}
		m := documented[name]
		if m == nil {
			t.Errorf("%s has no row in README.md", name)
			continue
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(data)); m[5] != sum || m[4] != strconv.Itoa(len(data)) {
			t.Errorf("%s: README.md says %s bytes, SHA-256 %s; it has %d, %s", name, m[4], m[5], len(data), sum)
		}
	}
	if total >= maxFolder {
		t.Errorf("the traces have %d bytes, the limit is %d", total, maxFolder)
	}
}

// Every trace obeys the rules of a stream, and the model refuses no access of it
// and answers every call as the kernel did. Its minor faults are within 5 % or 5
// of those that the live kernel counted (README.md), whichever is larger.
func TestTracesAgree(t *testing.T) {
	live := map[string][]string{}
	for _, m := range counts.FindAllStringSubmatch(readme(t), -1) {
		live[m[1]] = m
	}
	for _, m := range row.FindAllStringSubmatch(readme(t), -1) {
		name, command := m[1], m[2]
		t.Run(name, func(t *testing.T) {
			validate(t, name)
			run := replayTrace(t, name)
			if got := strings.Join(run.header.Command, " "); got != command {
				t.Errorf("recorded is %q, README.md says %q", got, command)
			}
			if accesses := strconv.FormatUint(run.accesses, 10); accesses != m[3] {
				t.Errorf("%s accesses, README.md says %s", accesses, m[3])
			}
			c := live[command]
			if c == nil {
				t.Fatalf("README.md has no counts of the live kernel for %q", command)
			}
			want, _ := strconv.ParseFloat(c[4], 64)
			if diff := float64(run.minor) - want; max(diff, -diff) > max(5, want*5/100) {
				t.Errorf("%d minor faults, the live kernel counted %s", run.minor, c[4])
			}
			if model := strconv.FormatUint(run.minor, 10); model != c[5] {
				t.Errorf("%s minor faults, README.md says that the model gives %s", model, c[5])
			}
		})
	}
}

func validate(t *testing.T, name string) {
	t.Helper()
	src, err := trace.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := trace.Validate(src); err != nil {
		t.Error(err)
	}
	if w := src.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
}

// figures are those of a replay on a kernel like the one of README.md.
type figures struct {
	header          trace.Header
	accesses, minor uint64
}

func replayTrace(t *testing.T, name string) figures {
	t.Helper()
	src, err := trace.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	run, err := replay.Run(context.Background(), src, replay.Options{Model: paging.DefaultConfig(), Check: true})
	if err != nil {
		t.Fatal(err)
	}
	if a := run.Agreement; a.Segv != 0 || a.Syscalls.Mismatched != 0 {
		t.Errorf("%d accesses refused (%s), %d calls that disagree (%s)", a.Segv, a.FirstSegv, a.Syscalls.Mismatched, a.Syscalls.First)
	}
	if len(run.Warnings) != 0 {
		t.Errorf("warnings %q", run.Warnings)
	}
	f := run.Totals.Faults
	return figures{*src.Header(), run.Totals.Accesses, f.Minor - f.Foreign}
}

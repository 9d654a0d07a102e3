package capture

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// proc(5) and getrusage(2) tell the same processor time, but for ticks.
func TestProcessorTime(t *testing.T) {
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
	}
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	want := time.Duration(u.Utime.Nano()+u.Stime.Nano()) + reapedTime()
	if got := processorTime(uint32(os.Getpid())); got < want-50*time.Millisecond || got > want+50*time.Millisecond {
		t.Errorf("%v by /proc, %v by getrusage", got, want)
	}
	if got := processorTime(1 << 30); got != 0 {
		t.Errorf("no process has taken %v", got)
	}
}

// A recording tells how much slower the program is, and one of faults does not: it
// does not know how much the program does.
func TestSlowdown(t *testing.T) {
	for _, c := range []struct {
		tool Tool
		told bool
	}{{qemu, true}, {lackey, true}, {faults, false}} {
		needTool(t, c.tool)
		most := 0.0
		o := Options{Duration: time.Second, Reduce: 4, Progress: func(p Progress) { most = max(most, p.Slowdown) }}
		if _, err := tryRecord(t, context.Background(), c.tool, o, modes(t), "spin"); err != nil {
			t.Fatal(err)
		}
		if told := most > 1; told != c.told {
			t.Errorf("%s: %.1f times slower", c.tool.Name, most)
		}
	}
}

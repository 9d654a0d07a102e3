package rivals

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// Kernel is the live kernel's fault handler, driven by testdata/page_fault1.c.
type Kernel struct{ program string }

// BuildKernel compiles the program into a directory. An error says what is missing.
func BuildKernel(dir string) (Kernel, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return Kernel{}, fmt.Errorf("no C compiler: install the package gcc")
	}
	k := Kernel{filepath.Join(dir, "page_fault1")}
	if out, err := exec.Command(cc, "-O2", "-Wall", "-Werror", "-pthread", "-o", k.program, "testdata/page_fault1.c").CombinedOutput(); err != nil {
		return Kernel{}, fmt.Errorf("page_fault1.c: %w\n%s", err, out)
	}
	return k, nil
}

// Faults lets threads fault in memory for a while, and says how many faults there
// were and how long they took.
func (k Kernel) Faults(threads, milliseconds int) (faults int, took time.Duration, err error) {
	out, err := exec.Command(k.program, fmt.Sprint(threads), fmt.Sprint(milliseconds)).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("page_fault1: %w", err)
	}
	var ns int64
	if _, err := fmt.Sscanf(string(out), "%d faults %d ns", &faults, &ns); err != nil {
		return 0, 0, fmt.Errorf("page_fault1 printed %q", out)
	}
	return faults, time.Duration(ns), nil
}

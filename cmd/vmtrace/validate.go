package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace/capture"
)

var validateCommand = &command{
	name: "validate", args: "[flags] -- PROGRAM [ARGUMENT...]", minArgs: 1, maxArgs: -1,
	short: "the live kernel against the model, side by side",
	long: `
Runs PROGRAM natively a few times and asks the kernel for its page faults (wait4, children
included; address randomisation off), records it once, replays the recording, and prints both
counts beside each other. Exit status 3 when the minor faults differ by more than the tolerance,
an access was refused by the model, or a system call ended otherwise than recorded.

The program's own output is thrown away; its input is empty. Whether the live kernel has a zero
page is tried out first, and the model does as it does, unless --zero-page says otherwise.

Examples:
  vmtrace validate -- gzip -9 -c file
  vmtrace validate --trace traces/gzip.vmt -- gzip -9 -c file      use a recording that exists`,
	setup: func(fs *pflag.FlagSet) action {
		runs := fs.Int("runs", 5, "native runs; the median counts")
		existing := fs.String("trace", "", "replay this `TRACE` instead of recording")
		tool := fs.String("tool", "auto", "recorder")
		percent := fs.Float64("percent", 5, "tolerated difference in percent")
		faults := fs.Uint64("faults", 5, "or in faults, whichever is larger")
		row := fs.Bool("row", false, "print one row of a Markdown table instead")
		model := modelFlags(fs)
		return func(ctx context.Context, args []string, std stdio) error {
			opts, err := model()
			if err != nil {
				return err
			}
			if !fs.Changed("zero-page") {
				if opts.Model.NoZeroPage, err = lacksZeroPage(); err != nil {
					return fmt.Errorf("probing the live kernel: %w", err)
				}
			}
			if *runs < 1 {
				return usagef("--runs %d: must be 1 or more", *runs)
			}
			v := validation{command: args}
			if err := v.native(ctx, *runs); err != nil {
				return err
			}
			if err := v.replay(ctx, *existing, *tool, opts, std); err != nil {
				return err
			}
			if *row {
				v.printRow(std.out)
			} else {
				v.print(std.out)
			}
			return v.gate(*percent, *faults)
		}
	},
}

// validation is one program under the live kernel and under the model.
type validation struct {
	command      []string
	minor, major []uint64 // of each native run, sorted
	run          *result.Run
}

// native counts the faults of the program under the live kernel, with address
// randomisation off. This thread sets that for its children: setarch(8), which
// does it and then executes the program, would add its own faults, for a
// process keeps its counts over exec.
func (v *validation) native(ctx context.Context, runs int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const query, addrNoRandomize = 0xffffffff, 0x0040000 // personality(2)
	if old, _, errno := syscall.RawSyscall(syscall.SYS_PERSONALITY, query, 0, 0); errno == 0 {
		syscall.RawSyscall(syscall.SYS_PERSONALITY, old|addrNoRandomize, 0, 0)
		defer syscall.RawSyscall(syscall.SYS_PERSONALITY, old, 0, 0)
	}
	for range runs {
		cmd := exec.CommandContext(ctx, v.command[0], v.command[1:]...)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		v.minor = append(v.minor, uint64(usage.Minflt))
		v.major = append(v.major, uint64(usage.Majflt))
	}
	slices.Sort(v.minor)
	slices.Sort(v.major)
	return nil
}

// replay records the program unless there is a trace, and replays it.
func (v *validation) replay(ctx context.Context, path, tool string, opts replay.Options, std stdio) error {
	if path == "" {
		dir, err := os.MkdirTemp("", "vmtrace-validate-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "trace.vmt")
		if err := recordQuietly(ctx, tool, path, v.command); err != nil {
			return err
		}
	}
	run, err := replayFile(ctx, path, opts, std)
	v.run = run
	return err
}

func recordQuietly(ctx context.Context, tool, path string, command []string) error {
	if err := checkTool(tool); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = recordWith(ctx, tool, capture.Options{Command: command, Stdin: null, Stdout: null, Stderr: null, Reduce: 4}, f, stdio{err: io.Discard})
	return errors.Join(err, f.Close())
}

// live is the median of the native runs.
func live(sorted []uint64) uint64 { return sorted[len(sorted)/2] }

// model is the model's minor faults without those on mappings of the recorder.
func (v *validation) model() uint64 {
	f := v.run.Totals.Faults
	return f.Minor - f.Foreign
}

func (v *validation) print(w io.Writer) {
	a := v.run.Agreement
	fmt.Fprintf(w, "%s\n\n", strings.Join(v.command, " "))
	fmt.Fprintf(w, "%-28s %12s %12s\n", "", "live kernel", "model")
	fmt.Fprintf(w, "%-28s %12d %12d   (live %d to %d over %d runs)\n", "minor faults", live(v.minor), v.model(), v.minor[0], v.minor[len(v.minor)-1], len(v.minor))
	fmt.Fprintf(w, "%-28s %12d %12d\n", "major faults", live(v.major), v.run.Totals.Faults.Major)
	fmt.Fprintf(w, "%-28s %12s %12d\n", "on the recorder's mappings", "-", v.run.Totals.Faults.Foreign)
	fmt.Fprintf(w, "%-28s %12s %12d\n", "refused accesses", "-", a.Segv)
	fmt.Fprintf(w, "%-28s %12d %12d disagree\n", "system calls compared", a.Syscalls.Compared, a.Syscalls.Mismatched)
}

func (v *validation) printRow(w io.Writer) {
	a := v.run.Agreement
	l, m := live(v.minor), v.model()
	fmt.Fprintf(w, "| `%s` | %d (%d to %d) | %d | %+d (%+.1f %%) | %d | %d of %d | %d |\n", strings.Join(v.command, " "),
		l, v.minor[0], v.minor[len(v.minor)-1], m, int64(m)-int64(l), 100*(float64(m)/float64(l)-1),
		v.run.Totals.Faults.Foreign, a.Syscalls.Mismatched, a.Syscalls.Compared, a.Segv)
}

// gate says what did not hold.
func (v *validation) gate(percent float64, faults uint64) error {
	a := v.run.Agreement
	l, m := live(v.minor), v.model()
	diff := max(l, m) - min(l, m)
	switch {
	case a.Segv > 0:
		return gateError{fmt.Errorf("%d accesses were refused: %s", a.Segv, a.FirstSegv)}
	case a.Syscalls.Mismatched > 0:
		return gateError{fmt.Errorf("%d system calls ended otherwise than recorded: %s", a.Syscalls.Mismatched, a.Syscalls.First)}
	case float64(diff) > max(float64(faults), percent/100*float64(l)):
		return gateError{fmt.Errorf("minor faults: live %d, model %d: more than %g %% or %d apart", l, m, percent, faults)}
	}
	return nil
}

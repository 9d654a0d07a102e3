package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/capture"
)

var recordCommand = &command{
	name: "record", args: "[flags] -- PROGRAM [ARGUMENT...]", minArgs: 1, maxArgs: -1,
	short: "run a program and write a trace while it runs",
	long: `
Runs PROGRAM, with its own input, output and environment, under a recorder, and writes every
memory access and system call of it and of its children to a trace. Ctrl-C, a crash or a
failing program leave a readable trace; the exit status is the program's.

A program sets a mark by asking for a file vmtrace:LABEL, which need not be there: access(2) or
stat(2) in C, test -e in a shell, os.path.exists in Python. Marks stand in the trace and in the
pictures; --after LABEL leaves out the references before it, and keeps the system calls, so that
the mappings are right: the pages that the program touched before are touched anew.

Examples:
  vmtrace record -- gzip -9 -k -f file           writes gzip.vmt
  vmtrace record -o sort.vmt -- sort big.txt >/dev/null
  vmtrace record --duration 10s -o srv.vmt -- ./server
  vmtrace record --after ready -- sh -c 'setup; test -e vmtrace:ready; work'
  vmtrace doctor                                 which recorders work here`,
	setup: func(fs *pflag.FlagSet) action {
		out := fs.StringP("output", "o", "", "trace to write (default PROGRAM.vmt)")
		tool := fs.String("tool", "auto", "recorder: auto, "+strings.Join(toolNames(), ", "))
		reduce := fs.Int("reduce", 4, "fold references by the exact reduction with this `K`: exact for every memory and every TLB of at least K ways; 0 keeps all")
		offsets := fs.Bool("offsets", false, "keep the offset of each reference in its page: faults then have their exact address, and the trace is about four times as large")
		ip := fs.Bool("ip", false, "record the instruction pointer of each reference")
		var maxSize size
		fs.Var(&maxSize, "max-size", "stop recording when the trace has this size (default no limit)")
		duration := fs.Duration("duration", 0, "stop recording after this `time`, e.g. 10s (default no limit)")
		after := fs.String("after", "", "leave out references before the program sets this `mark`; --duration counts from there")
		return func(ctx context.Context, args []string, std stdio) error {
			if *reduce < 0 {
				return usagef("--reduce %d: must be 0 or more", *reduce)
			}
			if *out == "" {
				*out = filepath.Base(args[0]) + ".vmt"
			}
			if *out == "-" {
				return usagef("-o -: the program's own output goes there; name a file")
			}
			opts := capture.Options{Command: args, Stdin: std.in, Stdout: std.out, Stderr: std.err,
				Reduce: *reduce, IP: *ip, Pages: !*offsets, MaxBytes: int64(maxSize), Duration: *duration, After: *after}
			// The fastest level: a program waits for its recorder (trace/capture/doc.go).
			how := []trace.WriterOption{trace.WithBackground(), trace.WithLevel(1)}
			if !*offsets {
				how = append(how, trace.WithoutOffsets())
			}
			return record(ctx, *tool, *out, opts, std, how...)
		}
	},
}

func toolNames() []string {
	names := make([]string, len(capture.Tools))
	for i, t := range capture.Tools {
		names[i] = t.Name
	}
	return names
}

// record runs one recording and tells how it ended. The error carries the exit
// status of the program.
func record(ctx context.Context, tool, out string, opts capture.Options, std stdio, how ...trace.WriterOption) error {
	if err := checkTool(tool); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	line := newStatusLine(std.err)
	defer line.clear()
	began := time.Now()
	opts.Progress = func(p capture.Progress) {
		if p.Waits {
			began = time.Now()
			line.printf("%s: waiting for the mark %s", out, opts.After)
			return
		}
		rate, slower := float64(p.Accesses)/time.Since(began).Seconds(), ""
		if p.Slowdown > 0 {
			slower = fmt.Sprintf(", about %.0f times slower", max(1, p.Slowdown))
		}
		line.printf("%s: %s accesses, %s/s, %s written%s", out, report.SI(p.Accesses), report.SI(uint64(rate)), report.Bytes(uint64(p.Bytes)), slower)
	}
	res, err := recordWith(ctx, tool, opts, f, std, how...)
	line.clear()
	if err != nil {
		if info, e := f.Stat(); e == nil && info.Size() == 0 {
			os.Remove(out) // nothing was recorded
		}
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(std.err, "vmtrace: warning: %s\n", w)
	}
	tellRecorded(out, res, std)
	if res.ExitCode != 0 {
		return statusError{res.ExitCode}
	}
	return nil
}

func tellRecorded(out string, res capture.Result, std stdio) {
	p := res.Progress
	size := p.Bytes
	if info, err := os.Stat(out); err == nil {
		size = info.Size()
	}
	fmt.Fprintf(std.err, "vmtrace: %s: %s accesses in %s", out, report.SI(p.Accesses), report.Bytes(uint64(size)))
	if p.Accesses > 0 {
		fmt.Fprintf(std.err, " (%.3g bytes per access)", float64(size)/float64(p.Accesses))
	}
	if res.Faults > 0 {
		fmt.Fprintf(std.err, "; %s faults recorded, %s counted by getrusage for the program and the children it waited for", report.Count(p.Accesses), report.Count(res.Faults))
	}
	if res.Stopped != "" {
		fmt.Fprintf(std.err, ", stopped by %s", res.Stopped)
	}
	switch {
	case res.Signal != 0:
		fmt.Fprintf(std.err, "; the program was ended by signal %d", res.Signal)
	case res.ExitCode != 0 && res.Stopped == "":
		fmt.Fprintf(std.err, "; the program's exit status was %d", res.ExitCode)
	}
	fmt.Fprintln(std.err)
}

// checkTool returns a usage error when there is no such recorder.
func checkTool(name string) error {
	if name != "auto" && !slices.Contains(toolNames(), name) {
		return usagef("--tool %s: there are auto, %s", name, strings.Join(toolNames(), ", "))
	}
	return nil
}

// recordWith records into f with the recorder of that name; auto takes the first
// that works here and can run the program, and says which.
func recordWith(ctx context.Context, name string, opts capture.Options, f io.Writer, std stdio, how ...trace.WriterOption) (capture.Result, error) {
	var refused []error
	for i := range capture.Tools {
		t := &capture.Tools[i]
		if name != "auto" && name != t.Name {
			continue
		}
		err := t.Check()
		if err == nil {
			if name == "auto" {
				fmt.Fprintf(std.err, "vmtrace: recording with %s: %s\n", t.Name, t.Help)
			}
			var res capture.Result
			res, err = t.Record(ctx, opts, func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(f, h, how...) })
			if !errors.Is(err, capture.ErrProgram) { // where it is, nothing has been run
				return res, err
			}
		}
		refused = append(refused, fmt.Errorf("%s: %w", t.Name, err))
	}
	return capture.Result{}, fmt.Errorf("no recorder can do this here: %w", errors.Join(refused...))
}

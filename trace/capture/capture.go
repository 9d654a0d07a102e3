package capture

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/vmtrace/vmtrace/trace"
)

// Options say what to record and how.
type Options struct {
	Command  []string      // program and arguments, not empty
	Env      []string      // environment of the program; nil = ours
	Stdin    io.Reader     // passed through untouched; an *os.File is inherited as it is
	Stdout   io.Writer     // likewise
	Stderr   io.Writer     // likewise
	Reduce   int           // K of the exact reduction, 0 = every page run
	IP       bool          // record the instruction pointer of each reference
	Pages    bool          // the offset of a reference in its page is not wanted
	MaxBytes int64         // stop when the trace has grown to this size, 0 = no limit
	Duration time.Duration // stop recording after this time, 0 = no limit
	After    string        // record references only after the program has set this mark (trace.MarkPrefix), and events from the beginning; Duration counts from there. "" = all
	Progress func(Progress)
}

// Progress tells how far a recording is. It is reported a few times a second
// from one goroutine.
type Progress struct {
	Accesses  uint64  // accesses of the program seen so far
	Refs      uint64  // page references written
	Bytes     int64   // bytes of trace written
	Processes int     // processes alive
	Waits     bool    // the mark Options.After has not come
	Slowdown  float64 // estimate: processor time of the program over that without a recorder; 0 where it is not known
}

// Result is how a recording ended. The trace is complete and readable in every
// case in which Record returns a nil error.
type Result struct {
	ExitCode int      // of the program, 128+signal when a signal ended it; when Stopped is set, 130 for "interrupt" and else 0
	Signal   int      // signal that ended the program, 0 for none or when the recorder ended it
	Stopped  string   // why recording ended before the program, "" if it did not ("interrupt", "max-size", "duration")
	Progress Progress // final figures
	Faults   uint64   // that the kernel counted for the program and the children it waited for (wait4(2)); 0 where the recorder does not ask
	Warnings []string
}

// SinkFunc opens the trace once the recorder knows its header.
type SinkFunc func(h trace.Header) (*trace.Writer, error)

// Tool is a recorder: one row of the table of tools.
type Tool struct {
	Name string
	Help string // one line for people

	// Check returns nil when the tool can run on this machine, else an error
	// that names what is missing and the command that installs it.
	Check func() error

	// Record runs the program and writes the trace while it runs. When ctx is
	// cancelled (Ctrl-C) recording stops, what was recorded is kept and
	// Result.Stopped says so.
	Record func(ctx context.Context, o Options, open SinkFunc) (Result, error)
}

// ErrProgram says that a recorder works here and cannot run this program; another
// one may. Nothing has been run.
var ErrProgram = errors.New("the recorder cannot run this program")

// Tools lists the recorders in the order in which "auto" tries them.
var Tools = []Tool{qemu, lackey, faults}

package capture

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/reduce"
)

// session is what every recording has: the trace that it writes, its limits and
// its figures. One goroutine uses it.
type session struct {
	opts     Options
	folded   int // K up to which what comes in is reduced already, 0 for not at all
	w        *trace.Writer
	sink     trace.Sink
	reducer  *reduce.Sink // nil when nothing is reduced
	batch    []trace.Ref  // of thread batchTID
	ips      []uint64     // of the batch, with Options.IP
	batchTID uint32
	accesses uint64
	refs     uint64
	alive    int   // processes
	err      error // of the sink: recording is over
	warnings []string
	began    time.Time
	lastSync time.Time
	lastTell time.Time
	stopped  string
	waits    bool                    // for the mark Options.After
	marks    []string                // the first few that came while it waited
	living   func() iter.Seq[uint32] // processes, for slowdown; nil where it is not told
	reaped   time.Duration           // reapedTime at the beginning
}

const (
	syncEvery    = time.Second
	progressEach = 200 * time.Millisecond
	sessionBatch = 4096 // references passed on at a time
)

// open opens the trace, reduced as the options say.
func (s *session) open(open SinkFunc, h trace.Header) error {
	if s.opts.After != "" {
		h.Labels = maps.Clone(h.Labels)
		if h.Labels == nil {
			h.Labels = map[string]string{}
		}
		h.Labels["after"] = s.opts.After
	}
	h.Origin, h.Command, h.Reduce, h.Created = "captured", s.opts.Command, s.opts.Reduce, s.began.Unix()
	w, err := open(h)
	if err != nil {
		return err
	}
	s.w, s.sink = w, w
	if k := s.opts.Reduce; k != 0 && k > s.folded {
		if s.reducer, err = reduce.New(w, k); err != nil {
			return err
		}
		s.sink = s.reducer
	}
	s.batch = make([]trace.Ref, 0, sessionBatch)
	s.waits, s.reaped = s.opts.After != "", reapedTime()
	return nil
}

// mark records a mark of the program. With the one that is waited for, recording of
// references begins, and the time for it.
func (s *session) mark(thread uint32, label string) {
	s.event(trace.NewMark(thread, label))
	switch {
	case !s.waits:
	case label == s.opts.After:
		s.waits, s.accesses, s.refs, s.began = false, 0, 0, time.Now()
	case len(s.marks) < 10 && !slices.Contains(s.marks, label):
		s.marks = append(s.marks, label)
	}
}

// unmarked is the error of a recording whose mark did not come, else nil.
func (s *session) unmarked() error {
	if !s.waits {
		return nil
	}
	seen := "it set no mark"
	if len(s.marks) > 0 {
		seen = fmt.Sprintf("it set %q", s.marks)
	}
	return fmt.Errorf("the program did not set the mark %q (%s), so no reference is recorded: a program sets it by access(%q, F_OK), a shell by test -e %[3]s",
		s.opts.After, seen, trace.MarkPrefix+s.opts.After)
}

// thread makes room for references of a thread.
func (s *session) thread(tid uint32) {
	if tid != s.batchTID || len(s.batch) == cap(s.batch) {
		s.pass()
		s.batchTID = tid
	}
}

// pass hands the batch on.
func (s *session) pass() {
	if len(s.batch) > 0 && s.err == nil && !s.waits {
		s.err = s.sink.Refs(s.batchTID, s.batch, s.ips)
	}
	s.batch = s.batch[:0]
	if s.ips != nil {
		s.ips = s.ips[:0]
	}
}

func (s *session) event(e trace.Event) {
	s.pass()
	if s.err == nil {
		s.err = s.sink.Event(&e)
	}
}

// sync brings everything so far to the file.
func (s *session) sync() {
	s.pass()
	if s.err == nil && s.reducer != nil {
		s.err = s.reducer.Flush()
	}
	if s.err == nil {
		s.err = s.w.Flush()
	}
}

// housekeeping is to be called often: it writes blocks out, tells the progress,
// and says whether recording has to end before the program.
func (s *session) housekeeping(ctx context.Context) bool {
	now := time.Now()
	if now.Sub(s.lastSync) >= syncEvery {
		s.lastSync = now
		s.sync()
	}
	if s.opts.Progress != nil && now.Sub(s.lastTell) >= progressEach {
		s.lastTell = now
		s.opts.Progress(s.progress())
	}
	switch {
	case s.err != nil || s.stopped != "":
	case ctx.Err() != nil:
		s.stopped = "interrupt"
	case s.opts.MaxBytes > 0 && s.w.Written() >= s.opts.MaxBytes:
		s.stopped = "max-size"
	case s.opts.Duration > 0 && !s.waits && now.Sub(s.began) >= s.opts.Duration:
		s.stopped = "duration"
	}
	return s.err != nil || s.stopped != ""
}

func (s *session) progress() Progress {
	p := Progress{Processes: s.alive, Waits: s.waits}
	if !s.waits {
		p.Accesses, p.Refs, p.Slowdown = s.accesses, s.refs, s.slowdown()
	}
	if s.w != nil {
		p.Bytes = s.w.Written()
	}
	return p
}

// warn keeps a warning for the result; there is room for the first few.
func (s *session) warn(format string, args ...any) {
	const most = 20
	if len(s.warnings) < most {
		s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
	}
}

// result is how the recording ended; ws is of the program.
func (s *session) result(ws syscall.WaitStatus) Result {
	res := Result{Stopped: s.stopped, Progress: s.progress(), Warnings: s.warnings}
	switch {
	case s.stopped == "interrupt":
		res.ExitCode = 128 + int(syscall.SIGINT)
	case s.stopped != "": // as asked: the recorder ended the program
	case ws.Signaled():
		res.Signal = int(ws.Signal())
		res.ExitCode = 128 + res.Signal
	default:
		res.ExitCode = ws.ExitStatus()
	}
	return res
}

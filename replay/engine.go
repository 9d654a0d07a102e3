package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Options configure a replay. The zero value of every field but Model is
// useful.
type Options struct {
	Model    paging.Config
	Path     string         // of the trace, for the result
	Buckets  int            // most buckets of the time line; 0 = 1000
	Check    bool           // recount the whole model while replaying and at the end
	Explain  func(Step)     // called for every fault, in order; nil = none
	Progress func(Progress) // called now and then from the goroutine of Run; nil = none
}

// Progress tells how far a replay is.
type Progress struct {
	Records  uint64 // of the trace
	Accesses uint64
	Faults   uint64
}

// ErrCheck is returned when the model's own recount found a contradiction: a
// bug of the model, never of the trace.
var ErrCheck = errors.New("the model contradicts itself")

const (
	chunkRefs      = 4096    // references handed to the model at a time
	checkEvery     = 4096    // events between two recounts with Options.Check
	progressEvery  = 1 << 20 // references between two calls of Progress
	defaultBuckets = 1000
)

// engine is the state of one replay. It is used by one goroutine.
type engine struct {
	opts     Options
	header   *trace.Header
	imposed  bool // captured: recorded addresses hold, a refused access does not kill
	machine  *paging.Machine
	threads  map[uint32]*thread
	procs    map[uint32]*process // living, by pid
	all      []*process          // in order of appearance
	files    map[uint64]*paging.File
	current  *thread
	lastTID  uint32
	accesses uint64 // done so far
	refs     uint64
	records  uint64
	lost     uint64
	orphans  uint64 // records of threads that never started or are dead
	events   uint64
	chunk    []paging.Ref
	timeline *timeline
	mappings *mappings
	agree    agreement
	marks    []result.Mark
	finalRSS uint64
	warnings []string
	nextTell uint64
}

// Run replays the whole source and returns the result. It returns an error
// when the source fails (the error of the source), the context is cancelled,
// the configuration is invalid, or Options.Check found ErrCheck. The source
// stays open. A damaged tail that the source recovered from is a warning in
// the result.
func Run(ctx context.Context, src trace.Source, opts Options) (*result.Run, error) {
	e, err := newEngine(src.Header(), opts)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := e.loop(ctx, src); err != nil {
		return nil, err
	}
	if opts.Check {
		if err := e.machine.Check(); err != nil {
			return nil, fmt.Errorf("%w: at the end: %w", ErrCheck, err)
		}
	}
	seconds := time.Since(began).Seconds()
	run := e.collect(src)
	run.Timing = result.Timing{Seconds: seconds, RefsPerSecond: float64(e.refs) / max(seconds, 1e-9), Workers: 1, Order: "serial"}
	return run, nil
}

func newEngine(h *trace.Header, opts Options) (*engine, error) {
	m, err := paging.New(opts.Model)
	if err != nil {
		return nil, err
	}
	if opts.Buckets <= 0 {
		opts.Buckets = defaultBuckets
	}
	e := &engine{
		opts:    opts,
		header:  h,
		imposed: h.Origin == "captured" || h.Origin == "converted",
		machine: m,
		threads: map[uint32]*thread{},
		procs:   map[uint32]*process{},
		files:   map[uint64]*paging.File{},
		chunk:   make([]paging.Ref, 0, chunkRefs),
	}
	e.timeline = newTimeline(opts.Buckets)
	e.mappings = newMappings()
	m.OnFault(e.onFault)
	return e, nil
}

func (e *engine) loop(ctx context.Context, src trace.Source) error {
	for {
		b, err := src.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if b.Event != nil {
			e.records++
			if err := e.event(b.Event); err != nil {
				return fmt.Errorf("record %d: %w", b.Seq, err)
			}
		} else {
			e.records += uint64(len(b.Refs))
			e.batch(b.Thread, b.Refs)
		}
		if e.refs >= e.nextTell {
			if err := ctx.Err(); err != nil {
				return err
			}
			e.tell()
		}
	}
}

func (e *engine) tell() {
	e.nextTell = e.refs + progressEvery
	if e.opts.Progress != nil {
		s := e.machine.Stats()
		e.opts.Progress(Progress{Records: e.records, Accesses: e.accesses, Faults: s.Minor + s.Major})
	}
}

// batch replays references of one thread: it converts them in chunks that end
// where a bucket of the time line ends.
func (e *engine) batch(tid uint32, refs []trace.Ref) {
	th := e.runnable(tid)
	if th == nil {
		e.orphans += uint64(len(refs))
		return
	}
	for len(refs) > 0 {
		n, accesses := e.fill(refs)
		e.runChunk(th)
		e.refs += uint64(n)
		e.accesses += accesses
		refs = refs[n:]
		if e.accesses >= e.timeline.boundary {
			e.timeline.snapshot(e.accesses, e.machine.Stats())
		}
	}
}

// fill copies references into the chunk until it is full or the bucket of the
// time line is, and returns how many and how many accesses they stand for.
func (e *engine) fill(refs []trace.Ref) (int, uint64) {
	room := e.timeline.boundary - e.accesses
	n := min(len(refs), chunkRefs)
	chunk := e.chunk[:n]
	var accesses uint64
	for i := range chunk {
		r := &refs[i]
		chunk[i] = paging.Ref{VPN: r.VPN, Reads: r.Reads, Writes: r.Writes, Execs: r.Execs, Offset: r.Offset, First: paging.Access(r.First)}
		accesses += r.Accesses()
		if accesses >= room {
			n = i + 1
			break
		}
	}
	e.chunk = chunk[:n]
	return n, accesses
}

// runChunk performs the chunk and deals with every refused access in it.
func (e *engine) runChunk(th *thread) {
	rest := e.chunk
	for len(rest) > 0 && !th.proc.dead {
		n, out := th.task.Run(rest)
		if out.Fatal() {
			e.refused(th, rest[n-1].VPN<<12|uint64(rest[n-1].Offset), out)
		}
		rest = rest[n:]
	}
}

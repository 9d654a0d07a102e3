package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Run replays the whole source and returns the result. It returns an error
// when the source fails (the error of the source), the context is cancelled,
// the configuration is invalid, the stream breaks a rule of package trace in a
// way that leaves nothing sensible to do (the error names the record), or
// Options.Check found ErrCheck. The source stays open. A damaged tail that the
// source recovered from is a warning in the result.
func Run(ctx context.Context, src trace.Source, opts Options) (*result.Run, error) {
	e, err := newEngine(src.Header(), opts, defaultLimits)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := e.loop(ctx, src); err != nil {
		return nil, err
	}
	return e.end(src, began)
}

// end makes the result when the source is at its end.
func (e *engine) end(src trace.Source, began time.Time) (*result.Run, error) {
	if e.opts.Check {
		if err := e.machine.Check(); err != nil {
			return nil, fmt.Errorf("%w: at the end: %w", ErrCheck, err)
		}
	}
	seconds := time.Since(began).Seconds()
	if e.opts.Model.Stack != nil {
		e.machine.SettleStack()
	}
	run := e.collect(src.Warnings())
	order := "serial"
	if e.opts.Model.Memory > 0 {
		order = "ordered"
	}
	run.Timing.Seconds, run.Timing.RefsPerSecond = seconds, float64(e.refs+e.unpicked.refs)/max(seconds, 1e-9)
	run.Timing.Workers, run.Timing.Order = max(1, e.opts.Workers), order
	return run, nil
}

// RunTrace is [Run] of what open gives, which is closed. It is opened twice where
// the policy needs the future, and must be the same both times. Errors are those
// of Run, of open, and of temporary files.
func RunTrace(ctx context.Context, open func() (trace.Source, error), opts Options) (*result.Run, error) {
	runs, err := RunAll(ctx, open, []Options{opts})
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}

// RunAll replays what open gives in several configurations from one decode, each in
// a goroutine of its own; those that are next to each other and have the same
// sample (the same pointer) share one. The results are those of RunTrace for each,
// in order. Where a policy needs the future the source is opened twice: the first
// time for everything else and for the future. A failure of one is one of all.
// There has to be a configuration.
func RunAll(ctx context.Context, open func() (trace.Source, error), opts []Options) ([]*result.Run, error) {
	j := job{opts: opts, runs: make([]*result.Run, len(opts))}
	defer j.close()
	var first, second []int
	for i := range opts {
		if opts[i].Model.NeedsFuture() {
			second = append(second, i)
		} else {
			first = append(first, i)
		}
	}
	if err := j.pass(ctx, open, first, second); err != nil || len(second) == 0 {
		return j.runs, err
	}
	for _, i := range second {
		opts[i].Model.Future = j.futures[opts[i].Sample].reader()
	}
	if err := j.pass(ctx, open, second, nil); err != nil {
		return j.runs, err
	}
	for _, i := range second {
		if err := opts[i].Model.Future.(*future).foresaw(j.runs[i]); err != nil {
			return nil, err
		}
	}
	return j.runs, nil
}

// job is one call of RunAll.
type job struct {
	opts    []Options
	runs    []*result.Run
	futures map[*Sample]*foreseen
}

func (j *job) close() {
	for _, f := range j.futures {
		f.file.Close()
	}
}

// pass opens the source and replays those configurations, and foresees what the
// others need.
func (j *job) pass(ctx context.Context, open func() (trace.Source, error), which, foresee []int) error {
	src, err := open()
	if err != nil {
		return err
	}
	defer src.Close()
	var lanes []*lane
	var pasts []*past
	defer func() {
		for _, p := range pasts {
			p.file.Close()
		}
	}()
	for _, i := range which {
		e, err := newEngine(src.Header(), j.opts[i], defaultLimits)
		if err != nil {
			return j.name(i, err)
		}
		e.number = i
		if n := len(lanes); n > 0 && e.opts.Sample != nil && lanes[n-1].sample == e.opts.Sample {
			lanes[n-1].engines = append(lanes[n-1].engines, e)
		} else {
			lanes = append(lanes, newLane(e))
		}
	}
	samples := map[*Sample]*past{}
	for _, i := range foresee {
		sample := j.opts[i].Sample
		if samples[sample] != nil {
			continue
		}
		e, p, err := newForesight(src.Header(), j.opts[i])
		if err != nil {
			return fmt.Errorf("the first pass, for the future: %w", err)
		}
		e.number = foresight
		samples[sample], pasts, lanes = p, append(pasts, p), append(lanes, newLane(e))
	}
	if err := j.drive(ctx, src, lanes); err != nil {
		return err
	}
	for sample, p := range samples {
		f, err := p.turn()
		if err != nil {
			return fmt.Errorf("the first pass, for the future: %w", err)
		}
		if j.futures == nil {
			j.futures = map[*Sample]*foreseen{}
		}
		j.futures[sample] = f
	}
	return nil
}

// foresight is the number of an engine that has no result.
const foresight = -1

// name says which configuration failed, where there are several.
func (j *job) name(i int, err error) error {
	if len(j.opts) == 1 || j.opts[i].Model.Memory == 0 || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s in %d bytes: %w", j.opts[i].Model.PolicyName(), j.opts[i].Model.Memory, err)
}

// drive takes the source through all lanes and keeps the results.
func (j *job) drive(ctx context.Context, src trace.Source, lanes []*lane) error {
	if len(lanes) == 1 {
		return j.finish(ctx, src, lanes[0], time.Now())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := newFan(src, len(lanes))
	began := time.Now()
	var done sync.WaitGroup
	for i, l := range lanes {
		done.Go(func() {
			if err := j.finish(ctx, f.readers[i], l, began); err != nil {
				cancel(err) // the first is the cause
			}
		})
	}
	f.run(ctx)
	done.Wait()
	return context.Cause(ctx)
}

// finish takes the source through one lane and keeps its results.
func (j *job) finish(ctx context.Context, src trace.Source, l *lane, began time.Time) error {
	if err := l.loop(ctx, src); err != nil {
		return err
	}
	for _, e := range l.engines {
		if e.number == foresight {
			continue
		}
		run, err := e.end(src, began)
		if err != nil {
			return j.name(e.number, err)
		}
		j.runs[e.number] = run
	}
	return nil
}

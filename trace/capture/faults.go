package capture

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vmtrace/vmtrace/trace"
)

// faults records the faults that the live kernel takes, and nothing else.
var faults = Tool{
	Name:   "faults",
	Help:   "only the page faults of the live kernel, through perf events; nearly native speed",
	Check:  perfUsable,
	Record: recordFaults,
}

// faultsRecorder is one recording. The goroutine of the tracer opens the events
// and starts the program; another one reads them.
type faultsRecorder struct {
	session
	perf    *perfSet
	tracer  *tracer
	procs   map[uint32]*faultsProcess
	files   fileIDs
	abi     trace.ABI
	root    uint32
	rootWS  syscall.WaitStatus
	counted uint64   // faults, by the kernel
	ends    []traced // seen by the tracer, not yet reached
	done    bool     // the tracer has nothing left
	lost    uint64
}

const (
	// faultsPoll is how often the buffers are read. The kernel takes half a million
	// faults a second and processor, of 48 bytes: a buffer holds 170 ms of them.
	faultsPoll = 10 * time.Millisecond
	// faultsSettle is how old a record must be before those of other processors
	// that come before it are certain to be there.
	faultsSettle = 20 * time.Millisecond
)

func recordFaults(ctx context.Context, o Options, open SinkFunc) (Result, error) {
	if o.After != "" {
		return Result{}, fmt.Errorf("%w from a mark on: it sees no system calls", ErrProgram)
	}
	if len(o.Command) == 0 {
		return Result{}, errors.New("no program to record")
	}
	r := &faultsRecorder{session: session{opts: o, began: time.Now()}, procs: map[uint32]*faultsProcess{}, files: fileIDs{}, abi: trace.ABIX8664}
	if runtime.GOARCH == "arm64" {
		r.abi = trace.ABIAArch64
	}
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	if cmd.Err != nil {
		return Result{}, cmd.Err
	}
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Env, o.Stdin, o.Stdout, o.Stderr
	if err := r.launch(cmd, open); err != nil {
		return Result{}, err
	}
	defer r.perf.close()
	r.loop(ctx)
	cmd.Wait() // the process is gone; this waits for the copying of its streams
	err := r.finish()
	res := r.result(r.rootWS)
	res.Faults = r.counted
	return res, err
}

// launch opens the events, the trace and the program, on the thread of the tracer:
// the events belong to it, and the program inherits them.
func (r *faultsRecorder) launch(cmd *exec.Cmd, open SinkFunc) error {
	r.tracer = newTracer(monotonic)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		perf, err := openPerf(true)
		if err == nil {
			r.perf = perf
			if err = r.header(open); err == nil {
				err = r.tracer.start(cmd)
			}
			if err != nil {
				perf.close()
			}
		}
		started <- err
		if err == nil {
			r.tracer.loop()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	r.root = uint32(cmd.Process.Pid)
	return nil
}

func (r *faultsRecorder) header(open SinkFunc) error {
	labels := map[string]string{"faults": "only", "regions": "inferred from perf events, which do not tell munmap"}
	if r.perf.userOnly {
		labels["faults"] = "only, those of user mode"
	}
	r.opts.Reduce = 0 // a fault is never dropped
	return r.open(open, trace.Header{Tool: "faults (perf events)", ABI: r.abi, Labels: labels})
}

// loop reads the buffers until all processes are gone.
func (r *faultsRecorder) loop(ctx context.Context) {
	killed := false
	for {
		done := r.done // what was there before this is in the buffers by now
		now := monotonic()
		r.collect()
		r.perf.read()
		limit := now - uint64(faultsSettle)
		if done {
			limit = ^uint64(0)
		}
		r.handle(limit)
		if done {
			return
		}
		if !killed && r.housekeeping(ctx) {
			killed = true
		}
		if killed {
			r.tracer.kill() // again and again: children can appear meanwhile
		}
		r.pause()
	}
}

// collect takes what the tracer has seen.
func (r *faultsRecorder) collect() {
	for !r.done {
		select {
		case e, ok := <-r.tracer.events:
			r.saw(e, ok)
		default:
			return
		}
	}
}

// pause waits until the buffers should be read again, or the tracer has something.
func (r *faultsRecorder) pause() {
	select {
	case e, ok := <-r.tracer.events:
		r.saw(e, ok)
	case <-time.After(faultsPoll):
	}
}

// saw takes an event of the tracer; ok is false when there is none any more.
func (r *faultsRecorder) saw(e traced, ok bool) {
	switch {
	case !ok:
		r.done = true
	case e.what == tracedExit:
		r.ends = append(r.ends, e)
	}
}

// handle turns everything before a point in time into records, in order.
func (r *faultsRecorder) handle(limit uint64) {
	for _, rec := range r.perf.upTo(limit) {
		r.endings(rec.time)
		r.record(&rec)
	}
	r.endings(limit)
}

// endings records the processes that have ended before a point in time.
func (r *faultsRecorder) endings(limit uint64) {
	for len(r.ends) > 0 && r.ends[0].at+uint64(time.Millisecond) < limit {
		e := r.ends[0]
		r.ends = r.ends[1:]
		if uint32(e.pid) == r.root {
			r.rootWS, r.counted = e.status, e.faults
		}
		r.ended(uint32(e.pid), e.status)
	}
}

func (r *faultsRecorder) finish() error {
	r.sync()
	if r.err != nil {
		return r.err
	}
	if r.lost > 0 {
		r.warn("%d fault events were lost: the kernel's buffers were full", r.lost)
	}
	if len(r.opts.Command) > 0 && r.refs == 0 && r.stopped == "" {
		return errors.New("no fault of " + strings.Join(r.opts.Command, " ") + " was seen")
	}
	return r.w.Close()
}

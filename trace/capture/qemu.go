package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vmtrace/vmtrace/trace"
)

// qemu records every access through QEMU's user-mode emulator and a plugin of
// ours.
var qemu = Tool{
	Name:   "qemu",
	Help:   "every access, through QEMU's user-mode emulator; 10 to 90 times slower than native",
	Check:  checkQEMU,
	Record: recordQEMU,
}

func checkQEMU() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("works on x86-64 only, this is %s", runtime.GOARCH)
	}
	q, err := findEmulator(trace.ABIX8664)
	if err != nil {
		return err
	}
	_, err = buildPlugin(q)
	return err
}

// qemuRecorder is one recording. One goroutine uses it; another runs the tracer.
type qemuRecorder struct {
	session
	ring      *ring
	tracer    *tracer
	slots     [ringSlots]*qemuThread // owner of each slot
	procs     map[uint32]*qemuProcess
	threads   map[uint32]*qemuThread
	files     fileIDs
	mixed     bool // programs stand among the memory of the emulator
	root      uint32
	rootWS    syscall.WaitStatus
	pending   []traced                      // seen by the tracer, not yet reached
	early     map[uint32]syscall.WaitStatus // ends of processes that have not been announced
	done      bool                          // the tracer has nothing left
	late      uint64                        // threads that did not publish before a call that takes memory away
	partial   uint64                        // calls whose buffers could not be read
	leaving   []uint32                      // slots of threads that have ended
	wide      [2 * ringWide]uint64          // counts of the note that is read
	holeSince time.Time                     // when the next note was found to be claimed and not filled in
}

func recordQEMU(ctx context.Context, o Options, open SinkFunc) (Result, error) {
	if len(o.Command) == 0 {
		return Result{}, errors.New("no program to record")
	}
	if err := checkQEMU(); err != nil {
		return Result{}, err
	}
	guest, err := inspectProgram(o.Command)
	if err != nil {
		return Result{}, err
	}
	q, err := findEmulator(guest.abi)
	if err != nil {
		return Result{}, err
	}
	plugin, err := buildPlugin(q)
	if err != nil {
		return Result{}, err
	}
	window := 1
	if o.Reduce > 0 {
		window = min(o.Reduce, ringWindow)
	}
	mem, err := newRing(window, o.IP, !o.Pages, plugin)
	if err != nil {
		return Result{}, err
	}
	defer mem.close()
	r := &qemuRecorder{session: session{opts: o, folded: ringWindow, began: time.Now()}, ring: mem, mixed: q.mixed, procs: map[uint32]*qemuProcess{}, threads: map[uint32]*qemuThread{},
		files: fileIDs{}, early: map[uint32]syscall.WaitStatus{}}
	h := trace.Header{Tool: "qemu (" + q.version + ")", ABI: guest.abi, Labels: map[string]string{"order": "exact at system calls and approximate between them"}}
	r.living = func() iter.Seq[uint32] { return maps.Keys(r.procs) }
	if err := r.open(open, h); err != nil {
		return Result{}, err
	}
	cmd := exec.Command(q.path, q.arguments(plugin, mem.path(), guest)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Env, o.Stdin, o.Stdout, o.Stderr
	if err := r.launch(cmd); err != nil {
		return Result{}, err
	}
	r.loop(ctx)
	cmd.Wait() // the process is gone; this waits for the copying of its streams
	err = r.finish()
	return r.result(r.rootWS), err
}

// launch starts the program on the thread of the tracer.
func (r *qemuRecorder) launch(cmd *exec.Cmd) error {
	r.tracer = newTracer(r.ring.head.head.Load)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := r.tracer.start(cmd)
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

// finish closes the trace.
func (r *qemuRecorder) finish() error {
	r.sync()
	if r.err != nil {
		return r.err
	}
	if err := r.unmarked(); err != nil {
		return errors.Join(err, r.w.Close())
	}
	if r.refs == 0 && r.stopped == "" {
		return fmt.Errorf("qemu recorded nothing of %s: %s", strings.Join(r.opts.Command, " "), exitWords(r.rootWS))
	}
	if r.late > 0 {
		r.warn("%d times a thread had no processor while another took memory away: its accesses before that may stand after it", r.late)
	}
	if r.partial > 0 {
		r.warn("%d calls such as readv and sendmsg: their buffers are not in the trace, for their memory could not be read", r.partial)
	}
	return r.w.Close()
}

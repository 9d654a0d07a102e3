package capture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// tracer follows a program and all that comes of it with ptrace, for the events
// fork, exec and exit only. With PTRACE_O_EXITKILL the kernel ends all of them
// when the recorder dies, however it dies.
//
// One goroutine, locked to its thread, runs it. It never keeps a process stopped;
// what it sees goes to the channel events, which is closed when all are gone.
type tracer struct {
	clock  func() uint64 // position in the recording
	events chan traced

	mu    sync.Mutex
	alive map[int]bool // processes

	lastExit map[int]uint64 // process -> clock when a thread of it ended last
	orphans  map[int]traced // ends of processes whose fork has not been seen yet
}

// traced is something that happened to a process.
type traced struct {
	what   tracedOp
	pid    int
	tid    int // of the thread that called exec
	status syscall.WaitStatus
	at     uint64 // clock when it happened
	faults uint64 // at its end: of the process and of the children it waited for
}

type tracedOp int

const (
	tracedExec tracedOp = iota
	tracedExit
)

const seizeOptions = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE |
	unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_EXITKILL

func newTracer(clock func() uint64) *tracer {
	return &tracer{clock: clock, events: make(chan traced, 64), alive: map[int]bool{}, lastExit: map[int]uint64{}, orphans: map[int]traced{}}
}

// start starts the program and takes hold of it before its first instruction. It
// must be called from the thread that calls loop.
//
// The program stops at its exec, as PTRACE_TRACEME has it. To follow it by
// PTRACE_SEIZE, which leaves job control as it is, it is let go into SIGSTOP.
func (t *tracer) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL} // until PTRACE_O_EXITKILL holds
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			err = fmt.Errorf("%w: ptrace is not permitted here (kernel.yama.ptrace_scope, or a container without SYS_PTRACE)", err)
		}
		return err
	}
	pid := cmd.Process.Pid
	err := seize(pid)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("ptrace: %w", err)
	}
	t.alive[pid] = true
	return nil
}

func seize(pid int) error {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, unix.WALL, nil); err != nil {
		return err
	}
	if !ws.Stopped() {
		return fmt.Errorf("process %d did not start (status %#x)", pid, uint32(ws))
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	if err := syscall.PtraceDetach(pid); err != nil {
		return err
	}
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, seizeOptions, 0, 0); e != 0 {
		return e
	}
	return syscall.Kill(pid, syscall.SIGCONT)
}

// loop serves stops and ends until nothing is left.
func (t *tracer) loop() {
	defer close(t.events)
	for {
		var ws syscall.WaitStatus
		var usage syscall.Rusage
		tid, err := syscall.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, &usage)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return // ECHILD: all are gone
		case ws.Stopped():
			t.stop(tid, ws)
		default:
			t.gone(tid, ws, uint64(usage.Minflt+usage.Majflt))
		}
	}
}

func (t *tracer) stop(tid int, ws syscall.WaitStatus) {
	signal := ws.StopSignal()
	switch event := int(ws) >> 16; event {
	case 0:
		// a signal on its way: passed on
	case unix.PTRACE_EVENT_STOP:
		if signal == syscall.SIGSTOP || signal == syscall.SIGTSTP || signal == syscall.SIGTTIN || signal == syscall.SIGTTOU {
			// It stops as the signal asks, and goes on by SIGCONT.
			unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_LISTEN, uintptr(tid), 0, 0, 0, 0)
			return
		}
		signal = 0
	default:
		t.event(tid, event)
		signal = 0
	}
	resume(tid, signal)
}

func (t *tracer) event(tid, event int) {
	msg, err := syscall.PtraceGetEventMsg(tid)
	if err != nil {
		return
	}
	switch event {
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		child := int(msg)
		if e, ok := t.orphans[child]; ok {
			delete(t.orphans, child)
			t.events <- e
		} else if processOf(child) == uint32(child) {
			t.set(child, true)
		}
	case unix.PTRACE_EVENT_EXEC:
		t.events <- traced{what: tracedExec, pid: tid, tid: int(msg), at: t.clock()}
	case unix.PTRACE_EVENT_EXIT:
		t.lastExit[int(processOf(tid))] = t.clock()
	}
}

func (t *tracer) gone(tid int, ws syscall.WaitStatus, faults uint64) {
	t.mu.Lock()
	known := t.alive[tid]
	delete(t.alive, tid)
	t.mu.Unlock()
	at, leader := t.lastExit[tid]
	if !leader {
		at = t.clock()
	}
	delete(t.lastExit, tid)
	e := traced{what: tracedExit, pid: tid, status: ws, at: at, faults: faults}
	switch {
	case known:
		t.events <- e
	case leader: // the stop of its parent's fork comes after this
		t.orphans[tid] = e
	} // else a thread
}

func (t *tracer) set(pid int, alive bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alive[pid] = alive
}

// kill ends all processes. Safe for concurrent use.
func (t *tracer) kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid := range t.alive {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// programOf is the file that a process runs, of another user's only its name; "" for a
// process that is gone.
func programOf(pid int) string {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err == nil {
		return exe
	}
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSpace(string(comm))
}

package capture

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitThread asks wait4 for children of this thread only: other goroutines may
// have children of their own.
const waitThread = unix.WALL | unix.WNOHANG | unix.WNOTHREAD

// Valgrind writes every line of a log by a call of its own. To wait for input
// would be to wake up for each: when little has come the loop sleeps, and lets
// the pipes fill. A millisecond is some 20 kB of a log.
const (
	nap    = time.Millisecond
	little = 256 << 10 // bytes
)

// loop reads logs and serves ptrace events until all processes are gone, the
// recording is to stop, or the sink fails.
func (r *lackeyRecorder) loop(ctx context.Context) {
	for len(r.procs) > 0 {
		n := r.readReady()
		if !r.serveEvents() && n < little {
			time.Sleep(nap)
		}
		if r.housekeeping(ctx) {
			r.kill()
			return
		}
	}
}

// readReady reads once from every log that has something, and returns how many
// bytes there were.
func (r *lackeyRecorder) readReady() int {
	r.polled, r.ready = r.polled[:0], r.ready[:0]
	for _, p := range r.procs {
		r.polled = append(r.polled, unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN})
		r.ready = append(r.ready, p)
	}
	total := 0
	if n, err := unix.Poll(r.polled, 0); n > 0 && err == nil {
		for i := range r.polled {
			if r.polled[i].Revents&unix.POLLIN != 0 {
				total += r.read(r.ready[i])
			}
		}
	}
	return total
}

// imagePiece is how much of a log is read at once while an image is built, in
// bytes. Of a pipe of one page nothing can be written before all of it has been
// read; the line that says that the image is there stands at its beginning, and
// so the process is blocked soon after that line while its regions are looked at.
const imagePiece = 256

// read takes one piece of a log and returns its length, 0 when there is none.
func (r *lackeyRecorder) read(p *lackeyProcess) int {
	buf := r.buf
	if p.building {
		buf = buf[:imagePiece]
	}
	n, err := unix.Read(p.fd, buf)
	if n <= 0 || err != nil {
		return 0
	}
	p.parser.write(buf[:n])
	return n
}

// drain takes everything that a stopped process has logged.
func (r *lackeyRecorder) drain(p *lackeyProcess) {
	for r.read(p) > 0 {
	}
}

// serveEvents handles every stop and end that has happened, and says whether
// there was one.
func (r *lackeyRecorder) serveEvents() bool {
	any := false
	for {
		var ws syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &ws, waitThread, nil)
		if err == syscall.EINTR {
			continue
		}
		if tid <= 0 || err != nil {
			return any
		}
		any = true
		switch {
		case ws.Exited() || ws.Signaled():
			r.gone(uint32(tid), ws)
		case ws.Stopped():
			r.stop(tid, ws)
		}
	}
}

// stop handles the stop of a thread and lets it go on, unless it has to wait.
func (r *lackeyRecorder) stop(tid int, ws syscall.WaitStatus) {
	signal := ws.StopSignal()
	switch {
	case signal == syscall.SIGTRAP && ws.TrapCause() > 0:
		if r.ptraceEvent(tid, ws.TrapCause()) {
			return
		}
		signal = 0
	case signal == syscall.SIGSTOP && r.newborn.first(tid):
		if r.newborn.early(tid) {
			return
		}
		signal = 0
	case signal == syscall.SIGTRAP:
		signal = 0
	}
	resume(tid, signal)
}

// resume lets a stopped thread go on. The error is ESRCH, when it was killed
// meanwhile.
func resume(tid int, signal syscall.Signal) { _ = syscall.PtraceCont(tid, int(signal)) }

// newborns are the traced threads by what is known of their beginning. A new
// thread or process begins with a stop (SIGSTOP), which may be seen before the
// event of its parent. Until both have been seen it must not run: its log has
// to be there before it opens it.
type newborns map[int]newborn

type newborn struct{ announced, stopped bool }

// known notes a thread that is past its beginning.
func (n newborns) known(tid int) { n[tid] = newborn{true, true} }

// first says whether this is the stop with which the thread begins.
func (n newborns) first(tid int) bool {
	b := n[tid]
	if b.stopped {
		return false
	}
	b.stopped = true
	n[tid] = b
	return true
}

// early says whether the thread has not been announced by its parent.
func (n newborns) early(tid int) bool { return !n[tid].announced }

// announce notes the event of the parent, and lets a child go on that waits for
// it.
func (n newborns) announce(tid int) {
	b := n[tid]
	b.announced = true
	n[tid] = b
	if b.stopped {
		resume(tid, 0)
	}
}

// ptraceEvent handles an event of a thread. It says whether the thread has to
// stay stopped.
func (r *lackeyRecorder) ptraceEvent(tid, cause int) (stay bool) {
	switch cause {
	case syscall.PTRACE_EVENT_FORK, syscall.PTRACE_EVENT_VFORK, syscall.PTRACE_EVENT_CLONE:
		msg, err := syscall.PtraceGetEventMsg(tid)
		if err != nil {
			return false
		}
		stay = r.newChild(tid, uint32(msg))
		r.newborn.announce(int(msg))
	case syscall.PTRACE_EVENT_EXEC:
		if p := r.procs[processOf(tid)]; p != nil {
			r.drain(p)
			p.execing()
			p.setPipeSize(pipeStart)
		}
	case syscall.PTRACE_EVENT_EXIT:
		if p := r.procs[processOf(tid)]; p != nil {
			r.drain(p)
		}
	}
	return stay
}

// newChild begins the recording of a process that the thread has made. It says
// whether the thread has to wait for it, as vfork does; valgrind's does not.
func (r *lackeyRecorder) newChild(tid int, child uint32) (waits bool) {
	p := r.procs[processOf(tid)]
	if p == nil || processOf(int(child)) == p.pid {
		return false // a thread of the same process
	}
	r.drain(p)
	n, waits := p.forked(child)
	if err := r.addProcess(n); err != nil {
		r.warn("process %d is not recorded: %v", child, err)
		return false
	}
	n.setPipeSize(pipeSize)
	if waits {
		r.waiting[child] = tid
	}
	return waits
}

// release lets the thread go on that waits for the child.
func (r *lackeyRecorder) release(child uint32) {
	if tid, ok := r.waiting[child]; ok {
		delete(r.waiting, child)
		resume(tid, 0)
	}
}

// processOf is the process a thread belongs to.
func processOf(tid int) uint32 {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return uint32(tid)
	}
	_, after, _ := strings.Cut(string(data), "\nTgid:")
	line, _, _ := strings.Cut(after, "\n")
	pid, err := strconv.ParseUint(strings.TrimSpace(line), 10, 32)
	if err != nil {
		return uint32(tid)
	}
	return uint32(pid)
}

// gone handles the end of a thread. If it is the last of its process, that is
// over.
func (r *lackeyRecorder) gone(tid uint32, ws syscall.WaitStatus) {
	delete(r.newborn, int(tid))
	p := r.procs[tid]
	if p == nil {
		return
	}
	r.drain(p)
	p.gone(uint64(uint32(ws)))
	p.closeLog()
	delete(r.procs, tid)
	r.alive--
	r.release(tid)
	if tid == r.root {
		r.rootWait, r.rootDone = ws, true
	}
}

// kill ends all processes.
func (r *lackeyRecorder) kill() {
	for pid := range r.procs {
		syscall.Kill(int(pid), syscall.SIGKILL)
	}
}

// reap waits for what was killed; their last records are kept.
func (r *lackeyRecorder) reap() {
	for limit := time.Now().Add(5 * time.Second); len(r.procs) > 0 && time.Now().Before(limit); {
		if !r.serveEvents() {
			time.Sleep(time.Millisecond)
		}
	}
	if !r.rootDone {
		r.rootWait = syscall.WaitStatus(syscall.SIGKILL)
	}
}

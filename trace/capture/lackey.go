package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

// lackey records every access through Debian's valgrind.
var lackey = Tool{
	Name:   "lackey",
	Help:   "every access, through valgrind; about 1000 times slower than native",
	Check:  checkLackey,
	Record: recordLackey,
}

func checkLackey() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("works on x86-64 only, this is %s", runtime.GOARCH)
	}
	if _, err := launcher(); err != nil {
		return errors.New("valgrind is not installed: apt-get install valgrind")
	}
	return nil
}

// launcher finds valgrind. Debian's command of that name is a script that adds
// directories to LD_LIBRARY_PATH, which the program would search for libraries;
// the real one stands beside it.
func launcher() (string, error) {
	path, err := exec.LookPath("valgrind")
	if err != nil {
		return "", err
	}
	if real, err := exec.LookPath(path + ".bin"); err == nil {
		return real, nil
	}
	return path, nil
}

// checkProgram says in advance what valgrind would refuse.
func checkProgram(command []string) error {
	p, err := inspectProgram(command)
	if err != nil {
		return err
	}
	if p.abi != trace.ABIX8664 {
		return fmt.Errorf("%w: %s is a program for %v, and lackey does x86-64 only", ErrProgram, p.path, p.abi)
	}
	return nil
}

// lackeyRecorder is one recording. One goroutine, locked to its thread, does
// everything: ptrace belongs to a thread.
type lackeyRecorder struct {
	session
	dir      string // of the logs
	procs    map[uint32]*lackeyProcess
	files    fileIDs
	root     uint32
	rootWait syscall.WaitStatus
	rootDone bool
	newborn  newborns
	waiting  map[uint32]int // child -> thread that waits for its exec or end (vfork)
	partial  uint64         // calls whose vectors could not be looked up
	buf      []byte
	polled   []unix.PollFd
	ready    []*lackeyProcess
}

// Sizes of the pipe of a log, in bytes.
const (
	pipeStart = 4096    // while an image is built: the program cannot run ahead
	pipeSize  = 1 << 20 // afterwards
)

func recordLackey(ctx context.Context, o Options, open SinkFunc) (Result, error) {
	if len(o.Command) == 0 {
		return Result{}, errors.New("no program to record")
	}
	if err := checkLackey(); err != nil {
		return Result{}, err
	}
	if err := checkProgram(o.Command); err != nil {
		return Result{}, err
	}
	valgrind, err := launcher()
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "vmtrace-lackey-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	r := &lackeyRecorder{session: session{opts: o, began: time.Now()}, dir: dir, procs: map[uint32]*lackeyProcess{}, files: fileIDs{},
		newborn: newborns{}, waiting: map[uint32]int{}, buf: make([]byte, pipeSize)}
	type answer struct {
		res Result
		err error
	}
	done := make(chan answer)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		res, err := r.record(ctx, valgrind, open)
		done <- answer{res, err}
	}()
	a := <-done
	return a.res, a.err
}

func (r *lackeyRecorder) record(ctx context.Context, valgrind string, open SinkFunc) (Result, error) {
	cmd := exec.Command(valgrind, append([]string{"--command-line-only=yes", "--tool=lackey", "--trace-mem=yes", "--trace-syscalls=yes",
		"--trace-sched=yes", "--trace-children=yes", "--vgdb=no", "--log-file=" + filepath.Join(r.dir, "log.%p")}, r.opts.Command...)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.opts.Env, r.opts.Stdin, r.opts.Stdout, r.opts.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			err = fmt.Errorf("%w: ptrace is not permitted here (kernel.yama.ptrace_scope, or a container without SYS_PTRACE)", err)
		}
		return Result{}, err
	}
	r.root = uint32(cmd.Process.Pid)
	if err := r.attachRoot(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		return Result{}, err
	}
	version, _ := exec.Command(valgrind, "--version").Output()
	r.living = func() iter.Seq[uint32] { return maps.Keys(r.procs) }
	if err := r.open(open, trace.Header{Tool: "lackey (" + string(bytes.TrimSpace(version)) + ")", ABI: trace.ABIX8664}); err != nil {
		r.kill()
		r.reap()
		return Result{}, err
	}
	r.loop(ctx)
	r.reap()
	cmd.Wait() // the process is gone; this waits for the copying of its streams
	err := r.finish()
	return r.result(r.rootWait), err
}

// attachRoot waits for the first program, stopped at its exec of valgrind, and
// asks for the events.
func (r *lackeyRecorder) attachRoot(pid int) error {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, syscall.WALL, nil); err != nil {
		return err
	}
	r.newborn.known(pid)
	if !ws.Stopped() {
		return fmt.Errorf("valgrind did not start (status %#x)", uint32(ws))
	}
	const options = syscall.PTRACE_O_TRACEFORK | syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACECLONE |
		syscall.PTRACE_O_TRACEEXEC | syscall.PTRACE_O_TRACEEXIT | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(pid, options); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	p := r.newProcess(uint32(pid), newFDTable(uint32(pid)))
	p.building = true
	if err := r.addProcess(p); err != nil {
		return err
	}
	p.setPipeSize(pipeStart)
	return syscall.PtraceCont(pid, 0)
}

// addProcess makes the FIFO that valgrind will open as the log of the process.
// It is no os.File: Go would watch it, and wake up for every line.
func (r *lackeyRecorder) addProcess(p *lackeyProcess) error {
	p.log = filepath.Join(r.dir, fmt.Sprintf("log.%d", p.pid))
	if err := unix.Mkfifo(p.log, 0o600); err != nil {
		return fmt.Errorf("%s: %w", p.log, err)
	}
	// Open for reading and writing: it never signals an end, whoever closes it.
	fd, err := unix.Open(p.log, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", p.log, err)
	}
	p.fd = fd
	r.procs[p.pid] = p
	r.alive++
	return nil
}

// setPipeSize fails when an unprivileged user has too many pipes; they then stay
// as they are, and are only slower.
func (p *lackeyProcess) setPipeSize(n int) { _, _ = unix.FcntlInt(uintptr(p.fd), unix.F_SETPIPE_SZ, n) }

// closeLog gives up the log: its pid may come again.
func (p *lackeyProcess) closeLog() {
	unix.Close(p.fd)
	os.Remove(p.log)
}

// ref takes one reference; they are passed on in batches of one thread.
func (r *lackeyRecorder) ref(tid uint32, ref *trace.Ref, ip uint64) {
	r.thread(tid)
	r.batch = append(r.batch, *ref)
	if r.opts.IP {
		r.ips = append(r.ips, ip)
	}
	r.refs++
}

// finish writes what is left and closes the trace.
func (r *lackeyRecorder) finish() error {
	for _, p := range r.procs { // that could not be reaped
		p.flush()
	}
	r.sync()
	if r.err != nil {
		return r.err
	}
	if r.partial > 0 {
		r.warn("%d calls such as readv and sendmsg: their buffers are not in the trace, for the program had gone on before they could be looked up", r.partial)
	}
	if err := r.unmarked(); err != nil {
		return errors.Join(err, r.w.Close())
	}
	if r.refs == 0 {
		return fmt.Errorf("valgrind recorded nothing of %s: %s", strings.Join(r.opts.Command, " "), exitWords(r.rootWait))
	}
	return r.w.Close()
}

func exitWords(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return "it ended by " + ws.Signal().String()
	}
	return fmt.Sprintf("its exit status was %d", ws.ExitStatus())
}

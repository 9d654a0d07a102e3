package trace

import (
	"fmt"
	"io"
)

// Checker holds a stream against the rules of doc.go, batch by batch. One
// goroutine uses it. It bounds its memory by the processes, threads and files
// that are alive, not by the length of the stream.
type Checker struct {
	threads threadTable
	regions map[uint32]int // map records of a process since its image began
	files   map[uint64]struct{}
	ns      uint64 // latest time
}

// Declared maxima of a stream.
const (
	maxThreads = 1 << 20
	maxFiles   = 1 << 20
	maxRegions = 1 << 20
)

// NewChecker returns a checker at the start of a stream.
func NewChecker() *Checker {
	return &Checker{threads: newThreadTable(), regions: map[uint32]int{}, files: map[uint64]struct{}{}}
}

// Batch checks one batch and returns the first rule it breaks; checking goes on
// with the next.
func (c *Checker) Batch(b *Batch) error {
	if b.Event == nil {
		return c.belongs(b.Seq, b.Thread, "reference")
	}
	e := b.Event
	if err := c.event(e); err != nil {
		return fmt.Errorf("record %d: %s: %w", b.Seq, e.Kind, err)
	}
	switch e.Kind {
	case KindSyscall, KindUserCopy, KindMap, KindFault:
		return c.belongs(b.Seq, e.Thread, e.Kind.String())
	}
	return nil
}

func (c *Checker) belongs(seq uint64, thread uint32, what string) error {
	if _, ok := c.threads.of[thread]; !ok {
		return fmt.Errorf("record %d: %s of thread %d, which has not started or has ended", seq, what, thread)
	}
	return nil
}

func (c *Checker) event(e *Event) error {
	switch e.Kind {
	case KindMap:
		m := e.Map()
		if m.Start >= m.End || (m.Start|m.End)&0xfff != 0 {
			return fmt.Errorf("range %#x-%#x is empty or not of whole pages", m.Start, m.End)
		}
		if _, ok := c.files[m.File]; m.File != 0 && !ok {
			return fmt.Errorf("file %d has not been announced", m.File)
		}
		pid, ok := c.threads.of[e.Thread]
		if !ok {
			return nil // told by belongs
		}
		if c.regions[pid]++; c.regions[pid] > maxRegions {
			return fmt.Errorf("more than %d regions of process %d", maxRegions, pid)
		}
	case KindFile:
		id := e.File().ID
		if _, ok := c.files[id]; !ok && len(c.files) >= maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		c.files[id] = struct{}{}
	case KindSyscall:
		if abi := e.Syscall().ABI; abi < ABIX8664 || abi > ABIAArch64 {
			return fmt.Errorf("ABI %d is unknown", abi)
		}
	case KindUserCopy:
		if u := e.UserCopy(); u.Addr+u.Len < u.Addr {
			return fmt.Errorf("%d bytes at %#x run over the address space", u.Len, u.Addr)
		}
	case KindProcess:
		return c.process(e.Thread, e.Process())
	case KindTime:
		ns := e.Time().NS
		if ns < c.ns {
			return fmt.Errorf("time goes back from %d to %d ns", c.ns, ns)
		}
		c.ns = ns
	}
	return nil
}

// starts says whether thread tid may start.
func (c *Checker) starts(tid uint32) error {
	if _, ok := c.threads.of[tid]; ok {
		return fmt.Errorf("thread %d starts twice", tid)
	}
	if len(c.threads.of) >= maxThreads {
		return fmt.Errorf("more than %d threads at once", maxThreads)
	}
	return nil
}

func (c *Checker) process(tid uint32, p Process) error {
	if err := c.processRule(tid, p); err != nil {
		return err
	}
	pid := c.threads.of[tid]
	c.threads.apply(tid, p)
	if p.Op == OpExec || c.threads.alive[pid] == 0 {
		delete(c.regions, pid)
	}
	return nil
}

// processRule says whether the process event may come now.
func (c *Checker) processRule(tid uint32, p Process) error {
	if p.Op == OpStart {
		return c.starts(tid)
	}
	if _, ok := c.threads.of[tid]; !ok {
		return fmt.Errorf("thread %d has not started or has ended", tid)
	}
	switch p.Op {
	case OpFork, OpVFork:
		if c.threads.alive[p.Child] > 0 {
			return fmt.Errorf("process %d starts twice", p.Child)
		}
		return c.starts(firstThread(p))
	case OpClone:
		return c.starts(p.Tid)
	case OpExec, OpExit, OpGroup:
		return nil
	}
	return fmt.Errorf("operation %d is unknown", p.Op)
}

// Validate reads the rest of src and returns the first broken rule or the error
// of the source.
func Validate(src Source) error {
	c := NewChecker()
	for {
		b, err := src.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = c.Batch(b)
		}
		if err != nil {
			return err
		}
	}
}

package replay

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// agreement counts where the model and the recording differ.
type agreement struct {
	ignored   int // most names in calls.Ignored
	segv      uint64
	firstSegv string
	calls     result.Syscalls
}

func newAgreement(ignored int) agreement {
	return agreement{ignored: ignored, calls: result.Syscalls{ByCall: map[string]result.Call{}, Ignored: map[string]uint64{}}}
}

// refusal is an access that the model refused to a captured program. It is held
// against the model unless it turns out to be what ended the program.
type refusal struct {
	text   string
	thread *thread
	refs   uint64 // of the thread when it was made, itself included
	addr   uint64
}

// refused deals with an access that ended in SIGSEGV, SIGBUS or OOM: in a
// captured trace it is noted, elsewhere it ends the process.
func (e *engine) refused(th *thread, addr uint64, out paging.Outcome) {
	p := th.proc
	if !e.imposed {
		e.exitProcess(th, out.String())
		return
	}
	if p.pending.otherHalf(th, addr) {
		return
	}
	if p.pending != nil {
		e.unexplained(p.pending.text)
	}
	p.pending = &refusal{e.describe(th, addr, out, e.records-1), th, th.refs, addr}
}

// maxAccess is the size of the largest load or store, in bytes (a cache line,
// AVX-512).
const maxAccess = 64

// otherHalf says that a refused reference is the rest of the refused access r,
// which reaches over two pages and so is two references.
func (r *refusal) otherHalf(th *thread, addr uint64) bool {
	return r != nil && r.thread == th && th.refs == r.refs+1 && addr%paging.PageSize == 0 && addr > r.addr && addr-r.addr < maxAccess
}

func (e *engine) describe(th *thread, addr uint64, out paging.Outcome, record uint64) string {
	return fmt.Sprintf("%v at %#x by thread %d of process %d, after %d accesses (record %d)", out, addr, th.tid, th.proc.pid, e.accesses, record)
}

// settle decides on the pending refusal of a process that ends: a process that
// was killed by the signal for it explains it, if the thread did not go on. One
// reference may follow: the second page of an access that reaches over two.
func (e *engine) settle(p *process, how string) {
	r := p.pending
	if r == nil {
		return
	}
	p.pending = nil
	if (how == "SIGSEGV" || how == "SIGBUS") && r.thread.refs-r.refs <= 1 {
		return
	}
	e.unexplained(r.text)
}

// unexplained counts a refused access against the model.
func (e *engine) unexplained(text string) {
	e.agree.segv++
	if e.agree.firstSegv == "" {
		e.agree.firstSegv = text
	}
}

// compare notes the answer of the model to a call beside the recorded one.
// Both are raw return values (-errno on failure).
func (a *agreement) compare(name string, args []uint64, model, recorded uint64) {
	c := a.calls.ByCall[name]
	c.Compared++
	a.calls.Compared++
	if model != recorded {
		c.Mismatched++
		a.calls.Mismatched++
		if a.calls.First == "" {
			a.calls.First = fmt.Sprintf("%s(%s): recorded %s, model %s", name, hexList(args), retString(recorded), retString(model))
		}
	}
	a.calls.ByCall[name] = c
}

// impose notes that the recorded answer to a call was taken over where the
// model would have given another.
func (a *agreement) impose(name string) {
	c := a.calls.ByCall[name]
	c.Imposed++
	a.calls.Imposed++
	a.calls.ByCall[name] = c
}

// ignore counts a call that the model has no part in.
func (a *agreement) ignore(name string) {
	if _, ok := a.calls.Ignored[name]; !ok && len(a.calls.Ignored) >= a.ignored {
		name = "(others)"
	}
	a.calls.Ignored[name]++
}

func retString(ret uint64) string {
	if isErrno(ret) {
		return paging.Errno(-ret).String()
	}
	return fmt.Sprintf("%#x", ret)
}

func hexList(args []uint64) string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = fmt.Sprintf("%#x", a)
	}
	return strings.Join(list, ", ")
}

package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// agreement counts where the model and the recording differ.
type agreement struct {
	segv      uint64
	firstSegv string
	calls     result.Syscalls
}

// refused deals with an access or copy that ended in SIGSEGV, SIGBUS or OOM:
// in a captured trace it is held against the model, elsewhere it ends the
// process.
func (e *engine) refused(th *thread, addr uint64, out paging.Outcome) {
	if !e.imposed {
		e.kill(th.proc, out.String())
		return
	}
	p := th.proc
	e.blame(p)
	p.refused = fmt.Sprintf("%v at %#x by thread %d of process %d, after %d accesses (record %d)", out, addr, th.tid, p.pid, e.accesses, e.records)
}

// blame counts the pending refused access of the process as unexplained.
func (e *engine) blame(p *process) {
	if p.refused == "" {
		return
	}
	e.agree.segv++
	if e.agree.firstSegv == "" {
		e.agree.firstSegv = p.refused
	}
	p.refused = ""
}

// compare notes the answer of the model to a call beside the recorded one.
// Both are raw return values (-errno on failure).
func (a *agreement) compare(name string, args []uint64, model, recorded uint64) {
	if a.calls.ByCall == nil {
		a.calls.ByCall = map[string]result.Call{}
	}
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

// ignore counts a call that the model has no part in.
func (a *agreement) ignore(name string) {
	if a.calls.Ignored == nil {
		a.calls.Ignored = map[string]uint64{}
	}
	a.calls.Ignored[name]++
}

// isErrno says whether a raw return value is -errno: the kernel reserves the
// last 4095 values for it (include/linux/err.h:IS_ERR_VALUE).
func isErrno(ret uint64) bool { return ret > ^uint64(4095) }

func retString(ret uint64) string {
	if isErrno(ret) {
		return paging.Errno(-ret).String()
	}
	return fmt.Sprintf("%#x", ret)
}

func hexList(args []uint64) string {
	s := ""
	for i, a := range args {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%#x", a)
	}
	return s
}

package replay

import (
	"fmt"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/trace"
)

// FrameStep is one reference as a textbook draws it.
type FrameStep struct {
	Page   string   // that was referenced: its number in the mapping of the first fault, or else its address / 4096 in hex
	Frames []string // what each frame holds after it, "" for nothing; valid during the call
	Fault  bool     // the page was not in memory
}

// Frames follows what stands in the frames of a small memory. It is made for plain
// reference strings: pages are told apart by their addresses, and those of another
// process than the first are not shown. The memory has to be Model.Memory, with an
// exact policy, a cold page cache and no zero page, so that every page that is
// mapped is charged.
type Frames struct {
	step   func(FrameStep)
	pages  []uint64 // by frame: address / 4096 of the page, plus 1; 0 = none
	labels []string // by frame
	pid    uint32   // of the process shown
	base   uint64   // first page of the mapping of its first fault
	limit  uint64   // and the end of it
}

// NewFrames follows n frames; step is called after every access.
func NewFrames(n int, step func(FrameStep)) *Frames {
	return &Frames{step: step, pages: make([]uint64, n), labels: make([]string, n)}
}

// fault learns from the first fault how pages are numbered.
func (f *Frames) fault(i *paging.FaultInfo) {
	if f.limit == 0 && i.End != 0 {
		f.pid, f.base, f.limit = i.Task.PID(), i.Start/paging.PageSize, i.End/paging.PageSize
	}
}

func (f *Frames) label(page uint64) string {
	if f.base <= page && page < f.limit {
		return fmt.Sprint(page - f.base)
	}
	return fmt.Sprintf("%#x", page)
}

// after is called when the task has performed a reference.
func (f *Frames) after(t *paging.Task, r *trace.Ref) {
	if t.PID() != f.pid {
		return
	}
	at, free := -1, -1
	for i := len(f.pages) - 1; i >= 0; i-- {
		if f.pages[i] != 0 && !t.Present((f.pages[i]-1)*paging.PageSize) {
			f.pages[i], f.labels[i] = 0, ""
		}
		switch f.pages[i] {
		case r.VPN + 1:
			at = i
		case 0:
			free = i
		}
	}
	s := FrameStep{Page: f.label(r.VPN), Frames: f.labels, Fault: at < 0}
	if at < 0 && free >= 0 && t.Present(r.VPN*paging.PageSize) {
		f.pages[free], f.labels[free] = r.VPN+1, s.Page
	}
	for range r.Accesses() {
		f.step(s)
		s.Fault = false
	}
}

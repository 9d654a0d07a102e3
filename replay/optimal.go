package replay

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Belady's optimum in two passes. The first replays the trace without a limit and
// writes down which page is used; that is turned, backwards, into when each is used
// next, which is what the policy opt asks for in the second. Both lie in temporary
// files: 4 and 8 bytes for each run of uses of one page. Memory is 8 bytes for
// each page alive.

// newForesight makes the engine of the first pass, and what it writes.
func newForesight(h *trace.Header, opts Options) (*engine, *past, error) {
	opts.Model.Memory, opts.Model.ReclaimExact = 0, true
	opts.Explain, opts.Frames, opts.Progress, opts.Pace = nil, nil, nil, nil
	e, err := newEngine(h, opts, defaultLimits)
	if err != nil {
		return nil, nil, err
	}
	p, err := newPast()
	if err != nil {
		return nil, nil, err
	}
	e.machine.OnUse(p.use, p.end)
	return e, p, nil
}

// past is the sequence of pages used, in a file: the number of the page for each
// run of uses, and for the end of its life the same with pageEnds. Numbers are
// below 2^30 (paging.framePool).
type past struct {
	file *os.File
	w    *bufio.Writer
	last uint32 // page used last
	n    int64  // entries
	uses int64  // of these, that are no ends
	most uint32 // highest number of a page used
}

const (
	pageEnds    = 1 << 31
	pastEntry   = 4       // bytes
	futureEntry = 8       // bytes
	turnBlock   = 1 << 16 // entries turned at a time
)

// unnamedFile is a temporary file that is gone when it is closed, however the
// process ends: it has no name any more.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "vmtrace-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

func newPast() (*past, error) {
	f, err := unnamedFile()
	return &past{file: f, w: bufio.NewWriterSize(f, pastEntry*turnBlock)}, err
}

// use notes a use of a page: only the first of a run, as the machine asks
// (paging.Future).
func (p *past) use(page uint32, _ bool) {
	if page == p.last {
		return
	}
	p.last = page
	p.most = max(p.most, page)
	p.uses++
	p.put(page)
}

// end notes the end of a page's life.
func (p *past) end(page uint32) {
	if page == p.last {
		p.last = 0
	}
	p.put(page | pageEnds)
}

func (p *past) put(entry uint32) {
	p.n++
	p.w.Write(binary.LittleEndian.AppendUint32(p.w.AvailableBuffer(), entry)) // Flush tells of an error
}

// turn makes the future of the past, a block at a time from its end.
func (p *past) turn() (*foreseen, error) {
	if err := p.w.Flush(); err != nil {
		return nil, err
	}
	file, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	in, out := make([]byte, pastEntry*turnBlock), make([]byte, futureEntry*turnBlock)
	next := make([]uint64, p.most+1) // by page: position of its next use, plus 1; 0 = none
	at := p.uses
	for hi := p.n; hi > 0; hi -= min(hi, turnBlock) {
		lo := hi - min(hi, turnBlock)
		block := in[:pastEntry*(hi-lo)]
		if _, err = p.file.ReadAt(block, pastEntry*lo); err != nil {
			break
		}
		free := len(out)
		for k := len(block) - pastEntry; k >= 0; k -= pastEntry {
			entry := binary.LittleEndian.Uint32(block[k:])
			if page := entry &^ pageEnds; entry != page {
				if page <= p.most {
					next[page] = 0
				}
				continue
			}
			free -= futureEntry
			binary.LittleEndian.PutUint64(out[free:], next[entry]-1) // 0 gives NoNextUse
			next[entry] = uint64(at)
			at--
		}
		if _, err = file.WriteAt(out[free:], futureEntry*at); err != nil {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &foreseen{file, p.uses}, nil
}

// foreseen is the positions of next uses, in a file.
type foreseen struct {
	file *os.File
	uses int64
}

// reader reads them from front to back.
func (f *foreseen) reader() *future {
	return &future{r: bufio.NewReaderSize(io.NewSectionReader(f.file, 0, futureEntry*f.uses), futureEntry*turnBlock), uses: f.uses}
}

// future is the positions of next uses, read from front to back.
type future struct {
	r     *bufio.Reader
	uses  int64
	asked int64
	err   error
}

// foresaw checks a finished run against what was foreseen for it.
func (f *future) foresaw(run *result.Run) error {
	switch {
	case f.err != nil:
		return fmt.Errorf("reading the future: %w", f.err)
	case run.Totals.Reclaim.OOMKills > 0:
		run.Warnings = append(run.Warnings, "from the first kill on the future is not the one that was foreseen: what is counted is no bound")
	case f.asked != f.uses:
		return fmt.Errorf("%w: asked for %d uses to come, foreseen were %d", ErrCheck, f.asked, f.uses)
	}
	return nil
}

// Next implements paging.Future.
func (f *future) Next() uint64 {
	f.asked++
	if f.asked > f.uses || f.err != nil {
		return paging.NoNextUse
	}
	entry, err := f.r.Peek(futureEntry)
	if err != nil {
		f.err = err
		return paging.NoNextUse
	}
	next := binary.LittleEndian.Uint64(entry)
	f.r.Discard(futureEntry)
	return next
}

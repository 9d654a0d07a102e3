package replay

import (
	"errors"
	"math"

	"github.com/vmtrace/vmtrace/trace"
)

// Pages of files that leave the page cache while a program runs: because it says
// that it does not need them, or, with Options.RecycleEvery, because somebody else
// does.

// mayRecycle refuses recycling where what is counted rests on pages that stay until a
// policy chooses them.
func (o *Options) mayRecycle() error {
	if o.RecycleEvery > 0 && (o.Model.Stack != nil || o.Model.NeedsFuture() || o.Sample != nil) {
		return errors.New("recycling the page cache does not go with curves, samples or the policy opt: leave it out")
	}
	return nil
}

// recycle drops the clean pages of all files at every so many accesses.
func (e *engine) recycle() {
	every := e.opts.RecycleEvery
	if every == 0 || e.accesses < e.nextRecycle {
		return
	}
	e.nextRecycle = e.accesses - e.accesses%every + every
	e.recycled += e.machine.Recycle()
}

// Advice of posix_fadvise(2).
const (
	fadviseWillNeed = 3
	fadviseDontNeed = 4
)

// followFadvise follows the advice that changes what is in the cache. On i386 the
// offset is in two arguments (arch/x86/kernel/sys_ia32.c:ia32_fadvise64).
func followFadvise(_ *engine, p *process, s *trace.Syscall) error {
	if s.ABI == trace.ABII386 {
		return fadvise(p, int32(s.Args[0]), s.Args[1]|s.Args[2]<<32, s.Args[3], uint32(s.Args[4]))
	}
	return fadvise(p, int32(s.Args[0]), s.Args[1], s.Args[2], uint32(s.Args[3]))
}

// followFadvise64 has the offset and the length in two arguments each
// (ia32_fadvise64_64).
func followFadvise64(_ *engine, p *process, s *trace.Syscall) error {
	return fadvise(p, int32(s.Args[0]), s.Args[1]|s.Args[2]<<32, s.Args[3]|s.Args[4]<<32, uint32(s.Args[5]))
}

// followReadahead follows readahead(2); ia32_readahead has the offset in two arguments.
func followReadahead(_ *engine, p *process, s *trace.Syscall) error {
	if s.ABI == trace.ABII386 {
		return fadvise(p, int32(s.Args[0]), s.Args[1]|s.Args[2]<<32, s.Args[3], fadviseWillNeed)
	}
	return fadvise(p, int32(s.Args[0]), s.Args[1], s.Args[2], fadviseWillNeed)
}

// fadvise is mm/fadvise.c:generic_fadvise: a length of 0 is all there is; of pages
// that are not needed only whole ones go.
func fadvise(p *process, fd int32, offset, length uint64, advice uint32) error {
	f := p.fds.files[fd]
	if f == nil {
		return nil
	}
	end := offset + length
	if length == 0 || end < offset || end > math.MaxInt64 {
		end = math.MaxInt64
	}
	switch advice {
	case fadviseWillNeed:
		f.WillNeed(offset>>12, (end+0xfff)>>12)
	case fadviseDontNeed:
		last := end >> 12
		if end == f.Size() { // the part of a page at the end of the file is whole
			last = (end + 0xfff) >> 12
		}
		f.DontNeed((offset+0xfff)>>12, last)
	}
	return nil
}

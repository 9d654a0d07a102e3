package paging

// Mapping the files of a program, after Linux 6.1 fs/binfmt_elf.c.

// elfBase is where programs that may lie anywhere are put (ELF_ET_DYN_BASE).
func (y *layout) elfBase() uint64 {
	if y.wide {
		return window64 / 3 * 2
	}
	return 0x400000
}

// extent is the lowest page and the size of all segments (total_mapping_size).
func (f *ELF) extent() uint64 {
	low, high := ^uint64(0), uint64(0)
	for _, g := range f.Segments {
		low, high = min(low, g.Vaddr&^pageMask), max(high, g.Vaddr+g.MemSize)
	}
	return high - low
}

// align is the largest alignment that a segment asks for, a page at least
// (maximum_alignment).
func (f *ELF) align() uint64 {
	n := uint64(PageSize)
	for _, g := range f.Segments {
		if g.Align&(g.Align-1) == 0 {
			n = max(n, g.Align)
		}
	}
	return n
}

// fits says whether a segment is sane and inside user memory.
func (g *Segment) fits(at, end uint64) bool {
	return at < end && g.FileSize <= g.MemSize && g.MemSize <= end && end-g.MemSize >= at
}

// elfMap maps the part of a segment that is in the file. total other than 0 is
// the room for all segments, which is found together (elf_map).
func (t *Task) elfMap(f *ELF, g *Segment, addr uint64, flags MapFlags, total uint64) (uint64, Errno) {
	in := g.Vaddr & pageMask
	size := pageUp(g.FileSize + in)
	if size == 0 {
		return addr &^ pageMask, 0
	}
	length := max(size, pageUp(total))
	at, errno := t.Mmap(MmapArgs{Addr: addr &^ pageMask, Len: length, Prot: g.Prot, Flags: MapPrivate | flags, File: f.File, Offset: g.Offset - in})
	if errno == 0 && length > size {
		t.Munmap(at+size, length-size)
	}
	return at, errno
}

// elfLoad maps a segment, clears the rest of the last page of its file part, and
// maps zeros behind that (elf_load). That the clearing fails does not matter.
func (t *Task) elfLoad(f *ELF, g *Segment, addr uint64, flags MapFlags, total uint64) (uint64, Errno) {
	at, in := addr&^pageMask, g.Vaddr&pageMask
	zero := at
	if g.FileSize > 0 {
		var errno Errno
		if at, errno = t.elfMap(f, g, addr, flags, total); errno != 0 {
			return 0, errno
		}
		zero = at + in + g.FileSize
		if g.MemSize > g.FileSize {
			t.padZero(zero)
		}
	}
	if g.MemSize > g.FileSize {
		if errno := t.zeros(pageUp(zero), pageUp(at+in+g.MemSize), g.Prot); errno != 0 {
			return 0, errno
		}
	}
	return at, 0
}

// padZero clears the rest of a page (padzero); false if it cannot be written.
func (t *Task) padZero(addr uint64) bool {
	if addr&pageMask == 0 {
		return true
	}
	_, out := t.Copy(addr, PageSize-addr&pageMask, true)
	return !out.Fatal()
}

// zeros maps anonymous memory at [start, end) (vm_brk_flags).
func (t *Task) zeros(start, end uint64, prot Prot) Errno {
	if start >= end {
		return 0
	}
	_, errno := t.Mmap(MmapArgs{Addr: start, Len: end - start, Prot: ProtRead | ProtWrite | prot&ProtExec, Flags: MapPrivate | MapAnonymous | MapFixed})
	return errno
}

// loadProgram maps the segments of the program (load_elf_binary).
func (t *Task) loadProgram(im *Image, st *Started) Errno {
	y := &t.machine.layout
	bias, flags, total := uint64(0), MapFixedNoReplace, uint64(0)
	if im.Dyn {
		var errno Errno
		if bias, flags, errno = t.dynBias(im); errno != 0 {
			return errno
		}
		total = im.extent()
	}
	end := uint64(0)
	for i := range im.Segments {
		g := &im.Segments[i]
		at, errno := t.elfLoad(&im.ELF, g, bias+g.Vaddr, flags, total)
		if errno != 0 {
			return errno
		}
		if i == 0 && im.Dyn {
			bias += at - (bias+g.Vaddr)&^pageMask
		}
		if !g.fits(g.Vaddr, y.end) {
			return EINVAL
		}
		flags, total = MapFixed, 0
		end = max(end, g.Vaddr+g.MemSize)
	}
	st.Bias, st.Brk = bias, pageUp(bias+end)
	if im.Dyn && im.Interp == nil { // away from what is placed below the stack
		st.Brk = pageUp(y.elfBase())
	}
	return 0
}

// dynBias is where a program that may lie anywhere is asked for: one with a loader
// at a base of its own, a loader itself among the mappings.
func (t *Task) dynBias(im *Image) (bias uint64, flags MapFlags, errno Errno) {
	first, align := &im.Segments[0], im.align()
	switch {
	case im.Interp != nil:
		bias, flags = t.machine.layout.elfBase()&^(align-1), MapFixedNoReplace
	case align > PageSize: // found by trying
		if bias, errno = t.elfLoad(&im.ELF, first, 0, 0, im.extent()); errno != 0 {
			return 0, 0, errno
		}
		t.Munmap(bias, im.extent())
		bias, flags = bias&^(align-1), MapFixedNoReplace
	}
	return (bias - first.Vaddr) &^ pageMask, flags, 0
}

// loadInterp maps the dynamic loader (load_elf_interp).
func (t *Task) loadInterp(f *ELF, st *Started) Errno {
	if f == nil {
		return 0
	}
	load, total := uint64(0), f.extent()
	if st.Bias != 0 && f.Dyn {
		load = -f.Segments[0].Vaddr
	}
	var flags MapFlags
	if !f.Dyn {
		flags = MapFixed
	}
	var fileEnd, memEnd uint64
	var prot Prot
	for i := range f.Segments {
		g := &f.Segments[i]
		at, errno := t.elfMap(f, g, load+g.Vaddr, flags, total)
		if errno != 0 {
			return errno
		}
		if i == 0 && f.Dyn {
			load = at - g.Vaddr&^pageMask
		}
		if !g.fits(load+g.Vaddr, t.machine.layout.end) {
			return ENOMEM
		}
		flags, total = MapFixed, 0
		fileEnd = max(fileEnd, load+g.Vaddr+g.FileSize)
		if end := load + g.Vaddr + g.MemSize; end > memEnd {
			memEnd, prot = end, g.Prot
		}
	}
	st.Interp = load
	if !t.padZero(fileEnd) {
		return EFAULT
	}
	return t.zeros(pageUp(fileEnd), pageUp(memEnd), prot)
}

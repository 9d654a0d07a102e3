package paging

// RemapFilePages maps other pages of the file behind a shared mapping over the
// range [addr, addr+size), which lies in mappings that differ in nothing but
// their pages. Since 4.0 that is an ordinary mapping in place of the old one
// (Linux 6.1 mm/mmap.c:remap_file_pages); pgoff is in pages, of flags only
// MAP_NONBLOCK counts. Before, see nonlinear.go. Errors: EINVAL, and those of
// Mmap.
func (t *Task) RemapFilePages(addr, size uint64, prot Prot, pgoff uint64, flags MapFlags) Errno {
	if t.machine.profile.nonLinear {
		return t.remapNonLinear(addr, size, prot, pgoff, flags)
	}
	y := &t.machine.layout
	addr, size = addr&^pageMask, size&^pageMask
	if prot != 0 || y.add(addr, size) <= addr || y.add(pgoff, size>>pageShift) < pgoff {
		return EINVAL
	}
	s := t.begin()
	v := s.list().uniform(addr, addr+size)
	if v == nil || v.private() {
		s.unlock(t)
		return EINVAL
	}
	a := MmapArgs{Addr: addr, Prot: v.prot(), Flags: flags&MapNonBlock | MapShared | MapFixed | MapPopulate, File: v.file, Offset: pgoff << pageShift}
	if v.flags&vmLocked != 0 {
		a.Flags |= MapLocked
	}
	_, errno := s.mmap(t, size, a)
	locked := (s.defFlags|v.flags)&vmLocked != 0
	s.unlock(t)
	if errno == 0 && (locked || flags&MapNonBlock == 0) {
		t.populate(addr, addr+size, false)
	}
	return errno
}

// uniform returns the first mapping of [start, end) if there is no hole in it
// and all have the same file and flags.
func (l vmaList) uniform(start, end uint64) *vma {
	i := l.find(start)
	if i == len(l) || l[i].start > start {
		return nil
	}
	v := l[i]
	for at := v.end; at < end; at = l[i].end {
		if i++; i == len(l) || l[i].start != at || l[i].file != v.file || l[i].flags != v.flags {
			return nil
		}
	}
	return v
}

package paging

// RegionKind says what a region of an image is.
type RegionKind uint8

// The kinds of regions.
const (
	Ordinary RegionKind = iota
	Heap
	Stack
	VDSO
	VVar
	VSyscall
)

var regionNames = [...]string{Heap: "[heap]", Stack: "[stack]", VDSO: "[vdso]", VVar: "[vvar]", VSyscall: "[vsyscall]"}

// Region is a mapping that is there from the beginning: part of a program's
// image.
type Region struct {
	Start, End uint64
	Prot       Prot
	Shared     bool
	GrowsDown  bool
	Kind       RegionKind
	File       *File
	Offset     uint64 // bytes into the file
	Name       string // used where Kind is Ordinary and File is nil
	Foreign    bool   // belongs to the recorder
}

// MapRegion puts a region into the address space without any fault. Errors:
// EINVAL for a range or offset that is not of whole pages, EEXIST where
// something is mapped already. The vsyscall page lies outside user memory and is
// not a mapping (Linux: the gate area).
func (t *Task) MapRegion(r Region) error {
	if r.Kind == VSyscall {
		return nil
	}
	if r.Start >= r.End || (r.Start|r.End|r.Offset)&pageMask != 0 || r.End > t.machine.layout.end {
		return EINVAL
	}
	v := &vma{start: r.Start, end: r.End, flags: protFlags(r.Prot) | vmMayAll, pgoff: r.Start >> pageShift, name: regionNames[r.Kind]}
	if r.Kind == Ordinary && r.File == nil {
		v.name = r.Name
	}
	if r.File != nil {
		v.file, v.pgoff = r.File, r.Offset>>pageShift
	}
	for _, f := range []struct {
		on   bool
		flag vmaFlags
	}{
		{r.Shared, vmShared}, {r.GrowsDown || r.Kind == Stack, vmGrowsDown}, {r.Foreign, vmForeign},
		{r.Kind == VDSO, vmSpecial}, {r.Kind == VVar, vmSpecial | vmPFNMap},
	} {
		if f.on {
			v.flags |= f.flag
		}
	}
	if v.flags&vmSpecial == 0 {
		v.account()
	}
	s := t.begin()
	defer s.unlock(t)
	l := s.list()
	if l.overlaps(r.Start, r.End) {
		return EEXIST
	}
	if v.file == nil && !v.private() {
		v.file, v.pgoff = s.machine.newShmem(), 0
		v.file.promised = int64(v.pages())
		s.machine.addCommit(v.file.promised)
	}
	s.publish(l.insert(v))
	return nil
}

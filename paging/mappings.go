package paging

// MappingID tells a mapping from others, through all its changes, as the address of
// the kernel's vm_area_struct does: one that grows, shrinks or changes its flags stays
// the same. Of two that merge the one below stays, or the neighbour that takes in what
// has new flags; of one that is split what the call is about stays (Linux 6.6
// mm/mmap.c: vma_merge, __split_vma, do_vmi_align_munmap). IDs can be compared; the
// zero value is no mapping. Safe for concurrent use.
type MappingID struct{ began *vma }

func (v *vma) identity() MappingID {
	if v.began != nil {
		return MappingID{v.began}
	}
	return MappingID{v}
}

// is makes the mapping a later state of another one. Precondition: it is not published.
func (v *vma) is(other *vma) { v.began = other.identity().began }

// another makes the mapping, not published yet, one of its own.
func (v *vma) another() *vma {
	v.began = nil
	return v
}

// Mappings are the mappings of an address space as they were when Task.Mappings was
// called. Safe for concurrent use.
type Mappings struct {
	space uint32
	list  vmaList
}

// Mappings are those of the task's address space now.
func (t *Task) Mappings() Mappings { return Mappings{t.space.id, t.space.list()} }

// Space is the number of the address space; no other of the machine has it, before or
// after.
func (m Mappings) Space() uint32 { return m.space }

// Each calls f for each mapping, in order of address.
func (m Mappings) Each(f func(MappingID)) {
	for _, v := range m.list {
		f(v.identity())
	}
}

// Changed calls f for each mapping that a later state has not as it was, in order of
// address, and then for each that has become what it is there: a mapping that was
// changed and is still there comes twice. Precondition: both are of one address space.
func (m Mappings) Changed(later Mappings, f func(MappingID)) {
	a, b := m.list, later.list
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	a.notIn(b, func(v *vma) { f(v.identity()) })
	b.notIn(a, func(v *vma) { f(v.identity()) })
}

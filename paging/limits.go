package paging

// Limits of what a process may map (setrlimit(2)), after Linux 6.1 mm/mmap.c.

// mayExpand says whether so many more pages with these flags may be mapped:
// within RLIMIT_AS, and RLIMIT_DATA for private writable memory that is no stack
// (may_expand_vm, is_data_mapping). Precondition: s.mu.
func (s *Space) mayExpand(flags vmaFlags, pages uint64) bool {
	c := &s.machine.cfg
	if c.AddressLimit != NoLimit && s.list().totalPages()+pages > c.AddressLimit>>pageShift {
		return false
	}
	return c.DataLimit == NoLimit || !flags.data() || s.list().dataPages()+pages <= c.DataLimit>>pageShift
}

func (f vmaFlags) data() bool { return f&(vmWrite|vmShared|vmGrowsDown) == vmWrite }

// dataPages adds up the data mappings (mm_struct.data_vm).
func (l vmaList) dataPages() uint64 {
	n := uint64(0)
	for _, v := range l {
		if v.flags.data() {
			n += v.pages()
		}
	}
	return n
}

// mayReplace is mayExpand where the new mapping takes the place of others
// (mmap_region, count_vma_pages_range). Precondition: s.mu.
func (s *Space) mayReplace(v *vma) bool {
	return s.mayExpand(v.flags, v.pages()) || s.mayExpand(v.flags, v.pages()-s.list().within(v.start, v.end).totalPages())
}

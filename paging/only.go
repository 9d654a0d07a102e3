package paging

// A machine for a sample of the pages of a program (Config.Only). Whoever drives
// it leaves out the references to other pages, and asks Chosen which these are.
// What the kernel makes present of its own accord it makes so only of those pages;
// pages leave and come back one by one, since their neighbours are not there.

// originAnon is the number of what no file backs.
const originAnon = 0

// origin is where a page comes from: a number for its file, and the page in it. It
// stays when memory is moved (mremap) and is the same in all processes that share
// the page. Memory without a file counts by its first address, as Linux's
// linear_page_index does; v is nil for what is not mapped, such as a stack that has
// yet to grow.
func (v *vma) origin(vpn uint64) (file, page uint64) {
	switch {
	case v == nil:
		return originAnon, vpn
	case v.file == nil:
		return originAnon, v.index(vpn)
	}
	return v.file.dev<<32 ^ v.file.ino + 1, v.index(vpn)
}

// Chosen says whether a page of the task's address space is one of Config.Only.
func (t *Task) Chosen(vpn uint64) bool {
	only := t.machine.cfg.Only
	if only == nil {
		return true
	}
	return only(t.mappingAt(vpn).origin(vpn))
}

// mappingAt returns the mapping of a page, nil for none.
func (t *Task) mappingAt(vpn uint64) *vma {
	addr := vpn << pageShift
	if v := t.last; v != nil && addr >= v.start && addr < v.end && !v.gone.Load() {
		return v
	}
	v := t.space.list().at(addr)
	if v != nil {
		t.last = v
	}
	return v
}

// presentOnly makes the pages of [start, end) present that are chosen.
func (t *Task) presentOnly(start, end uint64, flags gupFlags) Errno {
	for ; start < end; start += PageSize {
		if !t.Chosen(start >> pageShift) {
			continue
		}
		if _, errno := t.getUserPages(start, 1, flags); errno != 0 {
			return errno
		}
	}
	return 0
}

// Scaled is a TLB for a sample of the pages of a program: with the rate's share of
// entries, one at least.
func (c TLBConfig) Scaled(rate float64) TLBConfig {
	for _, g := range []*TLBGeometry{&c.L1I, &c.L1D, &c.L2} {
		g.Entries = max(1, int(float64(g.Entries)*rate+0.5))
		g.Ways = min(g.Ways, g.Entries)
		g.Entries -= g.Entries % g.Ways
	}
	return c
}

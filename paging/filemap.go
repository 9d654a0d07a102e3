package paging

// mapFile is do_read_fault: it maps the page and, around it, every page that is
// in the cache and not mapped. The window (mm/memory.c:do_fault_around) begins
// at the page's aligned window or at the mapping, whichever is later, is
// FaultAround bytes long, and ends at the latest with the mapping and with the
// leaf table; pages beyond the end of the file stay out (mm/filemap.c:
// filemap_map_pages). On x86 all of them count as accessed
// (arch_wants_old_prefaulted_pte is false). It returns how many became present,
// -1 when there was no frame. Precondition: tab.mu.
func (t *Task) mapFile(v *vma, tab *table, vpn uint64) int {
	window := t.machine.cfg.FaultAround >> pageShift
	if g := t.machine.memory; g != nil && !g.batched || v.file.segment != nil { // shm_vm_ops of ipc/shm.c has no map_pages
		window = 1
	}
	first := max(vpn&^(window-1), v.first(), vpn&^(tab.pages()-1))
	last := min(first+window, v.last(), vpn&^(tab.pages()-1)+tab.pages())
	index := v.index(first)
	if left := v.file.pages() - index; left < last-first {
		last = first + left
	}
	if v.file.frame(t, v.index(vpn)) == 0 {
		return -1
	}
	skip := v.file.aroundSkips(index, last-first)
	bits := t.bits(v, false)
	mapped := 0
	for p := first; p < last; p++ {
		i := index + p - first
		if p != vpn && (tab.load(p) != 0 || skip[(p-first)/64]>>((p-first)%64)&1 != 0 || !v.file.resident(i)) {
			continue
		}
		pfn := v.file.frame(t, i)
		if pfn == 0 {
			break // no frame is left for the neighbours
		}
		t.machine.frames.at(pfn).mapcount.Add(1)
		tab.set(p, mkPTE(pfn, bits))
		t.machine.memory.link(pfn, mapping{tab, p})
		mapped++
	}
	t.charge(v.file.rss(), int64(mapped))
	return mapped
}

func (f *File) rss() rssKind {
	if f.shmem {
		return rssShmem
	}
	return rssFile
}

// mapShared is do_shared_fault: the page itself, writable and dirty.
// Precondition: tab.mu.
func (t *Task) mapShared(v *vma, tab *table, vpn uint64) int {
	pfn := v.file.frame(t, v.index(vpn))
	if pfn == 0 {
		return -1
	}
	t.machine.frames.at(pfn).mapcount.Add(1)
	tab.set(vpn, mkPTE(pfn, t.bits(v, true)))
	t.machine.memory.link(pfn, mapping{tab, vpn})
	t.charge(v.file.rss(), 1)
	t.machine.flusher.add(v.file, v.index(vpn), pfn)
	return 1
}

// mapSpecial maps a page of the vdso or of the data pages beside it. Their
// frames belong to the kernel; the page of the vdso counts as resident, those of
// vvar do not (they are mapped by frame number, without a struct page). The
// model gives neither a frame and counts neither. Precondition: tab.mu.
func (t *Task) mapSpecial(v *vma, tab *table, vpn uint64) int {
	tab.set(vpn, mkPTE(zeroPFN, t.bits(v, false)&^pteW))
	return 1
}

package paging

import "sync/atomic"

// vmaFlags are the VM_* flags of a mapping that the model acts on, and those
// that keep mappings apart.
type vmaFlags uint32

const (
	vmRead vmaFlags = 1 << iota
	vmWrite
	vmExec
	vmShared
	vmMayRead
	vmMayWrite
	vmMayExec
	vmGrowsDown
	vmLocked
	vmLockOnFault
	vmSeqRead
	vmRandRead
	vmDontCopy
	vmWipeOnFork
	vmDontDump
	vmNoReserve
	vmAccount
	vmHuge
	vmNoHuge
	vmMergeable
	vmSpecial   // vdso and vvar (VM_DONTEXPAND): never merged, resized or locked, no fault-around
	vmPFNMap    // vvar (VM_PFNMAP): pages without a struct page
	vmForeign   // belongs to the recorder
	vmHugeTLB   // of pages of hugetlb
	vmNonLinear // pages in any order (nonlinear.go)

	vmAccess = vmRead | vmWrite | vmExec
	vmMayAll = vmMayRead | vmMayWrite | vmMayExec
	vmLock   = vmLocked | vmLockOnFault
	mayShift = 4 // from vmRead to vmMayRead
)

// protFlags turns a protection into flags; the low three bits agree.
func protFlags(p Prot) vmaFlags { return vmaFlags(p & protRWX) }

// vma is a mapping [start, end) of equal flags and backing. It does not change
// once it is published, but for anon and gone: a change makes new ones and publishes
// a new list, so whoever holds an old list sees an old but consistent address
// space. Who holds a mapping sees by gone whether it is current, without reading the
// list that changes with every other mapping (as by vm_area_struct.detached).
type vma struct {
	start, end uint64 // bytes
	flags      vmaFlags
	gone       atomic.Bool // not in the list of its address space any more; set after the list is published
	pgoff      uint64      // in pages: of the file, or of the original address of anonymous memory
	file       *File       // nil for private anonymous memory
	huge       *hugeVMA    // of hugetlb, else nil
	name       string      // "[heap]", "[stack]", ... "" = by file, or [anon]
	began      *vma        // what it was first, nil = itself; see MappingID

	// anon is the anon_vma: nil until the mapping is about to get its first
	// anonymous page, then set once, under Space.mu (held for reading is
	// enough).
	anon atomic.Pointer[anonVMA]
}

// anonVMA stands for an anon_vma: the origin of anonymous pages. Mappings with
// different ones do not merge.
type anonVMA struct {
	forked bool // inherited by fork: its mappings do not take in untouched memory (list_is_singular)
}

// clone returns a copy that may be changed until it is published.
func (v *vma) clone() *vma {
	n := &vma{start: v.start, end: v.end, flags: v.flags, pgoff: v.pgoff, file: v.file, huge: v.huge, name: v.name}
	n.anon.Store(v.anon.Load())
	n.is(v)
	return n
}

// sub returns the part [start, end) of the mapping.
func (v *vma) sub(start, end uint64) *vma {
	n := v.clone()
	n.start, n.end = start, end
	n.pgoff += (start - v.start) >> pageShift
	return n
}

func (v *vma) prot() Prot    { return Prot(v.flags) & protRWX }
func (v *vma) pages() uint64 { return (v.end - v.start) >> pageShift }

// first and last are the pages [first, last) of the mapping.
func (v *vma) first() uint64 { return v.start >> pageShift }
func (v *vma) last() uint64  { return v.end >> pageShift }

// index is the page of the backing at a page of the address space.
func (v *vma) index(vpn uint64) uint64 { return v.pgoff + vpn - v.first() }

func (v *vma) private() bool    { return v.flags&vmShared == 0 }
func (v *vma) accessible() bool { return v.flags&vmAccess != 0 }

// isCOW says that a write makes a private copy (include/linux/mm.h:
// is_cow_mapping).
func (v *vma) isCOW() bool { return v.flags&(vmShared|vmMayWrite) == vmMayWrite }

// Name says what is mapped, for people.
func (v *vma) Name() string {
	switch {
	case v.name != "":
		return v.name
	case v.file != nil:
		return v.file.path
	}
	return "[anon]"
}

func (v *vma) foreign() bool { return v.flags&vmForeign != 0 || v.file != nil && v.file.foreign }

// permits says whether the access is allowed (arch/x86/mm/fault.c:access_error):
// a mapping that can be accessed at all can be read.
func (v *vma) permits(a Access) bool {
	switch a {
	case Write:
		return v.flags&vmWrite != 0
	case Exec:
		return v.flags&vmExec != 0
	}
	return v.accessible()
}

// gapStart is where the memory of a mapping begins for its neighbours: a
// growing stack keeps its guard gap (include/linux/mm.h:vm_start_gap).
func (v *vma) gapStart() uint64 {
	if v.flags&vmGrowsDown != 0 {
		return v.start - min(v.start, stackGap)
	}
	return v.start
}

// vmaList is an address space's mappings, in order of address. A list does not
// change once it is published.
type vmaList []*vma

// notIn calls f for each mapping that is not in another list.
func (l vmaList) notIn(other vmaList, f func(v *vma)) {
	k := 0
	for _, v := range l {
		for k < len(other) && other[k].start < v.start {
			k++
		}
		if k == len(other) || other[k] != v {
			f(v)
		}
	}
}

// find returns the position of the first mapping that ends above addr.
func (l vmaList) find(addr uint64) int {
	lo, hi := 0, len(l)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); l[mid].end > addr {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// at returns the mapping that contains addr, or nil.
func (l vmaList) at(addr uint64) *vma {
	if i := l.find(addr); i < len(l) && l[i].start <= addr {
		return l[i]
	}
	return nil
}

// overlaps says whether any mapping meets [start, end).
func (l vmaList) overlaps(start, end uint64) bool {
	i := l.find(start)
	return i < len(l) && l[i].start < end
}

// extent is the pages from the first to the last that is mapped in the bytes
// [start, end). Precondition: l.overlaps(start, end).
func (l vmaList) extent(start, end uint64) (first, last uint64) {
	i, j := l.find(start), l.find(end-1)
	if j == len(l) || l[j].start >= end {
		j--
	}
	return max(l[i].start, start) >> pageShift, min(l[j].end, end) >> pageShift
}

// replaced returns a new list in which with takes the place of [i, j).
func (l vmaList) replaced(i, j int, with ...*vma) vmaList {
	n := make(vmaList, 0, len(l)-(j-i)+len(with))
	n = append(n, l[:i]...)
	n = append(n, with...)
	return append(n, l[j:]...)
}

// isolate returns the list with mappings split at start and end
// (mm/mmap.c:__split_vma), and the positions [i, j) of those inside. What is outside
// becomes another mapping (new_below at the start, not at the end).
func (l vmaList) isolate(start, end uint64) (n vmaList, i, j int) {
	n = l
	if i = n.find(start); i < len(n) && n[i].start < start {
		v := n[i]
		n = n.replaced(i, i+1, v.sub(v.start, start).another(), v.sub(start, v.end))
		i++
	}
	for j = i; j < len(n) && n[j].start < end; j++ {
		if v := n[j]; v.end > end {
			n = n.replaced(j, j+1, v.sub(v.start, end), v.sub(end, v.end).another())
		}
	}
	return n, i, j
}

// without returns the list with a hole at [start, end).
func (l vmaList) without(start, end uint64) vmaList {
	if !l.overlaps(start, end) {
		return l
	}
	n, i, j := l.isolate(start, end)
	return n.replaced(i, j)
}

// lockedPages adds up the locked mappings (mm_struct.locked_vm).
func (l vmaList) lockedPages() uint64 {
	n := uint64(0)
	for _, v := range l {
		if v.flags&vmLocked != 0 {
			n += v.pages()
		}
	}
	return n
}

// totalPages adds up all mappings (mm_struct.total_vm).
func (l vmaList) totalPages() uint64 {
	n := uint64(0)
	for _, v := range l {
		n += v.pages()
	}
	return n
}

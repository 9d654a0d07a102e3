package paging

import (
	"slices"
	"sync/atomic"
)

// vmaFlags are the VM_* flags of a mapping that the model acts on.
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
	vmSeqRead
	vmRandRead
	vmDontCopy
	vmWipeOnFork
	vmDontExpand
	vmHuge
	vmNoHuge
	vmMergeable
	vmSpecial // vdso, vvar, vsyscall: never merged, no fault-around
	vmForeign // belongs to the recorder

	vmMayAll = vmMayRead | vmMayWrite | vmMayExec
	mayShift = 4 // from vmRead to vmMayRead
)

// protFlags turns a protection into flags; the low three bits agree.
func protFlags(p Prot) vmaFlags { return vmaFlags(p & protRWX) }

// vma is a mapping [start, end) of equal flags and backing. It is immutable: a
// change makes new ones and publishes a new list, so whoever holds an old list
// sees an old but consistent address space. Only the anon mark is shared and
// written later.
type vma struct {
	start, end uint64 // bytes
	flags      vmaFlags
	pgoff      uint64 // in pages: of the file, or of the original address of anonymous memory
	file       *File  // nil for private anonymous memory
	anon       *anonMark
	name       string // "[heap]", "[stack]", ... "" = by file, or [anon]
}

// anonMark stands for the anon_vma: it is set when the mapping gets its first
// anonymous page, and shared by the pieces of a split mapping.
type anonMark struct{ set atomic.Bool }

func (v *vma) prot() Prot    { return Prot(v.flags) & protRWX }
func (v *vma) pages() uint64 { return (v.end - v.start) >> pageShift }

// index is the page of the backing at a page of the address space.
func (v *vma) index(vpn uint64) uint64 { return v.pgoff + vpn - v.start>>pageShift }

func (v *vma) private() bool { return v.flags&vmShared == 0 }

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
	return v.flags&(vmRead|vmWrite|vmExec) != 0
}

// sub returns the part [start, end) of the mapping with other flags.
func (v *vma) sub(start, end uint64, flags vmaFlags) *vma {
	n := *v
	n.start, n.end, n.flags = start, end, flags
	n.pgoff += (start - v.start) >> pageShift
	return &n
}

// canMerge says whether b may continue a, as mm/mmap.c:can_vma_merge_after: end
// to start, equal flags and file, contiguous offsets, and anonymous memory of
// at most one origin.
func canMerge(a, b *vma) bool {
	return a.end == b.start && a.flags == b.flags && a.flags&vmSpecial == 0 && a.file == b.file && a.name == b.name &&
		a.pgoff+a.pages() == b.pgoff && (a.anon == b.anon || !a.anon.set.Load() || !b.anon.set.Load())
}

func merged(a, b *vma) *vma {
	n := *a
	n.end = b.end
	if !a.anon.set.Load() {
		n.anon = b.anon
	}
	return &n
}

// vmaList is an address space's mappings, in order of address. A list is
// immutable once published.
type vmaList []*vma

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

// covered says whether every byte of [start, end) is mapped.
func (l vmaList) covered(start, end uint64) bool {
	for i := l.find(start); start < end; i++ {
		if i >= len(l) || l[i].start > start {
			return false
		}
		start = l[i].end
	}
	return true
}

// replaced returns the list with [i, j) replaced.
func (l vmaList) replaced(i, j int, with ...*vma) vmaList {
	n := make(vmaList, 0, len(l)-(j-i)+len(with))
	n = append(n, l[:i]...)
	n = append(n, with...)
	return append(n, l[j:]...)
}

// isolate returns the list with mappings split at start and end, and the
// positions [i, j) of those inside. splits is by how many mappings it grew.
func (l vmaList) isolate(start, end uint64) (n vmaList, i, j int) {
	n = l
	if i = n.find(start); i < len(n) && n[i].start < start {
		v := n[i]
		n = n.replaced(i, i+1, v.sub(v.start, start, v.flags), v.sub(start, v.end, v.flags))
		i++
	}
	for j = i; j < len(n) && n[j].start < end; j++ {
		if v := n[j]; v.end > end {
			n = n.replaced(j, j+1, v.sub(v.start, end, v.flags), v.sub(end, v.end, v.flags))
		}
	}
	return n, i, j
}

// join merges neighbours in the positions [i-1, j] where they can be.
func (l vmaList) join(i, j int) vmaList {
	lo, hi := max(0, i-1), min(len(l), j+1)
	if hi-lo < 2 {
		return l
	}
	part := slices.Clone(l[lo:hi])
	out := part[:1]
	for _, v := range part[1:] {
		if last := out[len(out)-1]; canMerge(last, v) {
			out[len(out)-1] = merged(last, v)
		} else {
			out = append(out, v)
		}
	}
	if len(out) == hi-lo {
		return l
	}
	return l.replaced(lo, hi, out...)
}

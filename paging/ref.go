package paging

import (
	"math"
	"unsafe"
)

// Ref is a run of accesses to one page: First, then one write if there are any
// and First was none, then one fetch if there are any and First was none; what
// follows are hits in the TLB. It is one word, laid out as those of the TLB:
// vpn<<16 | flags that all its accesses need<<8 | how to perform it.
type Ref uint64

// How to perform a reference.
const (
	refFirst Ref = 3      // mask of the Access that comes first
	refWrite Ref = 1 << 2 // there are writes
	refExec  Ref = 1 << 3 // there are fetches
	refOne   Ref = 1 << 4 // there are only reads, or only writes
	refFetch     = 1 << 7 // there are only fetches
)

// tlbNever is a flag that no entry has: a reference on both sides of the TLB
// is performed one access after the other.
const tlbNever tlbFlags = 1 << 7

// refKinds are the low bits of a Ref by first access and by which of the counts
// are not 0, as refKind adds them up. 0 stands for a reference that does not
// count its own first access.
var refKinds = func() (kinds [1 << 11]uint16) {
	for i := range kinds {
		first, reads, writes, execs := Access(i>>3), i&1 != 0, i&2 != 0, i&4 != 0
		if !(first == Read && reads || first == Write && writes || first == Exec && execs) {
			continue
		}
		k, need := Ref(first), tlbFlags(0)
		if writes {
			k |= refWrite
			need |= tlbNeed[Write]
		}
		if execs {
			k |= refExec
			need |= tlbNeed[Exec]
		}
		switch {
		case execs && (reads && first == Read || writes):
			need |= tlbNever
		case execs:
			k |= refFetch
		}
		if !execs && (first == Write || !writes) {
			k |= refOne
		}
		kinds[i] = uint16(k | Ref(need)<<wordFlagsAt)
	}
	return kinds
}()

// A Ref has room for 48 bits of a page number, which stand for 52 as an address
// of 60 bits would for one of 64: all that can be translated are among them.
// noPage stands for the others: with no format of the page table is anything
// there, and with 64-bit addresses it is not canonical.
const (
	refVPNBits = 64 - wordVPNAt
	noPage     = 1 << 45
	lastPage   = 1<<(64-pageShift) - 1
)

// MakeRef makes a reference of the kind of its first access and how many
// accesses of each kind it stands for. ok says that the first access is one of
// them. Page numbers beyond the last of 64-bit addresses stand for that one.
func MakeRef(vpn uint64, first Access, reads, writes, execs uint32) (r Ref, ok bool) {
	// Which counts are there follows no pattern: they are added up, not branched on.
	k := refKinds[uint(first)<<3|some(reads)|some(writes)<<1|some(execs)<<2]
	if vpn >= 1<<(refVPNBits-1) {
		vpn = farPage(vpn)
	}
	return Ref(vpn)<<wordVPNAt | Ref(k), k != 0
}

// Refs are references of which each was made a word before. The array stays the
// caller's.
func Refs(words []uint64) []Ref {
	return unsafe.Slice((*Ref)(unsafe.SliceData(words)), len(words)) // a Ref is a uint64
}

// some is 1 for a count that is not 0.
func some(n uint32) uint { return uint((uint64(n) + math.MaxUint32) >> 32) }

// farPage is the page number that a Ref has for one of the upper half.
func farPage(vpn uint64) uint64 {
	vpn = min(vpn, lastPage)
	if vpn <= lastPage-1<<(refVPNBits-1) {
		return noPage
	}
	return vpn
}

func (r Ref) vpn() uint64   { return uint64(int64(r)>>wordVPNAt) & lastPage }
func (r Ref) first() Access { return Access(r & refFirst) }

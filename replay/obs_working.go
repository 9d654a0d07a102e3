package replay

import (
	"math/bits"

	"github.com/vmtrace/vmtrace/trace"
)

// working counts the distinct pages that references use in each bucket of the time
// line: the working set, with the bucket for a window (P. Denning: The Working Set
// Model for Program Behavior, CACM 1968). Pages are told apart by process and
// address.
//
// Buckets merge, and pages of two buckets are not the sum of those of each. So what
// is counted are first uses in a step of firstStep accesses, by how far back the use
// before them is: in a bucket of 2^k steps, whose number is i>>k for step i, a page
// counts once, at the use whose predecessor was in a step j with another j>>k. That
// is so if the highest bit in which i and j differ is k or above.
type working struct {
	open firstUses // in the open bucket
	last map[leafKey]*leafUses
	near [1 << 12]nearLeaf // leaves found of late
}

// firstUses are counts by how many bits i^j has.
type firstUses [33]uint32

func (f *firstUses) add(o *firstUses) {
	for h := range f {
		f[h] += o[h]
	}
}

// pages is how many there are in a bucket of 2^k steps.
func (f *firstUses) pages(k int) (n uint64) {
	for _, c := range f[min(k+1, len(f)):] {
		n += uint64(c)
	}
	return n
}

// leafKey names leafSize pages of a process that begin at a multiple of that.
type leafKey struct {
	leaf uint64
	pid  uint32
}

const leafSize = 512

// leafUses is the step of the last use of each page, plus 1; 0 = none.
type leafUses [leafSize]uint32

type nearLeaf struct {
	key  leafKey
	uses *leafUses
}

// use notes references of a process that begin after so many accesses.
func (w *working) use(pid uint32, accesses uint64, refs []trace.Ref) {
	now := uint32(accesses/firstStep) + 1
	for i := range refs {
		vpn := refs[i].VPN
		key := leafKey{vpn / leafSize, pid}
		n := &w.near[key.leaf%uint64(len(w.near))]
		if n.uses == nil || n.key != key {
			*n = nearLeaf{key, w.leaf(key)}
		}
		if at := &n.uses[vpn%leafSize]; *at != now {
			w.open[bits.Len32((now-1)^(*at-1))]++ // the step before 0 differs in all bits
			*at = now
		}
	}
}

func (w *working) leaf(key leafKey) *leafUses {
	l := w.last[key]
	if l == nil {
		if w.last == nil {
			w.last = map[leafKey]*leafUses{}
		}
		l = new(leafUses)
		w.last[key] = l
	}
	return l
}

// take is the open bucket's count, which begins anew.
func (w *working) take() firstUses {
	f := w.open
	w.open = firstUses{}
	return f
}

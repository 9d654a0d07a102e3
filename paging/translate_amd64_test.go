package paging

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
)

// TestTranslateWords: translateWords does what translateEach does, to the last bit of the
// TLB, also with entries that no page table would have, and which have changed since they
// were put into the TLB.
func TestTranslateWords(t *testing.T) {
	if !wideWords {
		t.Skip("this processor has no AVX2, without which translateWords is not used")
	}
	var stop atomic.Bool
	done := 0
	for seed := range uint64(60) {
		config := TLBConfig{L1I: TLBGeometry{16 << (seed % 3), 4 << (seed % 2)}, L1D: TLBGeometry{4 << (seed % 4), 4}, L2: TLBGeometry{12 << (seed % 5), 12}}
		r := rand.New(rand.NewPCG(seed, 6))
		one, other := newTLB(config, tableShift), newTLB(config, tableShift)
		if !one.fits {
			t.Fatalf("%v: translateWords is not for it", config)
		}
		pages := 10 + r.Uint64N(80)
		table := make([]uint64, pages)
		for range 400 {
			asid := 1 + r.Uint64N(2)
			refs := someRefs(r, 1<<30, pages)[:1+r.IntN(window)]
			entries := make([]*uint64, len(refs))
			for range 1 + r.IntN(3) {
				table[r.Uint64N(pages)] = someEntry(r)
			}
			for i, ref := range refs {
				if r.IntN(50) > 0 {
					entries[i] = &table[ref.vpn()-1<<30]
				}
			}
			stop.Store(r.IntN(50) == 0)
			n, m := translateWords(one, asid, refs, entries, &stop), other.translateEach(asid, refs, entries, &stop)
			if n != m || !reflect.DeepEqual(one, other) {
				t.Fatalf("seed %d: %d and %d references of %d:\n%s", seed, n, m, len(refs),
					firstDifference(smallPages(one), smallPages(other)))
			}
			if done += n; n < len(refs) && r.IntN(2) == 0 { // what a walk would do
				vpn, access := refs[n].vpn(), refs[n].first()
				for _, b := range []*tlb{one, other} {
					b.insert(uint16(asid), vpn, access, entryTLB(table[vpn-1<<30]))
				}
			}
		}
	}
	if done < 10000 {
		t.Fatalf("%d references performed", done)
	}
}

// someEntry is mostly one that permits what it is asked.
func someEntry(r *rand.Rand) uint64 {
	e := mkPTE(r.Uint32(), pteP|pteW|pteA|pteD)
	if r.IntN(3) == 0 {
		e ^= 1 << r.IntN(ptePFNAt)
	}
	if r.IntN(3) == 0 {
		e |= pteNX
	}
	return e
}

// smallPages is all of a TLB of small pages, a line for each part.
func smallPages(t *tlb) string {
	s := fmt.Sprintf("clock %d, stats %+v\nhints %v\n", t.clock, t.stats, t.hints)
	for i, l := range t.levels() {
		s += fmt.Sprintf("level %d words %x\nlevel %d stamps %v orders %x\nlevel %d frames %v\n", i, l.words, i, l.stamps, l.orders, i, l.pfns)
	}
	return s
}

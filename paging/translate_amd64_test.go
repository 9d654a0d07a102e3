package paging

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
)

// TestTranslateWords: translateWords does what translateEach does, to the last bit of the
// TLB, and holdsWords finds what is there, also with entries that no page table would have, and which have changed since they
// were put into the TLB.
func TestTranslateWords(t *testing.T) {
	if !wideWords {
		t.Skip("this processor has no AVX2, without which translateWords is not used")
	}
	var stop atomic.Bool
	done, walked := 0, 0
	for seed := range uint64(60) {
		config := TLBConfig{L1I: TLBGeometry{16 << (seed % 3), 4 << (seed % 2)}, L1D: TLBGeometry{4 << (seed % 4), 4}, L2: TLBGeometry{12 << (seed % 5), 12}}
		r := rand.New(rand.NewPCG(seed, 6))
		one, other := newTLB(config, tableShift), newTLB(config, tableShift)
		if !one.fits {
			t.Fatalf("%v: translateWords is not for it", config)
		}
		pages := 10 + r.Uint64N(80)
		tables := [2][]uint64{make([]uint64, pages), make([]uint64, pages)}
		for range 400 {
			asid := 1 + r.Uint64N(2)
			refs := someRefs(r, 1<<30, pages)[:1+r.IntN(window)]
			entries := [2][]*uint64{make([]*uint64, len(refs)), make([]*uint64, len(refs))}
			for range 1 + r.IntN(3) {
				at, e := r.Uint64N(pages), someEntry(r)
				tables[0][at], tables[1][at] = e, e
			}
			for i, ref := range refs {
				if r.IntN(50) > 0 {
					at := ref.vpn() - 1<<30
					entries[0][i], entries[1][i] = &tables[0][at], &tables[1][at]
				}
			}
			stop.Store(r.IntN(50) == 0)
			walks := r.IntN(10) > 0
			before := slices.Clone(tables[0])
			n, m := translateWords(one, asid, refs, entries[0], walks, &stop), other.translateEach(asid, refs, entries[1], walks, &stop)
			if n != m || !reflect.DeepEqual(one, other) {
				t.Fatalf("seed %d: %d and %d references of %d:\n%s", seed, n, m, len(refs),
					firstDifference(smallPages(one), smallPages(other)))
			}
			if !slices.Equal(tables[0], tables[1]) {
				t.Fatalf("seed %d: entries\n%x, want\n%x", seed, tables[0], tables[1])
			}
			if !slices.Equal(tables[0], before) {
				walked++
			}
			for vpn := uint64(1 << 30); vpn < 1<<30+pages; vpn++ {
				key := wordKey(uint16(asid), vpn)
				if want := one.l1[0].find(key) >= 0 || one.l2.find(key) >= 0; holdsWords(one, key) != want {
					t.Fatalf("seed %d: page %#x is there: %v, want %v", seed, vpn, !want, want)
				}
			}
			if done += n; n < len(refs) && r.IntN(2) == 0 { // what a walk would do
				vpn, access := refs[n].vpn(), refs[n].first()
				for _, b := range []*tlb{one, other} {
					b.insert(uint16(asid), vpn, access, entryTLB(tables[0][vpn-1<<30]))
				}
			}
		}
	}
	if done < 10000 || walked < 1000 {
		t.Fatalf("%d references performed, and %d times entries changed", done, walked)
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
	if r.IntN(3) == 0 { // a walk sets them
		e &^= []uint64{pteA, pteD, pteA | pteD}[r.IntN(3)]
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

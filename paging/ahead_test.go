package paging

import (
	"math/rand/v2"
	"testing"
)

// TestLookAhead: what is looked up ahead is what the tree of tables has, one page at a
// time, under more directories than are remembered, with pages that have no table, no
// directory, or lie in a huge one, and beyond the end.
func TestLookAhead(t *testing.T) {
	for levels := 2; levels <= 5; levels++ {
		config := DefaultConfig()
		config.Levels, config.THP = levels, THPAlways
		m, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		task := m.NewProcess(1, 1, 0)
		space, r := task.space, rand.New(rand.NewPCG(uint64(levels), 8))
		table := space.table.span(1) // pages
		var places []uint64
		for k := range uint64(3 * lowestDirs) {
			at := (16 + k*(m.layout.window>>pageShift)/(4*lowestDirs)) &^ (table - 1)
			_, errno := task.Mmap(MmapArgs{Addr: at << pageShift, Len: 4 * table << pageShift, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous | MapFixed})
			if errno != 0 {
				continue // where there is little room they meet
			}
			places = append(places, at)
			if k%2 == 0 {
				task.Madvise(at<<pageShift, 4*table<<pageShift, madvNoHugePage)
			}
			for range 4 {
				task.Access((at+r.Uint64N(3*table))<<pageShift, Write)
			}
		}
		found, huge := 0, 0
		for range 300 {
			refs := make([]Ref, 1+r.IntN(window))
			for i := range refs {
				vpn := places[r.IntN(len(places))] + r.Uint64N(5*table)
				if r.IntN(10) == 0 {
					vpn = r.Uint64N(2 * task.end)
				}
				refs[i], _ = MakeRef(vpn, Read, 1, 0, 0)
			}
			var entries [window]*uint64
			task.lookAhead(refs, &entries)
			for i, ref := range refs {
				var want *uint64
				if vpn := ref.vpn(); vpn < task.end {
					if tab := space.table.find(vpn); tab != nil {
						want = tab.entry(vpn)
						found++
						if want == &tab.huge {
							huge++
						}
					}
				}
				if entries[i] != want {
					t.Fatalf("%d levels, page %#x: entry %p, want %p", levels, ref.vpn(), entries[i], want)
				}
			}
			if r.IntN(10) == 0 { // tables are freed
				at := places[r.IntN(len(places))]
				task.Munmap(at<<pageShift, 4*table<<pageShift)
			}
		}
		if len(places) < lowestDirs || found < 300 || huge < 100 {
			t.Errorf("%d levels: %d places, %d entries, %d of them huge", levels, len(places), found, huge)
		}
	}
}

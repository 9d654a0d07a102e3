package paging

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// someRows are rows of some pages.
func someRows() *pageRows {
	rows := new(pageRows)
	for p := uint32(0); p < 2*manySlots; p += chunkSize {
		rows.at(p)
	}
	return rows
}

// The lists against slices, newest first.
func TestPageLists(t *testing.T) {
	const lists, pages = 3, 3000
	rnd := rand.New(rand.NewPCG(1, 0))
	l := newPageLists(lists, someRows())
	var want [lists + 1][]uint32
	drop := func(p uint32) {
		for k := range want {
			if i := slices.Index(want[k], p); i >= 0 {
				want[k] = slices.Delete(want[k], i, i+1)
			}
		}
	}
	for range 60_000 {
		p, list := 1+rnd.Uint32N(pages), 1+rnd.IntN(lists)
		switch rnd.IntN(8) {
		case 0:
			l.drop(p)
			drop(p)
		case 1:
			l.putLast(list, p)
			drop(p)
			want[list] = append(want[list], p)
		case 2:
			if p = l.last(list); p != 0 {
				l.turn(list, p, l.rows.known(p))
				drop(p)
				want[list] = slices.Insert(want[list], 0, p)
			}
		default:
			l.put(list, p)
			drop(p)
			want[list] = slices.Insert(want[list], 0, p)
		}
		if n := len(want[list]); l.len(list) != n || n > 0 && (l.last(list) != want[list][n-1]) {
			t.Fatalf("list %d: %d pages to %d, want %v", list, l.len(list), l.last(list), want[list])
		}
	}
	for list := 1; list <= lists; list++ {
		var down, up []uint32
		l.walk(list, func(p uint32) { down = append(down, p) })
		for p := l.last(list); p != 0; p = l.newer(p) {
			up = append(up, p)
		}
		if slices.Reverse(up); !slices.Equal(down, want[list]) || !slices.Equal(up, want[list]) {
			t.Errorf("list %d goes down %v\nand up %v\nwant %v", list, down, up, want[list])
		}
	}
}

// A list that is longer than the caches of the processor looks ahead, and is the same.
func TestPageListsLookAhead(t *testing.T) {
	l := newPageLists(1, someRows())
	for p := uint32(1); p <= 3*expectLonger; p++ {
		l.put(1, p)
	}
	for p := uint32(1); p <= 3*expectLonger; p++ {
		if got := l.last(1); got != p {
			t.Fatalf("the last page is %d, want %d", got, p)
		}
		l.drop(p)
	}
	if n := l.len(1); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}

// Generations: all pages go from one list to the next, in order, and a list that has
// gone keeps no slots.
func TestPageListsGenerations(t *testing.T) {
	const pages = manySlots + 1
	l := newPageLists(2, someRows())
	for p := uint32(1); p <= pages; p++ {
		l.put(1, p)
	}
	for _, turn := range [][2]int{{1, 2}, {2, 1}, {1, 2}} {
		from, to := turn[0], turn[1]
		for p := uint32(1); p <= pages; p++ {
			if got := l.last(from); got != p {
				t.Fatalf("the last page of list %d is %d, want %d", from, got, p)
			}
			l.put(to, p)
		}
		if e := &l.lists[from]; e.n != 0 || e.slots != nil {
			t.Errorf("list %d has %d pages and %d slots", from, e.n, len(e.slots))
		}
	}
}

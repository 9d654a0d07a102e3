package paging

import (
	"strings"
	"testing"
)

// Mappings drawn as strips, one character a page: w read-write, r read-only, x
// read-write-execute, - no access, . not mapped; a bar stands between two
// mappings that touch. Upper case in a start state says that the pages have been
// written, so that the mapping has an anon_vma.
//
// The expected strips were worked out from Linux 6.1 mm/mmap.c: the cases in the
// comment of vma_merge (named by their number), mmap_region, do_brk_flags,
// is_mergeable_anon_vma; the idea of the drawings is that of the kernel's own
// tools/testing/vma.

// stripBase is far from everything else, in the middle of a leaf table.
const stripBase = 0x10_0000_0000 + 100*PageSize

var stripProt = map[rune]Prot{'w': rw, 'r': ProtRead, 'x': rw | ProtExec, '-': 0}

// strip draws the first n pages of the strip.
func (t *Task) strip(n uint64) string {
	var b strings.Builder
	var last *vma
	for p := range n {
		v := t.space.list().at(stripBase + p*PageSize)
		if last != nil && v != nil && v != last {
			b.WriteByte('|')
		}
		last = v
		switch {
		case v == nil:
			b.WriteByte('.')
		case v.flags&vmExec != 0:
			b.WriteByte('x')
		case v.flags&vmWrite != 0:
			b.WriteByte('w')
		case v.flags&vmRead != 0:
			b.WriteByte('r')
		default:
			b.WriteByte('-')
		}
	}
	return b.String()
}

// build maps the start state, each stretch by a call of its own. Stretches are
// mapped and written from the last to the first, so that what was written does
// not take in its neighbours.
func (t *Task) build(tb testing.TB, state string) {
	tb.Helper()
	type stretch struct {
		at, n uint64
		kind  rune
	}
	var all []stretch
	p := uint64(0)
	for _, c := range state {
		switch {
		case c == '.':
		case len(all) > 0 && all[len(all)-1].kind == c && all[len(all)-1].at+all[len(all)-1].n == p:
			all[len(all)-1].n++
		default:
			all = append(all, stretch{p, 1, c})
		}
		p++
	}
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		lower := []rune(strings.ToLower(string(s.kind)))[0]
		prot := stripProt[lower]
		if lower != s.kind {
			prot |= ProtWrite
		}
		t.mapStrip(tb, s.at, s.n, prot, anon)
		if lower != s.kind {
			t.touchAll(tb, stripBase+s.at*PageSize, s.n, Write)
			t.protectStrip(tb, s.at, s.n, stripProt[lower])
		}
	}
}

func (t *Task) mapStrip(tb testing.TB, at, n uint64, prot Prot, flags MapFlags) {
	tb.Helper()
	if _, errno := t.Mmap(MmapArgs{Addr: stripBase + at*PageSize, Len: n * PageSize, Prot: prot, Flags: flags | MapFixed}); errno != 0 {
		tb.Fatal(errno)
	}
}

func (t *Task) protectStrip(tb testing.TB, at, n uint64, prot Prot) {
	tb.Helper()
	if errno := t.Mprotect(stripBase+at*PageSize, n*PageSize, prot); errno != 0 {
		tb.Fatal(errno)
	}
}

func (t *Task) adviseStrip(tb testing.TB, at, n uint64, adv int) {
	tb.Helper()
	if errno := t.Madvise(stripBase+at*PageSize, n*PageSize, adv); errno != 0 {
		tb.Fatal(errno)
	}
}

func TestMergeAndSplit(t *testing.T) {
	mmap := func(at, n uint64) func(*testing.T, *Task) {
		return func(t *testing.T, tk *Task) { tk.mapStrip(t, at, n, rw, anon) }
	}
	protect := func(at, n uint64, prot Prot) func(*testing.T, *Task) {
		return func(t *testing.T, tk *Task) { tk.protectStrip(t, at, n, prot) }
	}
	unmap := func(at, n uint64) func(*testing.T, *Task) {
		return func(t *testing.T, tk *Task) {
			if errno := tk.Munmap(stripBase+at*PageSize, n*PageSize); errno != 0 {
				t.Fatal(errno)
			}
		}
	}
	for _, c := range []struct {
		what, start, want string
		do                func(*testing.T, *Task)
	}{
		// mmap_region
		{"1: fills the hole", "wwww....wwww", "wwwwwwwwwwww", mmap(4, 4)},
		{"2: only the one below suits", "wwww....rrrr", "wwwwwwww|rrrr", mmap(4, 4)},
		{"3: only the one above suits", "rrrr....wwww", "rrrr|wwwwwwww", mmap(4, 4)},
		{"none suits", "rrrr....xxxx", "rrrr|wwww|xxxx", mmap(4, 4)},
		{"does not touch", "wwww....wwww", "wwww.ww.wwww", mmap(5, 2)},
		{"both have pages of different origin: the one above", "WWWW....WWWW", "wwww|wwwwwwww", mmap(4, 4)},
		{"below has pages, above has none: both", "WWWW....wwww", "wwwwwwwwwwww", mmap(4, 4)},
		{"above has pages, below has none: not both", "wwww....WWWW", "wwww|wwwwwwww", mmap(4, 4)},
		{"over the middle of another", "rrrrrrrr", "rr|wwww|rr", mmap(2, 4)},
		{"over parts of two that then suit", "wwrrrrww", "wwwwwwww", mmap(1, 6)},
		{"what never was writable is not accounted", "rr..", "rr|rr", func(t *testing.T, tk *Task) {
			mmap(2, 2)(t, tk)
			protect(2, 2, ProtRead)(t, tk)
		}},
		{"MAP_NORESERVE keeps apart", "ww..", "ww|ww", func(t *testing.T, tk *Task) { tk.mapStrip(t, 2, 2, rw, anon|MapNoReserve) }},

		// vma_merge for mprotect
		{"splits in the middle", "wwwwwwww", "ww|rrrr|ww", protect(2, 4, ProtRead)},
		{"splits at the front", "wwwwwwww", "rrrr|wwww", protect(0, 4, ProtRead)},
		{"splits at the end", "wwwwwwww", "wwww|rrrr", protect(4, 4, ProtRead)},
		{"4: the boundary moves down", "wwwwwwwwwwww", "wwww|rrrrrrrr", func(t *testing.T, tk *Task) {
			protect(6, 6, ProtRead)(t, tk)
			protect(4, 2, ProtRead)(t, tk)
		}},
		{"5: the boundary moves up", "wwwwwwwwwwww", "wwwwwwww|rrrr", func(t *testing.T, tk *Task) {
			protect(6, 6, ProtRead)(t, tk)
			protect(6, 2, rw)(t, tk)
		}},
		{"6: both sides", "wwwwwwwwwwww", "wwwwwwwwwwww", func(t *testing.T, tk *Task) {
			protect(4, 4, ProtRead)(t, tk)
			protect(4, 4, rw)(t, tk)
		}},
		{"7: both suit alone, pages of different origin: the one below", "WWWW....WWWW", "wwwwwwww|wwww", func(t *testing.T, tk *Task) {
			tk.mapStrip(t, 4, 4, ProtRead, anon)
			protect(4, 4, rw)(t, tk)
		}},
		{"8: only the one above", "xxxxwwwwwwww", "xxxx|wwwwwwww", func(t *testing.T, tk *Task) {
			protect(4, 4, ProtRead)(t, tk)
			protect(4, 4, rw)(t, tk)
		}},
		// list_is_singular of the empty chain of an untouched neighbour is false
		{"pages do not go into an untouched neighbour", "wwwwRRRR", "wwww|wwww", protect(4, 4, rw)},
		{"untouched memory goes into a neighbour with pages", "WWWW....", "wwwwwwww", func(t *testing.T, tk *Task) {
			tk.mapStrip(t, 4, 4, ProtRead, anon)
			protect(4, 4, rw)(t, tk)
		}},
		{"neighbours that differ in protection share their anon_vma (find_mergeable_anon_vma)", "WWWW....", "wwwwwwww", func(t *testing.T, tk *Task) {
			tk.mapStrip(t, 4, 4, rw|ProtExec, anon)
			tk.touchAll(t, stripBase+4*PageSize, 4, Write)
			protect(4, 4, rw)(t, tk)
		}},
		// mprotect_fixup populates inside its loop
		{"locked memory gets its pages before the next mapping changes", "", "wwww", func(t *testing.T, tk *Task) {
			tk.mapStrip(t, 0, 4, ProtRead, anon)
			tk.Mlock(stripBase, 4*PageSize)
			protect(3, 1, rw|ProtExec)(t, tk)
			protect(0, 4, rw)(t, tk)
		}},
		{"over three mappings at once", "wwRRxx", "rrrrr|x", protect(0, 5, ProtRead)},
		{"accounted memory does not go into what is not", "wwrrxx", "rr|rr|r|x", protect(0, 5, ProtRead)},

		// munmap
		{"munmap in the middle", "wwwwwwww", "ww..wwww", unmap(2, 2)},
		{"munmap over a hole and parts of three", "wwww.rr.xxxx", "ww........xx", unmap(2, 8)},

		// madvise, mlock
		{"flags of madvise split", "wwwwww", "ww|ww|ww", func(t *testing.T, tk *Task) { tk.adviseStrip(t, 2, 2, madvDontFork) }},
		{"and join", "wwwwww", "wwwwww", func(t *testing.T, tk *Task) {
			tk.adviseStrip(t, 2, 2, madvDontDump)
			tk.adviseStrip(t, 0, 6, madvDoDump)
		}},
		{"mlock splits", "wwwwww", "w|wwwww", func(t *testing.T, tk *Task) { tk.Mlock(stripBase, 1) }},
		{"MADV_MERGEABLE does nothing to shared memory (ksm_madvise)", "", "wwww", func(t *testing.T, tk *Task) {
			tk.mapStrip(t, 0, 4, rw, MapShared|MapAnonymous)
			tk.adviseStrip(t, 1, 1, madvMergeable)
		}},

		// mremap
		{"grows over the hole and joins", "wwww....wwww", "wwwwwwwwwwww", func(t *testing.T, tk *Task) { tk.remapStrip(t, 0, 4, 8, 0, 0) }},
		{"shrinks", "wwwwwwww", "www.....", func(t *testing.T, tk *Task) { tk.remapStrip(t, 0, 8, 3, 0, 0) }},
		{"moves untouched memory next to its like", "ww....ww", "....wwww", func(t *testing.T, tk *Task) {
			tk.remapStrip(t, 0, 2, 2, mremapMayMove|mremapFixed, 4)
		}},
		{"moves pages: their offset keeps them apart (copy_vma)", "WW....ww", "....ww|ww", func(t *testing.T, tk *Task) {
			tk.remapStrip(t, 0, 2, 2, mremapMayMove|mremapFixed, 4)
		}},
		{"and joins them again where they came from", "WWWWww", "wwwwww", func(t *testing.T, tk *Task) {
			tk.remapStrip(t, 2, 2, 2, mremapMayMove|mremapFixed, 40)
			tk.remapStrip(t, 40, 2, 2, mremapMayMove|mremapFixed, 2)
		}},
		{"moves out of the middle", "wwwwww....", "ww..ww..ww", func(t *testing.T, tk *Task) {
			tk.remapStrip(t, 2, 2, 2, mremapMayMove|mremapFixed, 8)
		}},
		{"MREMAP_DONTUNMAP does not merge with its source", "ww..", "ww|ww", func(t *testing.T, tk *Task) {
			tk.remapStrip(t, 0, 2, 2, mremapMayMove|mremapFixed|mremapDontUnmap, 2)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			tk := task(t)
			tk.build(t, c.start)
			c.do(t, tk)
			if got := tk.strip(uint64(len(strings.ReplaceAll(c.want, "|", "")))); got != c.want {
				t.Errorf("\nstart %s\ngot   %s\nwant  %s", c.start, got, c.want)
			}
			check(t, tk.machine)
		})
	}
}

func (t *Task) remapStrip(tb testing.TB, at, n, to, flags, dst uint64) {
	tb.Helper()
	if _, errno := t.Mremap(stripBase+at*PageSize, n*PageSize, to*PageSize, flags, stripBase+dst*PageSize, 0); errno != 0 {
		tb.Fatal(errno)
	}
}

// File mappings merge when their offsets continue (can_vma_merge_after).
func TestMergeFiles(t *testing.T) {
	tk := task(t)
	f := tk.machine.File(1, 1, 64*PageSize, "a")
	g := tk.machine.File(1, 2, 64*PageSize, "b")
	add := func(at, n, offset uint64, f *File) {
		if _, errno := tk.Mmap(MmapArgs{Addr: stripBase + at*PageSize, Len: n * PageSize, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: f, Offset: offset * PageSize}); errno != 0 {
			t.Fatal(errno)
		}
	}
	add(0, 2, 0, f)
	add(2, 2, 2, f) // continues
	add(4, 2, 8, f) // other offset
	add(6, 2, 10, g)
	add(8, 2, 12, g) // continues
	if got, want := tk.strip(10), "rrrr|rr|rrrr"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A mapping that fork has made does not take in new memory, in the child; the
// parent's does (is_mergeable_anon_vma, list_is_singular; the comment of
// do_brk_flags says the same of the heap).
func TestMergeAfterFork(t *testing.T) {
	parent := task(t)
	parent.build(t, "WWWW")
	const heap = 0x20_0000_0000
	parent.SetBrk(heap, heap)
	parent.Brk(heap + 2*PageSize)
	parent.touchAll(t, heap, 2, Write)
	child := parent.Fork(2, 2, 1)
	for _, c := range []struct {
		tk    *Task
		strip string
		heaps int
	}{{parent, "wwwwww", 1}, {child, "wwww|ww", 2}} {
		c.tk.mapStrip(t, 4, 2, rw, anon)
		if got := c.tk.strip(6); got != c.strip {
			t.Errorf("process %d: %s, want %s", c.tk.pid, got, c.strip)
		}
		c.tk.Brk(heap + 4*PageSize)
		n := 0
		for _, v := range c.tk.space.list() {
			if v.name == "[heap]" {
				n++
			}
		}
		if n != c.heaps {
			t.Errorf("process %d: the heap is %d mappings, want %d", c.tk.pid, n, c.heaps)
		}
	}
	check(t, parent.machine)
}

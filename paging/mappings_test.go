package paging

import (
	"strings"
	"testing"
)

// Which mapping stays the same, drawn as strips, one character a page: A, B, ... are
// the mappings of the start state in order of address, a, b, ... others that are there
// afterwards. The start states are those of merge_test.go. The expected strips were
// worked out from Linux 6.6 mm/mmap.c: __split_vma and who calls it with new_below
// (do_vmi_align_munmap, split_vma of vma_modify), the cases of vma_merge, vma_expand,
// and mm/mremap.c: vma_to_resize, move_vma.
func TestMappingID(t *testing.T) {
	at := func(page uint64) uint64 { return stripBase + page*PageSize }
	protect := func(page, n uint64, prot Prot) func(*Task) Errno {
		return func(tk *Task) Errno { return tk.Mprotect(at(page), n*PageSize, prot) }
	}
	unmap := func(page, n uint64) func(*Task) Errno {
		return func(tk *Task) Errno { return tk.Munmap(at(page), n*PageSize) }
	}
	mmap := func(page, n uint64, prot Prot) func(*Task) Errno {
		return func(tk *Task) Errno {
			_, errno := tk.Mmap(MmapArgs{Addr: at(page), Len: n * PageSize, Prot: prot, Flags: anon | MapFixed})
			return errno
		}
	}
	mremap := func(page, oldLen, newLen, flags, to uint64) func(*Task) Errno {
		return func(tk *Task) Errno {
			_, errno := tk.Mremap(at(page), oldLen*PageSize, newLen*PageSize, flags, at(to), 0)
			return errno
		}
	}
	const move = mremapMayMove | mremapFixed
	for _, c := range []struct {
		what, start, want string
		do                func(*Task) Errno
	}{
		{"mprotect in the middle: both ends are new", "wwwwww", "aaAAbb", protect(2, 2, ProtRead)},
		{"mprotect of the first pages", "wwwwww", "AAaaaa", protect(0, 2, ProtRead)},
		{"mprotect of the last pages", "wwwwww", "aaaaAA", protect(4, 2, ProtRead)},
		{"4: the one above takes the end of the one below", "rrrrwwww", "AABBBBBB", protect(2, 2, rw)},
		{"5: the one below takes the beginning of the one above", "wwwwrrrr", "AAAAAABB", protect(4, 2, rw)},
		{"6: all three become the one below", "wwwwrrrrwwww", "AAAAAAAAAAAA", protect(4, 4, rw)},
		{"7: the whole goes to the one below", "wwwwrrrrxxxx", "AAAAAAAACCCC", protect(4, 4, rw)},
		{"8: the whole goes to the one above", "xxxxrrrrwwww", "AAAACCCCCCCC", protect(4, 4, rw)},
		{"mprotect that changes nothing", "wwww", "AAAA", protect(1, 2, rw)},
		{"madvise splits as mprotect", "wwwwww", "aaAAbb", func(tk *Task) Errno { return tk.Madvise(at(2), 2*PageSize, madvDontFork) }},

		{"munmap in the middle: what is left is new", "wwwwww", "aa..bb", unmap(2, 2)},
		{"munmap of the first pages", "wwwwww", "..aaaa", unmap(0, 2)},
		{"munmap of the last pages", "wwwwww", "aaaa..", unmap(4, 2)},
		{"munmap of one and of parts of its neighbours", "wwwwrrrrxxxx", "aa........bb", unmap(2, 8)},

		{"1: mmap into the hole, the one below grows", "wwww....wwww", "AAAAAAAAAAAA", mmap(4, 4, rw)},
		{"2: grows at its end", "wwww....rrrr", "AAAAAAAABBBB", mmap(4, 4, rw)},
		{"3: grows at its beginning", "rrrr....wwww", "AAAABBBBBBBB", mmap(4, 4, rw)},
		{"mmap beside nothing", "wwww........", "AAAA..aaaa..", mmap(6, 4, rw)},
		{"mmap over the middle, otherwise", "wwwwww", "aabbcc", mmap(2, 2, ProtRead)},
		{"mmap over the middle, alike: what is left below grows", "wwwwww", "aaaaaa", mmap(2, 2, rw)},

		{"mremap grows at its end", "wwww....", "AAAAAA..", mremap(0, 4, 6, 0, 0)},
		{"mremap grows into a neighbour", "wwww..ww", "AAAAAAAA", mremap(0, 4, 6, 0, 0)},
		{"mremap shrinks: munmap of the rest", "wwww", "aa..", mremap(0, 4, 2, 0, 0)},
		{"mremap moves: another one", "WWWW........", "........aaaa", mremap(0, 4, 4, move, 8)},
		{"mremap moves a part", "WWWW........", "aa......bb..", mremap(2, 2, 2, move, 8)},
		{"mremap leaves the old one there", "WWWW........", "AAAA....aaaa", mremap(0, 4, 4, move|mremapDontUnmap, 8)},
	} {
		tk := task(t)
		tk.build(t, c.start)
		names := map[MappingID]byte{}
		first, n := byte('A'), len(c.start)
		draw := func() string {
			var b strings.Builder
			for p := range n {
				v := tk.space.list().at(at(uint64(p)))
				if v == nil {
					b.WriteByte('.')
					continue
				}
				if _, known := names[v.identity()]; !known {
					names[v.identity()] = first
					first++
				}
				b.WriteByte(names[v.identity()])
			}
			return b.String()
		}
		draw()
		first = 'a'
		if errno := c.do(tk); errno != 0 {
			t.Errorf("%s: %v", c.what, errno)
		}
		if got := draw(); got != c.want {
			t.Errorf("%s: %s became %s, want %s", c.what, c.start, got, c.want)
		}
		check(t, tk.machine)
	}
}

// The heap and the stack grow and stay; the child of a fork has mappings of its own.
func TestMappingIDOfProcess(t *testing.T) {
	tk := task(t)
	id := func(tk *Task, addr uint64) MappingID { return tk.space.list().at(addr).identity() }
	const heap, stack = 0x5000_0000, 0x7000_0000
	tk.SetBrk(heap, heap)
	tk.Brk(heap + 4*PageSize)
	if err := tk.MapRegion(Region{Start: stack, End: stack + PageSize, Prot: rw, Kind: Stack}); err != nil {
		t.Fatal(err)
	}
	before := tk.Mappings()
	h, s := id(tk, heap), id(tk, stack)
	tk.Brk(heap + 8*PageSize)
	tk.Access(stack-3*PageSize, Write)
	if id(tk, heap+7*PageSize) != h || id(tk, stack-3*PageSize) != s {
		t.Error("what grew is another mapping")
	}
	var changed []MappingID
	before.Changed(tk.Mappings(), func(m MappingID) { changed = append(changed, m) })
	if len(changed) != 4 || changed[0] != h || changed[1] != s || changed[2] != h || changed[3] != s {
		t.Errorf("%d changes, want the heap and the stack as they were and as they are", len(changed))
	}
	child := tk.Fork(2, 2, 0)
	if id(child, heap) == h || child.Mappings().Space() == tk.Mappings().Space() {
		t.Error("the child has the mappings of its parent")
	}
	n := 0
	tk.Mappings().Each(func(MappingID) { n++ })
	if n != 2 {
		t.Errorf("%d mappings, want 2", n)
	}
}

// A fault says whether the mapping had no anon_vma: the first write of one makes it, a
// read of zeros does not (mm/memory.c:do_anonymous_page).
func TestUnprepared(t *testing.T) {
	tk := task(t)
	var got []bool
	tk.machine.OnFault(func(f *FaultInfo) { got = append(got, f.Unprepared) })
	addr := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	for i, a := range []Access{Read, Write, Read, Write} {
		tk.Access(addr+uint64(i)*PageSize, a)
	}
	if len(got) != 4 || !got[0] || !got[1] || got[2] || got[3] {
		t.Errorf("unprepared: %v, want true true false false", got)
	}
}

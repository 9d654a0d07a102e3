package paging

import (
	"fmt"
	"strings"
)

// State in one fixed notation, for --explain and for tests:
//
//	VMA 0x10000000-0x10004000 rw- private [anon]
//	PTE 0x10000000 -                              nothing there
//	PTE 0x10001000 frame 3 anon 2 PW-AD-          a frame, what it holds, how many entries map it, and bits
//	PTE 0x10002000 frame zero P--A--              the zero page
//	PMD 0x10200000 frame 512 anon 1 PW-ADE        a large page, by its first frame (PUD: 1 GiB)
//	PTE 0x10003000 swap 3 E                       a page in swap
//	PTE 0x10004000 file 9                         page 9 of the file, where mappings are non-linear
//
// The bits are P present (N: there, but no access is permitted), W writable, X
// executable, A accessed, D dirty, E exclusive to this entry; - stands for one
// that is not set.

// bitNames are the bits of an entry in the order of the notation.
var bitNames = []struct {
	bit  uint64
	name byte
}{{pteW, 'W'}, {pteNX, 'X'}, {pteA, 'A'}, {pteD, 'D'}, {pteExclusive, 'E'}}

// describeBits is the bits of an entry that is not empty: "PW-ADE".
func describeBits(e uint64) string {
	b := []byte{'P'}
	if e&pteNone != 0 {
		b[0] = 'N'
	}
	for _, n := range bitNames {
		on := e&n.bit != 0
		if n.bit == pteNX {
			on = !on
		}
		if on {
			b = append(b, n.name)
		} else {
			b = append(b, '-')
		}
	}
	return string(b)
}

var frameNames = []string{frameFree: "free", frameAnon: "anon", frameFile: "file", frameShmem: "shmem", frameZero: "zero",
	frameHugeAnon: "hugetlb", frameHugeFile: "hugetlb-shared", frameHugeFree: "hugetlb-free"}

// DescribeEntry is an entry of a page table in the notation, without the page:
// "-", or "frame 3 anon 2 PW-ADE".
func (m *Machine) DescribeEntry(e uint64) string { return m.describeEntry(e, m.mappings(e)) }

// describeEntry is DescribeEntry at a time when so many entries mapped the frame.
func (m *Machine) describeEntry(e uint64, maps int32) string {
	switch {
	case e == 0:
		return "-"
	case isFileEntry(e):
		return fmt.Sprintf("file %d", fileOffset(e))
	case isSwap(e):
		own := "-"
		if e&pteExclusive != 0 {
			own = "E"
		}
		return fmt.Sprintf("swap %d %s", ptePFN(e), own)
	case e&(pteP|pteNone) == 0:
		return fmt.Sprintf("not present %#x", e)
	}
	f := m.frames.at(ptePFN(e))
	if f.kind == frameZero {
		return "frame zero " + describeBits(e)
	}
	return fmt.Sprintf("frame %d %s %d %s", ptePFN(e), name(frameNames, int(f.kind)), maps, describeBits(e))
}

// mappings is how many entries map the frame of an entry.
func (m *Machine) mappings(e uint64) int32 {
	if e&(pteP|pteNone) == 0 {
		return 0
	}
	return m.frames.at(ptePFN(e)).mapcount.Load()
}

// describe is a mapping in the notation.
func (v *vma) describe() string {
	return describeMapping(v.start, v.end, v.prot(), !v.private(), v.Name())
}

func describeMapping(start, end uint64, prot Prot, shared bool, name string) string {
	kind := "private"
	if shared {
		kind = "shared"
	}
	return fmt.Sprintf("VMA %#x-%#x %v %s %s", start, end, prot, kind, name)
}

// Dump is the address space of the task in the notation: each mapping, and below
// it the entries that are not empty. Call it while no task runs.
func (t *Task) Dump() string {
	var b strings.Builder
	for _, v := range t.space.list() {
		b.WriteString(v.describe() + "\n")
		t.space.table.tables(v.first(), v.last(), func(base uint64, tab *table) {
			if e := tab.large(); e != 0 {
				fmt.Fprintf(&b, "%s %#x %s\n", entryClass(e), base<<pageShift, t.machine.DescribeEntry(e))
			}
			if tab.ptes == nil || tab.large() != 0 {
				return
			}
			for vpn := max(base, v.first()); vpn < min(base+tab.pages(), v.last()); vpn++ {
				if e := tab.load(vpn); e != 0 {
					fmt.Fprintf(&b, "PTE %#x %s\n", vpn<<pageShift, t.machine.DescribeEntry(e))
				}
			}
		})
	}
	return b.String()
}

// Present says whether the page at addr is in memory and mapped: an access that its
// mapping permits finds it. It changes nothing.
func (t *Task) Present(addr uint64) bool { return t.peek(addr>>pageShift)&(pteP|pteNone) != 0 }

// peek is the entry of a page, 0 where there is no table.
func (t *Task) peek(vpn uint64) uint64 {
	if vpn >= t.machine.layout.pages() {
		return 0
	}
	if tab := t.leaf(vpn); tab != nil {
		return tab.load(vpn)
	}
	return 0
}

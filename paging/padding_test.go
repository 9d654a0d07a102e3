package paging

import (
	"testing"
	"unsafe"
)

// What one CPU writes and others read all the time does not stand on one cache line
// (64 bytes on x86-64, and on most of AArch64).
func TestPadding(t *testing.T) {
	const line = unsafe.Sizeof(linePad{})
	if got := unsafe.Sizeof(table{}); got%line != 0 { // the allocator aligns such sizes to them
		t.Errorf("a table takes %d bytes", got)
	}
	var s Space
	var p framePool
	var m Machine
	for _, c := range []struct {
		what           string
		before, behind uintptr
	}{
		{"Space.table after vmas", unsafe.Offsetof(s.vmas) + unsafe.Sizeof(s.vmas), unsafe.Offsetof(s.table)},
		{"Space.rss after prune", unsafe.Offsetof(s.prune) + unsafe.Sizeof(s.prune), unsafe.Offsetof(s.rss)},
		{"framePool.mu after blocks", unsafe.Offsetof(p.blocks) + unsafe.Sizeof(p.blocks), unsafe.Offsetof(p.mu)},
		{"framePool.chunks after next", unsafe.Offsetof(p.next) + unsafe.Sizeof(p.next), unsafe.Offsetof(p.chunks)},
		{"Machine.rss after dead", unsafe.Offsetof(m.dead) + unsafe.Sizeof(m.dead), unsafe.Offsetof(m.rss)},
	} {
		if c.behind-c.before < line {
			t.Errorf("%s: %d bytes apart", c.what, c.behind-c.before)
		}
	}
}

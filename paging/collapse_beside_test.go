package paging

import (
	"sync"
	"testing"
)

// TestCollapseBesideReader: what was small and is made huge beside a thread that reads
// it is in no TLB as small pages (Check), and the reader does not fault for ever on the
// entry of a small page that it has found before.
func TestCollapseBesideReader(t *testing.T) {
	for _, every := range []uint64{1, 2} { // every page is there before; or every other
		c := DefaultConfig()
		c.THP, c.TLB = THPMadvise, small
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		const pages = tableSize
		first := m.NewProcess(1, 1, 0)
		a := first.pages(t, pages, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: anon | MapFixed})
		reader := first.Clone(2, 1)
		var refs []Ref
		for i := range uint64(pages) {
			r, _ := MakeRef(a>>pageShift+i*67%pages, Read, 1, 0, 0)
			refs = append(refs, r)
		}
		for range 400 {
			first.Madvise(a, pages*PageSize, madvDontNeed)
			for i := uint64(0); i < pages; i += every {
				first.Access(a+i*PageSize, Write)
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { reader.Run(refs) })
				first.Madvise(a, pages*PageSize, madvCollapse)
				wg.Wait()
			}
			if err := m.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

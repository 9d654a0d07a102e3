package synth

import "fmt"

// Sizes of glibc's malloc, in pages: what a heap grows by beyond the need, and
// how much may be free at its top before it shrinks (M_TOP_PAD and
// M_TRIM_THRESHOLD, 128 KiB each; M_MMAP_THRESHOLD, from which blocks are mapped
// instead, is 128 KiB too). Each in mallopt(3).
const (
	topPad        = 32
	trimAbove     = 32
	mmapThreshold = 32
)

// mallocBrk is malloc and free of small blocks, last in, first out. In each of
// Rounds rounds the program comes to need another number of pages, up to Pages
// and all equally likely. More of them are allocated and each is written once;
// fewer are freed. The heap grows and shrinks by the rules of glibc; the heap is
// that of the process, so each thread beyond the first has an arena of its own,
// which malloc keeps in a mapping: it is written and never given back.
func mallocBrk(p Params) program {
	return program{body: func(t *thread) {
		if t.index > 0 {
			arena(t, p)
			return
		}
		start := t.heap()
		end := uint64(0) // of the heap, in pages
		churn(t, p, start, func(used uint64) {
			if used > end || end-used > trimAbove {
				end = used + topPad
				t.brk(start + end<<pageShift)
			}
		})
	}}
}

// arena is the churn of a thread that does not have the heap.
func arena(t *thread, p Params) {
	at := base + t.index*p.Pages<<pageShift
	t.mapAnon(at, p.Pages)
	churn(t, p, at, func(uint64) {})
}

// churn allocates and frees Rounds times: need is told how many pages are in use
// before those that are new are written.
func churn(t *thread, p Params, start uint64, need func(used uint64)) {
	used := uint64(0)
	for range p.Rounds {
		want := t.rng.between(0, p.Pages)
		need(want)
		if want > used {
			t.writePages(start+used<<pageShift, want-used)
		}
		used = want
	}
}

// mallocMmap is malloc and free of large blocks: each of Rounds rounds frees one
// of Live blocks, drawn at random, and allocates another in its place, from the
// size that glibc maps up to Pages, and writes all of it. At the end all are
// freed.
func mallocMmap(p Params) program {
	return program{body: func(t *thread) {
		slots(t, p, func(at uint64) uint64 {
			pages := t.rng.between(min(mmapThreshold, p.Pages), p.Pages)
			t.mapAnon(at, pages)
			t.writePages(at, pages)
			return pages
		})
	}}
}

// slots lets Rounds mappings come and go in Live places of Pages each; fill maps
// one and returns its size in pages.
func slots(t *thread, p Params, fill func(at uint64) uint64) {
	size := make([]uint64, p.Live)
	place := func(slot uint64) uint64 { return base + (t.index*p.Live+slot)*p.Pages<<pageShift }
	empty := func(slot uint64) {
		if size[slot] > 0 {
			t.munmap(place(slot), size[slot])
		}
	}
	for range p.Rounds {
		slot := t.rng.below(p.Live)
		empty(slot)
		size[slot] = fill(place(slot))
	}
	for slot := range p.Live {
		empty(slot)
	}
}

// slotsFit refuses slots that do not fit into the address space.
func slotsFit(p Params) error {
	if p.Pages > maxPages/(p.Live*p.Threads) {
		return fmt.Errorf("--pages %d in each of --live %d of each of --threads %d: must be at most %d pages in all", p.Pages, p.Live, p.Threads, maxPages)
	}
	return nil
}

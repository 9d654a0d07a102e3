package synth

// The shapes of will-it-scale (github.com/antonblanchard/will-it-scale, tests/),
// which measure how the kernel's memory management scales: every thread does the
// same to memory of its own, over and over. The files of those tests are on a
// temporary file system of whatever kind; here they are files like any other.
// The regions of neighbouring threads touch, as those of the tests do: there each is put
// below the last one or into the highest hole, here each thread has its place, so that
// what a thread does is the same for any slice. That they merge is the same.

// memory maps the memory of a thread at an address; fd is that of its file.
type memory struct {
	file  bool
	place func(t *thread, at, pages, fd uint64)
}

var (
	anonMemory  = memory{false, func(t *thread, at, pages, _ uint64) { t.mapAnon(at, pages) }}
	privateFile = memory{true, func(t *thread, at, pages, fd uint64) { t.mapFile(at, pages, mapPrivate, fd) }}
	sharedFile  = memory{true, func(t *thread, at, pages, fd uint64) { t.mapFile(at, pages, mapShared, fd) }}
)

// shape maps the memory, uses it, and unmaps it, Rounds times.
func shape(m memory, use func(t *thread, at, pages uint64)) func(Params) program {
	return func(p Params) program {
		return program{body: func(t *thread) {
			at, fd := base+t.index*p.Pages<<pageShift, noFile
			if m.file {
				fd = t.newFile(p.Pages)
			}
			for range p.Rounds {
				m.place(t, at, p.Pages, fd)
				use(t, at, p.Pages)
				t.munmap(at, p.Pages)
			}
		}}
	}
}

// touchAll is what page_fault1 to page_fault3 do: a write to each page.
func touchAll(t *thread, at, pages uint64) { t.writePages(at, pages) }

// touchNone is what mmap1 and mmap2 do.
func touchNone(*thread, uint64, uint64) {}

// dropEach is what tlb_flush1 to tlb_flush3 do: a page is written, dropped
// (MADV_DONTNEED), and read, one after the other.
func dropEach(t *thread, at, pages uint64) {
	for i := range pages {
		addr := at + i<<pageShift
		t.write(addr)
		t.madvise(addr, 1, dontNeed)
		t.read(addr)
	}
}

// brk1 moves the end of the heap one page up and down again, Rounds times. The
// threads of a process do so with the same heap, as those of the test do.
func brk1(p Params) program {
	return program{
		image: func(t *thread) { t.heap() },
		body: func(t *thread) {
			for range p.Rounds {
				t.brk(heapBase + pageSize)
				t.brk(heapBase)
			}
		},
	}
}

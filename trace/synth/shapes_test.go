package synth

import (
	"maps"
	"slices"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// What a workload consists of, worked out by hand from its definition: reads,
// writes, and system calls.
func TestCounts(t *testing.T) {
	type calls = map[string]int
	for _, c := range []struct {
		name          string
		p             Params
		reads, writes int
		calls         calls
	}{
		// 3 threads of each of 2 processes, 4 rounds, 20 pages: 24 rounds in all.
		// Each process starts 2 threads beside the first.
		{"page_fault1", Params{Pages: 20, Rounds: 4, Threads: 3, Processes: 2}, 0, 480, calls{"mmap": 24, "munmap": 24, "clone": 4}},
		{"page_fault2", Params{Pages: 20, Rounds: 4, Threads: 3, Processes: 2}, 0, 480, calls{"mmap": 24, "munmap": 24, "clone": 4}},
		{"page_fault3", Params{Pages: 20, Rounds: 4, Threads: 3, Processes: 2}, 0, 480, calls{"mmap": 24, "munmap": 24, "clone": 4}},
		{"mmap1", Params{Pages: 20, Rounds: 4, Threads: 3}, 0, 0, calls{"mmap": 12, "munmap": 12, "clone": 2}},
		{"mmap2", Params{Pages: 20, Rounds: 4, Threads: 3}, 0, 0, calls{"mmap": 12, "munmap": 12, "clone": 2}},
		{"brk1", Params{Rounds: 10, Threads: 2}, 0, 0, calls{"brk": 41, "clone": 1}},
		{"tlb_flush1", Params{Pages: 20, Rounds: 4, Threads: 3}, 240, 240, calls{"mmap": 12, "munmap": 12, "madvise": 240, "clone": 2}},
		{"tlb_flush2", Params{Pages: 20, Rounds: 4, Threads: 3}, 240, 240, calls{"mmap": 12, "munmap": 12, "madvise": 240, "clone": 2}},
		{"tlb_flush3", Params{Pages: 20, Rounds: 4, Threads: 3}, 240, 240, calls{"mmap": 12, "munmap": 12, "madvise": 240, "clone": 2}},
		// The parent writes 50 pages, and one in each round; 8 children write 20
		// percent of 50 and read the others.
		{"fork-server", Params{Pages: 50, Rounds: 4, Children: 2, Writes: 20}, 8 * 40, 50 + 4 + 8*10, calls{"mmap": 1, "fork": 8}},
		{"file-sync", Params{Pages: 20, Rounds: 4, Threads: 2}, 0, 160, calls{"mmap": 2, "msync": 8, "clone": 1}},
		// 100 pages in strides of 8: 13 pages, the last of the 4 that remain.
		{"sparse", Params{Pages: 100, Stride: 8, Rounds: 3}, 26, 13, calls{"mmap": 1}},
		{"mmap-storm", Params{Pages: 8, Rounds: 100, Live: 5, Threads: 2}, 0, 200, calls{"mmap": 200, "mprotect": 200, "munmap": 200, "clone": 1}},
		{"mmap-storm", Params{Pages: 1, Rounds: 100, Live: 5}, 0, 100, calls{"mmap": 100, "munmap": 100}},
		// n = 10: 2n^3 reads; 2n^2 writes of A and B, n^2 of C.
		{"matmul", Params{Size: 10}, 2000, 300, calls{"mmap": 1}},
		{"matmul", Params{Size: 10, Threads: 3}, 2000, 300, calls{"mmap": 1, "clone": 2}},
		// Blocks of 4: ceil(10/4) = 3 times each element of C is read and written.
		{"matmul-blocked", Params{Size: 10, Block: 4}, 2000 + 300, 200 + 300, calls{"mmap": 1}},
		{"matmul-blocked", Params{Size: 10, Block: 4, Threads: 3}, 2000 + 300, 200 + 300, calls{"mmap": 1, "clone": 2}},
		{"matmul-blocked", Params{Size: 3, Block: 8, Threads: 7}, 54 + 9, 18 + 9, calls{"mmap": 1, "clone": 6}},
	} {
		r := record(t, c.name, c.p)
		if w := r.written(); w != c.writes || len(r.accesses)-w != c.reads {
			t.Errorf("%s %+v: %d reads, %d writes, want %d, %d", c.name, c.p, len(r.accesses)-w, w, c.reads, c.writes)
		}
		if got := r.calls(); !maps.Equal(got, c.calls) {
			t.Errorf("%s %+v: calls %v, want %v", c.name, c.p, got, c.calls)
		}
	}
}

// distinct are the pages of a trace, each once.
func distinct(r *recording) []uint64 {
	var pages []uint64
	for _, a := range r.accesses {
		pages = append(pages, a.page)
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// Where every thread has memory of its own, their regions touch and do not
// overlap.
func TestRegionsOfThreads(t *testing.T) {
	for _, name := range []string{"page_fault1", "page_fault3", "tlb_flush2", "file-sync"} {
		r := record(t, name, Params{Pages: 20, Rounds: 2, Threads: 3})
		if got := distinct(r); len(got) != 60 || got[59] != 59 {
			t.Errorf("%s: %d pages up to %d, want 60 up to 59", name, len(got), got[len(got)-1])
		}
		for _, a := range r.accesses {
			if a.page/20 != uint64(a.thread-1) {
				t.Fatalf("%s: thread %d is in the region of thread %d", name, a.thread, a.page/20+1)
			}
		}
	}
}

// Every file has an identity of its own, and a descriptor that its process has
// not used before.
func TestFiles(t *testing.T) {
	r := record(t, "page_fault2", Params{Pages: 20, Rounds: 1, Threads: 2, Processes: 2})
	var ids, fds []uint64
	for _, e := range r.events {
		if e.Kind == trace.KindFile {
			f := e.File()
			ids, fds = append(ids, f.ID, f.Ino), append(fds, f.FD)
			if f.Size != 20*pageSize {
				t.Errorf("file %d has %d bytes", f.ID, f.Size)
			}
		}
	}
	if !slices.Equal(ids, []uint64{1, 1, 2, 2, 3, 3, 4, 4}) || !slices.Equal(fds, []uint64{4, 4, 5, 5}) {
		t.Errorf("ids and inodes %v, descriptors plus one %v", ids, fds)
	}
}

// The pages of the product are those of three matrices of whole pages.
func TestMatrixPages(t *testing.T) {
	r := record(t, "matmul", Params{Size: 33}) // 33*33*8 = 8712 bytes: 3 pages each
	if got := distinct(r); !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("pages %v, want 0 to 8", got)
	}
	for _, a := range r.accesses[2*33*33:] {
		if a.write != (a.page >= 6) {
			t.Fatalf("page %d: write is %v; C alone, pages 6 to 8, is written", a.page, a.write)
		}
	}
}

// mapped are the pages that a process may touch.
type mapped map[uint64]bool

func (m mapped) apply(t *testing.T, e trace.Event) {
	if e.Kind != trace.KindSyscall {
		return
	}
	s := e.Syscall()
	page, pages := s.Args[0]>>pageShift-base>>pageShift, s.Args[1]>>pageShift
	for i := range pages {
		switch s.Nr {
		case nrMmap:
			if m[page+i] {
				t.Fatalf("page %d is mapped twice", page+i)
			}
			m[page+i] = true
		case nrMunmap, nrMprotect: // to no access
			if !m[page+i] && s.Nr == nrMprotect {
				t.Fatalf("page %d is protected before it is mapped", page+i)
			}
			delete(m, page+i)
		}
	}
}

// watched is a recording that holds every access against what is mapped.
type watched struct {
	*recording
	mapped mapped
}

func (w watched) Event(e *trace.Event) error {
	w.mapped.apply(w.t, *e)
	return w.recording.Event(e)
}

func (w watched) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	for _, r := range refs {
		if !w.mapped[r.VPN-base>>pageShift] {
			w.t.Fatalf("page %d is touched and not mapped", r.VPN-base>>pageShift)
		}
	}
	return w.recording.Refs(thread, refs, ips)
}

// Mappings that come and go never overlap, what is touched is mapped, and in the
// end nothing is left (but the guard pages, which the test forgets).
func TestSlots(t *testing.T) {
	for name, p := range map[string]Params{
		"mmap-storm":  {Pages: 8, Rounds: 500, Live: 7, Threads: 3, Seed: 4},
		"malloc-mmap": {Pages: 64, Rounds: 100, Live: 7, Threads: 3, Seed: 4},
	} {
		w := watched{&recording{t: t, check: trace.NewChecker()}, mapped{}}
		if err := Generate(name, p, func(trace.Header) (trace.Sink, error) { return w, nil }); err != nil {
			t.Fatal(err)
		}
		if len(w.mapped) != 0 {
			t.Errorf("%s: %d pages are left", name, len(w.mapped))
		}
	}
	// Each page of each block is written once.
	r := record(t, "malloc-mmap", Params{Pages: 64, Rounds: 100, Live: 7, Seed: 4})
	asked := 0
	for _, e := range r.events {
		if s := e.Syscall(); e.Kind == trace.KindSyscall && s.Nr == nrMmap {
			pages := int(s.Args[1] >> pageShift)
			if pages < 32 || pages > 64 {
				t.Errorf("a block of %d pages, want 32 to 64", pages)
			}
			asked += pages
		}
	}
	if r.written() != asked {
		t.Errorf("%d writes, %d pages allocated", r.written(), asked)
	}
}

// The heap of malloc keeps mallopt(3)'s rules: what is written is below the
// break, the break moves up only to make room and then to 128 KiB beyond the
// need, and down only from more than that.
func TestHeap(t *testing.T) {
	w := &heapWatch{recording: recording{t: t, check: trace.NewChecker()}}
	if err := Generate("malloc-brk", Params{Pages: 200, Rounds: 300, Seed: 8}, func(trace.Header) (trace.Sink, error) { return w, nil }); err != nil {
		t.Fatal(err)
	}
	if w.up < 10 || w.down < 10 {
		t.Errorf("the break went up %d times and down %d times", w.up, w.down)
	}
}

type heapWatch struct {
	recording
	end      uint64 // of the heap, in pages
	up, down int
}

func (w *heapWatch) Event(e *trace.Event) error {
	if s := e.Syscall(); e.Kind == trace.KindSyscall && s.Nr == nrBrk && s.Args[0] != 0 {
		end := (s.Args[0] - heapBase) >> pageShift
		if s.Ret != s.Args[0] || end == w.end || end > 200+32 {
			w.t.Fatalf("brk(%#x) = %#x at %d pages", s.Args[0], s.Ret, w.end)
		}
		if end > w.end {
			w.up++
		} else {
			w.down++
		}
		w.end = end
	}
	return w.recording.Event(e)
}

func (w *heapWatch) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	for _, r := range refs {
		if page := r.VPN - heapBase>>pageShift; page >= w.end {
			w.t.Fatalf("page %d of a heap of %d is written", page, w.end)
		}
	}
	return w.recording.Refs(thread, refs, ips)
}

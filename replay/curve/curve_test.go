package curve

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

func model() paging.Config {
	c := paging.DefaultConfig()
	c.Cache = paging.CacheCold
	return c
}

// holds replays the trace at sizes of memory and holds the curve to what each run
// counts: no tolerance.
func holds(t *testing.T, open func() trace.Source, sizes func(footprint uint64) []uint64) {
	t.Helper()
	c, err := Run(context.Background(), func() (trace.Source, error) { return open(), nil }, Options{Replay: replay.Options{Model: model(), Check: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, pages := range sizes(c.FootprintBytes / paging.PageSize) {
		i := slices.IndexFunc(c.Points, func(p result.CurvePoint) bool { return p.Bytes == pages*paging.PageSize })
		if i < 0 {
			t.Fatalf("no point for %d pages", pages)
		}
		m := model()
		m.Memory, m.Swap, m.Reclaim = pages*paging.PageSize, 1<<44, "lru"
		src := open()
		run, err := replay.Run(context.Background(), src, replay.Options{Model: m, Check: true})
		if err != nil {
			t.Fatal(err)
		}
		src.Close()
		got := result.CurvePoint{Bytes: m.Memory, Minor: run.Totals.Faults.Minor, Major: run.Totals.Faults.Major,
			WriteBackBytes: run.Totals.Swap.OutBytes + run.Totals.Reclaim.FileOutBytes}
		if got != c.Points[i] {
			t.Errorf("in %d pages of %d the curve has %+v, a replay counts %+v", pages, c.FootprintBytes/paging.PageSize, c.Points[i], got)
		}
	}
}

// opens opens a file anew at each call.
func opens(t *testing.T, file string) func() trace.Source {
	return func() trace.Source {
		src, err := trace.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
}

// TestBundled: on every bundled trace.
func TestBundled(t *testing.T) {
	files, err := filepath.Glob("../../traces/*.vmt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			holds(t, opens(t, file), func(footprint uint64) []uint64 {
				return []uint64{4, 16, footprint / 8, footprint / 3, footprint / 2, footprint - 1, footprint}
			})
		})
	}
}

// TestRandom: on random programs of several processes with calls in between, at
// every size.
func TestRandom(t *testing.T) {
	for seed := range uint64(40) {
		text := program(rand.New(rand.NewPCG(seed, 7)))
		name := filepath.Join(t.TempDir(), "x.txt")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		holds(t, opens(t, name), func(footprint uint64) []uint64 {
			var sizes []uint64
			for pages := uint64(leastPages); pages <= footprint; pages++ {
				sizes = append(sizes, pages)
			}
			return sizes
		})
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
}

// program is a random program in the text form of traces: up to four processes that
// share memory by fork and by files, and calls that make, move, protect and drop it.
// It has no MADV_FREE and locks nothing, for which a curve is not exact.
func program(r *rand.Rand) string {
	const pages = 12
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# vmtrace text 1")
	line("process op=start pid=1 tid=1")
	line("file id=1 dev=1 ino=1 size=%d fd=4 path=\"/f\"", pages*4096)
	bases := []uint64{0x10000000, 0x20000000, 0x30000000, 0x40000000}
	for i, flags := range []int{0x22, 0x21, 0x02, 0x01} { // anonymous: private, shared; file: private, shared
		fd := -1
		if flags&0x20 == 0 {
			fd = 4
		}
		line("syscall mmap(0x%x, 0x%x, 0x3, 0x%x, %d, 0) = 0x%x", bases[i], pages*4096, flags|0x10, fd, bases[i])
	}
	tasks := []int{1}
	next := 2
	for range 400 {
		k := r.IntN(len(tasks))
		base := bases[r.IntN(len(bases))]
		at := base + r.Uint64N(pages)*4096
		n := (1 + r.Uint64N(3)) * 4096
		line("sched thread=%d", tasks[k])
		switch op := r.IntN(100); {
		case op < 85:
			line("%c 0x%x", "RW"[r.IntN(2)], at)
		case op < 87 && len(tasks) < 4:
			line("process op=fork pid=%d tid=%d", next, next)
			tasks = append(tasks, next)
			next++
		case op < 88 && len(tasks) > 1:
			line("process op=exit pid=%d tid=%d", tasks[k], tasks[k])
			tasks = slices.Delete(tasks, k, k+1)
		case op < 92:
			line("syscall madvise(0x%x, 0x%x, %d) = 0", at, n, []int{4, 20, 21}[r.IntN(3)]) // DONTNEED, COLD, PAGEOUT
		case op < 94:
			line("syscall mprotect(0x%x, 0x%x, 0x1) = 0", at, n)
			line("syscall mprotect(0x%x, 0x%x, 0x3) = 0", at, n)
		case op < 96:
			line("syscall msync(0x%x, 0x%x, 4) = 0", at, n)
		case op < 98:
			line("usercopy addr=0x%x len=%d write=%d", at, n/2, r.IntN(2))
		default:
			line("syscall mremap(0x%x, 0x1000, 0x1000, 3, 0x50000000) = 0x50000000", at)
			line("syscall munmap(0x50000000, 0x1000) = 0")
			line("syscall mmap(0x%x, 0x1000, 0x3, 0x32, -1, 0) = 0x%x", at, at)
		}
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// TestNotExact: a curve says so where the program did what does not keep to the order
// of uses.
func TestNotExact(t *testing.T) {
	for call, want := range map[string]string{
		"madvise(0x10000000, 0x1000, 8) = 0":                        "MADV_FREE",
		"mlock(0x10000000, 0x1000) = 0":                             "locked memory",
		"mprotect(0x10000000, 0x1000, 1) = 0":                       "",
		"mmap(0x20000000, 0x1000, 0x3, 0x2032, -1, 0) = 0x20000000": "locked memory",
	} {
		name := filepath.Join(t.TempDir(), "x.txt")
		text := "# vmtrace text 1\nprocess op=start pid=1 tid=1\nsyscall mmap(0x10000000, 0x1000, 0x3, 0x32, -1, 0) = 0x10000000\nW 0x10000000\nsyscall " + call + "\n"
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(curveOf(t, name).Warnings, "; ")
		if strings.Contains(got, "the curve is not exact") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: warnings %q, want one of %q", call, got, want)
		}
	}
}

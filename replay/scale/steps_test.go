package scale

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// programOf is what a text does.
func programOf(t *testing.T, text string, sel trace.Selection) *program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.txt")
	if err := os.WriteFile(path, []byte("# vmtrace text 1\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := trace.Open(path, trace.WithSelection(sel))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	costs := replay.Costs{}.OrDefault()
	c := newCollector(&costs, 1000)
	if _, err := replay.Run(context.Background(), src, replay.Options{Model: paging.DefaultConfig(), Work: c.add}); err != nil {
		t.Fatal(err)
	}
	p, err := c.program()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// collected draws the steps of each thread of a text: what it is, and the mappings,
// named a, b, ... in the order in which they appear.
func collected(t *testing.T, text string, sel trace.Selection) string {
	t.Helper()
	p := programOf(t, text, sel)
	names := map[uint32]string{0: "-"}
	name := func(n uint32) string {
		if names[n] == "" {
			names[n] = string(rune('a' + len(names) - 1))
		}
		return names[n]
	}
	var threads []string
	for _, steps := range p.threads {
		var out []string
		for _, s := range steps {
			word := [...]string{fault: "fault", slowFault: "slow", change: "change", look: "look"}[s.kind]
			if s.kind == fault || s.kind == slowFault {
				word += ":" + name(s.at[vma])
			} else if s.kind == change {
				word += ":"
				for _, n := range p.changed[s.first:s.end] {
					word += name(n)
				}
			}
			out = append(out, word)
		}
		threads = append(threads, strings.Join(out, " "))
	}
	return strings.Join(threads, " | ")
}

// What a step is about. Which mappings a call locks is worked out from Linux 6.7: every
// vma_start_write of mm/mmap.c, mprotect.c, mremap.c and kernel/fork.c:dup_mmap; which
// faults begin with the mmap lock from lock_vma_under_rcu, vmf_anon_prepare and
// do_user_addr_fault.
func TestSteps(t *testing.T) {
	const (
		start = "process op=start pid=1 tid=1\n"
		// four pages, and the two that are written last
		four = start + "syscall mmap(0x10004000, 0x4000, 0x3, 0x32, -1, 0) = 0x10004000\nW 0x10004000\nW 0x10005000\n"
	)
	for _, c := range []struct{ what, text, want string }{
		{"the first write wants an anon_vma", four, "change:a slow:a fault:a"},
		{"zeros of a mapping without one are read with the mmap lock", start +
			"syscall mmap(0x10004000, 0x4000, 0x3, 0x32, -1, 0) = 0x10004000\nR 0x10004000\nR 0x10005000\n", "change:a slow:a slow:a"},
		{"a mapping that grows at its beginning stays the same", four +
			"syscall mmap(0x10000000, 0x4000, 0x3, 0x32, -1, 0) = 0x10000000\nW 0x10000000\n", "change:a slow:a fault:a change:a fault:a"},
		{"and one that grows at its end", four +
			"syscall mremap(0x10004000, 0x4000, 0x6000, 0, 0) = 0x10004000\nW 0x10009000\n", "change:a slow:a fault:a change:a fault:a"},
		{"one munmap of two mappings", four +
			"syscall mmap(0x10008000, 0x4000, 0x1, 0x32, -1, 0) = 0x10008000\nsyscall munmap(0x10004000, 0x8000) = 0\n", "change:a slow:a fault:a change:b change:ab"},
		{"MAP_FIXED over parts of two", four +
			"syscall mmap(0x10008000, 0x4000, 0x1, 0x32, -1, 0) = 0x10008000\nsyscall mmap(0x10006000, 0x4000, 0x7, 0x32, -1, 0) = 0x10006000\n" +
			"W 0x10006000\nR 0x1000b000\n", "change:a slow:a fault:a change:b change:abcde slow:d slow:e"},
		{"mprotect of the middle makes two others", four +
			"syscall mprotect(0x10005000, 0x1000, 0x7) = 0\nW 0x10006000\nR 0x10005000\n", "change:a slow:a fault:a change:abc fault:c"},
		{"mprotect that changes nothing", four + "syscall mprotect(0x10005000, 0x1000, 0x3) = 0\n", "change:a slow:a fault:a change:"},
		{"mremap: where it was and where it is", four +
			"syscall mremap(0x10004000, 0x4000, 0x4000, 3, 0x20000000) = 0x20000000\nW 0x20002000\n", "change:a slow:a fault:a change:ab fault:b"},
		{"the heap", start + "syscall brk(0) = 0x20000000\nsyscall brk(0x20002000) = 0x20002000\nW 0x20000000\nsyscall brk(0x20004000) = 0x20004000\nW 0x20003000\n",
			"change: change:a slow:a change:a fault:a"},
		{"MADV_DONTNEED only looks, MADV_DONTFORK changes", four +
			"syscall madvise(0x10004000, 0x4000, 4) = 0\nsyscall madvise(0x10004000, 0x4000, 10) = 0\nW 0x10004000\n", "change:a slow:a fault:a look change:a fault:a"},
		{"a fork locks all, and the child has others", four +
			"syscall mmap(0x20000000, 0x1000, 0x1, 0x32, -1, 0) = 0x20000000\nprocess op=fork pid=2 tid=2\nsched thread=2\nW 0x10004000\n",
			"change:a slow:a fault:a change:b change:ab | fault:c"},
		{"what the kernel faults in itself: a copy, MAP_POPULATE behind its call", four +
			"usercopy addr=0x10006000 len=8 write=1\nsyscall mmap(0x20000000, 0x2000, 0x3, 0x8032, -1, 0) = 0x20000000\n",
			"change:a slow:a fault:a slow:a change:b slow:b slow:b"},
		{"no mapping", four + "R 0x30000000\n", "change:a slow:a fault:a slow:-"},
	} {
		if got := collected(t, c.text, trace.Selection{}); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.what, got, c.want)
		}
	}
	// What comes before the window is no step. Records: 0 the start, 1 a call, 2 and 3
	// writes, which a later window leaves out, 4 a call, 5 a copy, 6 a write.
	text := four + "syscall munmap(0x10007000, 0x1000) = 0\nusercopy addr=0x10004000 len=8 write=1\nW 0x10005000\n"
	for from, want := range []string{"change:a slow:a fault:a change:ab", "change:a slow:a fault:a change:ab", "slow:a fault:a change:ab",
		"slow:a change:ab slow:b", "change:ab slow:b fault:b", "slow:a fault:a", "fault:a"} {
		if got := collected(t, text, trace.Selection{From: trace.Point{Record: uint64(from)}}); got != want {
			t.Errorf("from %d:\n got %s\nwant %s", from, got, want)
		}
	}
}

// How long calls work: 1300 for the mappings, and 350 for each page that they take away,
// with the mmap lock for reading where the kernel gives it down (do_vmi_align_munmap).
func TestCallsThatDrop(t *testing.T) {
	const four = "process op=start pid=1 tid=1\nsyscall mmap(0x10004000, 0x4000, 0x3, 0x32, -1, 0) = 0x10004000\nW 0x10004000\nW 0x10005000\nW 0x10007000\n"
	for _, c := range []struct {
		what, text string
		work, drop float32
	}{
		{"munmap of three pages that are there", "syscall munmap(0x10004000, 0x4000) = 0", 1300, 1050},
		{"of one", "syscall munmap(0x10006000, 0x2000) = 0", 1300, 350},
		{"of none", "syscall munmap(0x10006000, 0x1000) = 0", 1300, 0},
		{"mremap that shrinks in place", "syscall mremap(0x10004000, 0x4000, 0x1000, 0, 0) = 0x10004000", 1300, 700},
		{"mremap that shrinks and moves", "syscall mremap(0x10004000, 0x4000, 0x1000, 3, 0x20000000) = 0x20000000", 2000, 0},
		{"mmap over two of them", "syscall mmap(0x10004000, 0x2000, 0x3, 0x32, -1, 0) = 0x10004000", 2000, 0},
		{"MADV_DONTNEED has no more than reading", "syscall madvise(0x10004000, 0x2000, 4) = 0", 2000, 0},
		{"mprotect takes none away", "syscall mprotect(0x10004000, 0x2000, 1) = 0", 1300, 0},
	} {
		steps := programOf(t, four+c.text+"\n", trace.Selection{}).threads[0]
		if s := steps[len(steps)-1]; s.work != c.work || s.drop != c.drop {
			t.Errorf("%s: %v ns and %v, want %v and %v", c.what, s.work, s.drop, c.work, c.drop)
		}
	}
}

// The same trace gives the same bytes.
func TestSame(t *testing.T) {
	var trc bytes.Buffer
	p := synth.Params{Threads: 8, Rounds: 50, Live: 8}
	if err := synth.Generate("mmap-storm", p, func(h trace.Header) (trace.Sink, error) { return trace.NewWriter(&trc, h) }); err != nil {
		t.Fatal(err)
	}
	var all [2]bytes.Buffer
	for i := range all {
		src, err := trace.NewReader(bytes.NewReader(trc.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		s, err := Run(context.Background(), src, Options{Replay: replay.Options{Model: paging.DefaultConfig()}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(all[0].Bytes(), all[1].Bytes()) {
		t.Errorf("%s\nand\n%s", &all[0], &all[1])
	}
}

package capture

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// windowOp is an access, or a barrier (kind 'b').
type windowOp struct {
	kind byte
	page uint64
	n    uint64
}

// lru is an independent LRU memory: a slice, latest first. A page that is written
// for the first time since the last barrier takes another frame (copy-on-write);
// the old one stays, just below the new one.
type lru struct {
	size  int
	sets  uint64
	pages map[uint64][]string
}

func (c *lru) touch(set uint64, page string) bool {
	list := c.pages[set%c.sets]
	hit := false
	for i, q := range list {
		if q == page {
			list, hit = append(list[:i:i], list[i+1:]...), true
			break
		}
	}
	list = append([]string{page}, list...)
	c.pages[set%c.sets] = list[:min(len(list), c.size)]
	return hit
}

// misses runs a stream through an LRU memory of sets x size pages that sees data,
// fetches or both, and gives the sequence of its misses.
func windowMisses(ops []windowOp, sets uint64, size int, side string) string {
	c := lru{size, sets, map[uint64][]string{}}
	written := map[uint64]bool{}
	var missed strings.Builder
	for _, o := range ops {
		switch {
		case o.kind == 'b':
			clear(written)
			missed.WriteString("b ")
			continue
		case o.kind == 'x' && side == "data" || o.kind != 'x' && side == "code":
			continue
		}
		page := strconv.FormatUint(o.page, 10)
		if !c.touch(o.page, page) {
			missed.WriteString(page + " ")
		}
		if o.kind == 'w' && !written[o.page] {
			written[o.page] = true
			missed.WriteString("w" + page + " ")
			c.touch(o.page, page+"old")
			c.touch(o.page, page)
		}
	}
	return missed.String()
}

// runWindow is what the window makes of a stream, and its counts by page.
func runWindow(t *testing.T, program string, k int, ops []windowOp) []windowOp {
	t.Helper()
	var in strings.Builder
	for _, o := range ops {
		switch o.kind {
		case 'b':
			in.WriteString("b\n")
		case 'x':
			fmt.Fprintf(&in, "x %d %d\n", o.page, o.n)
		default:
			fmt.Fprintf(&in, "%c %d\n", o.kind, o.page)
		}
	}
	cmd := exec.Command(program, strconv.Itoa(k))
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var refs []windowOp
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		if s.Text() == "b" {
			refs = append(refs, windowOp{kind: 'b'})
			continue
		}
		var kind int
		var page, reads, writes uint64
		if _, err := fmt.Sscan(s.Text(), &kind, &page, &reads, &writes); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		first, second := windowOp{'r', page, reads}, windowOp{'w', page, writes}
		switch {
		case kind == 3:
			refs = append(refs, windowOp{'x', page, reads})
			continue
		case kind == 2:
			first, second = second, first
		}
		if first.n == 0 {
			t.Fatalf("%q does not count its first access", s.Text())
		}
		if refs = append(refs, first); second.n > 0 {
			refs = append(refs, second)
		}
	}
	return refs
}

// counts sums accesses by page, side and stretch between barriers.
func windowCounts(ops []windowOp) map[string]uint64 {
	sums, barriers := map[string]uint64{}, 0
	for _, o := range ops {
		switch o.kind {
		case 'b':
			barriers++
		case 'x':
			sums[fmt.Sprint(barriers, "x", o.page)] += o.n
		default:
			sums[fmt.Sprint(barriers, string(o.kind), o.page)] += max(o.n, 1)
		}
	}
	return sums
}

// With a window of K pages, LRU memories of K pages or more and LRU sets of K ways
// or more miss on the same pages in the same order as on the stream itself, first
// writes stand where they were, and no access is lost.
func TestWindowIsExact(t *testing.T) {
	need(t, "cc", "gcc libc6-dev")
	program := filepath.Join(t.TempDir(), "window")
	if out, err := exec.Command("cc", "-O1", "-g", "-Wall", "-Wno-unused-function", "-fsanitize=undefined", "-o", program, "testdata/window.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var in, out int
	for seed := range uint64(40) {
		ops := windowStream(rand.New(rand.NewPCG(seed, 4)), 3000)
		for _, k := range []int{1, 2, 3, 4, 8} {
			refs := runWindow(t, program, k, ops)
			in, out = in+len(ops), out+len(refs)
			if a, b := windowCounts(ops), windowCounts(refs); fmt.Sprint(a) != fmt.Sprint(b) {
				t.Fatalf("seed %d, K %d: counts differ", seed, k)
			}
			for _, size := range []int{k, k + 1, 2*k + 1, 20} {
				for _, sets := range []uint64{1, 4} {
					for _, side := range []string{"both", "data", "code"} {
						if a, b := windowMisses(ops, sets, size, side), windowMisses(refs, sets, size, side); a != b {
							t.Fatalf("seed %d, K %d: %d sets of %d ways, %s: other misses", seed, k, sets, size, side)
						}
					}
				}
			}
		}
	}
	if out >= in {
		t.Errorf("%d references of %d accesses: nothing is folded", out, in)
	}
}

// windowStream makes a stream with hot and cold pages, on few pages or many.
func windowStream(rng *rand.Rand, n int) []windowOp {
	ops := make([]windowOp, n)
	span := 1 + rng.Uint64N(60)
	if rng.IntN(4) == 0 {
		span = 2000 // more than the table of pages holds
	}
	for i := range ops {
		page := rng.Uint64N(span)
		if rng.IntN(3) > 0 {
			page = rng.Uint64N(1 + span/12)
		}
		switch rng.IntN(40) {
		case 0:
			ops[i] = windowOp{kind: 'b'}
		case 1:
			ops[i] = windowOp{'x', page, 1 << (20 + rng.IntN(20))}
		case 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12:
			ops[i] = windowOp{'x', page, 1 + rng.Uint64N(9)}
		case 13, 14, 15, 16, 17, 18, 19, 20:
			ops[i] = windowOp{'w', page, 0}
		default:
			ops[i] = windowOp{'r', page, 0}
		}
	}
	return ops
}

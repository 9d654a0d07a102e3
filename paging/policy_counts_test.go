package paging

import (
	"bufio"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// stream is a page stream and the numbers of frames to try it with.
type stream struct {
	name   string
	refs   []int
	frames []uint64
}

// streams are page streams of different kinds: five made by formula, two of real
// programs.
func streams(t *testing.T) []stream {
	t.Helper()
	const pages, n = 200, 4000
	r := rand.New(rand.NewPCG(7, 7))
	z := rand.NewZipf(r, 1.2, 4, pages-1)
	sizes := []uint64{1, 2, 3, 4, 5, 7, 10, 15, 20, 33, 64, 100, 150, 199, 200}
	made := func(name string, f func(i int) int) stream {
		refs := make([]int, n)
		for i := range refs {
			refs[i] = f(i)
		}
		return stream{name, refs, sizes}
	}
	out := []stream{
		made("zipf", func(int) int { return int(z.Uint64()) }),
		made("loop", func(i int) int { return i % 40 }),
		made("scan", func(i int) int { return i / 2 }),
		made("random", func(int) int { return r.IntN(pages) }),
		made("mixed", func(i int) int {
			switch i / 250 % 4 { // phases: popular pages, a loop, a scan, any page
			case 0:
				return int(z.Uint64())
			case 1:
				return 50 + i%30
			case 2:
				return pages + i
			}
			return r.IntN(pages)
		}),
	}
	for _, name := range []string{"gzip", "perl"} {
		out = append(out, stream{name, readStream(t, name), []uint64{2, 8, 10, 16, 24, 50, 96, 150, 300}})
	}
	return out
}

// readStream reads a stream of a real program; its file says where it comes from.
func readStream(t *testing.T, name string) []int {
	t.Helper()
	f, err := os.Open("testdata/streams/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var refs []int
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		for _, word := range strings.Fields(lines.Text()) {
			p, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, p)
		}
	}
	if lines.Err() != nil || len(refs) == 0 {
		t.Fatalf("%s: %d references, %v", f.Name(), len(refs), lines.Err())
	}
	return refs
}

// TestOracles holds the policies, told of every reference, to the miss counts of
// the second implementations of policy_oracle_test.go.
func TestOracles(t *testing.T) {
	all := streams(t)
	for policy, make := range oracles {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			for _, s := range all {
				for _, frames := range s.frames {
					want := uint64(0)
					o := make(int(frames))
					for _, p := range s.refs {
						if !o.access(p) {
							want++
						}
					}
					if got := misses(t, policy, frames, s.refs); got != want {
						t.Errorf("%s with %d frames: %d misses, the second implementation has %d", s.name, frames, got, want)
					}
				}
			}
		})
	}
}

// TestByHand holds policies to examples that were worked on paper by the
// pseudo-code of their papers: reference for reference, whether it misses.
func TestByHand(t *testing.T) {
	for _, c := range []struct {
		policy string
		frames uint64
		refs   string // pages, one letter each
		miss   string // M a miss, . a hit
	}{
		// Kin = Kout = 1 (a quarter of 4, and 1 for a half of 2). With 2 frames: A, B
		// fill A1in. C: A1in > Kin, A goes to A1out. A is in A1out: B leaves for A1out,
		// which pushes A out, and A goes to Am. C is in A1in. B was remembered: A1in is
		// not above Kin, so A leaves Am.
		{"2q", 2, "ABCACB", "MMMM.M"},
		// ARC with c = 2: A, B in T1. A again: T2 = A. C: |L1| = 1 < c, p = 0: B leaves T1
		// for B1. B is in B1: p = 1, |T1| = 1 is not > p, so A leaves T2 for B2; T2 = B. A
		// is in B2: p = 0, C leaves T1. T2 = A B.
		{"arc", 2, "ABACBAB", "MM.MMM."},
		// S3-FIFO with c = 3: S = C B A. A twice: freq 2. D: A moves to M, B leaves for G.
		// B was remembered: C leaves S for G, B goes to M. A, D and B are there.
		{"s3fifo", 3, "ABCAADBADB", "MMM..MM..."},
		// LIRS with c = 3: A and B are LIR, C HIR. D: C leaves, S = D C B A. C is in S: D
		// leaves, C is LIR, A goes to Q, and S = C D B. A is not in S: it stays HIR. D is in
		// S: A leaves and B goes to Q, S = D A C. B is there still, A is not.
		{"lirs", 3, "ABCDCADBA", "MMMMM.M.M"},
		// SIEVE with 3 frames: C B A, A visited. D: the hand clears A and takes B. E: it
		// stands at C, which leaves. A is still there.
		{"sieve", 3, "ABCADEAB", "MMM.MM.M"},
		// CLOCK with 3 frames: A used. D: A goes round, B leaves. E: C leaves. A is there.
		{"clock", 3, "ABCADEAB", "MMM.MM.M"},
	} {
		m := underLimit(t, c.policy, c.frames, func(c *Config) { c.ReclaimExact = true })
		task := m.NewProcess(1, 1, 0)
		base, _ := task.Mmap(MmapArgs{Len: 1 << 20, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		var got strings.Builder
		for _, p := range c.refs {
			if task.Access(base+uint64(p-'A')*PageSize, Write) == OK {
				got.WriteByte('.')
			} else {
				got.WriteByte('M')
			}
		}
		if got.String() != c.miss {
			t.Errorf("%s with %d frames on %s: %s, by hand %s", c.policy, c.frames, c.refs, got.String(), c.miss)
		}
	}
}

// TestInclusion: what LRU holds with n frames it holds with n+1 (Mattson, Gecsei,
// Slutz, Traiger: Evaluation Techniques for Storage Hierarchies, IBM Systems
// Journal 1970).
func TestInclusion(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const pages, most = 24, 20
	var tasks []*Task
	var bases []uint64
	for n := uint64(1); n <= most; n++ {
		task := underLimit(t, "lru", n, nil).NewProcess(1, 1, 0)
		base, _ := task.Mmap(MmapArgs{Len: pages * PageSize, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
		tasks, bases = append(tasks, task), append(bases, base)
	}
	for step := range 2000 {
		p, below := r.Uint64N(pages), ""
		for i, task := range tasks {
			task.Access(bases[i]+p*PageSize, Write)
			now := held(task, bases[i], pages)
			if i > 0 {
				for k := range below {
					if below[k] == 'x' && now[k] != 'x' {
						t.Fatalf("step %d: %d frames hold %s, %d hold %s", step, i, below, i+1, now)
					}
				}
			}
			below = now
		}
	}
}

// held draws which pages are in memory.
func held(t *Task, base, pages uint64) string {
	out := make([]byte, pages)
	for k := range out {
		out[k] = '.'
		vpn := base>>pageShift + uint64(k)
		if tab := t.leaf(vpn); tab != nil && tab.load(vpn)&pteP != 0 {
			out[k] = 'x'
		}
	}
	return string(out)
}

// TestRunTellsAsAccess: what a policy is told in batches, by Run, comes to the
// same as reference for reference, by Access.
func TestRunTellsAsAccess(t *testing.T) {
	for _, s := range streams(t) {
		for policy := range oracles {
			frames := s.frames[len(s.frames)/2]
			m := underLimit(t, policy, frames, func(c *Config) { c.ReclaimExact = true })
			task := m.NewProcess(1, 1, 0)
			base, _ := task.Mmap(MmapArgs{Len: 1 << 30, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous})
			refs := make([]Ref, len(s.refs))
			for i, p := range s.refs {
				refs[i], _ = MakeRef(base>>pageShift+uint64(p), Write, 0, 1, 0)
			}
			if n, out := task.Run(refs); n != len(refs) || out.Fatal() {
				t.Fatal(n, out)
			}
			got, want := m.Stats(), misses(t, policy, frames, s.refs)
			if got.Minor+got.Major != want {
				t.Errorf("%s, %s with %d frames: %d misses in batches, %d one by one", s.name, policy, frames, got.Minor+got.Major, want)
			}
		}
	}
}

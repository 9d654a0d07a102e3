package paging

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// manyMisses are references to pages of a region, long enough that they are looked up
// ahead, and the machine with the task for them.
func manyMisses(t *testing.T, c Config, base, pages uint64, seed uint64) (*Task, []Ref) {
	t.Helper()
	c.TLB = small
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	task := m.NewProcess(1, 1, 0)
	_, errno := task.Mmap(MmapArgs{Addr: base, Len: pages << pageShift, Prot: ProtRead | ProtWrite, Flags: MapPrivate | MapAnonymous | MapFixed})
	if errno != 0 {
		t.Fatal(errno)
	}
	r := rand.New(rand.NewPCG(seed, 9))
	refs := make([]Ref, 3*stretch)
	for i := range refs {
		refs[i], _ = MakeRef(base>>pageShift+r.Uint64N(pages), Write, 0, 1, 0)
	}
	return task, refs
}

// TestRunFatal: Run stops after a reference that cannot be performed, and what has been
// done and counted until then is the same as one at a time.
func TestRunFatal(t *testing.T) {
	const base, pages, hole = 1 << 32, 200, 77
	for _, policy := range []string{"", "clock", "lru"} {
		config := DefaultConfig()
		if policy != "" {
			config.Memory, config.Swap, config.Reclaim = 100<<pageShift, 1<<30, policy
		}
		for seed := range uint64(20) {
			var states []string
			for _, step := range []int{3 * stretch, 1} {
				task, refs := manyMisses(t, config, base, pages, seed)
				task.Access(base, Write) // there is a table
				task.Munmap(base+hole<<pageShift, PageSize)
				refs[2*stretch], _ = MakeRef(base>>pageShift+hole, Write, 0, 1, 0)
				first := 0
				for refs[first].vpn() != base>>pageShift+hole {
					first++
				}
				done, out := 0, OK
				for done < len(refs) && out == OK {
					var n int
					n, out = task.Run(refs[done:min(done+step, len(refs))])
					done += n
				}
				if done != first+1 || out != SIGSEGV {
					t.Fatalf("%q, seed %d: %v after %d references, want %v after %d", policy, seed, out, done, SIGSEGV, first+1)
				}
				m := task.machine
				states = append(states, fmt.Sprint(m.Stats().TLB, m.Stats().Faults, m.Stats().Reclaim)+tlbWords(m))
			}
			if states[0] != states[1] {
				t.Fatalf("%q, seed %d: together, one at a time:\n%s", policy, seed, firstDifference(states[0], states[1]))
			}
		}
	}
}

// TestRunPauses: where there is somebody in the background, Run stops after a reference
// that took a fault, which has been performed then, also where references are looked up
// ahead.
func TestRunPauses(t *testing.T) {
	const base, pages, warm = 1 << 32, 120, 100
	config := DefaultConfig()
	config.Flusher = true
	task, refs := manyMisses(t, config, base, pages, 1)
	for i, r := range refs {
		refs[i], _ = MakeRef(base>>pageShift+r.vpn()%warm, Write, 0, 1, 0)
	}
	for page := range uint64(pages) {
		ref, _ := MakeRef(base>>pageShift+page, Write, 0, 1, 0)
		if page < warm {
			if n, out := task.Run([]Ref{ref}); n != 1 || out != OK {
				t.Fatalf("%d references, %v", n, out)
			}
			continue
		}
		at := stretch + 5*int(page-warm)
		refs[at] = ref
		if n, out := task.Run(refs); n != at+1 || out != OK || task.entry(ref.vpn()) == nil || *task.entry(ref.vpn())&pteP == 0 {
			t.Fatalf("Run stopped after %d references, %v; the fault was the one after %d", n, out, at)
		}
	}
}

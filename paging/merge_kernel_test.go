package paging

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mergeSlot is SLOT of testdata/kernel/merge.c.
const mergeSlot = 63<<20 + PageSize

// lcg draws as merge.c does.
type lcg uint64

func (g *lcg) draw(n uint64) uint64 {
	*g = *g*6364136223846793005 + 1442695040888963407
	return uint64(*g) >> 33 % n
}

// slots draws what lies below top as merge.c does.
func (t *Task) slots(top uint64) string {
	const n = 12
	var b strings.Builder
	var last *vma
	for s := uint64(n); s > 0; s-- {
		v := t.space.list().at(top - s*mergeSlot)
		switch {
		case v == nil:
			b.WriteByte('.')
		case last != nil && v != last:
			b.WriteString("|w")
		default:
			b.WriteByte('w')
		}
		last = v
	}
	return b.String()
}

// torn says whether a mapping at addr would stand between two that have different
// anon_vmas, so that only one of them can take it in. In Linux 6.1 that is the one above
// (mm/mmap.c:mmap_region), since 6.12 the one below (mm/vma.c:can_vma_merge_right).
func (l vmaList) torn(addr uint64) bool {
	below, above := l.at(addr-PageSize), l.at(addr+mergeSlot)
	if below == nil || above == nil {
		return false
	}
	a, b := below.anon.Load(), above.anon.Load()
	return a != nil && b != nil && a != b
}

// The threads of page_fault1 on the live kernel and on the model, call by call: where
// their mappings are put, and which of them are one. That nearly all are, whoever has
// unmapped, is what package replay/scale says of a lock for each mapping.
func TestMergeAgainstKernel(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "merge")
	if out, err := exec.Command(compiler(t), "-O1", "-Wall", "-Werror", "-static", "-o", bin, "testdata/kernel/merge.c").CombinedOutput(); err != nil {
		t.Fatalf("cc merge.c: %v\n%s", err, out)
	}
	out, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	var same, other, mapped, pieces int
	for r, round := range strings.Split(string(out), "round ")[1:] {
		lines := strings.Fields(round)[1:]
		m, err := New(DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		tk, g, torn := m.NewProcess(1, 1, 0), lcg(r), false
		var at [6]uint64
		var written [6]bool
		here := MmapArgs{Len: mergeSlot, Flags: anon}
		guard, _ := tk.Mmap(here)
		here.Prot = rw
		for s, want := range lines {
			switch i := g.draw(6); {
			case at[i] == 0:
				before := tk.space.list()
				at[i], _ = tk.Mmap(here)
				torn = torn || before.torn(at[i])
			case !written[i]:
				tk.touchAll(t, at[i], 1, Write)
				written[i] = true
			default:
				tk.Munmap(at[i], mergeSlot)
				at[i], written[i] = 0, false
			}
			got := tk.slots(guard)
			if got != want {
				if !torn {
					t.Errorf("round %d, call %d: %s, the kernel has %s", r, s, got, want)
				}
				other += len(lines) - s
				break
			}
			same++
			if live := strings.Trim(got, "."); live != "" {
				mapped += strings.Count(live, "w")
				pieces += len(strings.FieldsFunc(live, func(c rune) bool { return c != 'w' }))
			}
		}
		check(t, m)
	}
	t.Logf("%d calls alike, %d passed over; %d mappings in %d", same, other, mapped, pieces)
	if same < 1000 || 2*pieces > mapped {
		t.Errorf("%d calls alike, %d passed over; %d mappings in %d", same, other, mapped, pieces)
	}
}

package paging

import (
	"fmt"
	"strings"
	"testing"
)

// The notation, on states that follow from Linux 6.1 mm/memory.c: do_anonymous_page,
// do_read_fault, do_wp_page, copy_present_pte; mm/mprotect.c:change_pte_range.
// Frames are given out downwards from 65 (a batch of 64 from 2 on).
func TestDump(t *testing.T) {
	tk := task(t)
	f := tk.machine.File(1, 1, 2*PageSize, "/lib/x")
	tk.pages(t, 4, MmapArgs{Addr: callBase, Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, 2, MmapArgs{Addr: far, Prot: ProtRead | ProtExec, Flags: MapShared | MapFixed, File: f})
	is := func(what, want string) {
		t.Helper()
		if got := tk.Dump(); got != want {
			t.Errorf("%s:\n%swant\n%s", what, got, want)
		}
	}
	is("untouched", `VMA 0x3000000000-0x3000004000 rw- private [anon]
VMA 0x4000000000-0x4000002000 r-x shared /lib/x
`)
	tk.Access(callBase, Read)
	tk.Access(callBase+PageSize, Write)
	tk.Access(far+PageSize, Exec)
	is("touched", `VMA 0x3000000000-0x3000004000 rw- private [anon]
PTE 0x3000000000 frame zero P--A--
PTE 0x3000001000 frame 257 anon 1 PW-ADE
VMA 0x4000000000-0x4000002000 r-x shared /lib/x
PTE 0x4000000000 frame 255 file 1 P-XA--
PTE 0x4000001000 frame 256 file 1 P-XA--
`)
	child := tk.Fork(2, 2, 1)
	tk.Mprotect(callBase+PageSize, PageSize, 0)
	is("shared with a child, and no access", `VMA 0x3000000000-0x3000001000 rw- private [anon]
PTE 0x3000000000 frame zero P--A--
VMA 0x3000001000-0x3000002000 --- private [anon]
PTE 0x3000001000 frame 257 anon 2 N--AD-
VMA 0x3000002000-0x3000004000 rw- private [anon]
VMA 0x4000000000-0x4000002000 r-x shared /lib/x
PTE 0x4000000000 frame 255 file 1 P-XA--
PTE 0x4000001000 frame 256 file 1 P-XA--
`)
	// the child's own entries are not accessed, and the file is not copied
	tk = child
	is("the child", `VMA 0x3000000000-0x3000004000 rw- private [anon]
PTE 0x3000000000 frame zero P-----
PTE 0x3000001000 frame 257 anon 2 P---D-
VMA 0x4000000000-0x4000002000 r-x shared /lib/x
`)
}

// Every leaf of the tree is told: what was there, what is there now.
func TestExplain(t *testing.T) {
	c := DefaultConfig()
	c.Cache = CacheCold
	m, _ := New(c)
	tk := m.NewProcess(1, 1, 0)
	var told []string
	m.TellEntries()
	m.OnFault(func(f *FaultInfo) { told = append(told, strings.Join(f.Explain(), "\n")) })
	tk.pages(t, 4, MmapArgs{Addr: callBase, Prot: rw, Flags: anon | MapFixed})
	tk.pages(t, 4, MmapArgs{Addr: far, Prot: rw, Flags: MapShared | MapFixed, File: m.File(1, 1, 2*PageSize, "f")})
	tk.Access(callBase, Write)
	child := tk.Fork(2, 2, 1)
	for _, s := range []struct {
		tk   *Task
		addr uint64
		a    Access
		want []string
	}{
		{tk, callBase, Write, []string{"VMA 0x3000000000-0x3000004000 rw- private [anon]", "a copy of it", "before PTE 0x3000000000 frame 257 anon 2 P--AD-",
			"after  PTE 0x3000000000 frame 256 anon 1 PW-ADE", "minor, cow_copy, 1 entry"}},
		{child, callBase, Write, []string{"no other owner -> made writable", "before PTE 0x3000000000 frame 257 anon 1 P---D-",
			"after  PTE 0x3000000000 frame 257 anon 1 PW-ADE", "minor, cow_reuse, 0 entries"}},
		{tk, callBase, Exec, []string{"path a fetch is not permitted by rw- -> refused", "SIGSEGV, segv"}},
		{tk, far, Read, []string{"VMA 0x4000000000-0x4000004000 rw- shared f", "it is read, and this waits -> the entry is empty -> pages of a file",
			"before PTE 0x4000000000 -", "file 1 P--A--", "major, file_read"}},
		{tk, far, Write, []string{"the mapping is shared -> made writable and dirty", "file 1 PW-AD-", "minor, mkwrite, 0 entries"}},
		{tk, far + 2*PageSize, Read, []string{"beyond the end of the file -> refused", "SIGBUS"}},
		{tk, 1 << 20, Read, []string{"VMA none", "nothing is mapped there"}},
		{tk, 1 << 50, Read, []string{"VMA none", "not canonical", "before PTE 0x4000000000000 -"}},
	} {
		told = nil
		s.tk.Access(s.addr, s.a)
		text := fmt.Sprint(strings.Join(told, "\n\n"))
		for _, want := range s.want {
			if len(told) != 1 || !strings.Contains(text, want) {
				t.Errorf("%v of %#x: %q is not in\n%s", s.a, s.addr, want, text)
			}
		}
	}
}

// No leaf is without words.
func TestPathsAreTold(t *testing.T) {
	for k := range FaultKind(NumFaultKinds) {
		if len(paths[k]) == 0 && k != FaultSegv && k != FaultGP {
			t.Errorf("the way to %v is not told", k)
		}
	}
}

package paging

import "testing"

// A reference counts its first access; it keeps every page that can be
// translated, and what cannot be stays so.
func TestMakeRef(t *testing.T) {
	for _, c := range []struct {
		vpn, want            uint64
		first                Access
		reads, writes, execs uint32
		ok                   bool
	}{
		{1<<35 - 2, 1<<35 - 2, Read, 1, 0, 0, true},
		{0, 0, Write, 7, 1 << 31, 0, true},
		{5, 5, Exec, 0, 0, 1<<32 - 1, true},
		{5, 5, Exec, 1, 1, 1, true},
		{5, 5, Read, 0, 1, 1, false},
		{5, 5, Write, 1, 0, 1, false},
		{5, 5, Exec, 1, 1, 0, false},
		{5, 5, 0, 1, 1, 1, false},
		{5, 5, 4, 1, 1, 1, false},
		{5, 5, 255, 1, 1, 1, false},
		{0xffffffffff600, 0xffffffffff600, Exec, 0, 0, 1, true}, // the vsyscall page
		{1<<44 - 2, 1<<44 - 2, Read, 1, 0, 0, true},             // the last user page with 5 levels
		{1<<52 - 1<<44, 1<<52 - 1<<44, Read, 1, 0, 0, true},     // and the first of the kernel
		{1<<47 - 1, 1<<47 - 1, Read, 1, 0, 0, true},
		{1 << 47, 1 << 45, Read, 1, 0, 0, true},
		{1<<52 - 1<<47 - 1, 1 << 45, Read, 1, 0, 0, true},
		{1<<52 - 1<<47, 1<<52 - 1<<47, Read, 1, 0, 0, true},
		{1<<52 - 1, 1<<52 - 1, Read, 1, 0, 0, true},
		{1<<64 - 1, 1<<52 - 1, Read, 1, 0, 0, true},
	} {
		r, ok := MakeRef(c.vpn, c.first, c.reads, c.writes, c.execs)
		if ok != c.ok || ok && (r.first() != c.first || r.vpn() != c.want) {
			t.Errorf("%+v: %#x, %v", c, r, ok)
		}
	}
}

// References to the vsyscall page ask no TLB for the accesses that would, like
// those of Access: only what Count takes for hits is left.
func TestRunVsyscall(t *testing.T) {
	const gate = 0xffffffffff600
	c := DefaultConfig()
	c.Vsyscall = VsyscallEmulate
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	n, out := tk.Run([]Ref{ref(t, gate, Exec, 0, 0, 5), ref(t, gate, Read, 3, 0, 2), ref(t, gate, Read, 1, 1, 0), ref(t, gate, Exec, 0, 0, 1)})
	if n != 3 || out != SIGSEGV {
		t.Fatalf("%d references, %v; want to stop at the write", n, out)
	}
	tk.Count(3, 5+2)
	if got := m.Stats().TLB.Lookups(); got != 4+2+1 {
		t.Errorf("%d lookups, want 7", got)
	}
}

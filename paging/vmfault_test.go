package paging

import (
	"strings"
	"testing"
)

// Values of vm_fault_t by Linux 6.1 mm/memory.c: wp_page_reuse, wp_page_copy and
// wp_page_shared return VM_FAULT_WRITE, a fault on an empty entry 0, filemap_fault
// VM_FAULT_MAJOR where it reads, and SIGBUS beyond the end.
func TestVMFault(t *testing.T) {
	c := DefaultConfig()
	c.Cache = CacheCold
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	m.TellEntries()
	m.OnFault(func(f *FaultInfo) {
		got = append(got, f.Result().String())
		if last := f.Explain()[4]; f.Result()&^VMFaultMajor != 0 && !strings.HasSuffix(last, "("+f.Result().String()+")") {
			t.Errorf("%q does not tell %v", last, f.Result())
		}
	})
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 2, MmapArgs{Prot: rw, Flags: anon})
	f := tk.pages(t, 2, MmapArgs{Prot: rw, Flags: MapShared, File: m.File(1, 1, PageSize, "f")})
	if err := tk.MapRegion(Region{Start: 1<<46 - 16*PageSize, End: 1 << 46, Prot: rw, Kind: Stack}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		addr uint64
		a    Access
		want string
	}{
		{a, Read, "0"}, {a, Write, "VM_FAULT_WRITE"}, {f, Read, "VM_FAULT_MAJOR"}, {f, Write, "VM_FAULT_WRITE"},
		{f + PageSize, Read, "VM_FAULT_SIGBUS"}, {1 << 30, Read, "VM_FAULT_SIGSEGV"},
		{1<<46 - 20*PageSize, Write, "VM_FAULT_RETRY"}, // the stack grows first
	} {
		got = nil
		tk.Access(s.addr, s.a)
		if len(got) != 1 || got[0] != s.want {
			t.Errorf("%v at %#x: %v, want %s", s.a, s.addr, got, s.want)
		}
	}
	m = underLimit(t, "linux", 1, func(c *Config) { c.Swap = 0 })
	m.OnFault(func(f *FaultInfo) { got = append(got, f.Result().String()) })
	tk = m.NewProcess(1, 1, 0)
	a = tk.pages(t, 2, MmapArgs{Prot: rw, Flags: anon})
	tk.Access(a, Write)
	got = nil
	if tk.Access(a+PageSize, Write); len(got) != 1 || !strings.HasPrefix(got[0], "VM_FAULT_OOM") {
		t.Errorf("without room: %v", got)
	}
}

// A process that is being killed gets ERESTARTSYS from get_user_pages on 2.6.32
// (mm/memory.c:__get_user_pages there), EINTR on 6.1 (mm/gup.c).
func TestKilledOnOldKernel(t *testing.T) {
	c := DefaultConfig()
	c.SetProfile("linux-2.6.32")
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	a := tk.pages(t, 4, MmapArgs{Prot: rw, Flags: anon})
	tk.Kill()
	if n, errno := tk.getUserPages(a, 4, gupWrite); n != 0 || errno != ERESTARTSYS {
		t.Errorf("%d pages, %v", n, errno)
	}
}

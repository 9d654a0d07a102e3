package paging

import "testing"

func kernel(t *testing.T, name string) *Task {
	return limited(t, func(c *Config) {
		if err := c.SetProfile(name); err != nil {
			t.Fatal(err)
		}
		c.CPUs = 1
	})
}

// What Linux 2.6.32 did otherwise. Sources: mm/memory.c (do_linear_fault maps one
// page; fault-around came with 3.15), mm/mprotect.c:change_pte_range (only
// dirty_accountable mappings get their write bit back), arch/x86/include/asm/
// tlbflush.h (flush_tlb_range is flush_tlb_mm) and arch/x86/include/asm/mmu_context.h
// (switch_mm loads CR3, without PCIDs), mm/madvise.c:madvise_behavior_valid.
func TestProfiles(t *testing.T) {
	const n = 32
	for _, c := range []struct {
		name              string
		reads             uint64 // faults of reading n pages of a file
		again             uint64 // of writing n pages that were read-only for a while
		full              uint64 // full flushes of unmapping 2 pages
		switches          uint64 // flushes of 2 switches to and fro; with ASIDs only of the first
		free, huge, nodmp Errno
	}{
		{"linux-6.1", 2, 0, 0, 1, 0, 0, 0},
		{"linux-2.6.32", n, n, 1, 4, EINVAL, EINVAL, EINVAL},
	} {
		tk := kernel(t, c.name)
		m := tk.machine
		at := uint64(callBase)
		tk.pages(t, n, MmapArgs{Addr: at, Prot: rw, Flags: anon | MapFixed | MapPopulate})
		file := tk.pages(t, n, MmapArgs{Addr: far, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: m.File(1, 1, n*PageSize, "f")})
		touch := func(addr uint64, a Access) func() {
			return func() {
				for p := range uint64(n) {
					tk.Access(addr+p*PageSize, a)
				}
			}
		}
		expect(t, c.name+": reading a file", kinds(m, touch(file, Read)), map[FaultKind]uint64{FileRead: c.reads})
		tk.Mprotect(at, n*PageSize, ProtRead)
		tk.Mprotect(at, n*PageSize, rw)
		want := map[FaultKind]uint64{}
		if c.again > 0 {
			want[CowReuse] = c.again
		}
		expect(t, c.name+": writing after mprotect", kinds(m, touch(at, Write)), want)
		tk.Munmap(at, 2*PageSize)
		if got := m.Stats().Flushes[FlushMunmap]; got.Requests != 1 || got.Full != c.full {
			t.Errorf("%s: munmap: %+v", c.name, got)
		}
		other := m.NewProcess(2, 2, 0)
		before := m.Stats().Flushes[FlushSwitch].Requests
		for range 2 {
			other.RunOn(0)
			tk.RunOn(0)
		}
		if got := m.Stats().Flushes[FlushSwitch].Requests - before; got != c.switches {
			t.Errorf("%s: %d flushes of 4 switches, want %d", c.name, got, c.switches)
		}
		for adv, want := range map[int]Errno{madvFree: c.free, madvHugePage: c.huge, madvDontDump: c.nodmp, madvMergeable: 0, madvDontFork: 0, madvHWPoison: EPERM} {
			if got := tk.Madvise(at+4*PageSize, PageSize, adv); got != want {
				t.Errorf("%s: advice %d: %v, want %v", c.name, adv, got, want)
			}
		}
		check(t, m)
	}
	c := DefaultConfig()
	if err := c.SetProfile("linux-3.0"); err == nil || err.Error() != `profile "linux-3.0": there are linux-6.1, linux-2.6.32` {
		t.Errorf("an unknown kernel: %v", err)
	}
	c.SetProfile("linux-2.6.32")
	if c.FaultAround = 64 << 10; c.Validate() == nil {
		t.Error("fault-around with linux-2.6.32")
	}
}

package paging

import "testing"

// Expected values by mm/vmscan.c:shrink_folio_list (a clean page of a file is
// unmapped and freed, a dirty or locked one is not), mm/filemap.c:filemap_fault (a
// page that is not in the cache is read: VM_FAULT_MAJOR) and mm/truncate.c:
// invalidate_mapping_pages (mapped and dirty pages stay).

func recycleMachine(t *testing.T, set func(*Config)) (*Machine, *Task, *File, uint64) {
	t.Helper()
	c := DefaultConfig()
	c.FaultAround, c.LockedLimit = PageSize, NoLimit
	set(&c)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	tk := m.NewProcess(1, 1, 0)
	f := m.File(1, 1, 64*PageSize, "f")
	return m, tk, f, tk.pages(t, 64, MmapArgs{Addr: 1 << 32, Prot: rw, Flags: MapShared | MapFixed, File: f})
}

func TestRecycle(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"warm":          func(*Config) {},
		"cold":          func(c *Config) { c.Cache = CacheCold },
		"under a limit": func(c *Config) { c.Cache, c.Memory = CacheCold, 1<<20 },
	} {
		t.Run(name, func(t *testing.T) {
			m, tk, f, a := recycleMachine(t, set)
			tk.Madvise(a, 64*PageSize, madvRandom) // each page is read by itself
			for i := range uint64(4) {
				tk.Access(a+i*PageSize, Read)
			}
			tk.Access(a+4*PageSize, Write)
			tk.Mlock(a+5*PageSize, PageSize)
			private := tk.pages(t, 64, MmapArgs{Addr: 1 << 33, Prot: rw, Flags: MapPrivate | MapFixed, File: f})
			tk.Access(private, Write) // a copy is no page of the file
			_, majors := tk.Faults()
			if got := m.Recycle(); got != 4 {
				t.Errorf("%d pages were recycled, 4 are clean and not locked", got)
			}
			check(t, m)
			for i, want := range []Outcome{Major, Major, Major, Major, OK, OK} {
				if out := tk.Access(a+uint64(i)*PageSize, Read); out != want {
					t.Errorf("page %d: %v, want %v", i, out, want)
				}
			}
			if out := tk.Access(private, Read); out != OK {
				t.Errorf("the private copy: %v", out)
			}
			if _, now := tk.Faults(); now != majors+4 {
				t.Errorf("%d major faults more", now-majors)
			}
			check(t, m)
		})
	}
}

// The file stays the same, and so do other mappings of it: what comes back by one is
// there for the other.
func TestRecycleKeepsTheFile(t *testing.T) {
	m, tk, f, a := recycleMachine(t, func(*Config) {})
	other := m.NewProcess(2, 2, 1)
	other.pages(t, 64, MmapArgs{Addr: 1 << 32, Prot: ProtRead, Flags: MapPrivate | MapFixed, File: f})
	tk.Access(a, Read)
	other.Access(a, Read)
	flushes := m.Stats().Flushes[FlushReclaim].Requests
	m.Recycle()
	if got := m.Stats().Flushes[FlushReclaim].Requests - flushes; got != 2 {
		t.Errorf("%d flushes, each address space needs one", got)
	}
	if a, b := tk.Access(a, Read), other.Access(a, Read); a != Major || b != Minor {
		t.Errorf("%v and %v, want major and minor", a, b)
	}
	check(t, m)
}

func TestDontNeed(t *testing.T) {
	m, tk, f, a := recycleMachine(t, func(*Config) {})
	tk.Access(a, Read)
	tk.Access(a+PageSize, Read)
	tk.Madvise(a+PageSize, PageSize, madvDontNeed) // no longer mapped
	if got := f.DontNeed(0, 2); got != 1 {
		t.Errorf("%d pages dropped, one is not mapped", got)
	}
	for i, want := range []Outcome{OK, Major, Minor} { // the rest of the warm cache is there
		if out := tk.Access(a+uint64(i)*PageSize, Read); out != want {
			t.Errorf("page %d: %v, want %v", i, out, want)
		}
	}
	f.DontNeed(8, 64)
	f.WillNeed(8, 64)
	if out := tk.Access(a+8*PageSize, Read); out != Minor {
		t.Errorf("after WILLNEED: %v", out)
	}
	check(t, m)
}

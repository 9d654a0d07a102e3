package paging

import (
	"math/rand/v2"
	"testing"
)

// TestFlusherUnderPressure runs random calls and accesses while time passes in steps of
// up to two minutes; the recount finds every page that may be dirty and that the flusher does
// not know. What it knows is no more than what is in the cache.
func TestFlusherUnderPressure(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"group":   func(*Config) {},
		"machine": func(c *Config) { c.Memory, c.Kswapd = (32+24)*PageSize, true },
	} {
		t.Run(name, func(t *testing.T) {
			written := FlusherStats{}
			for seed := range uint64(2) {
				m := underLimit(t, "linux", 24, func(c *Config) { c.Flusher = true; set(c) })
				r, now := rand.New(rand.NewPCG(seed, 2)), uint64(0)
				pressure(t, m, rand.New(rand.NewPCG(seed, 1)), func() {
					now += r.Uint64N(1 << r.IntN(38))
					m.Background(now)
					for pfn, d := range m.flusher.dirty {
						if got := d.file.slot(d.pages[pfn]).Load(); got != pfn || len(d.pages) == 0 {
							t.Fatalf("page %d of the file is frame %d, the flusher has %d", d.pages[pfn], got, pfn)
						}
					}
				})
				s := m.Stats()
				if s.Flusher.Old+s.Flusher.Background > s.Reclaim.FileOut {
					t.Errorf("seed %d: %+v, %d pages of files written", seed, s.Flusher, s.Reclaim.FileOut)
				}
				written.Old += s.Flusher.Old
				written.Background += s.Flusher.Background
			}
			if machine := name == "machine"; (written.Old > 0) == machine || (written.Background > 0) != machine {
				t.Errorf("%+v: a group has no threshold, and of a machine so small a tenth is nothing", written)
			}
		})
	}
}

// TestFlusherLeap: however long nothing was heard of the time, the files that are old are
// written once, and the flusher has nothing to do then.
func TestFlusherLeap(t *testing.T) {
	m, tk, f, a := recycleMachine(t, func(c *Config) { c.Flusher = true })
	for i := range uint64(4) {
		tk.Access(a+i*PageSize, Write)
	}
	if m.Recycle(); f.cached.Load() != 4 {
		t.Errorf("%d pages of 4 dirty ones are left", f.cached.Load())
	}
	tk.Munmap(a, 2*PageSize)
	if m.Recycle(); f.cached.Load() != 4 { // dirty without a mapping
		t.Errorf("%d pages of 4 dirty ones are left", f.cached.Load())
	}
	for range 2 {
		m.Background(NoLimit)
		if s := m.Stats().Flusher; s != (FlusherStats{Old: 4}) || len(m.flusher.files) != 0 || m.flusher.next != 0 {
			t.Errorf("%+v, %d files, next at %d", s, len(m.flusher.files), m.flusher.next)
		}
	}
	if got := m.Recycle(); got != 4 {
		t.Errorf("%d pages are clean", got)
	}
	check(t, m)
}

// TestFlusherListIsBounded: a file that becomes dirty and clean again and again, and
// others that stay dirty, are on the list no more often than twice, in the order in which
// they became dirty.
func TestFlusherListIsBounded(t *testing.T) {
	m, tk, _, a := recycleMachine(t, func(c *Config) { c.Flusher = true })
	for i := range uint64(1000) {
		m.Background(i)
		tk.Access(a, Write)
		if errno := tk.Msync(a, PageSize, msSync); errno != 0 {
			t.Fatal(errno)
		}
		if i%100 == 0 {
			b := tk.pages(t, 1, MmapArgs{Prot: rw, Flags: MapShared, File: m.File(1, 2+i, PageSize, "g")})
			tk.Access(b, Write)
		}
	}
	w := m.flusher
	if len(w.byFile) != 10 || len(w.files) > 2*10+flushTidy+1 {
		t.Errorf("%d files are dirty, the list has %d", len(w.byFile), len(w.files))
	}
	for i := 1; i < len(w.files); i++ {
		if w.files[i-1].since > w.files[i].since {
			t.Errorf("file %d of the list is older than the one before", i)
		}
	}
	m.Background(40e9)
	if s := m.Stats().Flusher; s != (FlusherStats{Old: 10}) {
		t.Errorf("%+v", s)
	}
	check(t, m)
}

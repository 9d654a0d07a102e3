package paging

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Random calls and accesses of several processes, on the package and on its slow
// twin: every answer, every fault and its kind, the mappings, resident memory by
// kind and the page tables agree after each step, and the recount holds. A million
// operations: go test ./paging -run TestAgainstTwin -v -rapid.checks=2500 -rapid.steps=40
func TestAgainstTwin(t *testing.T) {
	for levels := 2; levels <= 5; levels++ {
		t.Run(fmt.Sprint("levels=", levels), func(t *testing.T) { testAgainstTwin(t, "linux-6.1", levels, THPNever) })
	}
	for levels := 2; levels <= 5; levels++ {
		t.Run(fmt.Sprint("huge pages, levels=", levels), func(t *testing.T) { testAgainstTwin(t, "linux-6.1", levels, THPAlways) })
	}
	for levels := 2; levels <= 5; levels++ {
		t.Run(fmt.Sprint("linux-2.6.32, levels=", levels), func(t *testing.T) { testAgainstTwin(t, "linux-2.6.32", levels, THPNever) })
	}
}

func testAgainstTwin(t *testing.T, profile string, levels int, thp THP) {
	seeds, operations := 0, 0
	defer func() { t.Logf("%d seeds, %d operations", seeds, operations) }()
	rapid.Check(t, func(t *rapid.T) {
		seeds++
		w := newDuel(t, profile, levels, thp)
		steps := map[string]func(*rapid.T){
			"":         func(t *rapid.T) { operations++; w.agree(t) },
			"access":   w.access,
			"stray":    w.stray,
			"sweep":    w.sweep,
			"debug":    w.debug,
			"vm":       w.vm,
			"mmap":     w.mmap,
			"munmap":   w.munmap,
			"mprotect": w.mprotect,
			"mremap":   w.mremap,
			"madvise":  w.madvise,
			"huge":     w.adviseHuge,
			"mlock":    w.mlock,
			"brk":      w.brk,
			"fork":     w.fork,
			"exit":     w.exit,
			"resize":   w.resize,
		}
		if profile == "linux-2.6.32" {
			steps["remap"], steps["remap again"] = w.remapFile, w.remapFile
		}
		t.Repeat(steps)
	})
}

// duel is the package and the twin side by side. The playing field is three leaf
// tables of pages from base on, with room above it for what mremap moves and
// grows, and the heap above that.
type duel struct {
	m                        *Machine
	w                        *twin
	pids                     uint32
	base, field, table, heap uint64 // pages
}

func newDuel(t *rapid.T, profile string, levels int, thp THP) *duel {
	c := DefaultConfig()
	if err := c.SetProfile(profile); err != nil {
		t.Fatal(err)
	}
	c.Levels, c.THP = levels, thp
	c.CPUs, c.LockedLimit = 2, NoLimit
	c.TLB = TLBConfig{L1I: TLBGeometry{8, 2}, L1D: TLBGeometry{16, 4}, L2: TLBGeometry{48, 12}}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	// with 5 levels above what 4 can reach; below 4 GiB for the 32-bit formats
	base := map[int]uint64{2: 0x2000_0000, 3: 0x3fe0_0000, 4: 0x10_0000_0000, 5: 0x90_1000_0000_0000}[levels] >> pageShift
	d := &duel{m: m, w: newTwin(levels), pids: 1, base: base}
	d.w.thp = thp == THPAlways
	if profile == "linux-2.6.32" {
		d.w.old, d.w.around = true, 1
	}
	d.table = 1 << d.w.bits
	d.field = 3 * d.table
	d.heap = base + 4*d.field + 200
	for i, pages := range []uint64{40, 700} {
		d.w.files = append(d.w.files, &twinFile{pages: pages, frames: map[uint64]*twinFrame{}, real: m.File(1, uint64(i), pages*PageSize, fmt.Sprint("file", i))})
	}
	memfd := &twinFile{shmem: true, pages: 60, frames: map[uint64]*twinFrame{}, real: m.SharedFile(1, 2, 60*PageSize, "/memfd:x")}
	memfd.real.Hold() // a descriptor
	d.w.files = append(d.w.files, memfd)
	p := d.w.newProc()
	p.real = m.NewProcess(1, 1, 0)
	p.heap, p.brk = d.heap, d.heap
	p.real.SetBrk(d.heap*PageSize, d.heap*PageSize)
	return d
}

func (d *duel) agree(t *rapid.T) {
	if err := d.m.Check(); err != nil {
		t.Fatal(err)
	}
	if got := d.m.Stats().Faults; got != d.w.faults {
		t.Fatalf("faults %v, the twin has %v", got, d.w.faults)
	}
	for i, p := range d.w.procs {
		if minor, _ := p.real.Faults(); minor != p.minor {
			t.Fatalf("process %d: %d minor faults, the twin has %d", i, minor, p.minor)
		}
		if got, want := p.real.RSS(), p.rss(); got != want {
			t.Fatalf("process %d: resident %+v, the twin has %+v", i, got, want)
		}
		if got, want := p.real.PageTableBytes(), uint64(len(p.tables)*PageSize); got != want {
			t.Fatalf("process %d: page tables %d, the twin has %d", i, got, want)
		}
		pages := 0
		for _, v := range p.real.space.list() {
			o := p.vma[v.first()]
			if o == nil {
				t.Fatalf("process %d: the twin has nothing at %#x", i, v.start)
			}
			if start, end := p.bounds(v.first()); start != v.first() || end != v.last() || o.prot != v.prot() {
				t.Fatalf("process %d: mapping %#x-%#x %v, the twin has %#x-%#x %v", i, v.start, v.end, v.prot(), start*PageSize, end*PageSize, o.prot)
			}
			pages += int(v.pages())
		}
		if pages != len(p.vma) {
			t.Fatalf("process %d: %d pages mapped, the twin has %d", i, pages, len(p.vma))
		}
	}
}

func same(t *rapid.T, what string, got, want any) {
	if got != want {
		t.Fatalf("%s: %v, the twin says %v", what, got, want)
	}
}

func (d *duel) proc(t *rapid.T) *twinProc {
	return d.w.procs[rapid.IntRange(0, len(d.w.procs)-1).Draw(t, "process")]
}

// span draws a range of the field: mostly short, now and then a whole table.
func (d *duel) span(t *rapid.T) (start, n uint64) {
	if rapid.IntRange(0, 9).Draw(t, "whole table") == 0 {
		return d.base + d.table*rapid.Uint64Range(0, 2).Draw(t, "table"), d.table
	}
	start = rapid.Uint64Range(0, d.field-1).Draw(t, "page")
	return d.base + start, min(rapid.Uint64Range(1, 48).Draw(t, "pages"), d.field-start)
}

func drawProt(t *rapid.T) Prot {
	return rapid.SampledFrom([]Prot{rw, rw, rw, ProtRead, ProtRead | ProtExec, 0, rw | ProtExec}).Draw(t, "protection")
}

func drawAccess(t *rapid.T) Access {
	return rapid.SampledFrom([]Access{Read, Write, Write, Exec}).Draw(t, "access")
}

// mapped draws a page that is mapped, false if there is none.
func (d *duel) mapped(t *rapid.T, p *twinProc) (uint64, bool) {
	page := d.base + rapid.Uint64Range(0, d.field-1).Draw(t, "near")
	for range d.field {
		if p.vma[page] != nil {
			return page, true
		}
		if page++; page == d.base+d.field {
			page = d.base
		}
	}
	return 0, false
}

func (d *duel) access(t *rapid.T) {
	p := d.proc(t)
	page, ok := d.mapped(t, p)
	if !ok {
		page = d.base
	}
	a := drawAccess(t)
	p.real.RunOn(rapid.IntRange(0, 1).Draw(t, "CPU"))
	same(t, "access", p.real.Access(page*PageSize, a), p.access(page, a))
}

// stray is an access far from every mapping: around the end of user memory, to
// the kernel's half, and to addresses that do not exist.
func (d *duel) stray(t *rapid.T) {
	p := d.proc(t)
	page := rapid.SampledFrom([]uint64{0, d.w.end - 1, d.w.end, 1<<35 - 1, 1 << 35, 1 << 44, 1<<52 - 1<<44 - 1, 1<<52 - 1<<44, 1<<52 - 1<<35, 1<<52 - 1}).Draw(t, "page")
	a := drawAccess(t)
	same(t, "stray access", p.real.Access(page*PageSize, a), p.access(page, a))
}

func (d *duel) sweep(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	a := drawAccess(t)
	for i := start; i < start+n; i++ {
		same(t, fmt.Sprintf("sweep, page %#x", i), p.real.Access(i*PageSize, a), p.access(i, a))
	}
}

func (d *duel) debug(t *rapid.T) {
	by, p := d.proc(t), d.proc(t)
	page, ok := d.mapped(t, p)
	if !ok {
		return
	}
	write := rapid.Bool().Draw(t, "write")
	same(t, "ptrace", by.real.AccessRemote(p.real, page*PageSize, 8, write) == 8, p.debug(by, page, write, true, false))
}

func (d *duel) vm(t *rapid.T) {
	by, p := d.proc(t), d.proc(t)
	start, n := d.span(t)
	if page, ok := d.mapped(t, p); ok {
		start = page
	}
	write := rapid.Bool().Draw(t, "write")
	// the local end is a page of the heap, which is there and writable
	by.real.Brk((d.heap + 70) * PageSize)
	by.brkTo(d.heap + 70)
	for i := range min(n, 60) {
		a := Write
		if write {
			a = Read
		}
		want := uint64(PageSize)
		if !p.debug(by, start+i, write, false, true) {
			want = 0
		} else {
			by.access(d.heap+i, a)
		}
		got, _ := by.real.ProcessVM(p.real, (d.heap+i)*PageSize, (start+i)*PageSize, PageSize, write)
		same(t, "process_vm", got, want)
	}
}

func (d *duel) mmap(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	a := MmapArgs{Addr: start * PageSize, Len: n * PageSize, Prot: drawProt(t), Flags: MapFixed}
	v := twinVMA{prot: a.Prot}
	kind := rapid.SampledFrom([]string{"anon", "anon", "shmem", "private file", "shared file"}).Draw(t, "kind")
	switch kind {
	case "anon", "shmem":
		a.Flags |= MapAnonymous
	default:
		f := d.w.files[rapid.IntRange(0, len(d.w.files)-1).Draw(t, "file")]
		a.File, v.file = f.real, f
		// offsets that continue one another, so that mappings can merge
		index := (start - d.base) % 64
		a.Offset = index * PageSize
		v.offset = int64(index) - int64(start)
	}
	switch kind {
	case "anon", "private file":
		a.Flags |= MapPrivate
	default:
		a.Flags |= MapShared
		v.shared = true
	}
	if kind == "shmem" {
		v.file = &twinFile{shmem: true, pages: math.MaxUint64, frames: map[uint64]*twinFrame{}}
		v.offset = -int64(start)
	}
	addr, errno := p.real.Mmap(a)
	p.mmap(start, n, v)
	same(t, "mmap", fmt.Sprint(addr, errno), fmt.Sprint(start*PageSize, Errno(0)))
}

func (d *duel) munmap(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	same(t, "munmap", p.real.Munmap(start*PageSize, n*PageSize), Errno(0))
	p.unmap(start, start+n)
}

func (d *duel) mprotect(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	if page, ok := d.mapped(t, p); ok && n != d.table {
		start = page
	}
	prot := drawProt(t)
	same(t, "mprotect", p.real.Mprotect(start*PageSize, n*PageSize, prot), p.mprotect(start, start+n, prot))
}

func (d *duel) mremap(t *rapid.T) {
	p := d.proc(t)
	old, ok := d.mapped(t, p)
	if !ok {
		t.Skip("nothing mapped")
	}
	first, end := p.bounds(old)
	if rapid.Bool().Draw(t, "from the start") {
		old = first
	}
	oldN := end - old
	if rapid.Bool().Draw(t, "a part") {
		oldN = rapid.Uint64Range(1, oldN).Draw(t, "old pages")
	}
	newN := oldN
	if rapid.Bool().Draw(t, "other size") {
		newN = rapid.Uint64Range(1, oldN+40).Draw(t, "new pages")
	}
	if !rapid.Bool().Draw(t, "move") {
		got, errno := p.real.Mremap(old*PageSize, oldN*PageSize, newN*PageSize, 0, 0, 0)
		want := p.remap(old, oldN, newN, 0)
		same(t, "mremap", errno, want)
		if want == 0 {
			same(t, "mremap", got, old*PageSize)
		}
		return
	}
	to := d.base + rapid.Uint64Range(0, d.field-1).Draw(t, "to")
	if rapid.Bool().Draw(t, "in step") {
		to = to/d.table*d.table + old%d.table
	}
	got, errno := p.real.Mremap(old*PageSize, oldN*PageSize, newN*PageSize, mremapMayMove|mremapFixed, to*PageSize, 0)
	if old+oldN > to && to+newN > old {
		same(t, "mremap onto itself", errno, EINVAL)
		return
	}
	same(t, "mremap", errno, p.remap(old, oldN, newN, to))
	same(t, "mremap", got, to*PageSize)
}

func (d *duel) madvise(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	adv := rapid.SampledFrom([]int{madvDontNeed, madvDontNeed, madvFree, madvDontFork, madvDoFork, madvWipeOnFork, madvKeepOnFork,
		madvPopulateRead, madvPopulateWrite, madvCold, madvHugePage, madvNoHugePage, madvCollapse, madvHugePage | 1<<8}).Draw(t, "advice")
	if adv > 255 {
		same(t, "unknown advice", p.real.Madvise(start*PageSize, n*PageSize, adv), EINVAL)
		return
	}
	same(t, "madvise", p.real.Madvise(start*PageSize, n*PageSize, adv), p.madvise(start, start+n, adv))
}

func (d *duel) mlock(t *rapid.T) {
	p := d.proc(t)
	start, n := d.span(t)
	if rapid.Bool().Draw(t, "unlock") {
		got := p.real.Munlock(start*PageSize, n*PageSize)
		stop := start
		for ; stop < start+n && p.vma[stop] != nil; stop++ {
		}
		p.changeEach(start, stop, func(v *twinVMA) { v.locked = false })
		same(t, "munlock fails", got != 0, stop < start+n)
		return
	}
	same(t, "mlock", p.real.Mlock(start*PageSize, n*PageSize), p.mlock(start, start+n))
}

func (d *duel) brk(t *rapid.T) {
	p := d.proc(t)
	to := d.heap + rapid.Uint64Range(0, 60).Draw(t, "heap pages")
	same(t, "brk", p.real.Brk(to*PageSize), to*PageSize)
	p.brkTo(to)
	if to > d.heap {
		page := d.heap + rapid.Uint64Range(0, to-d.heap-1).Draw(t, "heap page")
		same(t, "access to the heap", p.real.Access(page*PageSize, Write), p.access(page, Write))
	}
}

func (d *duel) fork(t *rapid.T) {
	if len(d.w.procs) == 4 {
		t.Skip("enough processes")
	}
	p := d.proc(t)
	d.pids++
	c := p.fork()
	c.real = p.real.Fork(d.pids, d.pids, int(d.pids%2))
}

func (d *duel) exit(t *rapid.T) {
	if len(d.w.procs) == 1 {
		t.Skip("the last process")
	}
	p := d.proc(t)
	p.real.ExitGroup()
	p.exit()
}

func (d *duel) resize(t *rapid.T) {
	i := rapid.IntRange(0, len(d.w.files)-1).Draw(t, "file")
	pages := rapid.Uint64Range(0, 80).Draw(t, "size")
	d.m.File(1, uint64(i), pages*PageSize, "")
	d.w.resize(d.w.files[i], pages)
}

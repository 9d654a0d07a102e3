package paging

import (
	"fmt"
	"sync/atomic"
)

// Check recounts everything and compares it with what is counted along the
// way: mappings in order and apart; entries inside mappings and as permissive as they; resident
// pages by kind; map counts of every frame; free frames; page caches; table
// pages; and TLB entries against the page tables. It returns the first
// contradiction. Call it while no task runs.
func (m *Machine) Check() error {
	c := checker{m: m, mapped: map[uint32]int32{}, swapped: map[uint32]int32{}, owned: map[uint32]int32{}, at: map[mapping]uint32{}, shmem: map[*File]int{}, cached: map[uint32]bool{},
		refs: map[uint32]int32{}, promises: map[*hugePool]int64{}, inUse: map[*hugePool]map[uint32]bool{}}
	for _, p := range m.hugetlb.pools {
		c.inUse[p] = map[uint32]bool{}
	}
	m.applyFlushes()
	for _, s := range m.liveSpaces() {
		if err := c.space(s); err != nil {
			return fmt.Errorf("address space %d: %w", s.id, err)
		}
	}
	for k := range numRSS {
		if got := m.rss.pages[k].Load(); got != c.rss[k] {
			return fmt.Errorf("resident pages of kind %d of all spaces: counted %d, found %d", k, got, c.rss[k])
		}
	}
	if got := m.tables.Load(); got != c.tables {
		return fmt.Errorf("page tables of all spaces: counted %d, found %d", got, c.tables)
	}
	if m.cfg.Overcommit == OvercommitNever {
		if got := m.commit.pages.Load(); got != c.promised() {
			return fmt.Errorf("pages promised: counted %d, found %d", got, c.promised())
		}
	}
	if err := c.caches(); err != nil {
		return err
	}
	if err := c.frames(); err != nil {
		return err
	}
	if err := c.largePages(); err != nil {
		return err
	}
	if err := c.group(); err != nil {
		return err
	}
	return c.tlbs()
}

// applyFlushes lets every CPU do what it has been asked.
func (m *Machine) applyFlushes() {
	for _, c := range m.cpus {
		c.mu.Lock()
		c.apply()
		c.mu.Unlock()
	}
}

type checker struct {
	m       *Machine
	mapped  map[uint32]int32   // entries of each frame
	swapped map[uint32]int32   // entries of swap of each page
	owned   map[uint32]int32   // of these: of a sole owner
	at      map[mapping]uint32 // with a limit: what is mapped where
	shmem   map[*File]int      // mappings of shared anonymous memory
	cached  map[uint32]bool    // frames of page caches
	rss     [numRSS]int64
	tables  int64

	huge, hugetlb int64            // of the address space at hand
	refs          map[uint32]int32 // by first frame: what holds a huge page
	promises      map[*hugePool]int64
	inUse         map[*hugePool]map[uint32]bool
}

// promised recounts what counts against the commit limit.
func (c *checker) promised() int64 {
	n := int64(0)
	for _, s := range c.m.liveSpaces() {
		n += int64(s.list().accountedPages())
	}
	for _, seg := range c.m.sysv.byID {
		c.shmem[seg.file] += 0
	}
	for f := range c.shmem {
		n += f.promised
	}
	return n
}

func (c *checker) space(s *Space) error {
	var end uint64
	ids := map[MappingID]bool{}
	for _, v := range s.list() {
		if ids[v.identity()] {
			return fmt.Errorf("mapping %#x-%#x is the same as another", v.start, v.end)
		}
		ids[v.identity()] = true
		if v.start < end || v.start >= v.end || (v.start|v.end)&pageMask != 0 || v.end > c.m.layout.end {
			return fmt.Errorf("mapping %#x-%#x after %#x", v.start, v.end, end)
		}
		end = v.end
		if v.file != nil && v.file.shmem {
			c.shmem[v.file]++
		}
	}
	for _, f := range s.gone {
		c.shmem[f]++ // not settled yet
	}
	var rss [numRSS]int64
	var err error
	tables := int64(0)
	c.huge, c.hugetlb = 0, 0
	s.table.tables(0, s.table.limit(), func(base uint64, t *table) {
		tables++
		used := 0
		if t.large() != 0 || t.ptes == nil {
			if t.ptes == nil {
				tables--
			}
			if e2 := c.large(s, base, t, &rss); e2 != nil && err == nil {
				err = e2
			}
		}
		for i := range t.ptes {
			e := atomic.LoadUint64(&t.ptes[i])
			if e == 0 {
				continue
			}
			used++
			if e2 := c.entry(t, base+uint64(i), e, &rss); e2 != nil && err == nil {
				err = e2
			}
		}
		if used != int(t.used) && err == nil {
			err = fmt.Errorf("table at page %#x: counted %d entries, found %d", base, t.used, used)
		}
	})
	if err != nil {
		return err
	}
	tables += countDirs(s.table.root)
	if got := s.table.pages.Load(); got != tables {
		return fmt.Errorf("page tables: counted %d, found %d", got, tables)
	}
	c.tables += tables
	if got := s.huge.Load(); got != c.huge {
		return fmt.Errorf("huge pages: counted %d, found %d", got, c.huge)
	}
	if got := s.hugetlb.Load(); got != c.hugetlb {
		return fmt.Errorf("bytes of hugetlb: counted %d, found %d", got, c.hugetlb)
	}
	for k := range numRSS {
		if got := s.rss.pages[k].Load(); got != rss[k] {
			return fmt.Errorf("resident pages of kind %d: counted %d, found %d", k, got, rss[k])
		}
		c.rss[k] += rss[k]
	}
	return nil
}

// entry checks one entry against its mapping and counts its frame.
func (c *checker) entry(tab *table, vpn, e uint64, rss *[numRSS]int64) error {
	v := tab.space.list().at(vpn << pageShift)
	if v == nil {
		return fmt.Errorf("entry %#x of page %#x outside of all mappings", e, vpn)
	}
	if isFileEntry(e) {
		if v.private() || v.flags&vmNonLinear == 0 || fileEntry(fileOffset(e)) != e {
			return fmt.Errorf("entry %#x of page %#x of %s names a page of the file", e, vpn, v.Name())
		}
		return nil
	}
	if isSwap(e) {
		if !v.private() || v.anon.Load() == nil || e&(pteP|pteNone|pteW|pteA|pteD) != 0 {
			return fmt.Errorf("entry %#x of page %#x of %s stands for a page in swap", e, vpn, v.Name())
		}
		c.swapped[ptePFN(e)]++
		if e&pteExclusive != 0 {
			c.owned[ptePFN(e)]++
		}
		rss[rssSwap]++
		return nil
	}
	if e&pteP != 0 && (e&pteW != 0 && v.flags&vmWrite == 0 || e&pteNX == 0 && v.flags&vmExec == 0 && c.m.layout.nx != 0) || e&pteP != 0 != v.accessible() {
		return fmt.Errorf("entry %#x of page %#x does not suit its mapping %s %v", e, vpn, v.Name(), v.prot())
	}
	f := c.m.frames.at(ptePFN(e))
	if c.m.memory != nil {
		c.at[mapping{tab, vpn}] = ptePFN(e)
	}
	if e&pteExclusive != 0 && (f.kind != frameAnon || f.mapcount.Load() != 1) {
		return fmt.Errorf("entry %#x of page %#x is exclusive, its frame of kind %d has %d mappings", e, vpn, f.kind, f.mapcount.Load())
	}
	switch f.kind {
	case frameFree:
		return fmt.Errorf("entry %#x of page %#x maps a free frame", e, vpn)
	case frameZero:
		if e&pteW != 0 {
			return fmt.Errorf("entry %#x of page %#x may write the zero page", e, vpn)
		}
		return nil
	case frameAnon:
		if e&pteW != 0 && e&pteExclusive == 0 || !v.private() || v.anon.Load() == nil {
			return fmt.Errorf("entry %#x of page %#x of %s holds an anonymous frame", e, vpn, v.Name())
		}
	default:
		if e&pteW != 0 && v.private() {
			return fmt.Errorf("page %#x of a private mapping may write the page cache", vpn)
		}
		if w := c.m.flusher; w != nil && e&(pteW|pteD) != 0 && f.kind == frameFile && !w.has(ptePFN(e)) {
			return fmt.Errorf("page %#x of %s may be dirty, which the flusher does not know", vpn, v.file.path)
		}
		if got := v.file.slot(v.indexOf(vpn, e)).Load(); got != ptePFN(e) {
			return fmt.Errorf("page %#x maps frame %d, the cache of %s has %d", vpn, ptePFN(e), v.file.path, got)
		}
	}
	c.mapped[ptePFN(e)]++
	if _, ok := c.m.frames.part(ptePFN(e)); ok {
		c.refs[ptePFN(e)&^(uint32(c.m.layout.hugePages())-1)]++
	}
	rss[f.kind.rss()]++
	return nil
}

// caches recounts the page cache of every file and the mappings of shared
// anonymous memory.
func (c *checker) caches() error {
	files := []*File{}
	for _, f := range c.m.files {
		files = append(files, f)
	}
	for _, seg := range c.m.sysv.byID {
		c.shmem[seg.file] += 0
	}
	for f, n := range c.shmem {
		if f.maps != n {
			return fmt.Errorf("shared memory %s: counted %d mappings, found %d", f.path, f.maps, n)
		}
		if c.m.files[fileKey{f.dev, f.ino}] != f {
			files = append(files, f)
		}
	}
	for _, f := range files {
		n := int64(0)
		var err error
		f.chunks.Range(func(at, chunk any) bool {
			for i := range chunk.(*[cacheChunk]atomic.Uint32) {
				pfn := chunk.(*[cacheChunk]atomic.Uint32)[i].Load()
				if pfn == 0 {
					continue
				}
				n++
				if c.cached[pfn] {
					err = fmt.Errorf("frame %d is in the page cache twice", pfn)
				}
				c.cached[pfn] = true
			}
			return err == nil
		})
		switch {
		case err != nil:
			return err
		case n != f.cached.Load():
			return fmt.Errorf("page cache of %s: counted %d frames, found %d", f.path, f.cached.Load(), n)
		}
	}
	return nil
}

// frames compares map counts, and makes sure that every frame is used, cached
// or free, and only one of these.
func (c *checker) frames() error {
	p := c.m.frames
	free := map[uint32]bool{}
	note := func(list []uint32) error {
		for _, pfn := range list {
			if free[pfn] {
				return fmt.Errorf("frame %d is free twice", pfn)
			}
			free[pfn] = true
		}
		return nil
	}
	if err := note(p.free.all()); err != nil {
		return err
	}
	for _, head := range p.blocks.free {
		for i := range uint32(c.m.layout.hugePages()) {
			if err := note([]uint32{head + i}); err != nil {
				return err
			}
		}
	}
	for t := range c.m.tasks {
		if err := note(t.frames.free); err != nil {
			return err
		}
	}
	for pfn := uint32(firstPFN); pfn < p.next; pfn++ {
		f := p.at(pfn)
		switch {
		case f.kind >= frameHugeAnon:
			if free[pfn] || f.kind == frameHugeFree && f.mapcount.Load() != 0 || f.mapcount.Load() != c.mapped[pfn] {
				return fmt.Errorf("frame %d of hugetlb: counted %d mappings, found %d, free: %v", pfn, f.mapcount.Load(), c.mapped[pfn], free[pfn])
			}
		case free[pfn] != (f.kind == frameFree):
			return fmt.Errorf("frame %d: kind %d, on a free list: %v", pfn, f.kind, free[pfn])
		case f.kind != frameFree && f.mapcount.Load() != c.mapped[pfn]+c.owned[pfn]:
			return fmt.Errorf("frame %d: counted %d mappings, found %d", pfn, f.mapcount.Load(), c.mapped[pfn]+c.owned[pfn])
		case f.kind == frameAnon && c.mapped[pfn] == 0 && c.swapped[pfn] == 0:
			return fmt.Errorf("anonymous frame %d is mapped nowhere and not free", pfn)
		case (f.kind == frameFile || f.kind == frameShmem) != c.cached[pfn]:
			return fmt.Errorf("frame %d: kind %d, in a page cache: %v", pfn, f.kind, c.cached[pfn])
		}
	}
	return nil
}

// tlbs holds every TLB entry of an address space that is current on its CPU, or
// whose ASID is up to date there, against the page table: it may not permit
// more.
func (c *checker) tlbs() error {
	spaces := map[uint32]*Space{}
	for _, s := range c.m.liveSpaces() {
		spaces[s.id] = s
	}
	var err error
	for i, cpu := range c.m.cpus {
		cpu.tlb.each(func(asid uint16, class tlbClass, vpn uint64, e tlbEntry) {
			slot := cpu.slots[asid-1]
			s := spaces[slot.id]
			if s == nil || slot.gen != s.tlbGen.Load() || err != nil {
				return // stale: flushed before it is used again
			}
			var pte uint64
			if t := s.table.find(vpn); t != nil {
				pte = t.load(vpn)
			}
			have := entryTLB(pte)
			if pte&pteP == 0 || entryClass(pte) != class || have.pfn != e.pfn || e.flags&^have.flags != 0 {
				err = fmt.Errorf("TLB of CPU %d: entry of page %#x (frame %d, flags %#x) is not what the page table says (%#x)", i, vpn, e.pfn, e.flags, pte)
			}
		})
	}
	return err
}

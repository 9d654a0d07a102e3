package paging

import "fmt"

// large checks the entry of a large page and counts what it maps.
func (c *checker) large(s *Space, base uint64, tab *table, rss *[numRSS]int64) error {
	e := tab.large()
	if e == 0 {
		return nil
	}
	v := s.list().at(base << pageShift)
	if v == nil || base < v.first() || base+tab.pages() > v.last() || base%tab.pages() != 0 {
		return fmt.Errorf("large page at %#x does not lie in one mapping", base<<pageShift)
	}
	if e&pteHuge == 0 || tab.used != 0 || (v.huge != nil) != (tab.ptes == nil) || v.huge != nil && v.huge.pool.shift != tab.shift {
		return fmt.Errorf("large page at %#x: entry %#x, %d small entries below it", base<<pageShift, e, tab.used)
	}
	head := ptePFN(e)
	if v.huge != nil {
		c.hugetlb += int64(tab.pages()) << pageShift
		c.mapped[head]++
		c.inUse[v.huge.pool][head] = true
		kind := c.m.frames.at(head).kind
		if kind != frameHugeAnon && (kind != frameHugeFile || v.file.slot(v.index(base)).Load() != head) {
			return fmt.Errorf("page of hugetlb at %#x: frame %d is %s", base<<pageShift, head, name(frameNames, int(kind)))
		}
		return nil
	}
	c.huge++
	for i := range tab.pages() {
		if head != hugeZeroPFN {
			if _, ok := c.m.frames.part(head + uint32(i)); !ok {
				return fmt.Errorf("huge page at %#x: frame %d is not a part of it", base<<pageShift, head+uint32(i))
			}
		}
		if err := c.entry(tab, base+i, tab.load(base+i), rss); err != nil {
			return err
		}
	}
	if head != hugeZeroPFN {
		c.refs[head] -= int32(tab.pages()) - 1 // it is held once, not by each part
	}
	return nil
}

// largePages compares what holds huge pages, and the pools of hugetlb.
func (c *checker) largePages() error {
	for head, n := range c.refs {
		if got := c.m.frames.block(head).refs.Load(); got != n {
			return fmt.Errorf("huge page of frame %d: held %d times, found %d", head, got, n)
		}
	}
	for _, s := range c.m.liveSpaces() {
		for _, v := range s.list() {
			if v.huge != nil {
				c.promises[v.huge.pool] += v.reserved()
			}
		}
	}
	for _, f := range c.m.files {
		if f.hugetlb != nil {
			c.shmem[f] += 0
		}
	}
	for f := range c.shmem {
		if f.hugetlb == nil {
			continue
		}
		c.promises[f.hugetlb] += int64(len(f.reserves)) - f.cached.Load()
		for index := range f.reserves {
			if head := f.slot(index).Load(); head != 0 {
				c.inUse[f.hugetlb][head] = true
			}
		}
	}
	for _, p := range c.m.hugetlb.pools {
		switch {
		case p.reserved != c.promises[p]:
			return fmt.Errorf("pool of %d KiB pages: %d reserved, found %d", 4<<p.shift, p.reserved, c.promises[p])
		case p.total-p.free != int64(len(c.inUse[p])):
			return fmt.Errorf("pool of %d KiB pages: %d used, found %d", 4<<p.shift, p.total-p.free, len(c.inUse[p]))
		case p.free < p.reserved || p.surplus > p.overcommit:
			return fmt.Errorf("pool of %d KiB pages: %d free, %d reserved, %d surplus", 4<<p.shift, p.free, p.reserved, p.surplus)
		}
	}
	return nil
}

package paging

import "fmt"

// group recounts what is charged to the group, the reverse map and swap.
func (c *checker) group() error {
	g := c.m.memory
	if g == nil {
		return nil
	}
	var charged, used int64
	for n := range len(g.pages.chunks) << chunkShift {
		pfn := uint32(n)
		i := g.info(pfn)
		if i.state&pageKnown == 0 {
			continue
		}
		f := c.m.frames.at(pfn)
		resident := i.state&pageResident != 0
		if resident {
			charged++
		}
		if i.state&pageSlot != 0 {
			used++
		}
		switch {
		case f.kind == frameFree || !g.counts(f.kind):
			return fmt.Errorf("page %d is charged, its kind is %d", pfn, f.kind)
		case i.refs != c.swapped[pfn]:
			return fmt.Errorf("page %d: counted %d entries of swap, found %d", pfn, i.refs, c.swapped[pfn])
		case !resident && f.kind != frameFile && i.state&pageSlot == 0:
			return fmt.Errorf("page %d is neither in memory nor in swap", pfn)
		case !resident && c.mapped[pfn] != 0:
			return fmt.Errorf("page %d is mapped %d times but not in memory", pfn, c.mapped[pfn])
		case i.state&(pageHeld|pageGone) != 0:
			return fmt.Errorf("page %d is being evicted by nobody", pfn)
		}
		places := g.mappings(nil, pfn)
		if len(places) != int(c.mapped[pfn]) {
			return fmt.Errorf("page %d: the reverse map has %d places, found %d", pfn, len(places), c.mapped[pfn])
		}
		for _, at := range places {
			if c.at[at] != pfn {
				return fmt.Errorf("page %d: the reverse map has page %#x of address space %d, which maps %d", pfn, at.vpn, at.space().id, c.at[at])
			}
		}
	}
	switch {
	case charged != g.charged:
		return fmt.Errorf("charged pages: counted %d, found %d", g.charged, charged)
	case used != g.used:
		return fmt.Errorf("slots of swap: counted %d, found %d", g.used, used)
	case g.used > g.slots:
		return fmt.Errorf("%d slots of swap in use, there are %d", g.used, g.slots)
	}
	return nil
}

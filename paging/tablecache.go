package paging

// tableCache remembers the lowest directories above pages, as a paging-structure cache
// does. One goroutine uses it at a time.
type tableCache [16]struct {
	space  *Space
	number uint64
	prune  uint64 // Space.prune when it was found
	low    *dir
}

// of finds the table of a mapping, or nil.
func (c *tableCache) of(at mapping) *table {
	p := at.space.table
	number, prune := at.vpn>>(2*(p.bits&31)), at.space.prune.Load()
	d := &c[number%uint64(len(c))]
	if d.space != at.space || d.number != number || d.prune != prune || d.low == nil {
		d.space, d.number, d.prune, d.low = at.space, number, prune, p.lowest(at.vpn)
		if d.low == nil {
			return nil
		}
	}
	return d.low.tables[at.vpn>>(p.bits&31)&uint64(len(d.low.tables)-1)].Load()
}

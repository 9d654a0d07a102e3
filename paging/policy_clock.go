package paging

// clockPolicy is CLOCK, or second chance (F. J. Corbató, A Paging Experiment with
// the Multics System, 1968): first in, first out, but a page that was used since
// the hand last passed goes round once more.
type clockPolicy struct {
	pageLists // mark: the page was used
	g         *memory
}

func newClock(g *memory) policy { return &clockPolicy{pageLists: newPageLists(1, &g.pages), g: g} }

func (c *clockPolicy) insert(p uint32) {
	c.put(1, p)
	*c.mark(p) = 0
}

func (c *clockPolicy) hit(p uint32)    { *c.mark(p) = 1 }
func (c *clockPolicy) left(uint32)     {}
func (c *clockPolicy) forget(p uint32) { c.drop(p) }

func (c *clockPolicy) victim(uint32) uint32 {
	for {
		p := c.last(1)
		if p == 0 {
			return 0
		}
		i := c.rows.known(p)
		if c.g.young(p) > 0 {
			i.mark = 1
		}
		if i.mark == 0 {
			c.unlink(i)
			return p
		}
		i.mark = 0
		c.turn(1, p, i)
	}
}

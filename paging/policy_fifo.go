package paging

// fifoPolicy is first in, first out. It has Belady's anomaly: more memory may
// mean more faults.
type fifoPolicy struct{ pageLists }

func newFIFO(g *memory) policy { return &fifoPolicy{newPageLists(1, &g.pages)} }

func (f *fifoPolicy) insert(p uint32) { f.put(1, p) }
func (f *fifoPolicy) hit(uint32)      {}
func (f *fifoPolicy) left(uint32)     {}
func (f *fifoPolicy) forget(p uint32) { f.drop(p) }

func (f *fifoPolicy) victim(uint32) uint32 {
	p := f.last(1)
	f.drop(p)
	return p
}

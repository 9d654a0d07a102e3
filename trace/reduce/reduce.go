package reduce

import (
	"fmt"
	"math"

	"github.com/vmtrace/vmtrace/trace"
)

// MaxK is the largest K.
const MaxK = 256

// maxOut is how many references are passed on at a time at most: counts are
// gathered within them, and a whole block's worth is no better than this half.
const maxOut = 1 << 17

// Sink reduces what passes through it to another sink. One goroutine uses it.
// At most 4K references wait for the rule and maxOut more (4 MiB) to be passed
// on.
type Sink struct {
	dst    trace.Sink
	k      int
	thread uint32
	clock  uint64
	pages  []page  // the K+1 most recent, latest first
	window []entry // nodes of a list, in order from head to tail; node 0 is none
	head   int32
	tail   int32
	spare  int32 // list of free nodes
	held   int
	out    []trace.Ref
	ips    []uint64
	hasIPs bool
	counts gatherer            // of out
	wrote  map[uint64]struct{} // pages written since the last barrier
	kept   uint64
	seen   uint64
}

// page is a recently used page of one side.
type page struct {
	key       uint64
	last      uint64 // when it was used last
	candidate int32  // node of the reference that may still go, 0 for none
	kept      uint64 // when the last kept reference that is no candidate was made
	written   uint64 // when it was first written since the last barrier
}

// entry is a reference held back.
type entry struct {
	ref        trace.Ref
	ip         uint64
	prev, next int32
	waiting    bool // may still be dropped
}

// New returns a sink that reduces with K (2 to MaxK) and passes on to dst.
func New(dst trace.Sink, k int) (*Sink, error) {
	if k < 2 || k > MaxK {
		return nil, fmt.Errorf("reduction with K = %d: K must be 2 to %d", k, MaxK)
	}
	s := &Sink{dst: dst, k: k, window: make([]entry, 1), wrote: map[uint64]struct{}{}}
	s.counts.reset()
	return s, nil
}

// Seen and Kept are how many references came in and went out.
func (s *Sink) Seen() uint64 { return s.seen }

// Kept is how many references were passed on.
func (s *Sink) Kept() uint64 { return s.kept }

// Refs takes references of one thread.
func (s *Sink) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	if thread != s.thread || s.hasIPs != (ips != nil) {
		if err := s.barrier(); err != nil {
			return err
		}
		s.thread, s.hasIPs = thread, ips != nil
	}
	for i := range refs {
		var ip uint64
		if ips != nil {
			ip = ips[i]
		}
		s.push(&refs[i], ip)
		s.release()
	}
	if len(s.out) >= maxOut {
		return s.pass()
	}
	return nil
}

// Event passes an event on; nothing is reduced across it.
func (s *Sink) Event(e *trace.Event) error {
	if err := s.barrier(); err != nil {
		return err
	}
	return s.dst.Event(e)
}

// Flush passes on what is held back. What comes next is not reduced against it.
func (s *Sink) Flush() error { return s.barrier() }

// Close flushes and closes the sink below.
func (s *Sink) Close() error {
	if err := s.barrier(); err != nil {
		return err
	}
	return s.dst.Close()
}

func key(r *trace.Ref) uint64 {
	k := r.VPN << 1
	if r.First == trace.Exec {
		k |= 1
	}
	return k
}

// mixed says that a reference is of both sides; it is kept as it is.
func mixed(r *trace.Ref) bool {
	return (r.First == trace.Exec) != (r.Execs > 0) || r.Execs > 0 && (r.Reads > 0 || r.Writes > 0)
}

// push takes one reference into the window.
func (s *Sink) push(r *trace.Ref, ip uint64) {
	s.seen++
	s.clock++
	p := s.use(key(r))
	n := s.append(r, ip)
	e := &s.window[n]
	if c := p.candidate; c != 0 {
		old := &s.window[c]
		if s.between(p) < s.k && fold(&e.ref, &old.ref) {
			s.unlink(c)
		} else {
			old.waiting = false
			p.kept = p.last
		}
		p.candidate = 0
	}
	// r may go when the next one comes, if a kept one came before it.
	first := s.firstWrite(r)
	if first {
		p.written = s.clock
	}
	if p.kept != 0 && !first && !mixed(r) {
		e.waiting = true
		p.candidate = n
	} else {
		p.kept = s.clock
	}
	p.last = s.clock
}

// append puts a reference at the end of the list.
func (s *Sink) append(r *trace.Ref, ip uint64) int32 {
	n := s.spare
	if n != 0 {
		s.spare = s.window[n].next
	} else {
		n = int32(len(s.window))
		s.window = append(s.window, entry{})
	}
	s.window[n] = entry{ref: *r, ip: ip, prev: s.tail}
	s.window[s.tail].next = n
	if s.tail == 0 {
		s.head = n
	}
	s.tail = n
	s.held++
	return n
}

// unlink takes a node out of the list.
func (s *Sink) unlink(n int32) {
	e := &s.window[n]
	if e.prev != 0 {
		s.window[e.prev].next = e.next
	} else {
		s.head = e.next
	}
	if e.next != 0 {
		s.window[e.next].prev = e.prev
	} else {
		s.tail = e.prev
	}
	e.next, s.spare = s.spare, n
	s.held--
}

// use moves the page to the front of the recent ones. A page that leaves them
// takes its candidate's chance with it.
func (s *Sink) use(k uint64) *page {
	for i := range s.pages {
		if s.pages[i].key == k {
			p := s.pages[i]
			copy(s.pages[1:i+1], s.pages[:i])
			s.pages[0] = p
			return &s.pages[0]
		}
	}
	if len(s.pages) <= s.k {
		s.pages = append(s.pages, page{})
	} else if last := &s.pages[len(s.pages)-1]; last.candidate != 0 {
		s.window[last.candidate].waiting = false
	}
	copy(s.pages[1:], s.pages)
	s.pages[0] = page{key: k}
	return &s.pages[0]
}

// between counts the other pages used since the last kept reference of p, those
// that were first written since twice: the write may have copied another page.
// Precondition: p is in front.
func (s *Sink) between(p *page) int {
	n := 0
	for i := 1; i < len(s.pages); i++ {
		if s.pages[i].last > p.kept {
			n++
		}
		if s.pages[i].written > p.kept {
			n++
		}
	}
	return n
}

// firstWrite says whether r writes its page for the first time since the last
// barrier, and notes that it does.
func (s *Sink) firstWrite(r *trace.Ref) bool {
	if r.Writes == 0 {
		return false
	}
	if _, ok := s.wrote[r.VPN]; ok {
		return false
	}
	s.wrote[r.VPN] = struct{}{}
	return true
}

// fold adds the accesses of from to r; false when a count would overflow.
func fold(r, from *trace.Ref) bool {
	if uint64(r.Reads)+uint64(from.Reads) > math.MaxUint32 || uint64(r.Writes)+uint64(from.Writes) > math.MaxUint32 ||
		uint64(r.Execs)+uint64(from.Execs) > math.MaxUint32 {
		return false
	}
	r.Reads += from.Reads
	r.Writes += from.Writes
	r.Execs += from.Execs
	return true
}

// release passes on what can no longer be dropped, from the front of the list.
// When more is held back than the rule needs (references of both sides can pile
// up behind one that waits), the first is kept: that is always exact.
func (s *Sink) release() {
	for s.head != 0 && (!s.window[s.head].waiting || s.held > 4*s.k) {
		s.emit()
	}
}

// emit passes the first reference on.
func (s *Sink) emit() {
	n := s.head
	e := &s.window[n]
	if e.waiting {
		for i := range s.pages {
			if s.pages[i].candidate == n {
				s.pages[i].candidate, s.pages[i].kept = 0, s.pages[i].last
			}
		}
	}
	s.kept++
	s.out = append(s.out, e.ref)
	s.counts.add(s.out)
	if s.hasIPs {
		s.ips = append(s.ips, e.ip)
	}
	s.unlink(n)
}

// barrier passes everything on and forgets.
func (s *Sink) barrier() error {
	s.pages = s.pages[:0]
	for s.head != 0 {
		s.emit()
	}
	clear(s.wrote)
	return s.pass()
}

func (s *Sink) pass() error {
	if len(s.out) == 0 {
		return nil
	}
	var ips []uint64
	if s.hasIPs {
		ips = s.ips
	}
	err := s.dst.Refs(s.thread, s.out, ips)
	s.out, s.ips = s.out[:0], s.ips[:0]
	s.counts.reset()
	return err
}

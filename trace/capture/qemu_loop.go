package capture

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

const (
	idleFirstMS = 1             // first sleep when nothing is published; each one is longer than that before
	idleMostMS  = 20            // longest
	piece       = ringWords / 8 // words of a ring read at a time
	holeWait    = 100 * time.Millisecond
	keepAtOnce  = 64 // notes between two looks at the clock
)

// loop consumes what the plugins publish until all processes are gone and
// everything has been read.
func (r *qemuRecorder) loop(ctx context.Context) {
	killed, idle := false, idleFirstMS
	for {
		n := r.notes()
		r.collect()
		r.freeSlots()
		if r.done && len(r.pending) == 0 && r.ring.head.head.Load() == r.ring.head.tail.Load() {
			return
		}
		if !killed && r.housekeeping(ctx) {
			killed = true
		}
		if killed {
			r.tracer.kill() // again and again: children can appear meanwhile
		}
		if r.ring.head.full.Swap(0) != 0 && r.err == nil && r.slotsTaken() {
			r.err = fmt.Errorf("more than %d threads at once: that is the limit of the qemu recorder", slotLimit)
		}
		if n > 0 || len(r.pending) > 0 {
			idle = idleFirstMS
		}
		if n == 0 {
			r.ring.sleep(idle)
			idle = min(2*idle, idleMostMS)
		}
	}
}

// slotsTaken says that every slot belongs to a thread that lives; else the one
// that found none will find one.
func (r *qemuRecorder) slotsTaken() bool {
	for _, th := range r.slots[:slotLimit] {
		if th == nil {
			return false
		}
	}
	return true
}

// collect takes what the tracer has seen, and handles what has been reached: an
// event counts after everything that was published before it.
func (r *qemuRecorder) collect() {
	for more := true; more && !r.done; {
		select {
		case e, ok := <-r.tracer.events:
			if !ok {
				r.done = true
			} else {
				r.pending = append(r.pending, e)
			}
		default:
			more = false
		}
	}
	for len(r.pending) > 0 && r.pending[0].at <= r.ring.head.tail.Load() {
		e := r.pending[0]
		r.pending = r.pending[1:]
		r.traced(e)
	}
}

// notes reads what has been published, a bounded number of notes, and says how
// many there were.
func (r *qemuRecorder) notes() int {
	h := r.ring.head
	for n := 0; ; n++ {
		at := h.tail.Load()
		if n == keepAtOnce || at == h.head.Load() {
			return n
		}
		r.collect()
		note := &h.queue[at%ringQueue]
		if note.ready.Load() != at+1 {
			if r.abandoned() {
				h.tail.Store(at + 1)
				continue
			}
			return n
		}
		r.read(note.slot, note.end)
		h.tail.Store(at + 1)
	}
}

// abandoned says that the next note will never be filled in: a process was
// killed between claiming it and that. It is so when nobody who lives is at it.
func (r *qemuRecorder) abandoned() bool {
	if r.holeSince.IsZero() {
		r.holeSince = time.Now()
	}
	if time.Since(r.holeSince) < holeWait {
		time.Sleep(50 * time.Microsecond)
		return false
	}
	for i := range r.ring.head.top.Load() {
		s := r.ring.slot(i)
		if s.state.Load() != 0 && s.claiming.Load() != 0 && unix.Tgkill(int(s.pid), int(s.tid), 0) == nil {
			return false
		}
	}
	r.holeSince = time.Time{}
	return true
}

// read consumes the ring of a slot up to a word.
func (r *qemuRecorder) read(i uint32, end uint64) {
	s := r.ring.slot(i)
	words := r.ring.words(i)
	r.holeSince = time.Time{}
	for pos := s.tail.Load(); pos < end; {
		pos = r.references(i, words, pos, min(end, pos+piece))
		if pos < end && words[pos%ringWords]>>62 == 0 {
			m := words[pos%ringWords]
			n := m & 0xffffffff
			if pos+1+n > end {
				r.warn("a record of thread %d is cut off", s.tid)
				pos = end
			} else {
				payload := make([]uint64, n)
				for k := range payload {
					payload[k] = words[(pos+1+uint64(k))%ringWords]
				}
				r.slotEvent(i, int(m>>32), payload)
				pos += 1 + n
			}
		}
		s.consumed(pos)
	}
}

// references decodes references from pos on, until an event or end.
func (r *qemuRecorder) references(i uint32, words *[ringWords]uint64, pos, end uint64) uint64 {
	th := r.slots[i]
	size := uint64(2)
	if r.opts.IP {
		size = 3
	}
	for pos+size <= end {
		m := words[pos%ringWords]
		kind := trace.Access(m >> 62)
		if kind == 0 {
			return pos
		}
		if th == nil {
			pos += size
			continue
		}
		addr := words[(pos+1)%ringWords]
		if th.proc.stack[1] != 0 && kind != trace.Exec {
			th.proc.argumentArea(r, th.tid, kind, addr)
		}
		r.thread(th.tid)
		n := len(r.batch)
		r.batch = r.batch[:n+1]
		ref := &r.batch[n]
		*ref = trace.Ref{VPN: addr >> 12, Offset: uint16(addr & 0xfff), First: kind, Writes: uint32(m >> 32 & (1<<30 - 1))}
		if kind == trace.Exec {
			ref.Execs = uint32(m)
		} else {
			ref.Reads = uint32(m)
		}
		r.accesses += uint64(uint32(m)) + uint64(ref.Writes)
		r.refs++
		if r.opts.IP {
			r.ips = append(r.ips, words[(pos+2)%ringWords])
		}
		pos += size
	}
	return pos
}

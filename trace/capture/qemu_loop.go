package capture

import (
	"context"
	"fmt"
	"math"
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
		wide := r.wideCounts(note)
		r.read(note.slot, note.end, wide)
		r.ring.slot(note.slot).consumed(note.end + uint64(len(wide)))
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

// wideCounts copies the counts that stand behind what a note hands over.
func (r *qemuRecorder) wideCounts(note *ringNote) []uint64 {
	words := r.ring.words(note.slot)
	n := min(2*uint64(note.wides), uint64(len(r.wide)))
	for i := range n {
		r.wide[i] = words[(note.end+i)%ringWords]
	}
	return r.wide[:n]
}

// read consumes the ring of a slot up to a word.
func (r *qemuRecorder) read(i uint32, end uint64, wide []uint64) {
	s := r.ring.slot(i)
	words := r.ring.words(i)
	r.holeSince = time.Time{}
	for pos := s.tail.Load(); pos < end; {
		pos = r.references(i, words, pos, min(end, pos+piece), wide)
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

// references decodes references from pos on, until an event or the first that
// begins at end or behind.
func (r *qemuRecorder) references(i uint32, words *[ringWords]uint64, pos, end uint64, wide []uint64) uint64 {
	th := r.slots[i]
	for pos < end {
		if th != nil && th.proc.stack[1] == 0 && !r.opts.IP {
			r.thread(th.tid)
			pos = r.plain(words, pos, end)
			if pos == end {
				break
			}
		}
		m := words[pos%ringWords]
		if m>>62 == 0 {
			return pos
		}
		pos++
		page, addr, ip := m&refPage, m&refPage<<12, uint64(0)
		if r.opts.IP {
			ip = words[pos%ringWords]
			pos++
		}
		if m&refAddress != 0 {
			addr = words[pos%ringWords]
			pos++
		}
		if th == nil {
			continue
		}
		kind := trace.Access(m >> 62)
		if th.proc.stack[1] != 0 && kind != trace.Exec {
			th.proc.argumentArea(r, th.tid, kind, addr)
		}
		var counts [2]uint64
		switch at := 2 * (m >> refFirst & refMostFetches); {
		case m&refWide == 0 && kind == trace.Exec:
			counts[0] = m >> refFirst & refMostFetches
		case m&refWide == 0:
			counts = [2]uint64{m >> refFirst & refMost, m >> refSecond & refMost}
		case at+1 < uint64(len(wide)):
			counts = [2]uint64{wide[at], wide[at+1]}
		}
		r.reference(th.tid, trace.Ref{VPN: page, Offset: uint16(addr & 0xfff), First: kind}, counts, ip)
	}
	return pos
}

// plain decodes references of one word as long as the batch has room: nearly all
// of them are.
func (r *qemuRecorder) plain(words *[ringWords]uint64, pos, end uint64) uint64 {
	batch, accesses := r.batch, uint64(0)
	for ; pos < end && len(batch) < cap(batch); pos++ {
		m := words[pos%ringWords]
		if m&(refWide|refAddress) != 0 || m>>62 == 0 {
			break
		}
		batch = batch[:len(batch)+1]
		ref := &batch[len(batch)-1]
		*ref = trace.Ref{VPN: m & refPage, First: trace.Access(m >> 62)}
		if ref.First == trace.Exec {
			ref.Execs = uint32(m >> refFirst & refMostFetches)
		} else {
			ref.Reads, ref.Writes = uint32(m>>refFirst&refMost), uint32(m>>refSecond&refMost)
		}
		accesses += ref.Accesses()
	}
	r.accesses += accesses
	r.refs += uint64(len(batch) - len(r.batch))
	r.batch = batch
	return pos
}

// reference passes on a reference with these counts of reads (or fetches) and
// writes; where they do not fit into one it becomes several.
func (r *qemuRecorder) reference(tid uint32, ref trace.Ref, counts [2]uint64, ip uint64) {
	for first := true; first || counts[0]|counts[1] != 0; first = false {
		reads, writes := min(counts[0], math.MaxUint32), min(counts[1], math.MaxUint32)
		counts[0] -= reads
		counts[1] -= writes
		ref.Reads, ref.Writes, ref.Execs = uint32(reads), uint32(writes), 0
		switch {
		case ref.First == trace.Exec:
			ref.Reads, ref.Execs = 0, uint32(max(reads, 1))
		case ref.First == trace.Write && writes == 0 && !first:
			ref.First = trace.Read
		case ref.First == trace.Write:
			ref.Writes = uint32(max(writes, 1))
		case reads == 0 && !first:
			ref.First = trace.Write
		default:
			ref.Reads = uint32(max(reads, 1))
		}
		r.thread(tid)
		r.batch = append(r.batch, ref)
		if r.opts.IP {
			r.ips = append(r.ips, ip)
		}
		r.accesses += ref.Accesses()
		r.refs++
	}
}

package convert

import "container/heap"

// perfOrder puts the events of different processors in the order of time. perf
// writes what each processor has in rounds: what comes after the end of a round
// is not earlier than what was latest at the end of the round before
// (tools/perf/util/ordered-events.c).
type perfOrder struct {
	waiting perfHeap
	seq     uint64
	bytes   int
	latest  uint64 // time
	limit   uint64 // what is not later is due
	next    uint64 // limit after the round
}

// maxWaiting bounds what waits, in bytes: beyond, the earliest is due.
const maxWaiting = 32 << 20

// perfEvent is a record of the kernel with its time and the event it is of.
type perfEvent struct {
	time, seq uint64
	place     int64
	attr      *perfAttr
	rec       []byte
}

const perfEventOverhead = 96 // bytes beside the record

type perfHeap []perfEvent

func (h perfHeap) Len() int { return len(h) }
func (h perfHeap) Less(i, j int) bool {
	return h[i].time < h[j].time || h[i].time == h[j].time && h[i].seq < h[j].seq
}
func (h perfHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *perfHeap) Push(x any)   { *h = append(*h, x.(perfEvent)) }
func (h *perfHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = perfEvent{}
	*h = old[:len(old)-1]
	return x
}

func (o *perfOrder) push(e perfEvent) {
	o.seq++
	e.seq = o.seq
	o.latest = max(o.latest, e.time)
	o.bytes += len(e.rec) + perfEventOverhead
	heap.Push(&o.waiting, e)
}

// round is the end of a round.
func (o *perfOrder) round() { o.limit, o.next = max(o.limit, o.next), o.latest }

// finish makes everything due.
func (o *perfOrder) finish() { o.limit = ^uint64(0) }

// due takes the earliest event that is due.
func (o *perfOrder) due() (perfEvent, bool) {
	if len(o.waiting) == 0 || o.waiting[0].time > o.limit && o.bytes <= maxWaiting {
		return perfEvent{}, false
	}
	e := heap.Pop(&o.waiting).(perfEvent)
	o.bytes -= len(e.rec) + perfEventOverhead
	return e, true
}

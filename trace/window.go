package trace

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Point is a place in a trace: a record number, a time since the first time record,
// or the first mark with a label.
type Point struct {
	Record uint64
	Time   time.Duration
	IsTime bool
	Mark   string // "" for none
}

// markPoint begins a place that is a mark.
const markPoint = "mark:"

// ParsePoint reads a record number such as 120000, a time such as 1.5s, or a mark
// such as mark:ready.
func ParsePoint(s string) (Point, error) {
	if label, ok := strings.CutPrefix(s, markPoint); ok && label != "" {
		return Point{Mark: label}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return Point{Record: n}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return Point{}, fmt.Errorf("%q is neither a record number such as 120000, nor a time such as 1.5s, nor a mark such as mark:ready", s)
	}
	return Point{Time: d, IsTime: true}, nil
}

// String is the inverse of ParsePoint.
func (p Point) String() string {
	switch {
	case p.Mark != "":
		return markPoint + p.Mark
	case p.IsTime:
		return p.Time.String()
	}
	return strconv.FormatUint(p.Record, 10)
}

func (p Point) isRecord() bool { return !p.IsTime && p.Mark == "" }

// Selection is a part of a trace: the records in [From, To). The zero value is
// all of it.
//
// A time is that of a time record: From = 2s begins with the first time record
// of 2 s or later, To = 2s ends before it.
//
// References before From are left out. Events before it are kept, unless Bare is
// set: without the mappings, processes and calls that came before, what follows
// has no meaning for a replay. A replay still starts cold, with no page in
// memory that only a reference brought there; Warnings says so.
type Selection struct {
	From, To Point // To: the zero value is the end
	Bare     bool
}

func (s Selection) all() bool { return s.From == Point{} && s.To == Point{} }

// verdict is what a window says of a batch.
type verdict int

const (
	before verdict = iota // leave it out
	inside                // hand it out
	after                 // the end
)

// window cuts a selection out of a stream of batches.
type window struct {
	sel     Selection
	all     bool
	entered bool
	base    uint64 // ns of the first time record
	hasBase bool
	seq     uint64 // number of the record after the last one seen
}

func newWindow(s Selection) window {
	w := window{sel: s, all: s.all()}
	if s.To == (Point{}) {
		w.sel.To.Record = math.MaxUint64
	}
	return w
}

// admit says what to do with a batch and cuts it to what is inside.
func (w *window) admit(b *Batch) verdict {
	if w.all {
		return inside
	}
	n := uint64(len(b.Refs))
	if b.Event != nil {
		n = 1
	}
	w.seq = b.Seq + n
	ns, isTime := w.time(b.Event)
	if w.reached(w.sel.To, b.Seq, b.Event, ns, isTime) {
		return after
	}
	if !w.entered && !w.reached(w.sel.From, b.Seq+n-1, b.Event, ns, isTime) {
		if b.Event != nil && !w.sel.Bare {
			b.Early = true
			return inside
		}
		return before
	}
	b.Early = false
	if !w.entered {
		w.entered = true
		if b.Refs != nil && w.sel.From.Record > b.Seq {
			b.cut(int(w.sel.From.Record-b.Seq), len(b.Refs))
		}
	}
	if to := w.sel.To; to.isRecord() && b.Refs != nil && to.Record-b.Seq < uint64(len(b.Refs)) {
		b.cut(0, int(to.Record-b.Seq))
	}
	return inside
}

// cut keeps the references [from, to) of the batch.
func (b *Batch) cut(from, to int) {
	b.Refs = b.Refs[from:to]
	if b.IPs != nil {
		b.IPs = b.IPs[from:to]
	}
	if b.Words != nil {
		b.Words, b.Sum = b.Words[from:to], Sum{}
		for i := range b.Refs {
			b.Sum.Add(&b.Refs[i])
		}
	}
	b.Seq += uint64(from)
}

// time returns the time of a time record, in ns since the first one.
func (w *window) time(e *Event) (uint64, bool) {
	if e == nil || e.Kind != KindTime {
		return 0, false
	}
	if !w.hasBase {
		w.base, w.hasBase = e.Time().NS, true
	}
	return since(e.Time().NS, w.base), true
}

func since(ns, base uint64) uint64 {
	if ns < base {
		return 0
	}
	return ns - base
}

// reached says whether record seq, which is an event or none and a time record of ns
// or none, is at the point or behind it.
func (w *window) reached(p Point, seq uint64, e *Event, ns uint64, isTime bool) bool {
	switch {
	case p.Mark != "":
		return e != nil && e.Kind == KindMark && e.Mark() == p.Mark
	case p.IsTime:
		return isTime && ns >= uint64(p.Time)
	}
	return seq >= p.Record
}

// warnings says what the selection means, once reading has ended.
func (w *window) warnings() []string {
	switch {
	case w.all || w.sel.From == Point{} && w.entered:
		return nil
	case !w.entered:
		return []string{fmt.Sprintf("nothing is selected: the trace ends, or --to comes, before %v (%d records were there)", w.sel.From, w.seq)}
	case w.sel.Bare:
		return nil
	}
	return []string{fmt.Sprintf("a part of the trace: references before %v were left out, events before it kept; pages that only those references brought into memory are not there (cold start)", w.sel.From)}
}

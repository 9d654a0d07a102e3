package trace

import (
	"errors"
	"io"
)

// Version is the format version this package writes. It reads 1 to Version.
const Version = 1

// Sentinel errors; they are wrapped with file, offset, block and record.
var (
	ErrCorrupt   = errors.New("corrupt trace")
	ErrVersion   = errors.New("trace of a newer version")
	ErrTruncated = errors.New("truncated trace")
	ErrNotTrace  = errors.New("not a trace")
)

// Header describes a trace as a whole. It is stored as JSON, so fields may be
// added without a new version.
type Header struct {
	Version int               `json:"version"`
	Origin  string            `json:"origin"`           // captured, generated, converted, text
	Tool    string            `json:"tool"`             // "lackey (valgrind-3.19.0)", "gen zipf"
	Command []string          `json:"command"`          // what was traced, or the parameters of the generator
	ABI     ABI               `json:"abi"`              // of the first process
	Reduce  int               `json:"reduce,omitempty"` // K of the exact reduction, 0 = none
	Created int64             `json:"created,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"` // "order": "approximate", "faults": "only", "regions": "inferred"
}

// Batch is what a Source hands out: either a run of references of one thread,
// or one event. It and what it points to are valid until the next call of
// Next; with Holds, what Refs, IPs and Words point to is until the next but one,
// and so on to the first batch without, or the end of the source, after which they stay
// until it is closed.
type Batch struct {
	Thread uint32   // of all references, or of the event
	Refs   []Ref    // nil when Event is set
	IPs    []uint64 // nil, or one instruction pointer per reference
	Event  *Event   // nil when Refs is set
	Seq    uint64   // number of the first record of the batch, from 0
	Words  []uint64 // nil, or one word per reference: see WithWords
	Sum    Sum      // accesses of Refs; only where there are Words
	Holds  bool     // see above
	Early  bool     // an event before the part that was asked for, kept for the state that it makes: see Selection
}

// Sum is how many accesses references stand for.
type Sum struct{ Data, Fetches uint64 }

// Add adds the accesses of a reference.
func (s *Sum) Add(r *Ref) {
	s.Data += uint64(r.Reads) + uint64(r.Writes)
	s.Fetches += uint64(r.Execs)
}

// Accesses is all of them.
func (s Sum) Accesses() uint64 { return s.Data + s.Fetches }

// Source is a stream of records. One goroutine uses it.
type Source interface {
	Header() *Header
	// Next returns the next batch, or io.EOF at the end.
	Next() (*Batch, error)
	// Warnings says what is missing or doubtful, complete once Next has
	// returned io.EOF.
	Warnings() []string
	Close() error
}

// Sink takes a stream of records. One goroutine uses it. The slices are not
// kept.
type Sink interface {
	// Refs appends references of one thread; ips is nil or as long as refs.
	Refs(thread uint32, refs []Ref, ips []uint64) error
	Event(e *Event) error
	Close() error
}

// Copy appends everything that src still holds to dst. Neither is closed.
func Copy(dst Sink, src Source) error {
	for {
		b, err := src.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if b.Event != nil {
			err = dst.Event(b.Event)
		} else {
			err = dst.Refs(b.Thread, b.Refs, b.IPs)
		}
		if err != nil {
			return err
		}
	}
}

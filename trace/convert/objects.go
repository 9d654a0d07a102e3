package convert

import (
	"crypto/sha256"
	"fmt"

	"github.com/vmtrace/vmtrace/trace"
)

// objects gives every object of a cache trace a page. Numbers below 2^34 are
// those of their pages, one after the other from objectBase; others, hashes for
// example, and names take pages from hashBase in the order in which they come.
type objects struct {
	th    *thread
	names map[[16]byte]uint64 // by the beginning of their SHA-256
	large map[uint64]uint64
}

const (
	objectBase = 1 << 36 // address of object 0
	objectEnd  = 1 << 34 // first number that is no page of its own
	hashBase   = 1<<46 + 1<<45
	maxHashed  = 1 << 23 // objects
)

func newObjects() objects { return objects{names: map[[16]byte]uint64{}, large: map[uint64]uint64{}} }

// number takes one access to an object with a number.
func (o *objects) number(b *builder, id uint64, a trace.Access) error {
	if id < objectEnd {
		return o.access(b, objectBase+id*pageSize, a)
	}
	at, ok := o.large[id]
	if !ok {
		var err error
		if at, err = o.another(b); err != nil {
			return err
		}
		o.large[id] = at
	}
	return o.access(b, at, a)
}

// name takes one access to an object with a name.
func (o *objects) name(b *builder, name []byte, a trace.Access) error {
	sum := sha256.Sum256(name)
	key := [16]byte(sum[:16])
	at, ok := o.names[key]
	if !ok {
		var err error
		if at, err = o.another(b); err != nil {
			return err
		}
		o.names[key] = at
	}
	return o.access(b, at, a)
}

func (o *objects) another(b *builder) (uint64, error) {
	n := uint64(len(o.large) + len(o.names))
	if n >= maxHashed {
		return 0, fmt.Errorf("%w: more than %d objects whose numbers are not below %d", trace.ErrCorrupt, maxHashed, uint64(objectEnd))
	}
	b.tally("objects with names, or with numbers too large for pages, took pages in the order in which they came (%d)")
	return hashBase + n*pageSize, nil
}

func (o *objects) access(b *builder, addr uint64, a trace.Access) error {
	if o.th == nil {
		var err error
		if o.th, err = b.start(1, 1, ""); err != nil {
			return err
		}
	}
	return b.access(o.th, addr, 1, a)
}

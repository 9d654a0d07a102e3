package replay

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/vmtrace/vmtrace/trace"
)

// fan hands the records of one source to several readers, so that a trace is
// decoded once whatever the number of configurations. Readers go at their own pace,
// the fastest at most fanBlocks blocks ahead of the slowest: records are copied
// into a few blocks that all readers share, and a block is filled again when the
// last reader is done with it.
type fan struct {
	src     trace.Source
	free    chan *fanBlock
	readers []*fanReader
	err     error // of the source; read after the mailboxes are closed
}

// fanBlock is a stretch of the trace. Whoever got it from a mailbox only reads it.
type fanBlock struct {
	batches []trace.Batch // their references are parts of refs
	refs    []trace.Ref
	words   []uint64     // and their words of words
	readers atomic.Int32 // that have yet to be done with it
}

const (
	fanBlocks = 6
	fanRefs   = 1 << 14 // references in a block
	fanEvents = 1 << 10 // events and batches in a block
)

// newFan makes a fan with n readers. They must be read to their end, or the
// context of run cancelled.
func newFan(src trace.Source, n int) *fan {
	f := &fan{src: src, free: make(chan *fanBlock, fanBlocks)}
	for range fanBlocks {
		f.free <- &fanBlock{refs: make([]trace.Ref, 0, fanRefs), batches: make([]trace.Batch, 0, fanEvents)}
	}
	for range n {
		f.readers = append(f.readers, &fanReader{fan: f, mail: make(chan *fanBlock, fanBlocks)})
	}
	return f
}

// run reads the source to its end.
func (f *fan) run(ctx context.Context) {
	defer func() {
		for _, r := range f.readers {
			close(r.mail)
		}
	}()
	for f.err == nil {
		var b *fanBlock
		select {
		case b = <-f.free:
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		}
		b.refs, b.words, b.batches = b.refs[:0], b.words[:0], b.batches[:0]
		f.err = f.fill(b)
		b.readers.Store(int32(len(f.readers)))
		for _, r := range f.readers {
			r.mail <- b // has room for all blocks
		}
	}
}

// fill copies batches into a block until one of its parts is full.
func (f *fan) fill(b *fanBlock) error {
	for {
		next, err := f.src.Next()
		if err != nil {
			return err
		}
		if next.Event != nil {
			e := *next.Event
			e.Text = strings.Clone(e.Text)
			b.batches = append(b.batches, trace.Batch{Thread: next.Thread, Event: &e, Seq: next.Seq, Early: next.Early})
		} else {
			at := len(b.refs)
			b.refs = append(b.refs, next.Refs...) // batches made so far keep their own references if it grows
			words := len(b.words)
			b.words = append(b.words, next.Words...)
			b.batches = append(b.batches, trace.Batch{Thread: next.Thread, Refs: b.refs[at:], Seq: next.Seq, Words: b.words[words:], Sum: next.Sum})
		}
		if len(b.refs) >= fanRefs || len(b.batches) >= fanEvents {
			return nil
		}
	}
}

// fanReader is one reader of a fan: a source without instruction pointers. One
// goroutine uses it.
type fanReader struct {
	fan  *fan
	mail chan *fanBlock
	at   *fanBlock
	next int // batch of the block
}

// Next implements trace.Source.
func (r *fanReader) Next() (*trace.Batch, error) {
	for r.at == nil || r.next == len(r.at.batches) {
		r.release()
		b, ok := <-r.mail
		if !ok {
			return nil, r.fan.err
		}
		r.at, r.next = b, 0
	}
	r.next++
	return &r.at.batches[r.next-1], nil
}

// release gives the block at hand back.
func (r *fanReader) release() {
	if r.at != nil && r.at.readers.Add(-1) == 0 {
		r.fan.free <- r.at
	}
	r.at = nil
}

// Header implements trace.Source.
func (r *fanReader) Header() *trace.Header { return r.fan.src.Header() }

// Warnings implements trace.Source.
func (r *fanReader) Warnings() []string { return r.fan.src.Warnings() }

// Close implements trace.Source.
func (r *fanReader) Close() error { return nil }

var _ trace.Source = (*fanReader)(nil)

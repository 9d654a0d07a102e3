package trace

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Writer writes a .vmt file. One goroutine uses it. After an error every
// further call returns that error; what was written before stays readable.
type Writer struct {
	w       io.Writer
	zw      *zstd.Encoder
	enc     blockEncoder
	census  *census
	thread  uint32
	seq     uint64
	written atomic.Int64
	blocks  int
	index   []byte // what the index tells of them
	seek    []seekEntry
	raw     []byte
	out     []byte
	err     error
	bg      *background // nil: a block is compressed by whoever ends it
}

// WriterOption configures a Writer.
type WriterOption func(*writerOptions)

type writerOptions struct {
	level      zstd.EncoderLevel
	noOffsets  bool
	background bool
	packed     bool
}

// WithLevel sets the compression level as the zstd command numbers them (1 to
// 22); the default is 7 (BenchmarkLayouts measures them).
func WithLevel(level int) WriterOption {
	return func(o *writerOptions) { o.level = zstd.EncoderLevelFromZstd(level) }
}

// WithoutOffsets leaves out where in its page each reference was: the offset of
// every reference is then 0. Nothing in the model depends on it, and it is most
// of the size of a trace (BenchmarkLayouts). The header carries the label offsets =
// none.
func WithoutOffsets() WriterOption {
	return func(o *writerOptions) { o.noOffsets = true }
}

// WithBackground compresses and writes a block on another goroutine while the
// next one is collected. An error shows with a later call, Flush and Close at the
// latest.
func WithBackground() WriterOption {
	return func(o *writerOptions) { o.background = true }
}

// WithPacking codes which page comes next by what came before, in blocks of a
// million references: for keeping and sending. A trace without offsets takes
// less than half of its size, and some hundred times as long to decode (ENCODINGS.md).
func WithPacking() WriterOption {
	return func(o *writerOptions) { o.packed = true }
}

// NewWriter writes the header at once. The Writer does not close w.
func NewWriter(w io.Writer, h Header, opts ...WriterOption) (*Writer, error) {
	o := writerOptions{level: zstd.SpeedBetterCompression}
	for _, f := range opts {
		f(&o)
	}
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(o.level), zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	t := &Writer{w: w, zw: zw, census: newCensus()}
	if o.background {
		t.bg = &background{done: make(chan struct{}, 1)}
	}
	t.enc.noOffsets, t.enc.fixed = o.noOffsets, fixedCount
	if o.packed {
		t.enc.packer, t.enc.fixed = new(packer), fixedCountPacked
	}
	if h.Reduce > 0 {
		t.enc.fixed = fixedCountReduced
	}
	t.enc.reset(0)
	h.Version = Version
	if o.noOffsets {
		h.Labels = maps.Clone(h.Labels)
		if h.Labels == nil {
			h.Labels = map[string]string{}
		}
		h.Labels["offsets"] = "none"
	}
	frame, err := appendHeader(nil, &h)
	if err != nil {
		return nil, err
	}
	return t, t.frame(frame, 0)
}

// frame writes one whole frame and notes it for the seek table.
func (t *Writer) frame(b []byte, raw int) error {
	n, err := t.w.Write(b)
	t.written.Add(int64(n))
	if err != nil {
		return err
	}
	t.seek = append(t.seek, seekEntry{uint32(len(b)), uint32(raw)})
	return nil
}

// Written is the number of bytes written so far.
func (t *Writer) Written() int64 { return t.written.Load() }

func checkRef(r *Ref) error {
	if r.VPN > maxVPN || r.Offset > 0xfff || r.First < Read || r.First > Exec {
		return fmt.Errorf("reference to page %#x, offset %#x, kind %d is out of range", r.VPN, r.Offset, r.First)
	}
	if (r.First == Read && r.Reads == 0) || (r.First == Write && r.Writes == 0) || (r.First == Exec && r.Execs == 0) {
		return fmt.Errorf("reference to page %#x does not count its first access", r.VPN)
	}
	return nil
}

// Refs appends references of one thread; ips is nil or as long as refs. A file
// has instruction pointers for all references or for none of a block: where
// that changes a block is closed.
func (t *Writer) Refs(thread uint32, refs []Ref, ips []uint64) error {
	if t.err != nil || len(refs) == 0 {
		return t.err
	}
	if ips != nil && len(ips) != len(refs) {
		return fmt.Errorf("%d instruction pointers for %d references", len(ips), len(refs))
	}
	if err := t.switchTo(thread); err != nil {
		return err
	}
	if t.enc.nrefs > 0 && (t.enc.flags&flagIPs != 0) != (ips != nil) {
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for len(refs) > 0 {
		n := min(len(refs), refsAtOnce)
		if err := t.some(refs[:n], ips); err != nil {
			return err
		}
		refs = refs[n:]
		if ips != nil {
			ips = ips[n:]
		}
	}
	return nil
}

// some appends references to the current block and closes it when it is full.
func (t *Writer) some(refs []Ref, ips []uint64) error {
	if ips != nil {
		ips = ips[:len(refs)]
	}
	n, accesses, err := t.enc.refs(refs, ips)
	t.census.counted(t.thread, n, accesses)
	if err != nil {
		return err
	}
	return t.full()
}

func (t *Writer) switchTo(thread uint32) error {
	if thread == t.thread {
		return nil
	}
	e := NewSched(Sched{Thread: thread})
	return t.Event(&e)
}

// Event appends an event.
func (t *Writer) Event(e *Event) error {
	if t.err != nil {
		return t.err
	}
	if e.Kind <= KindRef || e.Kind >= numKinds {
		return fmt.Errorf("event of kind %d", e.Kind)
	}
	if len(e.Text) > maxTextBytes {
		return fmt.Errorf("%s: text of %d bytes, the limit is %d", e.Kind, len(e.Text), maxTextBytes)
	}
	if e.Kind == KindSched {
		if e.Args[0] > math.MaxUint32 {
			return fmt.Errorf("sched: thread %d is out of range", e.Args[0])
		}
		t.thread = uint32(e.Args[0])
	} else if err := t.switchTo(e.Thread); err != nil {
		return err
	}
	t.enc.event(e)
	t.census.event(e)
	if len(t.census.table.of) > maxThreads {
		t.err = fmt.Errorf("process: more than %d threads at once", maxThreads)
		return t.err
	}
	return t.full()
}

// full closes the block when it has reached its size.
func (t *Writer) full() error {
	if !t.enc.full() {
		return nil
	}
	return t.end()
}

// Flush closes the current block: all records up to here are in w.
func (t *Writer) Flush() error {
	if err := t.end(); err != nil {
		return err
	}
	return t.wait()
}

// end closes the current block.
func (t *Writer) end() error {
	if t.err != nil || t.enc.empty() {
		return t.err
	}
	if err := t.wait(); err != nil { // raw, out and index are in use until then
		return err
	}
	if t.blocks >= maxBlocks {
		t.err = fmt.Errorf("trace of more than %d blocks: split it", maxBlocks)
		return t.err
	}
	t.raw = t.enc.finish(t.raw[:0], t.seq)
	info := t.census.take()
	info.Raw, info.Seq = len(t.raw), t.seq
	t.seq += info.Records
	t.enc.reset(t.thread)
	if t.bg == nil {
		t.err = t.put(info)
		return t.err
	}
	t.bg.start(func() error { return t.put(info) })
	return nil
}

// put compresses and writes the raw block.
func (t *Writer) put(info BlockInfo) error {
	t.out = t.zw.EncodeAll(t.raw, t.out[:0])
	info.Offset, info.Compressed = t.Written(), len(t.out)
	t.index = appendBlockInfo(t.index, &info)
	t.blocks++
	return t.frame(t.out, len(t.raw))
}

// wait waits until the block before is written.
func (t *Writer) wait() error {
	if t.bg != nil {
		if err := t.bg.wait(); err != nil && t.err == nil {
			t.err = err
		}
	}
	return t.err
}

// background runs one function at a time on a goroutine of its own.
type background struct {
	busy bool
	done chan struct{}
	err  error
}

func (b *background) start(f func() error) {
	b.busy = true
	go func() {
		b.err = f()
		b.done <- struct{}{}
	}()
}

func (b *background) wait() error {
	if b.busy {
		<-b.done
		b.busy = false
	}
	return b.err
}

// Close closes the last block and writes index and seek table. It does not
// close the io.Writer.
func (t *Writer) Close() error {
	if err := t.Flush(); err != nil {
		return err
	}
	if t.err = t.frame(appendIndex(nil, t.blocks, t.index), 0); t.err != nil {
		return t.err
	}
	n, err := t.w.Write(appendSeekTable(nil, t.seek))
	t.written.Add(int64(n))
	t.err = errors.New("writer is closed")
	return err
}

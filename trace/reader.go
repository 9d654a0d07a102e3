package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a .vmt stream. One goroutine uses it. By default it starts no
// goroutine of its own and holds one compressed frame, one raw block (both
// bounded, see doc.go) and one chunk of references, whatever the input says;
// WithWorkers decodes blocks ahead.
//
// A stream that ends in the middle of a block, or without index, was cut off:
// it is read to its last whole block, and Warnings says what is missing. Damage
// anywhere else is an error that wraps ErrCorrupt.
type Reader struct {
	opts     readerOptions
	header   *Header
	feed     feed
	blocks   blockSource
	window   window
	block    *block // that batches are taken from, nil for none
	batch    Batch
	next     uint64 // number of the next record
	seen     []seenBlock
	found    []BlockInfo // counted again (WithVerify)
	census   *census     // nil without WithVerify
	done     error       // io.EOF or the error that ended reading
	warnings []string
}

// seenBlock is what is kept of a block to hold the index against.
type seenBlock struct{ compressed, raw, records, refs uint32 }

// blockSource hands out unpacked blocks in order. A block is valid until the
// next call.
type blockSource interface {
	take() *block
	close()
}

// NewReader reads the header. Errors: ErrNotTrace when r does not hold a .vmt
// stream, ErrVersion, ErrCorrupt, ErrTruncated.
func NewReader(r io.Reader, opts ...ReaderOption) (*Reader, error) {
	f := &streamFeed{br: bufio.NewReaderSize(r, 1<<16)}
	h, err := f.readHeader()
	if err != nil {
		return nil, err
	}
	return newReader(f, h, newReaderOptions(opts))
}

func newReader(f feed, h *Header, o readerOptions) (*Reader, error) {
	t := &Reader{opts: o, header: h, feed: f, window: newWindow(o.selection)}
	if o.verify {
		t.census = newCensus()
	}
	var err error
	if o.workers > 1 {
		t.blocks, err = newPipeline(f, o.workers, o.word)
	} else {
		t.blocks, err = newSerial(f, o.word)
	}
	return t, err
}

// newDecompressor returns a decompressor for one goroutine.
func newDecompressor() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRawBytes), zstd.WithDecodeAllCapLimit(true))
}

// serial unpacks each block when it is asked for.
type serial struct {
	feed feed
	zr   *zstd.Decoder
	b    block
}

func newSerial(f feed, word func(*Ref) uint64) (*serial, error) {
	zr, err := newDecompressor()
	return &serial{feed: f, zr: zr, b: block{dec: blockDecoder{word: word}}}, err
}

func (s *serial) take() *block {
	s.b.index, s.b.err = nil, nil
	s.feed.next(&s.b)
	s.b.unpack(s.zr, false)
	return &s.b
}

func (s *serial) close() { s.zr.Close() }

// Header returns the header; it is not to be changed.
func (t *Reader) Header() *Header { return t.header }

// Warnings says what is missing, complete after Next has returned io.EOF.
func (t *Reader) Warnings() []string { return t.warnings }

// Close ends reading and every goroutine that was started for it. It waits for
// a read of the stream that is under way.
func (t *Reader) Close() error {
	if t.blocks == nil {
		return nil
	}
	err := t.feed.close()
	t.blocks.close()
	t.blocks, t.block = nil, nil
	if t.done == nil {
		t.done = errors.New("reader is closed")
	}
	return err
}

// Next returns the next batch, valid until the next call.
func (t *Reader) Next() (*Batch, error) {
	for t.done == nil {
		if t.block == nil {
			t.advance()
			continue
		}
		ok, err := t.block.dec.next(&t.batch)
		if err != nil {
			t.block.fail(err)
			t.done = t.block.err
			continue
		}
		if !ok {
			t.endBlock()
			continue
		}
		t.next = t.block.dec.seq
		if t.census != nil {
			t.count()
		}
		switch t.window.admit(&t.batch) {
		case inside:
			return &t.batch, nil
		case after:
			t.end()
		}
	}
	return nil, t.done
}

// end ends reading in good order.
func (t *Reader) end() {
	t.done = io.EOF
	t.warnings = append(t.warnings, t.window.warnings()...)
}

// count counts a batch for the comparison with the index.
func (t *Reader) count() {
	if t.batch.Event != nil {
		t.census.event(t.batch.Event)
	} else {
		t.census.refs(t.batch.Thread, t.batch.Refs)
	}
}

// advance takes the next block, or the end.
func (t *Reader) advance() {
	b := t.blocks.take()
	var cut *cutOff
	switch {
	case errors.As(b.err, &cut):
		t.warnings = append(t.warnings, fmt.Sprintf("%v: read to its last whole block (%d records); what came after is lost", cut, t.next))
		t.end()
		return
	case b.err == io.EOF:
		t.end()
		return
	case b.err == nil && b.index != nil:
		if b.err = t.checkIndex(b.index); b.err != nil {
			b.fail(b.err)
		}
	case b.err == nil:
		want := t.next
		if b.seq >= 0 {
			want = uint64(b.seq)
		}
		if b.dec.seq != want {
			b.fail(fmt.Errorf("%w: block begins with record %d, expected %d", ErrCorrupt, b.dec.seq, want))
			break
		}
		t.next, t.block = want, b
		t.seen = append(t.seen, seenBlock{uint32(len(b.frame)), uint32(b.size), uint32(b.dec.refs + b.dec.events), uint32(b.dec.refs)})
	}
	t.done = b.err
}

// endBlock leaves a block that has been read.
func (t *Reader) endBlock() {
	if t.census != nil {
		info := t.census.take()
		info.Offset, info.Compressed, info.Raw = t.block.offset, len(t.block.frame), t.block.size
		info.Seq = t.next - info.Records
		t.found = append(t.found, info)
	}
	t.block = nil
}

// checkIndex compares the index with what was read.
func (t *Reader) checkIndex(index []BlockInfo) error {
	if len(index) != len(t.seen) {
		return fmt.Errorf("%w: the index lists %d blocks, there are %d", ErrCorrupt, len(index), len(t.seen))
	}
	for i := range index {
		b := &index[i]
		if t.seen[i] != (seenBlock{uint32(b.Compressed), uint32(b.Raw), uint32(b.Records), uint32(b.Refs)}) ||
			t.found != nil && !b.equal(&t.found[i]) {
			return fmt.Errorf("%w: the index disagrees with block %d", ErrCorrupt, i+1)
		}
	}
	return nil
}

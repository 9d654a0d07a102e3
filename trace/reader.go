package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a .vmt stream from front to back. One goroutine uses it. It
// holds one compressed frame, one raw block (both bounded, see doc.go) and one
// chunk of references, whatever the input says.
//
// A stream that ends in the middle of a block, or without index, was cut off:
// it is read to its last whole block, and Warnings says what is missing. Damage
// anywhere else is an error that wraps ErrCorrupt.
type Reader struct {
	br       *bufio.Reader
	zr       *zstd.Decoder
	header   *Header
	offset   int64 // of the next frame
	block    int   // blocks begun
	frame    []byte
	raw      []byte
	dec      blockDecoder
	open     bool // dec holds a block
	batch    Batch
	next     uint64      // number of the next record
	seen     []BlockInfo // offset and size of every block
	frames   []seekEntry
	indexed  bool
	done     error // io.EOF or the error that ended reading
	warnings []string
}

// ReaderOption configures a Reader.
type ReaderOption func(*Reader)

// NewReader reads the header. Errors: ErrNotTrace when r does not hold a .vmt
// stream, ErrVersion, ErrCorrupt, ErrTruncated.
func NewReader(r io.Reader, opts ...ReaderOption) (*Reader, error) {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRawBytes), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	t := &Reader{br: bufio.NewReaderSize(r, 1<<16), zr: zr}
	for _, o := range opts {
		o(t)
	}
	if err := t.readHeader(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Reader) readHeader() error {
	head, err := t.br.Peek(16)
	if len(head) == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotTrace)
	}
	if len(head) < 16 || binary.LittleEndian.Uint32(head) != headerMagic || string(head[8:16]) != string(headerTag[:]) {
		if err != nil && err != io.EOF {
			return err
		}
		return fmt.Errorf("%w: it does not begin with the header of a .vmt file", ErrNotTrace)
	}
	payload, err := t.skippable(maxHeaderBytes)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends inside the header", ErrTruncated)
	}
	if err != nil {
		return err
	}
	t.header, err = parseHeader(payload)
	return err
}

// skippable reads a whole skippable frame of at most limit bytes of payload.
func (t *Reader) skippable(limit int) ([]byte, error) {
	var h [8]byte
	if _, err := io.ReadFull(t.br, h[:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	n := binary.LittleEndian.Uint32(h[4:])
	if uint64(n) > uint64(limit) {
		return nil, fmt.Errorf("%w: offset %d: frame of %d bytes, the limit is %d", ErrCorrupt, t.offset, n, limit)
	}
	payload, err := io.ReadAll(io.LimitReader(t.br, int64(n)))
	if err != nil {
		return nil, err
	}
	if len(payload) < int(n) {
		return nil, io.ErrUnexpectedEOF
	}
	t.offset += 8 + int64(n)
	t.frames = append(t.frames, seekEntry{compressed: 8 + n})
	return payload, nil
}

// Header returns the header; it is not to be changed.
func (t *Reader) Header() *Header { return t.header }

// Warnings says what is missing, complete after Next has returned io.EOF.
func (t *Reader) Warnings() []string { return t.warnings }

// Close releases the decoder.
func (t *Reader) Close() error {
	t.zr.Close()
	if t.done == nil {
		t.done = errors.New("reader is closed")
	}
	return nil
}

// Next returns the next batch, valid until the next call.
func (t *Reader) Next() (*Batch, error) {
	for t.done == nil {
		if t.open {
			ok, err := t.dec.next(&t.batch)
			if err != nil {
				return nil, t.fail(err)
			}
			if ok {
				t.next = t.dec.seq
				return &t.batch, nil
			}
			t.open = false
		}
		if err := t.nextFrame(); err != nil {
			return nil, t.fail(err)
		}
	}
	return nil, t.done
}

// fail ends reading; errors of a block say where it stands.
func (t *Reader) fail(err error) error {
	if err != io.EOF {
		err = fmt.Errorf("offset %d, block %d: %w", t.offset, t.block, err)
	}
	t.done = err
	return err
}

// cutOff ends reading at a tail that is not whole.
func (t *Reader) cutOff(what string) error {
	t.warnings = append(t.warnings, fmt.Sprintf("the trace is cut off %s at byte %d: read to its last whole block (%d records); what came after is lost", what, t.offset, t.next))
	return io.EOF
}

// nextFrame reads the next frame: a block, our index, the seek table, or
// something of a later version to pass over.
func (t *Reader) nextFrame() error {
	head, err := t.br.Peek(4)
	if err == io.EOF {
		if len(head) > 0 {
			return t.cutOff("inside a frame")
		}
		if !t.indexed {
			return t.cutOff("before its index")
		}
		return t.cutOff("before its seek table")
	}
	if err != nil {
		return err
	}
	magic := binary.LittleEndian.Uint32(head)
	switch {
	case magic == zstdMagic:
		return t.readBlock()
	case magic&^0xf == skippableMagic:
		return t.readMeta(magic)
	}
	return fmt.Errorf("%w: %#08x is not the beginning of a frame", ErrCorrupt, magic)
}

// readBlock reads and opens one block.
func (t *Reader) readBlock() error {
	if t.indexed {
		return fmt.Errorf("%w: block behind the index", ErrCorrupt)
	}
	size, content, err := t.wholeFrame()
	if err == io.ErrUnexpectedEOF {
		return t.cutOff("inside a block")
	}
	if err != nil {
		return err
	}
	if cap(t.raw) < int(content) {
		t.raw = make([]byte, 0, content)
	}
	t.raw, err = t.zr.DecodeAll(t.frame[:size], t.raw[:0:content])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := t.dec.open(t.raw); err != nil {
		return err
	}
	if t.dec.seq != t.next {
		return fmt.Errorf("%w: block begins with record %d, expected %d", ErrCorrupt, t.dec.seq, t.next)
	}
	t.seen = append(t.seen, BlockInfo{Offset: t.offset, Compressed: size, Raw: len(t.raw), Seq: t.dec.seq,
		Refs: uint64(t.dec.refs), Records: uint64(t.dec.refs + t.dec.events)})
	t.frames = append(t.frames, seekEntry{uint32(size), uint32(len(t.raw))})
	t.offset += int64(size)
	t.block++
	t.open = true
	return nil
}

// wholeFrame brings the zstd frame at the front of the stream into t.frame. It
// grows the buffer only as bytes arrive.
func (t *Reader) wholeFrame() (int, uint64, error) {
	t.frame = t.frame[:0]
	for {
		size, need, content, err := zstdFrameSize(t.frame)
		if err != nil || size > 0 {
			return size, content, err
		}
		have := len(t.frame)
		t.frame = slices.Grow(t.frame, need-have)[:need]
		if _, err := io.ReadFull(t.br, t.frame[have:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, err
		}
	}
}

// readMeta deals with a skippable frame.
func (t *Reader) readMeta(magic uint32) error {
	at := t.offset
	payload, err := t.skippable(maxIndexBytes)
	if err == io.ErrUnexpectedEOF {
		return t.cutOff("inside its index")
	}
	if err != nil {
		return err
	}
	if magic == seekMagic {
		return t.checkSeekTable(payload)
	}
	if magic != headerMagic || len(payload) < 8 || string(payload[:8]) != string(indexTag[:]) {
		return fmt.Errorf("%w: offset %d: unknown frame %#08x", ErrCorrupt, at, magic)
	}
	index, err := parseIndex(payload)
	if err != nil {
		return err
	}
	t.indexed = true
	return t.checkIndex(index)
}

// checkIndex compares the index with what was read.
func (t *Reader) checkIndex(index []BlockInfo) error {
	if len(index) != len(t.seen) {
		return fmt.Errorf("%w: the index lists %d blocks, there are %d", ErrCorrupt, len(index), len(t.seen))
	}
	for i, b := range index {
		s := t.seen[i]
		if b.Offset != s.Offset || b.Compressed != s.Compressed || b.Raw != s.Raw || b.Records != s.Records || b.Refs != s.Refs {
			return fmt.Errorf("%w: the index disagrees with block %d", ErrCorrupt, i+1)
		}
	}
	return nil
}

// checkSeekTable compares the standard seek table with what was read; it ends
// the trace.
func (t *Reader) checkSeekTable(payload []byte) error {
	frames := t.frames[:len(t.frames)-1]
	want := appendSeekTable(nil, frames)[8:]
	if string(want) != string(payload) {
		return fmt.Errorf("%w: the seek table disagrees with the frames before it", ErrCorrupt)
	}
	if !t.indexed {
		return fmt.Errorf("%w: seek table without index", ErrCorrupt)
	}
	if _, err := t.br.Peek(1); err != io.EOF {
		return fmt.Errorf("%w: bytes behind the end of the trace", ErrCorrupt)
	}
	return io.EOF
}

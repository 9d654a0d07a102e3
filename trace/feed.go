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

// block is one block on its way from the file to the batches. Blocks are
// reused: their buffers grow to the largest frame and stay.
type block struct {
	number int   // from 1
	offset int64 // of its frame in the file
	seq    int64 // number of its first record, -1 where only the block itself tells
	only   bool  // its events are wanted, its references are not
	frame  []byte
	raw    []byte // room for the raw block
	size   int    // of the raw block, as the frame says
	dec    blockDecoder
	index  []BlockInfo   // instead of a block: the index of the file
	err    error         // instead of a block: io.EOF, a *cutOff, or what is wrong
	ready  chan struct{} // parallel only: decoded
}

// feed hands out the frames of a trace in order.
type feed interface {
	// next fills in the next block: frame, or index, or err. It is not called
	// again after err.
	next(b *block)
	close() error
}

// cutOff says that the file ends where it should not: it is read to its last
// whole block.
type cutOff struct {
	where  string
	offset int64
}

func (c *cutOff) Error() string {
	return fmt.Sprintf("the trace is cut off %s at byte %d", c.where, c.offset)
}

// unpack decompresses the block and checks its lengths; ahead also decodes its
// references. What is wrong is left in b.err.
func (b *block) unpack(zr *zstd.Decoder, ahead bool) {
	if b.err != nil || b.index != nil {
		return
	}
	if cap(b.raw) < b.size+zstdSlack {
		b.raw = make([]byte, 0, roomy(b.size)+zstdSlack)
	}
	raw, err := zr.DecodeAll(b.frame, b.raw[:0:b.size+zstdSlack]) // what is more than the frame says is found below
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	case len(raw) != b.size:
		err = fmt.Errorf("%w: frame of %d bytes says %d", ErrCorrupt, len(raw), b.size)
	default:
		err = b.dec.open(raw)
	}
	if err != nil {
		b.fail(err)
		return
	}
	if b.dec.eventsOnly = b.only; ahead && !b.only {
		b.dec.ahead()
	}
}

// zstdSlack is what the decompressor wants behind its output to copy whole words.
const zstdSlack = 16

// fail says where the block stands.
func (b *block) fail(err error) {
	b.err = fmt.Errorf("offset %d, block %d: %w", b.offset, b.number, err)
}

// streamFeed reads a trace from front to back.
type streamFeed struct {
	br      *bufio.Reader
	offset  int64 // of the next frame
	frames  []seekEntry
	indexed bool
	closer  io.Closer // nil for none
}

// readHeader reads the header frame.
func (f *streamFeed) readHeader() (*Header, error) {
	head, err := f.br.Peek(16)
	if len(head) == 0 && (err == nil || err == io.EOF) {
		return nil, fmt.Errorf("%w: it is empty", ErrNotTrace)
	}
	if !isHeader(head) {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, fmt.Errorf("%w: it does not begin with the header of a .vmt file", ErrNotTrace)
	}
	payload, err := f.skippable(maxHeaderBytes)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: it ends inside the header", ErrTruncated)
	}
	if err != nil {
		return nil, err
	}
	return parseHeader(payload)
}

// isHeader says whether a file that begins so is a .vmt file.
func isHeader(head []byte) bool {
	return len(head) >= 16 && binary.LittleEndian.Uint32(head) == headerMagic && string(head[8:16]) == string(headerTag[:])
}

// skippable reads a whole skippable frame of at most limit bytes of payload;
// io.ErrUnexpectedEOF where it is not all there.
func (f *streamFeed) skippable(limit int) ([]byte, error) {
	var h [8]byte
	if _, err := io.ReadFull(f.br, h[:]); err != nil {
		return nil, notEOF(err)
	}
	n := binary.LittleEndian.Uint32(h[4:])
	if uint64(n) > uint64(limit) {
		return nil, fmt.Errorf("%w: frame of %d bytes, the limit is %d", ErrCorrupt, n, limit)
	}
	payload, err := io.ReadAll(io.LimitReader(f.br, int64(n)))
	if err != nil {
		return nil, err
	}
	if len(payload) < int(n) {
		return nil, io.ErrUnexpectedEOF
	}
	f.offset += 8 + int64(n)
	f.frames = append(f.frames, seekEntry{compressed: 8 + n})
	return payload, nil
}

// notEOF makes an end in the middle of something out of an end.
func notEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *streamFeed) close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

func (f *streamFeed) next(b *block) {
	b.offset, b.number, b.seq, b.only = f.offset, len(f.frames), -1, false
	err := f.frame(b)
	switch cut := (*cutOff)(nil); {
	case err == nil:
	case err == io.EOF || errors.As(err, &cut):
		b.err = err
	default:
		b.fail(err)
	}
}

// frame reads the next frame: a block, our index, or the seek table, which is
// the end.
func (f *streamFeed) frame(b *block) error {
	head, err := f.br.Peek(4)
	switch {
	case err == io.EOF && len(head) > 0:
		return &cutOff{"inside a frame", f.offset}
	case err == io.EOF && f.indexed:
		return &cutOff{"before its seek table", f.offset}
	case err == io.EOF:
		return &cutOff{"before its index", f.offset}
	case err != nil:
		return err
	}
	switch magic := binary.LittleEndian.Uint32(head); {
	case magic == zstdMagic:
		return f.block(b)
	case magic == seekMagic:
		return f.seekTable()
	case magic == headerMagic:
		return f.index(b)
	case magic&^0xf == skippableMagic:
		return fmt.Errorf("%w: frame %#08x is not one of a trace", ErrCorrupt, magic)
	default:
		return fmt.Errorf("%w: %#08x is not the beginning of a frame", ErrCorrupt, magic)
	}
}

// block reads the frame of a block. The buffer grows only as bytes arrive.
func (f *streamFeed) block(b *block) error {
	if f.indexed {
		return fmt.Errorf("%w: block behind the index", ErrCorrupt)
	}
	if len(f.frames) > maxBlocks {
		return fmt.Errorf("%w: more than %d blocks", ErrCorrupt, maxBlocks)
	}
	b.frame = b.frame[:0]
	for {
		size, need, content, err := zstdFrameSize(b.frame)
		if err != nil {
			return err
		}
		if size > 0 {
			b.frame, b.size = b.frame[:size], int(content)
			break
		}
		have := len(b.frame)
		b.frame = slices.Grow(b.frame, need-have)[:need]
		if _, err := io.ReadFull(f.br, b.frame[have:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return &cutOff{"inside a block", f.offset}
		} else if err != nil {
			return err
		}
	}
	f.offset += int64(len(b.frame))
	f.frames = append(f.frames, seekEntry{uint32(len(b.frame)), uint32(b.size)})
	return nil
}

// index reads the index.
func (f *streamFeed) index(b *block) error {
	first := int64(f.frames[0].compressed)
	payload, err := f.skippable(maxIndexBytes)
	if err == io.ErrUnexpectedEOF {
		return &cutOff{"inside its index", b.offset}
	}
	if err != nil {
		return err
	}
	if f.indexed {
		return fmt.Errorf("%w: a second index", ErrCorrupt)
	}
	f.indexed = true
	b.index, err = parseIndex(payload, first)
	return err
}

// seekTable compares the standard seek table with the frames before it.
func (f *streamFeed) seekTable() error {
	want := appendSeekTable(nil, f.frames)[8:]
	payload, err := f.skippable(maxSeekBytes)
	switch {
	case err == io.ErrUnexpectedEOF:
		return &cutOff{"inside its seek table", f.offset}
	case err != nil:
		return err
	case string(want) != string(payload):
		return fmt.Errorf("%w: the seek table disagrees with the frames before it", ErrCorrupt)
	case !f.indexed:
		return fmt.Errorf("%w: seek table without index", ErrCorrupt)
	}
	if _, err := f.br.Peek(1); err == nil {
		return fmt.Errorf("%w: bytes behind the end of the trace", ErrCorrupt)
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

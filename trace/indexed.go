package trace

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Random access: the seek table at the end says how long the index before it
// is, the index says where the blocks are.

// readIndex reads the index of a whole file of size bytes that begins with a
// header frame of first bytes. It returns nil and no error where the file ends
// without a seek table: it was cut off, and reading from front to back says how
// much is there.
func readIndex(r io.ReaderAt, size, first int64) ([]BlockInfo, error) {
	foot := make([]byte, min(seekFooterBytes, size))
	if err := readAt(r, foot, size-int64(len(foot))); err != nil {
		return nil, err
	}
	if len(foot) < seekFooterBytes || binary.LittleEndian.Uint32(foot[5:]) != seekFooter {
		return nil, nil
	}
	frames := int64(binary.LittleEndian.Uint32(foot))
	table := 8 + frames*seekEntryBytes + seekFooterBytes
	if frames < 2 || frames > maxBlocks+2 || table > size-first {
		return nil, fmt.Errorf("%w: seek table of %d frames in a file of %d bytes", ErrCorrupt, frames, size)
	}
	var last [seekEntryBytes]byte
	if err := readAt(r, last[:], size-seekFooterBytes-seekEntryBytes); err != nil {
		return nil, err
	}
	indexBytes := int64(binary.LittleEndian.Uint32(last[:]))
	at := size - table - indexBytes
	if indexBytes < 8 || indexBytes > 8+maxIndexBytes || at < first {
		return nil, fmt.Errorf("%w: index of %d bytes in a file of %d bytes", ErrCorrupt, indexBytes, size)
	}
	frame := make([]byte, indexBytes)
	if err := readAt(r, frame, at); err != nil {
		return nil, err
	}
	if n := binary.LittleEndian.Uint32(frame[4:]); binary.LittleEndian.Uint32(frame) != headerMagic || int64(n) != indexBytes-8 {
		return nil, fmt.Errorf("offset %d: %w: no index where the seek table says", at, ErrCorrupt)
	}
	blocks, err := parseIndex(frame[8:], first)
	if err != nil {
		return nil, fmt.Errorf("offset %d: %w", at, err)
	}
	end := first
	for i := range blocks {
		end += int64(blocks[i].Compressed)
	}
	if end != at {
		return nil, fmt.Errorf("offset %d: %w: the index describes blocks up to byte %d", at, ErrCorrupt, end)
	}
	if blocks == nil {
		blocks = []BlockInfo{}
	}
	return blocks, nil
}

// readAt fills p; an end inside is ErrTruncated.
func readAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %d of %d bytes at offset %d", ErrTruncated, n, len(p), off)
	}
	return err
}

// indexFeed fetches the blocks that a selection needs.
type indexFeed struct {
	r      io.ReaderAt
	blocks []BlockInfo
	first  int // blocks before it hold nothing but what comes before the selection
	end    int // blocks from it on come after the selection
	at     int // next block
	bare   bool
	closer io.Closer
}

// newIndexFeed chooses the blocks. w learns what it would have seen in the
// blocks that are passed over.
func newIndexFeed(r io.ReaderAt, c io.Closer, blocks []BlockInfo, w *window) *indexFeed {
	f := &indexFeed{r: r, closer: c, blocks: blocks, end: len(blocks), bare: w.sel.Bare}
	if w.all {
		return f
	}
	for i := range blocks {
		if blocks[i].Times > 0 {
			w.base, w.hasBase = blocks[i].FirstNS, true
			break
		}
	}
	if w.sel.From.Mark == "" { // else the index does not tell where it is
		for f.first < len(blocks) && !w.reaches(w.sel.From, &blocks[f.first]) {
			f.first++
		}
	}
	for i := range blocks {
		if w.reaches(w.sel.To, &blocks[i]) {
			f.end = i + 1
			break
		}
	}
	return f
}

// reaches says whether the point is in the block or before it.
func (w *window) reaches(p Point, b *BlockInfo) bool {
	switch {
	case p.Mark != "":
		return false
	case p.IsTime:
		return b.Times > 0 && since(b.LastNS, w.base) >= uint64(p.Time)
	}
	return b.Seq+b.Records > p.Record
}

func (f *indexFeed) close() error { return f.closer.Close() }

func (f *indexFeed) next(b *block) {
	for f.at < f.first && (f.bare || f.blocks[f.at].Refs == f.blocks[f.at].Records) {
		f.at++ // nothing of it is wanted
	}
	if f.at >= f.end {
		b.err = io.EOF
		return
	}
	info := &f.blocks[f.at]
	b.offset, b.number, b.seq, b.only = info.Offset, f.at+1, int64(info.Seq), f.at < f.first
	f.at++
	if err := f.fetch(b, info); err != nil {
		b.fail(err)
	}
}

// fetch reads the frame of a block and holds it against the index.
func (f *indexFeed) fetch(b *block, info *BlockInfo) error {
	if cap(b.frame) < info.Compressed {
		b.frame = make([]byte, roomy(info.Compressed))
	}
	b.frame = b.frame[:info.Compressed]
	if err := readAt(f.r, b.frame, info.Offset); err != nil {
		return err
	}
	if len(b.frame) < 4 || binary.LittleEndian.Uint32(b.frame) != zstdMagic {
		return fmt.Errorf("%w: no block where the index says", ErrCorrupt)
	}
	size, _, content, err := zstdFrameSize(b.frame)
	if err != nil {
		return err
	}
	if size != info.Compressed || content != uint64(info.Raw) {
		return fmt.Errorf("%w: the index disagrees with the block", ErrCorrupt)
	}
	b.size = int(content)
	return nil
}

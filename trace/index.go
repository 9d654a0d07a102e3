package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// BlockInfo is what the index knows of a block.
type BlockInfo struct {
	Offset     int64    // of its zstd frame in the file, in bytes
	Compressed int      // bytes of the frame
	Raw        int      // bytes of the raw block
	Seq        uint64   // number of its first record; the last is Seq + Records - 1
	Records    uint64   // references and events
	Refs       uint64   // references
	Accesses   uint64   // accesses folded into them
	Times      uint64   // time records
	FirstNS    uint64   // of the first time record, where there is one
	LastNS     uint64   // the latest of them
	Threads    []uint32 // threads with records, ascending
	Processes  []uint32 // their processes and those that start, ascending
}

func appendIndex(dst []byte, blocks int, infos []byte) []byte {
	body := binary.AppendUvarint(nil, uint64(blocks))
	return appendTagged(dst, indexTag, append(body, infos...))
}

func appendBlockInfo(body []byte, b *BlockInfo) []byte {
	for _, v := range [...]uint64{uint64(b.Compressed), uint64(b.Raw), b.Records, b.Refs, b.Accesses, b.Times, b.FirstNS, b.LastNS} {
		body = binary.AppendUvarint(body, v)
	}
	for _, ids := range [...][]uint32{b.Threads, b.Processes} {
		body = binary.AppendUvarint(body, uint64(len(ids)))
		var last uint32
		for _, id := range ids {
			body = binary.AppendUvarint(body, uint64(id-last))
			last = id
		}
	}
	return body
}

// indexCursor takes numbers off the body of an index; ok is false once
// something was wrong.
type indexCursor struct {
	c  []byte
	ok bool
}

// take reads a number of at most limit.
func (p *indexCursor) take(limit uint64) uint64 {
	v, w := binary.Uvarint(p.c)
	if w <= 0 || v > limit {
		p.ok, p.c = false, nil
		return 0
	}
	p.c = p.c[w:]
	return v
}

// ids reads an ascending list. Memory is taken only for what is there: an id is
// a byte at least.
func (p *indexCursor) ids() []uint32 {
	n := int(p.take(uint64(len(p.c))))
	if n == 0 {
		return nil
	}
	ids := make([]uint32, n)
	var last uint64
	for i := range ids {
		d := p.take(1<<32 - 1)
		if last += d; last > 1<<32-1 || i > 0 && d == 0 {
			p.ok = false
		}
		ids[i] = uint32(last)
	}
	return ids
}

// parseIndex reads an index; the first block begins at byte first of the file.
// Every count is checked against its limit and the bytes that are there before
// memory is taken for it. Offsets and record numbers follow from lengths and
// counts, so an index cannot point in circles.
func parseIndex(payload []byte, first int64) ([]BlockInfo, error) {
	body, err := openTagged(payload, indexTag)
	if err != nil {
		return nil, err
	}
	const leastBytes = 10 // of an entry
	p := indexCursor{c: body, ok: true}
	blocks := make([]BlockInfo, p.take(min(maxBlocks, uint64(len(body)/leastBytes))))
	var seq uint64
	for i := range blocks {
		b := &blocks[i]
		b.Offset, b.Seq = first, seq
		b.Compressed, b.Raw = int(p.take(maxFrameBytes)), int(p.take(maxRawBytes))
		b.Records = p.take(maxBlockRecords)
		b.Refs = p.take(b.Records)
		b.Accesses, b.Times, b.FirstNS, b.LastNS = p.take(1<<63), p.take(b.Records-b.Refs), p.take(1<<64-1), p.take(1<<64-1)
		b.Threads, b.Processes = p.ids(), p.ids()
		if !p.ok {
			return nil, fmt.Errorf("%w: index, entry of block %d", ErrCorrupt, i+1)
		}
		first += int64(b.Compressed)
		seq += b.Records
	}
	if !p.ok || len(p.c) != 0 {
		return nil, fmt.Errorf("%w: index of %d blocks in %d bytes", ErrCorrupt, len(blocks), len(body))
	}
	return blocks, nil
}

// equal says whether two entries are the same to the last byte.
func (b *BlockInfo) equal(o *BlockInfo) bool {
	return bytes.Equal(appendBlockInfo(nil, b), appendBlockInfo(nil, o))
}

// seekEntry is one frame in the standard seek table.
type seekEntry struct{ compressed, raw uint32 }

const (
	seekEntryBytes  = 8
	seekFooterBytes = 9
	maxSeekBytes    = seekEntryBytes*(maxBlocks+2) + seekFooterBytes
)

// appendSeekTable appends the seek table of the zstd seekable format, version
// 0.1.0, without per-frame checksums.
func appendSeekTable(dst []byte, entries []seekEntry) []byte {
	var p []byte
	for _, e := range entries {
		p = binary.LittleEndian.AppendUint32(p, e.compressed)
		p = binary.LittleEndian.AppendUint32(p, e.raw)
	}
	p = binary.LittleEndian.AppendUint32(p, uint32(len(entries)))
	p = append(p, 0)
	p = binary.LittleEndian.AppendUint32(p, seekFooter)
	return appendSkippable(dst, seekMagic, p)
}

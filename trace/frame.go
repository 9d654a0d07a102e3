package trace

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// Frames of the file. Everything that is not a zstd frame is a skippable frame
// (RFC 8878, section 3.1.2), so that stock zstd tools accept the file.
const (
	zstdMagic      = 0xFD2FB528
	skippableMagic = 0x184D2A50 // to ...5F
	headerMagic    = 0x184D2A5B // ours: header and index
	seekMagic      = 0x184D2A5E // the standard seek table
	seekFooter     = 0x8F92EAB1 // last four bytes of a seek table

	maxHeaderBytes = 1 << 20
	maxIndexBytes  = 256 << 20
	maxFrameBytes  = maxRawBytes + maxRawBytes/8 + 1024 // compressed; zstd expands less
)

var (
	headerTag = [8]byte{'v', 'm', 't', 'r', 'a', 'c', 'e', 0}
	indexTag  = [8]byte{'v', 'm', 't', 'i', 'n', 'd', 'e', 'x'}
)

// appendSkippable appends a skippable frame.
func appendSkippable(dst []byte, magic uint32, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

// appendTagged appends one of our own frames: tag, version, checksum, body.
func appendTagged(dst []byte, tag [8]byte, body []byte) []byte {
	payload := append([]byte{}, tag[:]...)
	payload = binary.LittleEndian.AppendUint32(payload, Version)
	payload = binary.LittleEndian.AppendUint32(payload, crc32.Checksum(body, castagnoli))
	return appendSkippable(dst, headerMagic, append(payload, body...))
}

// openTagged checks one of our own payloads and returns its body.
func openTagged(payload []byte, tag [8]byte) ([]byte, error) {
	name := string(bytes.TrimRight(tag[:], "\x00"))
	if len(payload) < 16 || !bytes.Equal(payload[:8], tag[:]) {
		return nil, fmt.Errorf("%w: frame is not tagged %q", ErrCorrupt, name)
	}
	if v := binary.LittleEndian.Uint32(payload[8:]); v < 1 || v > Version {
		return nil, fmt.Errorf("%w: format version %d, this program reads 1 to %d", ErrVersion, v, Version)
	}
	if crc32.Checksum(payload[16:], castagnoli) != binary.LittleEndian.Uint32(payload[12:]) {
		return nil, fmt.Errorf("%w: checksum of the %s frame", ErrCorrupt, name)
	}
	return payload[16:], nil
}

func appendHeader(dst []byte, h *Header) ([]byte, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(body) > maxHeaderBytes-16 {
		return nil, fmt.Errorf("header of %d bytes, the limit is %d: shorten command or labels", len(body), maxHeaderBytes-16)
	}
	return appendTagged(dst, headerTag, body), nil
}

func parseHeader(payload []byte) (*Header, error) {
	body, err := openTagged(payload, headerTag)
	if err != nil {
		return nil, err
	}
	h := new(Header)
	if err := json.Unmarshal(body, h); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	return h, nil
}

// BlockInfo is what the index knows of a block.
type BlockInfo struct {
	Offset     int64    // of its zstd frame in the file, in bytes
	Compressed int      // bytes of the frame
	Raw        int      // bytes of the raw block
	Seq        uint64   // number of its first record
	Records    uint64   // references and events
	Refs       uint64   // references
	Accesses   uint64   // accesses folded into them
	FirstNS    uint64   // first and last Time record, 0 for none
	LastNS     uint64   //
	Threads    []uint32 // threads with records, ascending
}

func appendIndex(dst []byte, blocks []BlockInfo) []byte {
	body := binary.AppendUvarint(nil, uint64(len(blocks)))
	for i := range blocks {
		b := &blocks[i]
		for _, v := range [...]uint64{uint64(b.Offset), uint64(b.Compressed), uint64(b.Raw), b.Records, b.Refs, b.Accesses, b.FirstNS, b.LastNS, uint64(len(b.Threads))} {
			body = binary.AppendUvarint(body, v)
		}
		for _, t := range b.Threads {
			body = binary.AppendUvarint(body, uint64(t))
		}
	}
	return appendTagged(dst, indexTag, body)
}

// parseIndex reads an index. Every count is checked against the bytes that are
// there before memory is taken for it.
func parseIndex(payload []byte) ([]BlockInfo, error) {
	c, err := openTagged(payload, indexTag)
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("%w: index", ErrCorrupt)
	take := func() uint64 {
		v, w := binary.Uvarint(c)
		if w <= 0 {
			c = nil
			return 1 << 63 // larger than any limit
		}
		c = c[w:]
		return v
	}
	const leastBytes = 9 // of an entry
	n := take()
	if n > uint64(len(c)/leastBytes) {
		return nil, bad
	}
	blocks := make([]BlockInfo, n)
	var seq uint64
	for i := range blocks {
		b := &blocks[i]
		b.Offset, b.Compressed, b.Raw = int64(take()), int(take()), int(take())
		b.Records, b.Refs, b.Accesses, b.FirstNS, b.LastNS = take(), take(), take(), take(), take()
		threads := take()
		if b.Offset < 0 || b.Compressed < 0 || b.Compressed > maxFrameBytes || b.Raw < 0 || b.Raw > maxRawBytes ||
			b.Records > maxBlockRecords || b.Refs > b.Records || threads > uint64(len(c)) {
			return nil, bad
		}
		for range threads {
			b.Threads = append(b.Threads, uint32(take()))
		}
		b.Seq = seq
		seq += b.Records
	}
	if len(c) != 0 {
		return nil, bad
	}
	return blocks, nil
}

// seekEntry is one frame in the standard seek table.
type seekEntry struct{ compressed, raw uint32 }

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

// zstdFrameSize looks at the zstd frame at the start of buf. When buf holds all
// of it, size is its length in bytes and content what it says it decodes to;
// otherwise size is 0 and need is a length that the frame has at least, longer
// than buf. Only frame and block headers are looked at (RFC 8878, section
// 3.1.1).
func zstdFrameSize(buf []byte) (size, need int, content uint64, err error) {
	const least = 6
	if len(buf) < least {
		return 0, least, 0, nil
	}
	desc := buf[4]
	if desc&0x08 != 0 {
		return 0, 0, 0, fmt.Errorf("%w: reserved bit in a frame header", ErrCorrupt)
	}
	single := desc&0x20 != 0
	pos := 5
	if !single {
		pos++ // window descriptor
	}
	pos += [4]int{0, 1, 2, 4}[desc&3]
	sizeBytes := [4]int{0, 2, 4, 8}[desc>>6]
	if single && sizeBytes == 0 {
		sizeBytes = 1
	}
	if sizeBytes == 0 {
		return 0, 0, 0, fmt.Errorf("%w: frame does not say how large its content is", ErrCorrupt)
	}
	if len(buf) < pos+sizeBytes {
		return 0, pos + sizeBytes, 0, nil
	}
	for i := sizeBytes - 1; i >= 0; i-- {
		content = content<<8 | uint64(buf[pos+i])
	}
	if sizeBytes == 2 {
		content += 256
	}
	if content > maxRawBytes {
		return 0, 0, 0, fmt.Errorf("%w: block of %d bytes, the limit is %d", ErrCorrupt, content, maxRawBytes)
	}
	const blockHeader = 3
	for pos += sizeBytes; ; {
		if len(buf) < pos+blockHeader {
			return 0, pos + blockHeader, content, nil
		}
		h := uint32(buf[pos]) | uint32(buf[pos+1])<<8 | uint32(buf[pos+2])<<16
		n := int(h >> 3)
		if h>>1&3 == 1 {
			n = 1 // run-length block
		}
		pos += blockHeader + n
		if pos > maxFrameBytes {
			return 0, 0, 0, fmt.Errorf("%w: frame larger than %d bytes", ErrCorrupt, maxFrameBytes)
		}
		if h&1 != 0 {
			break
		}
	}
	if desc&0x04 != 0 {
		pos += 4 // content checksum
	}
	if len(buf) < pos {
		return 0, pos, content, nil
	}
	return pos, 0, content, nil
}

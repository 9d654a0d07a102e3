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
	maxRatio       = 1 << 15                            // raw to compressed: what the format of zstd can reach
	maxBlocks      = 1 << 22
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	if desc&0x04 == 0 {
		return 0, 0, 0, fmt.Errorf("%w: frame without checksum", ErrCorrupt)
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
	pos += 4 // content checksum
	if content > uint64(pos)*maxRatio {
		return 0, 0, 0, fmt.Errorf("%w: %d bytes that say they hold %d", ErrCorrupt, pos, content)
	}
	if len(buf) < pos {
		return 0, pos, content, nil
	}
	return pos, 0, content, nil
}

package convert

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The .xz container (The .xz File Format, version 1.2.1, tukaani.org) around the
// LZMA2 decoder. The decoder's own container code takes whatever dictionary a
// file asks for, up to 4 GiB; this one has a limit.

// maxXZDict bounds the dictionary, in bytes: that of xz -9.
const maxXZDict = 64 << 20

var errXZ = errors.New("damaged xz file")

// xzReader decodes one or more .xz streams.
type xzReader struct {
	r     *countingReader
	block io.Reader // nil between blocks
	check hash.Hash // of the block; nil for none
	size  int       // of the check, in bytes
	sum   func() hash.Hash
	begin int64 // of the block
	done  bool
}

type countingReader struct {
	r *bufio.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXZReader(r *bufio.Reader) (io.Reader, error) {
	x := &xzReader{r: &countingReader{r: r}}
	return x, x.streamHeader()
}

// streamHeader: magic, 2 flags, CRC-32 of the flags.
func (x *xzReader) streamHeader() error {
	var h [12]byte
	if err := x.full(h[:]); err != nil {
		return err
	}
	if !bytes.Equal(h[:6], xzMagic) || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) || h[6] != 0 {
		return fmt.Errorf("%w: stream header", errXZ)
	}
	switch h[7] {
	case 0:
		x.size, x.sum = 0, nil
	case 1:
		x.size, x.sum = 4, func() hash.Hash { return crc32.NewIEEE() }
	case 4:
		x.size, x.sum = 8, func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }
	case 10:
		x.size, x.sum = 32, sha256.New
	default:
		return fmt.Errorf("%w: check of kind %d", errXZ, h[7])
	}
	return nil
}

func (x *xzReader) full(b []byte) error {
	_, err := io.ReadFull(x.r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.done {
			return 0, io.EOF
		}
		if x.block == nil {
			if err := x.nextBlock(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := x.block.Read(p)
		if x.check != nil {
			x.check.Write(p[:n])
		}
		if err == io.EOF {
			err = x.endBlock()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// nextBlock reads a block header: size, flags, sizes that may be there, one
// filter with its properties, padding, CRC-32. A size of 0 is the index.
func (x *xzReader) nextBlock() error {
	x.begin = x.r.n
	var h [1024]byte
	if err := x.full(h[:1]); err != nil {
		return err
	}
	if h[0] == 0 {
		return x.endStream()
	}
	size := (int(h[0]) + 1) * 4
	if err := x.full(h[1:size]); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(h[:size-4]) != binary.LittleEndian.Uint32(h[size-4:]) {
		return fmt.Errorf("%w: block header", errXZ)
	}
	fields := bytes.NewReader(h[2 : size-4])
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if h[1]&bit != 0 {
			if _, err := binary.ReadUvarint(fields); err != nil {
				return fmt.Errorf("%w: block header", errXZ)
			}
		}
	}
	var filter [3]byte
	_, err := io.ReadFull(fields, filter[:])
	if err != nil || h[1]&0x3f != 0 || filter[0] != 0x21 || filter[1] != 1 || filter[2] > 40 {
		return fmt.Errorf("%w, or one with filters other than LZMA2", errXZ)
	}
	dict := int64(2|filter[2]&1) << (filter[2]/2 + 11)
	if dict > maxXZDict {
		return fmt.Errorf("the xz file asks for a dictionary of %d bytes, the limit is %d: compress it with xz -9 or less", dict, maxXZDict)
	}
	x.block, err = lzma.Reader2Config{DictCap: int(dict)}.NewReader2(x.r)
	if x.check = nil; x.sum != nil {
		x.check = x.sum()
	}
	return err
}

// endBlock reads padding and check.
func (x *xzReader) endBlock() error {
	x.block = nil
	var b [32]byte
	if err := x.full(b[:(x.begin-x.r.n)&3]); err != nil {
		return err
	}
	if err := x.full(b[:x.size]); err != nil {
		return err
	}
	if x.check == nil {
		return nil
	}
	sum := x.check.Sum(nil)
	if x.size < sha256.Size { // CRCs are little-endian in the file
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	if !bytes.Equal(sum, b[:x.size]) {
		return fmt.Errorf("%w: checksum of the block that begins at byte %d", errXZ, x.begin)
	}
	return nil
}

// endStream passes over index and footer. Another stream may follow, after
// zeros.
func (x *xzReader) endStream() error {
	records, err := binary.ReadUvarint(x.r)
	for i := uint64(0); i < 2*records && err == nil; i++ {
		_, err = binary.ReadUvarint(x.r)
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%w: index", errXZ)
	}
	var b [3 + 4 + 12]byte
	tail := b[:(x.begin-x.r.n)&3+4+12]
	if err := x.full(tail); err != nil {
		return err
	}
	if string(tail[len(tail)-2:]) != "YZ" {
		return fmt.Errorf("%w: footer", errXZ)
	}
	for {
		next, err := x.r.r.Peek(1)
		if err != nil {
			x.done = true
			return nil
		}
		if next[0] != 0 {
			return x.streamHeader()
		}
		if _, err := x.r.ReadByte(); err != nil {
			return err
		}
	}
}

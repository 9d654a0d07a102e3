package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/vmtrace/vmtrace/trace"
)

const (
	bufferSize = 1 << 16
	headSize   = 1 << 14 // bytes that a format is told by
	maxWindow  = 64 << 20
)

// input is a file, or a stream, that is about to be converted.
type input struct {
	name    string
	file    io.ReaderAt   // nil for a stream
	size    int64         // of the file
	body    *bufio.Reader // what it holds, decompressed
	packed  string        // how it is compressed, "" for not
	closers []func() error
}

// openInput opens a file; "-" is standard input.
func openInput(path string) (*input, error) {
	if path == "-" {
		return newInput("standard input", nil, 0, os.Stdin)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name one file in it", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	var at io.ReaderAt
	if info.Mode().IsRegular() {
		at = f
	}
	in, err := newInput(path, at, info.Size(), f)
	if err != nil {
		f.Close()
		return nil, err
	}
	in.closers = append(in.closers, f.Close)
	return in, nil
}

// Beginnings of compressed files.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	xzMagic   = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	lz4Magic  = []byte{0x04, 0x22, 0x4d, 0x18}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	zipMagic  = []byte("PK\x03\x04")
	snappySig = []byte("\xff\x06\x00\x00sNaPpY")
)

// newInput looks at how r is compressed; at is the same as r, or nil.
func newInput(name string, at io.ReaderAt, size int64, r io.Reader) (*input, error) {
	in := &input{name: name, file: at, size: size}
	raw := bufio.NewReaderSize(r, bufferSize)
	head, err := raw.Peek(len(snappySig))
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	body, err := in.unpack(head, raw)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("%s: %w", name, in.damage(err))
	}
	in.body = raw
	if body != nil {
		in.body = bufio.NewReaderSize(body, bufferSize)
	}
	return in, nil
}

// unpack returns a reader of what a compressed file holds, nil if it is none.
func (in *input) unpack(head []byte, raw *bufio.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		in.packed = "gzip"
		return gzip.NewReader(raw)
	case bytes.HasPrefix(head, xzMagic):
		in.packed = "xz"
		return newXZReader(raw)
	case bytes.HasPrefix(head, lz4Magic):
		in.packed = "lz4"
		return lz4.NewReader(raw), nil
	case bytes.HasPrefix(head, zstdMagic):
		in.packed = "zstd"
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		in.closers = append(in.closers, func() error { z.Close(); return nil })
		return z, nil
	case bytes.HasPrefix(head, zipMagic):
		in.packed = "zip"
		if in.file == nil {
			return nil, fmt.Errorf("%w: the directory of a zip archive stands at its end: save it to a file first", ErrFormat)
		}
		return newZipReader(in.file, in.size)
	case bytes.HasPrefix(head, snappySig):
		in.packed = "snappy"
		return nil, fmt.Errorf("%w: snappy is not read: decompress it first, or record with -raw_compress or -compress gzip, lz4 or zip", ErrFormat)
	}
	return nil, nil
}

func (in *input) close() error {
	var err error
	for _, c := range in.closers {
		err = errors.Join(err, c())
	}
	return err
}

// head is the beginning of what the input holds.
func (in *input) head() ([]byte, error) {
	head, err := in.body.Peek(headSize)
	if err == io.EOF || len(head) > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err != nil {
		return nil, in.damage(err)
	}
	return head, nil
}

// damage words an error of reading: where a decompressor fails the input is
// damaged.
func (in *input) damage(err error) error {
	switch {
	case told(err):
	case errors.Is(err, io.ErrUnexpectedEOF) || in.packed != "" && err == io.EOF:
		return fmt.Errorf("%w: it ends in the middle", trace.ErrTruncated)
	case in.packed != "":
		return fmt.Errorf("%w: %s: %w", trace.ErrCorrupt, in.packed, err)
	}
	return err
}

// told says whether an error is one of those that callers know.
func told(err error) bool {
	return errors.Is(err, ErrFormat) || errors.Is(err, trace.ErrCorrupt) || errors.Is(err, trace.ErrTruncated)
}

// zipReader reads the files of an archive one after the other, in the order of
// its directory.
type zipReader struct {
	files []*zip.File
	now   io.ReadCloser
}

// maxZipFiles bounds the directory.
const maxZipFiles = 1 << 20

func newZipReader(at io.ReaderAt, size int64) (io.Reader, error) {
	z, err := zip.NewReader(at, size)
	if err != nil {
		return nil, err
	}
	if len(z.File) > maxZipFiles {
		return nil, fmt.Errorf("%d files in the archive, the limit is %d", len(z.File), maxZipFiles)
	}
	return &zipReader{files: z.File}, nil
}

func (z *zipReader) Read(p []byte) (int, error) {
	for {
		if z.now == nil {
			if len(z.files) == 0 {
				return 0, io.EOF
			}
			var err error
			if z.now, err = z.files[0].Open(); err != nil {
				return 0, err
			}
			z.files = z.files[1:]
		}
		n, err := z.now.Read(p)
		if err == io.EOF {
			err = z.now.Close()
			z.now = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

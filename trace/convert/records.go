package convert

import (
	"bufio"
	"fmt"
	"io"

	"github.com/vmtrace/vmtrace/trace"
)

// recordReader reads a binary file of records of one size.
type recordReader struct {
	r      *bufio.Reader
	size   int   // of a record, in bytes
	offset int64 // of the record that was read last, after decompression
	ahead  int   // of the record after it, in bytes: size or 0
}

// next returns the next record, valid until the next call, or io.EOF.
func (r *recordReader) next() ([]byte, error) {
	if _, err := r.r.Discard(r.ahead); err != nil {
		return nil, err
	}
	r.offset += int64(r.ahead)
	r.ahead = 0
	rec, err := r.r.Peek(r.size)
	if err == io.EOF && len(rec) > 0 {
		return nil, r.at(fmt.Errorf("%w: %d bytes are left of a record of %d", trace.ErrTruncated, len(rec), r.size))
	}
	if err != nil {
		return nil, err
	}
	r.ahead = r.size
	return rec, nil
}

// badf is the error of the record that was read last.
func (r *recordReader) badf(format string, args ...any) error {
	return r.at(fmt.Errorf("%w: %s", trace.ErrCorrupt, fmt.Sprintf(format, args...)))
}

// at adds the offset of the record to an error.
func (r *recordReader) at(err error) error { return placed("offset", r.offset, err) }

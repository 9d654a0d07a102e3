package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/vmtrace/vmtrace/trace"
)

// maxLine bounds a line of text, in bytes.
const maxLine = 1 << 20

// lineReader reads a text line by line.
type lineReader struct {
	r    *bufio.Reader
	n    int    // number of the line, from 1
	long []byte // a line that the buffer does not hold
}

// next returns the next line without its end, valid until the next call. whole
// is false where the text ends inside the line.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if err == bufio.ErrBufferFull || len(l.long) > 0 {
			if len(l.long)+len(part) > maxLine {
				return nil, false, fmt.Errorf("%w: line %d is longer than %d bytes", trace.ErrCorrupt, l.n+1, maxLine)
			}
			l.long = append(l.long, part...)
			part = l.long
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && (err != io.EOF || len(part) == 0) {
			return nil, false, err
		}
		l.n++
		return bytes.TrimRight(part, "\r\n"), err == nil, nil
	}
}

// badf is the error of the line that was read last.
func (l *lineReader) badf(format string, args ...any) error {
	return l.at(fmt.Errorf("%w: %s", trace.ErrCorrupt, fmt.Sprintf(format, args...)))
}

// at adds the number of the line to an error.
func (l *lineReader) at(err error) error { return placed("line", int64(l.n), err) }

// placeError is an error that names its place.
type placeError struct {
	unit string // line, offset
	at   int64
	err  error
}

func (e *placeError) Error() string { return fmt.Sprintf("%s %d: %v", e.unit, e.at, e.err) }

func (e *placeError) Unwrap() error { return e.err }

// placed adds a place to an error that has none; io.EOF stays what it is.
func placed(unit string, at int64, err error) error {
	var has *placeError
	if err == nil || err == io.EOF || errors.As(err, &has) {
		return err
	}
	return &placeError{unit, at, err}
}

// cutOff is the text of the tally for a last line without an end: half a number
// would pass for a whole one.
const cutOff = "the input ends inside a line: it was cut off, and that line is left out"

// quote shows the beginning of a line in an error.
func quote(line []byte) string {
	const most = 60
	if len(line) > most {
		return strconv.Quote(string(line[:most])) + "..."
	}
	return strconv.Quote(string(line))
}

// headLines are the whole lines at the beginning of a file; the last one is left
// out unless it is the only one, for the head may end inside it.
func headLines(head []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for first := true; len(head) > 0; first = false {
			line, rest, found := bytes.Cut(head, []byte("\n"))
			if !found && !first {
				return
			}
			if line = bytes.TrimRight(line, "\r"); len(line) > 0 && !yield(line) {
				return
			}
			head = rest
		}
	}
}

// isText says whether the head of a file looks like text.
func isText(head []byte) bool {
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			return false
		}
	}
	return len(head) > 0
}

// hexNumber parses hexadecimal digits, with or without 0x.
func hexNumber(b []byte) (v uint64, ok bool) {
	b = bytes.TrimPrefix(b, []byte("0x"))
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			v = v<<4 | uint64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// decNumber parses decimal digits.
func decNumber(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// numberAfter is the number between prefix and what follows the digits, 0 for
// none.
func numberAfter(s, prefix string) int {
	s = s[len(prefix):]
	n := 0
	for n < len(s) && n < 9 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, _ := strconv.Atoi(s[:n])
	return v
}

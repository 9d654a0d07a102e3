package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Open opens a trace of either form: a file, an http or https address, or "-"
// for standard input. The form is found by content. Errors name the path.
//
// A part of a .vmt file (WithSelection) is found by its index: only the blocks
// that are needed are read. So is a .vmt file behind an address, where the
// server takes ranges. Everything else is read from front to back.
func Open(path string, opts ...ReaderOption) (Source, error) {
	name := path
	if path == "-" {
		name = "standard input"
	}
	src, err := open(path, newReaderOptions(opts))
	if errors.Is(err, ErrNotTrace) {
		err = fmt.Errorf("%w; record one with vmtrace record, or make one with vmtrace gen", err)
	}
	if err != nil && !errors.As(err, new(*os.PathError)) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	return &named{Source: src, name: name}, nil
}

func open(path string, o readerOptions) (Source, error) {
	switch {
	case path == "-":
		return openStream(io.NopCloser(os.Stdin), o)
	case isAddress(path):
		return openAddress(path, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory: name a .vmt file in it")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if !o.selection.all() && info.Mode().IsRegular() {
		src, err := openIndexed(f, f, info.Size(), o)
		if src != nil || err != nil {
			return src, err
		}
	}
	return openStream(f, o)
}

func openAddress(url string, o readerOptions) (Source, error) {
	r, stream, err := openRemote(url, o.client)
	if err != nil {
		return nil, err
	}
	if stream != nil {
		return openStream(stream, o)
	}
	src, err := openIndexed(r, r, r.size, o)
	if src != nil || err != nil {
		return src, err
	}
	return openStream(struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(r, 0, r.size), r}, o)
}

// openIndexed opens a whole .vmt file by its index. It returns nil and no error
// for anything that must be read from front to back. On error it closes c.
func openIndexed(r io.ReaderAt, c io.Closer, size int64, o readerOptions) (Source, error) {
	head := make([]byte, 16)
	if err := readAt(r, head, 0); err != nil || !isHeader(head) {
		return nil, nil // too short to be whole, or text
	}
	src, err := newIndexed(r, c, size, o)
	if err != nil {
		c.Close()
	}
	return src, err
}

func newIndexed(r io.ReaderAt, c io.Closer, size int64, o readerOptions) (Source, error) {
	f := &streamFeed{br: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<12)}
	h, err := f.readHeader()
	if err != nil {
		return nil, err
	}
	blocks, err := readIndex(r, size, f.offset)
	if blocks == nil || err != nil {
		return nil, err
	}
	w := newWindow(o.selection)
	t, err := newReader(newIndexFeed(r, c, blocks, &w), h, o)
	if err != nil {
		return nil, err
	}
	t.window = w
	return t, nil
}

// openStream reads from front to back; it closes f on error, or with the
// source.
func openStream(f io.ReadCloser, o readerOptions) (Source, error) {
	br := bufio.NewReaderSize(f, 1<<16)
	src, err := sniff(br, f, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	return src, nil
}

func sniff(br *bufio.Reader, c io.Closer, o readerOptions) (Source, error) {
	head, err := br.Peek(len(textMagic))
	if len(head) == 0 && err != nil && err != io.EOF {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("# vmtrace text ")) {
		if !bytes.Equal(head, []byte(textMagic)) {
			return nil, fmt.Errorf("%w: text trace of a later form; this program reads %q", ErrVersion, textMagic)
		}
		t, err := NewTextReader(br)
		if err == nil {
			t.window, t.closer = newWindow(o.selection), c
		}
		return t, err
	}
	f := &streamFeed{br: br, closer: c}
	h, err := f.readHeader()
	if err != nil {
		return nil, err
	}
	return newReader(f, h, o)
}

// named is a source that names its file in errors.
type named struct {
	Source
	name string
}

func (n *named) Next() (*Batch, error) {
	b, err := n.Source.Next()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	return b, err
}

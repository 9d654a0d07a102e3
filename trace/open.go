package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Open opens a trace of either form; "-" is standard input. The form is found
// by content. Errors name the path.
func Open(path string, opts ...ReaderOption) (Source, error) {
	if path == "-" {
		return open("standard input", io.NopCloser(os.Stdin), opts)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a directory: name a .vmt file in it", path)
	}
	return open(path, f, opts)
}

func open(name string, f io.ReadCloser, opts []ReaderOption) (Source, error) {
	br := bufio.NewReaderSize(f, 1<<16)
	src, err := sniff(br, opts)
	if err != nil {
		f.Close()
		if errors.Is(err, ErrNotTrace) {
			err = fmt.Errorf("%w; record one with vmtrace record, or make one with vmtrace gen", err)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &named{Source: src, name: name, file: f}, nil
}

func sniff(br *bufio.Reader, opts []ReaderOption) (Source, error) {
	head, err := br.Peek(len(textMagic))
	if len(head) == 0 && err != nil && err != io.EOF {
		return nil, err
	}
	if bytes.Equal(head, []byte(textMagic)) {
		return NewTextReader(br)
	}
	if bytes.HasPrefix(head, []byte("# vmtrace text ")) {
		return nil, fmt.Errorf("%w: text trace of a later form; this program reads %q", ErrVersion, textMagic)
	}
	return NewReader(br, opts...)
}

// named is a source that names its file in errors and closes it.
type named struct {
	Source
	name string
	file io.Closer
}

func (n *named) Next() (*Batch, error) {
	b, err := n.Source.Next()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	return b, err
}

func (n *named) Close() error { return errors.Join(n.Source.Close(), n.file.Close()) }

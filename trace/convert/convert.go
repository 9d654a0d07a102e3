package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// Format is a foreign format: one row of the table.
type Format struct {
	Name string
	Help string // one line for people

	// Detect says whether the beginning of a file (up to 16 KiB, decompressed)
	// is of this format. No two formats say so of the same file.
	Detect func(head []byte) bool

	labels  map[string]string // of the header, beside regions=inferred
	regions inference
	open    func(*input) (decoder, error)
}

// decoder reads one format.
type decoder interface {
	// step reads a little (a line, a record) and hands it to the builder. It
	// returns io.EOF at the end; other errors name the place.
	step(*builder) error
}

// headed is a decoder that knows more of the header before its first step.
type headed interface {
	header(*trace.Header)
}

// Formats lists the foreign formats.
var Formats = []Format{
	lackeyFormat, straceFormat, perfDataFormat, perfScriptFormat, drmemtraceFormat,
	champSimFormat, pinatraceFormat, oracleGeneralFormat, csvFormat, plainFormat,
}

// Names lists the names of the formats.
func Names() []string {
	var names []string
	for i := range Formats {
		names = append(names, Formats[i].Name)
	}
	return names
}

// ErrFormat says that a file is of no known format, or not of the one that was
// asked for.
var ErrFormat = errors.New("format not recognised")

// Beginnings of our own forms: a skippable zstd frame, and the text twin.
var (
	nativeMagic = []byte{0x5b, 0x2a, 0x4d, 0x18}
	twinMagic   = []byte("# vmtrace text ")
)

// Open opens a trace of any format for reading; path "-" is standard input. The
// format is found by content, or is the one named from. Our own forms are passed
// to package trace. Errors name the path; they wrap ErrFormat, trace.ErrCorrupt
// or trace.ErrTruncated.
func Open(path, from string) (trace.Source, error) {
	if from != "" && find(from) == nil {
		return nil, fmt.Errorf("%w: there is no format %q; there are %s", ErrFormat, from, strings.Join(Names(), ", "))
	}
	in, err := openInput(path)
	if err != nil {
		return nil, err
	}
	src, err := in.source(from)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	return src, nil
}

func find(name string) *Format {
	for i := range Formats {
		if Formats[i].Name == name {
			return &Formats[i]
		}
	}
	return nil
}

// source finds the format of the input and opens it.
func (in *input) source(from string) (trace.Source, error) {
	head, err := in.head()
	if err != nil {
		return nil, err
	}
	if from == "" {
		switch {
		case bytes.HasPrefix(head, twinMagic):
			return in.native(trace.NewTextReader(in.body))
		case bytes.HasPrefix(head, nativeMagic):
			return in.native(trace.NewReader(in.body))
		}
	}
	f := find(from)
	if f == nil {
		if f, err = detect(head); err != nil {
			return nil, err
		}
	}
	dec, err := f.open(in)
	if err != nil {
		return nil, in.damage(err)
	}
	h := trace.Header{Version: trace.Version, Origin: "converted", Tool: f.Name, ABI: trace.ABIX8664, Labels: map[string]string{"regions": f.regions.label()}}
	maps.Copy(h.Labels, f.labels)
	if d, ok := dec.(headed); ok {
		d.header(&h)
	}
	return &source{format: f, in: in, dec: dec, head: h, b: newBuilder(f.regions)}, nil
}

// native wraps a reader of our own.
func (in *input) native(src trace.Source, err error) (trace.Source, error) {
	if err != nil {
		return nil, err
	}
	return &native{src, in}, nil
}

type native struct {
	trace.Source
	in *input
}

func (n *native) Next() (*trace.Batch, error) {
	b, err := n.Source.Next()
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", n.in.name, err)
	}
	return b, err
}

func (n *native) Close() error { return errors.Join(n.Source.Close(), n.in.close()) }

// detect finds the one format of a head.
func detect(head []byte) (*Format, error) {
	var found *Format
	for i := range Formats {
		if f := &Formats[i]; f.Detect(head) {
			if found != nil {
				return nil, fmt.Errorf("%w: it may be %s or %s: say which with --from", ErrFormat, found.Name, f.Name)
			}
			found = f
		}
	}
	switch {
	case found != nil:
		return found, nil
	case len(head) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	case isRawDrmemtrace(head):
		return nil, fmt.Errorf("%w: this is a raw file of drmemtrace, which holds no instruction addresses: convert its folder first, with drrun -t drmemtrace -indir FOLDER", ErrFormat)
	}
	return nil, fmt.Errorf("%w: it begins with %s; known are .vmt, text, and %s (force one with --from)", ErrFormat, quote(head[:min(len(head), 32)]), strings.Join(Names(), ", "))
}

// source is a trace.Source of a foreign file.
type source struct {
	format *Format
	in     *input
	dec    decoder
	head   trace.Header
	b      *builder
	done   error
}

func (s *source) Header() *trace.Header { return &s.head }

func (s *source) Warnings() []string { return s.b.warnings() }

func (s *source) Close() error {
	if s.done == nil {
		s.done = errors.New("reader is closed")
	}
	return s.in.close()
}

// Next returns the next batch. What stands before an error is handed out before
// the error.
func (s *source) Next() (*trace.Batch, error) {
	for {
		if b := s.b.take(); b != nil {
			return b, nil
		}
		if s.done != nil {
			return nil, s.done
		}
		s.b.reset()
		for s.done == nil && !s.b.full() {
			if err := s.dec.step(s.b); err != nil {
				s.b.flush()
				s.done = s.final(err)
			}
		}
	}
}

// final is how reading ends.
func (s *source) final(err error) error {
	switch {
	case err == io.EOF && s.b.found > 0:
		return io.EOF
	case err == io.EOF:
		err = fmt.Errorf("%w: there is nothing of the format %s in it", ErrFormat, s.format.Name)
	default:
		err = s.in.damage(err)
	}
	return fmt.Errorf("%s: %w", s.in.name, err)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/convert"
	"github.com/vmtrace/vmtrace/trace/reduce"
)

var convertCommand = &command{
	name: "convert", args: "IN -o OUT", minArgs: 1, maxArgs: 1,
	short: "turn text into a .vmt trace and back, or import the trace of another tool",
	long: `
Reads a trace in either form, or one of another tool, and writes it in the form that the name
of OUT asks for: text where it ends in .txt or .text, .vmt otherwise; --to decides for a stream
(-). The format of IN is found by content, also inside gzip, xz, lz4, zstd and zip; --from
forces one:

` + formatHelp() + `
With places instead of names --from and --to take a part of a vmtrace trace: record numbers,
times such as 1.5s where the trace has time, or marks such as mark:ready.

Examples:
  vmtrace convert lesson.txt -o lesson.vmt
  vmtrace convert x.vmt -o x.txt
  vmtrace convert perf.data -o app.vmt
  vmtrace convert --from champsim 600.perlbench.champsimtrace.xz -o perlbench.vmt
  vmtrace convert --reduce 64 x.vmt -o small.vmt         exact for 64 frames or more
  vmtrace convert --from 2s --to 3s x.vmt -o part.vmt
  vmtrace convert --pack --offsets=false x.vmt -o keep.vmt
  vmtrace convert - --to vmt -o - <lesson.txt | vmtrace replay -`,
	setup: func(fs *pflag.FlagSet) action {
		var c conversion
		fs.StringVarP(&c.out, "output", "o", "", "file to write, - is standard output")
		fs.StringVar(&c.from, "from", "", "`format` of another tool to read, by name; or the place to begin at")
		fs.StringVar(&c.to, "to", "", "`form` to write: vmt or text (default by the name of the output); or the place to end before")
		fs.IntVar(&c.reduce, "reduce", 0, "fold references by the exact reduction with this `K`")
		offsets := fs.Bool("offsets", true, "keep the offset of each reference in its page; a trace without is smaller")
		pack := fs.Bool("pack", false, "pack references for keeping and sending: under half of the size without offsets, slow to read")
		return func(ctx context.Context, args []string, std stdio) error {
			if *pack {
				c.how = append(c.how, trace.WithPacking())
			}
			if !*offsets {
				c.how = append(c.how, trace.WithoutOffsets())
			}
			return c.run(ctx, args[0], std)
		}
	},
}

// conversion is what vmtrace convert was asked for.
type conversion struct {
	out, from, to string
	reduce        int
	how           []trace.WriterOption
}

func (c *conversion) run(ctx context.Context, in string, std stdio) error {
	if c.out == "" {
		return usagef("-o OUT is missing: name the file to write")
	}
	if c.reduce != 0 && (c.reduce < 2 || c.reduce > reduce.MaxK) {
		return usagef("--reduce %d: K must be 2 to %d", c.reduce, reduce.MaxK)
	}
	src, err := c.open(in)
	if err != nil {
		return err
	}
	defer src.Close()
	asText, err := wantsText(c.to, c.out)
	if err != nil {
		return err
	}
	h := *src.Header()
	if c.reduce != 0 {
		if h.Reduce != 0 {
			return fmt.Errorf("%s is reduced already, with K = %d: reduce the original", in, h.Reduce)
		}
		h.Reduce = c.reduce
	}
	err = writeTo(c.out, std, func(w io.Writer) error {
		sink, err := newSink(w, h, asText, c.how...)
		if err != nil {
			return err
		}
		if c.reduce != 0 {
			if sink, err = reduce.New(sink, c.reduce); err != nil {
				return err
			}
		}
		if err := copyTrace(ctx, sink, src, true); err != nil {
			return err
		}
		return sink.Close()
	})
	warnAll(src.Warnings(), std)
	return err
}

// open opens the input: a part of a trace of our own, or any format. --from and
// --to are places, or names.
func (c *conversion) open(in string) (trace.Source, error) {
	var from, to string
	if isPlace(c.from) {
		from, c.from = c.from, ""
	}
	if isPlace(c.to) {
		to, c.to = c.to, ""
	}
	if c.from != "" && !slices.Contains(convert.Names(), c.from) {
		return nil, usagef("--from %s: there are %s", c.from, strings.Join(convert.Names(), ", "))
	}
	if from == "" && to == "" && !strings.Contains(in, "://") {
		return convert.Open(in, c.from)
	}
	if c.from != "" {
		return nil, usagef("--from %s: a part is taken only of a trace of vmtrace: convert the whole first", c.from)
	}
	part, err := selection(from, to, false)
	if err != nil {
		return nil, err
	}
	return trace.Open(in, trace.WithSelection(part))
}

// formatHelp lists the formats of other tools.
func formatHelp() string {
	var list strings.Builder
	for i := range convert.Formats {
		fmt.Fprintf(&list, "  %-14s %s\n", convert.Formats[i].Name, convert.Formats[i].Help)
	}
	return list.String()
}

func wantsText(to, out string) (bool, error) {
	switch to {
	case "":
		return strings.HasSuffix(out, ".txt") || strings.HasSuffix(out, ".text"), nil
	case "vmt", "text":
		return to == "text", nil
	}
	return false, usagef("--to %s: there are vmt and text", to)
}

func newSink(w io.Writer, h trace.Header, text bool, how ...trace.WriterOption) (trace.Sink, error) {
	if text {
		return trace.NewTextWriter(w, h)
	}
	return trace.NewWriter(w, h, how...)
}

// writeTo calls write with the file at path, or with standard output for "-".
// A regular file takes its name only once it is whole: a failure leaves what
// stood there before, and a file may be converted onto itself.
func writeTo(path string, std stdio, write func(io.Writer) error) error {
	if path == "-" {
		return buffered(std.out, write)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(buffered(f, write), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("%s: %w", path, errors.Unwrap(err)) // without the name of the temporary file
	}
	err = errors.Join(buffered(f, write), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func buffered(w io.Writer, write func(io.Writer) error) error {
	buf := bufio.NewWriterSize(w, 1<<16)
	if err := write(buf); err != nil {
		return err
	}
	return buf.Flush()
}

func warnAll(warnings []string, std stdio) {
	for _, w := range warnings {
		fmt.Fprintf(std.err, "vmtrace: warning: %s\n", w)
	}
}

// readHead returns the first n bytes of a file, or fewer if it is shorter.
func readHead(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, n)
	got, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return head[:got], nil
}

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
Examples:
  vmtrace convert lesson.txt -o lesson.vmt
  vmtrace convert x.vmt -o x.txt
  vmtrace convert perf.data -o app.vmt
  vmtrace convert --from champsim 600.perlbench.champsimtrace.xz -o perlbench.vmt
  vmtrace convert - --to vmt -o - <lesson.txt | vmtrace replay -`,
	setup: func(fs *pflag.FlagSet) action {
		out := fs.StringP("output", "o", "", "file to write, - is standard output")
		from := fs.String("from", "", "`format` of another tool to read, by name")
		to := fs.String("to", "", "`form` to write: vmt or text (default by the name of the output)")
		return func(ctx context.Context, args []string, std stdio) error {
			if *out == "" {
				return usagef("-o OUT is missing: name the file to write")
			}
			asText, err := wantsText(*to, *out)
			if err != nil {
				return err
			}
			if *from != "" && !slices.Contains(convert.Names(), *from) {
				return usagef("--from %s: there are %s", *from, strings.Join(convert.Names(), ", "))
			}
			src, err := convert.Open(args[0], *from)
			if err != nil {
				return err
			}
			defer src.Close()
			err = writeTo(*out, std, func(w io.Writer) error {
				sink, err := newSink(w, *src.Header(), asText)
				if err != nil {
					return err
				}
				if err := copyTrace(ctx, sink, src, true); err != nil {
					return err
				}
				return sink.Close()
			})
			warnAll(src.Warnings(), std)
			return err
		}
	},
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

func newSink(w io.Writer, h trace.Header, text bool) (trace.Sink, error) {
	if text {
		return trace.NewTextWriter(w, h)
	}
	return trace.NewWriter(w, h)
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

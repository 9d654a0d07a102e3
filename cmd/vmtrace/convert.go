package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace"
)

var convertCommand = &command{
	name: "convert", args: "IN -o OUT", minArgs: 1, maxArgs: 1,
	short: "turn text into a .vmt trace and back",
	long: `
Reads a trace in either form and writes it in the form that the name of OUT asks for: text
where it ends in .txt or .text, .vmt otherwise; --to decides for a stream (-).

Examples:
  vmtrace convert lesson.txt -o lesson.vmt
  vmtrace convert x.vmt -o x.txt
  vmtrace convert --from 2s --to 3s x.vmt -o y.vmt
  vmtrace convert --offsets=false x.vmt -o small.vmt
  vmtrace convert - --to vmt -o - <lesson.txt | vmtrace replay -`,
	setup: func(fs *pflag.FlagSet) action {
		out := fs.StringP("output", "o", "", "file to write, - is standard output")
		from := fs.String("from", "", "begin at this `place`: record number, or time such as 1.5s where the trace has time")
		to := fs.String("to", "", "end before this `place`; or the form to write: vmt or text (default by the name of the output)")
		offsets := fs.Bool("offsets", true, "keep the offset of each reference in its page; a trace without is much smaller")
		return func(ctx context.Context, args []string, std stdio) error {
			if *out == "" {
				return usagef("-o OUT is missing: name the file to write")
			}
			var end string
			if isPlace(*to) {
				end, *to = *to, ""
			}
			sel, err := selection(*from, end, false)
			if err != nil {
				return err
			}
			asText, err := wantsText(*to, *out)
			if err != nil {
				return err
			}
			src, err := trace.Open(args[0], trace.WithSelection(sel))
			if err != nil {
				return err
			}
			defer src.Close()
			err = writeTo(*out, std, func(w io.Writer) error {
				var opts []trace.WriterOption
				if !*offsets {
					opts = append(opts, trace.WithoutOffsets())
				}
				sink, err := newSink(w, *src.Header(), asText, opts...)
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

func wantsText(to, out string) (bool, error) {
	switch to {
	case "":
		return strings.HasSuffix(out, ".txt") || strings.HasSuffix(out, ".text"), nil
	case "vmt", "text":
		return to == "text", nil
	}
	return false, usagef("--to %s: there are vmt and text", to)
}

func newSink(w io.Writer, h trace.Header, text bool, opts ...trace.WriterOption) (trace.Sink, error) {
	if text {
		return trace.NewTextWriter(w, h)
	}
	return trace.NewWriter(w, h, opts...)
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

package main

import (
	"bufio"
	"context"
	"errors"
	"io"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace"
)

var catCommand = &command{
	name: "cat", args: "[flags] TRACE", minArgs: 1, maxArgs: 1,
	short: "print a trace as text",
	long: `
Prints the text twin of a trace, one record per line. The text is lossless: vmtrace convert
makes the same trace of it again.

Examples:
  vmtrace cat traces/gzip.vmt | head -50
  vmtrace cat --events traces/fork.vmt           only what is not a reference
  vmtrace cat --from 120000 --to 120050 x.vmt    a few records out of the middle
  vmtrace cat x.vmt | grep mprotect`,
	setup: func(fs *pflag.FlagSet) action {
		part := partFlags(fs, true)
		events := fs.Bool("events", false, "leave the references out (the text is then no longer lossless)")
		return func(ctx context.Context, args []string, std stdio) error {
			sel, err := part()
			if err != nil {
				return err
			}
			src, err := trace.Open(args[0], trace.WithSelection(sel))
			if err != nil {
				return err
			}
			defer src.Close()
			buf := bufio.NewWriterSize(std.out, 1<<16)
			w, err := trace.NewTextWriter(buf, *src.Header())
			if err != nil {
				return err
			}
			if err := copyTrace(ctx, w, src, !*events); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
			warnAll(src.Warnings(), std)
			return buf.Flush()
		}
	},
}

// copyTrace copies records until the end or until ctx is cancelled; without
// refs it leaves the references out.
func copyTrace(ctx context.Context, dst trace.Sink, src trace.Source, refs bool) error {
	for {
		b, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if b.Event != nil {
			err = dst.Event(b.Event)
		} else if refs {
			err = dst.Refs(b.Thread, b.Refs, b.IPs)
		}
		if err != nil {
			return err
		}
	}
}

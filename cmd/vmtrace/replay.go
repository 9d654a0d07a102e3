package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var replayCommand = &command{
	name: "replay", args: "[flags] TRACE", minArgs: 1, maxArgs: 1,
	short: "run a trace through the memory manager and count",
	long: `
Replays every reference, system call and process event of the trace, in order, through a
Linux-like memory manager and prints what it counted. TRACE is a .vmt file or its text
twin; - is standard input, https://... is fetched.

Examples:
  vmtrace replay traces/gzip.vmt                 a table for people
  vmtrace replay --json traces/gzip.vmt          the same for programs
  vmtrace replay --page-cache cold x.vmt         what if no file were in memory yet
  vmtrace replay --from 1s --to 2s x.vmt         a part; memory starts cold, mappings do not
  vmtrace replay --overcommit 2 --ram 1GiB x.vmt   what would be refused
  vmtrace replay --kernel linux-2.6.32 x.vmt     an older memory manager
  vmtrace replay --costs my.json x.vmt           estimated time by costs of your own
  vmtrace replay --explain 20 x.vmt              the first 20 faults in words
  vmtrace replay --explain 500-600 x.vmt         those of a range of records
  vmtrace gen zipf -o - | vmtrace replay -       straight from a generator
  vmtrace replay --json x.vmt | jq .totals.faults`,
	setup: func(fs *pflag.FlagSet) action {
		model := modelFlags(fs)
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print the result as JSON")
		check := fs.Bool("check", false, "recount the whole model while replaying: fails on any contradiction")
		explain := fs.String("explain", "", "tell faults in words as they happen, on standard error: the first `N`, or those of records FROM-TO")
		buckets := fs.Int("buckets", 0, "most points of the time line (default 1000)")
		return func(ctx context.Context, args []string, io stdio) error {
			opts, err := model()
			if err != nil {
				return err
			}
			sel, err := part()
			if err != nil {
				return err
			}
			opts.Check, opts.Buckets = *check, *buckets
			if *explain != "" {
				if opts.Explain, err = explainer(io.err, *explain); err != nil {
					return err
				}
			}
			run, err := replayFile(ctx, args[0], opts, io, trace.WithSelection(sel))
			if err != nil {
				return err
			}
			if *asJSON {
				return run.Write(io.out)
			}
			return report.Text(io.out, run)
		}
	},
}

// replayFile replays the trace at path ("-" is standard input).
func replayFile(ctx context.Context, path string, opts replay.Options, io stdio, how ...trace.ReaderOption) (*result.Run, error) {
	src, err := trace.Open(path, append(how, trace.WithWorkers(opts.Workers))...)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	line := newStatusLine(io.err)
	defer line.clear()
	opts.Path = path
	opts.Progress = func(p replay.Progress) {
		line.printf("%s: %s accesses, %s faults", path, report.SI(p.Accesses), report.SI(p.Faults))
	}
	return replay.Run(ctx, src, opts)
}

// loadRun returns the result in the file, replaying it first if it is a trace.
func loadRun(ctx context.Context, path string, opts replay.Options, io stdio, how ...trace.ReaderOption) (*result.Run, error) {
	saved, err := looksLikeResult(path)
	if err != nil {
		return nil, err
	}
	if saved {
		return result.ReadFile(path)
	}
	return replayFile(ctx, path, opts, io, how...)
}

// looksLikeResult tells a saved result (JSON) from a trace by its first byte.
func looksLikeResult(path string) (bool, error) {
	if path == "-" || strings.Contains(path, "://") {
		return false, nil
	}
	head, err := readHead(path, 64)
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")), err
}

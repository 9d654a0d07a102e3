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
	name: "replay", args: "[flags] TRACE", minArgs: 1, maxArgs: 2, // --explain may have left its value
	short: "run a trace through the memory manager and count",
	long: `
Replays every reference, system call and process event of the trace, in order, through a
Linux-like memory manager and prints what it counted. TRACE is a .vmt file or its text
twin; - is standard input, https://... is fetched.

With --memory or --frames pages have to leave, by the policy of --reclaim. Several of
them, or all, are replayed at once, from one reading of the trace, and printed side by
side. opt is Belady's optimum, the bound: it reads the trace twice, so the trace has
to be a file, and keeps what it learns in temporary files (in $TMPDIR). With it, memory that was given up by MADV_FREE goes to swap. --frames N --explain prints the
table of frames of textbooks.

Examples:
  vmtrace replay traces/gzip.vmt                 a table for people
  vmtrace replay --json traces/gzip.vmt          the same for programs
  vmtrace replay --page-cache cold x.vmt         what if no file were in memory yet
  vmtrace replay --from 1s --to 2s x.vmt         a part; memory starts cold, mappings do not
  vmtrace replay --overcommit 2 --ram 1GiB x.vmt   what would be refused
  vmtrace replay --kernel linux-2.6.32 x.vmt     an older memory manager
  vmtrace replay --memory 2MiB --reclaim all x.vmt     all policies side by side
  vmtrace replay --memory 2MiB --reclaim lru,linux,opt x.vmt
  vmtrace replay --memory 64MiB --kswapd x.vmt     a machine of that size, with watermarks and kswapd
  vmtrace replay --costs my.json x.vmt           estimated time by costs of your own
  vmtrace replay --explain 20 x.vmt              the first 20 faults in words
  vmtrace replay --explain 500-600 x.vmt         those of a range of records
  vmtrace gen silberschatz -o book.vmt           the string of a textbook ...
  vmtrace replay --frames 3 --reclaim fifo --explain book.vmt   ... and its table: 15 faults
  vmtrace replay --frames 3 --reclaim lru,opt book.vmt   12 and 9
  vmtrace gen zipf -o - | vmtrace replay -       straight from a generator
  vmtrace replay --json x.vmt | jq .totals.faults`,
	setup: func(fs *pflag.FlagSet) action {
		model := modelFlags(fs)
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print the result as JSON")
		check := fs.Bool("check", false, "recount the whole model while replaying: fails on any contradiction")
		explain := fs.String("explain", "", "tell faults in words as they happen, on standard error: the first `N`, or those of records FROM-TO, or all; alone and with --frames: print a table of frames instead of counts")
		fs.Lookup("explain").NoOptDefVal = explainAll
		buckets := fs.Int("buckets", 0, "most points of the time line (default 1000)")
		return func(ctx context.Context, args []string, io stdio) error {
			which, path, err := explainArgs(*explain, args)
			if err != nil {
				return err
			}
			policies, err := policyList(fs)
			if err != nil {
				return err
			}
			opts, err := model()
			if err != nil {
				return err
			}
			sel, err := part()
			if err != nil {
				return err
			}
			opts.Check, opts.Buckets = *check, *buckets
			switch {
			case len(policies) > 1 && opts.Model.Memory == 0:
				return usagef("--reclaim %s: without --memory or --frames no page leaves", strings.Join(policies, ","))
			case len(policies) > 1 && which != "":
				return usagef("--explain tells of one policy: name one with --reclaim")
			case len(policies) > 1:
				return comparePolicies(ctx, path, policies, opts, *asJSON, io, trace.WithSelection(sel))
			case which == explainAll && fs.Changed("frames"):
				if *asJSON {
					return usagef("--json and the table of frames both go to standard output: leave one of them out")
				}
				return frameTable(ctx, path, opts, io, trace.WithSelection(sel))
			case which != "":
				if opts.Explain, err = explainer(io.err, which); err != nil {
					return err
				}
			}
			run, err := replayFile(ctx, path, opts, io, trace.WithSelection(sel))
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
	runs, err := replayAll(ctx, path, []replay.Options{opts}, io, how...)
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}

// replayAll replays the trace at path in several configurations; the first tells
// of the progress.
func replayAll(ctx context.Context, path string, all []replay.Options, io stdio, how ...trace.ReaderOption) ([]*result.Run, error) {
	line := newStatusLine(io.err)
	defer line.clear()
	for i := range all {
		all[i].Path = path
		if !all[i].Model.NeedsFuture() {
			continue
		}
		if err := readableAgain(path); err != nil {
			return nil, err
		}
	}
	all[0].Progress = func(p replay.Progress) {
		line.printf("%s: %s accesses, %s faults", path, report.SI(p.Accesses), report.SI(p.Faults))
	}
	how = append(how, trace.WithWorkers(all[0].Workers), trace.WithWords(replay.Word))
	return replay.RunAll(ctx, func() (trace.Source, error) { return trace.Open(path, how...) }, all)
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

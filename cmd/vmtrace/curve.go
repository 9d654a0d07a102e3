package main

import (
	"context"
	"runtime"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/curve"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var curveCommand = &command{
	name: "curve", args: "[flags] TRACE", minArgs: 1, maxArgs: 1,
	short: "faults against memory, all sizes in one pass",
	long: `
Tells how the program would do with less memory: minor and major faults, and bytes written
back, for every size of memory from two pages to all it ever used, in one pass over the
trace. The replacement is exact LRU over anonymous memory, shared memory and pages of
files, which are not in memory at the start; swap is ample, and pages are read one by
one. So the curve at a size is what "vmtrace replay --reclaim lru --memory SIZE" counts.

Examples:
  vmtrace curve traces/sort.vmt                  a table for people, with the knees
  vmtrace curve --budget 1000 x.vmt              the least memory with at most 1000 major faults
  vmtrace curve -o out x.vmt                     and pictures: out/curve.png, out/working_set.png
  vmtrace curve --json x.vmt | jq '.knees[0].bytes'`,
	setup: func(fs *pflag.FlagSet) action {
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print the curve as JSON")
		points := fs.Int("points", 500, "most `points` of the curve; 0 = every size")
		budget := fs.Uint64("budget", 0, "tell the least memory with at most `N` major faults")
		out := fs.StringP("output", "o", "", "write the pictures to this `folder`")
		cache := fs.String("page-cache", "cold", "file pages at the start: `cold` (not in memory) or warm (in memory, and charged to somebody else: they cost nothing)")
		return func(ctx context.Context, args []string, io stdio) error {
			sel, err := part()
			if err != nil {
				return err
			}
			if *points < 0 {
				return usagef("--points %d: 0 is every size", *points)
			}
			model := paging.DefaultConfig()
			model.Levels = 0 // those of the trace
			if model.Cache, err = paging.ParseCacheState(*cache); err != nil {
				return usagef("--page-cache: %w", err)
			}
			opts := curve.Options{Points: *points, Replay: replay.Options{Model: model}}
			if fs.Changed("budget") {
				opts.Budget = budget
			}
			if *out != "" {
				if err := report.PrepareDir(*out); err != nil {
					return err
				}
			}
			src, err := trace.Open(args[0], trace.WithSelection(sel), trace.WithWorkers(runtime.GOMAXPROCS(0)))
			if err != nil {
				return err
			}
			defer src.Close()
			line := newStatusLine(io.err)
			defer line.clear()
			opts.Replay.Path = args[0]
			opts.Replay.Progress = func(p replay.Progress) {
				line.printf("%s: %s accesses", args[0], report.SI(p.Accesses))
			}
			c, err := curve.Run(ctx, src, opts)
			if err != nil {
				return err
			}
			line.clear()
			if *out != "" {
				if err := report.WriteCurve(*out, c); err != nil {
					return err
				}
			}
			if *asJSON {
				return c.Write(io.out)
			}
			return report.CurveText(io.out, c)
		}
	},
}

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

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

With --sample only a share of the pages is followed, and the counts are estimates: each
seed is another sample, the curve is the mean of them, and the band goes from the lowest to
the highest (with n seeds it holds the median of all samples with a probability of
1 - 2^(1-n): 94 % for 5). Time and memory shrink with the share. It is exact about
nothing: use it where the trace is too long for the exact curve.

With --policy other policies are simulated beside the curve, each at some sizes, as
"vmtrace replay --reclaim NAME --memory SIZE" would; opt and sizes that are not given take
a second reading of the trace. With --sample these are miniature simulations: the real
policy on the pages of the sample, with its share of memory and TLB, page by page
(no read-ahead, no batches). Without it each size and policy is a whole machine,
of some 70 bytes for each page of the program.

Examples:
  vmtrace curve traces/sort.vmt                  a table for people, with the knees
  vmtrace curve --budget 1000 x.vmt              the least memory with at most 1000 major faults
  vmtrace curve -o out x.vmt                     and pictures: out/curve.png, out/working_set.png
  vmtrace curve --sample 1/100 big.vmt           an estimate with a band, from 5 samples of 1 % of the pages
  vmtrace curve --policy clock,arc,opt x.vmt     other policies beside lru, at 16 sizes
  vmtrace curve --policy linux --memory 1MiB,2MiB x.vmt     at sizes of your own: one reading, so x.vmt may be -
  vmtrace curve --policy s3fifo --sample 0.01 big.vmt       miniature simulations
  vmtrace curve --json x.vmt | jq '.knees[0].bytes'`,
	setup: func(fs *pflag.FlagSet) action {
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print the curve as JSON")
		points := fs.Int("points", 500, "most `points` of the curve; 0 = every size")
		budget := fs.Uint64("budget", 0, "tell the least memory with at most `N` major faults")
		rate := newShare()
		fs.Var(rate, "sample", "follow only this `share` of the pages (0.01 or 1/100) and estimate the rest")
		seeds := fs.Int("seeds", 5, "`samples` to take, for the band of the estimate")
		policies := fs.StringSlice("policy", nil, "simulate `policies` beside the curve: "+strings.Join(policyNames(), ", ")+", or all")
		memory := fs.StringSlice("memory", nil, "`sizes` to simulate them with (default --sizes of them, up to what the program uses)")
		sizes := fs.Int("sizes", 16, "`number` of sizes to simulate them with")
		out := fs.StringP("output", "o", "", "write the pictures to this `folder`")
		cache := fs.String("page-cache", "cold", "file pages at the start: `cold` (not in memory) or warm (in memory, and charged to somebody else: they cost nothing)")
		return func(ctx context.Context, args []string, io stdio) error {
			sel, err := part()
			if err != nil {
				return err
			}
			switch {
			case *points < 0:
				return usagef("--points %d: 0 is every size", *points)
			case *seeds < 1 || *seeds > 100:
				return usagef("--seeds %d: must be 1 to 100", *seeds)
			case *sizes < 2 || *sizes > 1000:
				return usagef("--sizes %d: must be 2 to 1000", *sizes)
			case len(*policies) == 0 && (fs.Changed("memory") || fs.Changed("sizes")):
				return usagef("--memory and --sizes are for policies: name some with --policy; the curve of lru has every size")
			}
			model := paging.DefaultConfig()
			model.Levels = 0 // those of the trace
			if model.Cache, err = paging.ParseCacheState(*cache); err != nil {
				return usagef("--page-cache: %w", err)
			}
			opts := curve.Options{Points: *points, Replay: replay.Options{Model: model}, Rate: float64(*rate), Seeds: *seeds, NumSizes: *sizes}
			if opts.Policies, err = knownPolicies(*policies); err != nil {
				return err
			}
			if opts.Sizes, err = parseSizes(*memory); err != nil {
				return err
			}
			if fs.Changed("budget") {
				opts.Budget = budget
			}
			if *out != "" {
				if err := report.PrepareDir(*out); err != nil {
					return err
				}
			}
			if passes := slices.Contains(opts.Policies, "opt") || len(opts.Policies) > 0 && len(opts.Sizes) == 0; passes {
				if err := readableAgain(args[0]); err != nil {
					return err
				}
			}
			open := func() (trace.Source, error) {
				return trace.Open(args[0], trace.WithSelection(sel), trace.WithWorkers(runtime.GOMAXPROCS(0)), trace.WithWords(replay.Word))
			}
			line := newStatusLine(io.err)
			defer line.clear()
			opts.Replay.Path = args[0]
			opts.Replay.Progress = func(p replay.Progress) {
				line.printf("%s: %s accesses", args[0], report.SI(p.Accesses))
			}
			c, err := curve.Run(ctx, open, opts)
			if err != nil {
				return err
			}
			line.clear()
			if *out != "" {
				if _, err := report.WriteCurve(*out, c); err != nil {
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

// parseSizes reads sizes of memory.
func parseSizes(list []string) ([]uint64, error) {
	var out []uint64
	for _, text := range list {
		n := newSize(0)
		if err := n.Set(text); err != nil {
			return nil, usagef("--memory: %w", err)
		}
		if *n < paging.PageSize || uint64(*n) == paging.NoLimit {
			return nil, usagef("--memory %s: the least is one page, 4KiB, and there is a most", text)
		}
		out = append(out, uint64(*n)&^(paging.PageSize-1))
	}
	return out, nil
}

// share is a flag for a part of a whole: 0.01 or 1/100.
type share float64

func newShare() *share { s := share(1); return &s }

func (s *share) String() string { return strconv.FormatFloat(float64(*s), 'g', -1, 64) }

func (s *share) Set(text string) error {
	above, below, whole := strings.Cut(text, "/")
	v, err := strconv.ParseFloat(above, 64)
	if err == nil && whole {
		var n float64
		n, err = strconv.ParseFloat(below, 64)
		v /= n
	}
	if err != nil || !(v > 0 && v <= 1) {
		return fmt.Errorf("%q is not a share above 0 and up to 1, such as 0.01 or 1/100", text)
	}
	*s = share(v)
	return nil
}

func (s *share) Type() string { return "share" }

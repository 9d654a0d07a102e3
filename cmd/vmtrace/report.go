package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var reportCommand = &command{
	name: "report", args: "[flags] TRACE|RESULT.json|CURVE.json", minArgs: 1, maxArgs: 1,
	short: "draw the paging behaviour: one HTML file and its figures",
	long: `
Writes DIR/report.html (one file, no network needed) and the same figures as PNG or SVG. A
trace is replayed first; a result saved with vmtrace replay --json is drawn as it is. Of a
curve saved with vmtrace curve --json the figures are drawn, as PNG.

Examples:
  vmtrace report traces/gzip.vmt -o out
  vmtrace report --memory 2MiB --reclaim clock x.vmt -o out     also memory against the limit, evictions, swap
  vmtrace report --format png,svg run.json -o out
  vmtrace report curve.json -o out               of vmtrace curve --policy all --json x.vmt > curve.json`,
	setup: func(fs *pflag.FlagSet) action {
		dir := fs.StringP("output", "o", "vmtrace-report", "folder to write to, made if it is not there")
		formats := fs.StringSlice("format", []string{"png"}, "`formats` of the figures beside the page: png, svg")
		model := modelFlags(fs)
		part := partFlags(fs, false)
		return func(ctx context.Context, args []string, io stdio) error {
			opts, err := model()
			if err != nil {
				return err
			}
			sel, err := part()
			if err != nil {
				return err
			}
			if err := report.CheckFormats(*formats); err != nil {
				return usageError{err}
			}
			if err := report.PrepareDir(*dir); err != nil {
				return err
			}
			if c, err := loadCurve(args[0]); c != nil || err != nil {
				if err != nil {
					return err
				}
				n, err := report.WriteCurve(*dir, c)
				if err == nil {
					fmt.Fprintf(io.out, "%d figures of a curve in %s\n", n, *dir)
				}
				return err
			}
			run, err := loadRun(ctx, args[0], opts, io, trace.WithSelection(sel))
			if err != nil {
				return err
			}
			files, err := report.WriteAll(*dir, run, *formats)
			if err != nil {
				return err
			}
			fmt.Fprintf(io.out, "%s and %d figures\n", filepath.Join(*dir, "report.html"), len(files)-1)
			return nil
		}
	},
}

// loadCurve returns the curve in the file, nil if it holds something else.
func loadCurve(path string) (*result.Curve, error) {
	saved, err := looksLikeResult(path)
	if !saved || err != nil {
		return nil, err
	}
	return result.ReadCurveFile(path)
}

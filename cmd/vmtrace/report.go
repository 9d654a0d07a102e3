package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var reportCommand = &command{
	name: "report", args: "[flags] TRACE|RESULT.json", minArgs: 1, maxArgs: 1,
	short: "draw the paging behaviour: one HTML file and its figures",
	long: `
Writes DIR/report.html (one file, no network needed) and the same figures as PNG or SVG. A
trace is replayed first; a result saved with vmtrace replay --json is drawn as it is.

Examples:
  vmtrace report traces/gzip.vmt -o out
  vmtrace report --format png,svg run.json -o out`,
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

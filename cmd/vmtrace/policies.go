package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

// maxTableFrames is how many frames a table of frames has at most.
const maxTableFrames = 64

func policyNames() []string {
	var names []string
	for _, p := range paging.Policies() {
		names = append(names, p[0])
	}
	return names
}

// policyList is what --reclaim names: one policy, several with commas in between, or
// "all". The flag is left with the first, for the model.
func policyList(fs *pflag.FlagSet) ([]string, error) {
	flag := fs.Lookup("reclaim")
	list, err := knownPolicies(strings.Split(flag.Value.String(), ","))
	if err != nil {
		return nil, err
	}
	return list, flag.Value.Set(list[0])
}

// knownPolicies checks names of policies; "all" stands for every one.
func knownPolicies(list []string) ([]string, error) {
	all := policyNames()
	if slices.Equal(list, []string{"all"}) {
		return all, nil
	}
	for _, name := range list {
		if !slices.Contains(all, name) {
			return nil, usagef("reclaim policy %q: there are %v, and all", name, all)
		}
	}
	return list, nil
}

// comparePolicies replays the trace with all policies side by side.
func comparePolicies(ctx context.Context, path string, policies []string, opts replay.Options, asJSON bool, io stdio, how ...trace.ReaderOption) error {
	var all []replay.Options
	for _, name := range policies {
		opts.Model.Reclaim = name
		all = append(all, opts)
	}
	runs, err := replayAll(ctx, path, all, io, how...)
	if err != nil {
		return err
	}
	if asJSON {
		return result.WriteList(io.out, runs)
	}
	return report.PoliciesText(io.out, runs)
}

// frameTable prints the table of frames of textbooks.
func frameTable(ctx context.Context, path string, opts replay.Options, io stdio, how ...trace.ReaderOption) error {
	n := int(opts.Model.Memory / paging.PageSize)
	if n > maxTableFrames {
		return usagef("--frames %d: a table has %d at most; leave out --explain for counts", n, maxTableFrames)
	}
	table := report.NewFrameTable(io.out, n)
	opts.Frames = replay.NewFrames(n, func(s replay.FrameStep) { table.Add(s.Page, s.Frames, s.Fault) })
	run, err := replayFile(ctx, path, opts, io, how...)
	if err != nil {
		return err
	}
	if err := table.Close(run.Config.Reclaim); err != nil {
		return err
	}
	for _, warning := range run.Warnings {
		fmt.Fprintf(io.err, "vmtrace: warning: %s\n", warning)
	}
	return nil
}

// readableAgain refuses what can be read only once.
func readableAgain(path string) error {
	if path == "-" {
		return usagef("standard input cannot be read more than once, as this takes: save the trace to a file first")
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice|os.ModeSocket) != 0 {
		return usagef("%s: a pipe cannot be read more than once, as this takes: save the trace to a file first", path)
	}
	return nil
}

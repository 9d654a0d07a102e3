package main

import (
	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace"
)

// partFlags declares --from and --to of the commands that read a trace, and
// returns what makes a selection of them. bare leaves out the events before
// --from too: right for looking, wrong for replaying.
func partFlags(fs *pflag.FlagSet, bare bool) func() (trace.Selection, error) {
	from := fs.String("from", "", "begin at this `place`: record number, a time such as 1.5s where the trace has time, or mark:LABEL")
	to := fs.String("to", "", "end before this `place`")
	return func() (trace.Selection, error) { return selection(*from, *to, bare) }
}

func selection(from, to string, bare bool) (trace.Selection, error) {
	s := trace.Selection{Bare: bare}
	var err error
	if from != "" {
		if s.From, err = trace.ParsePoint(from); err != nil {
			return s, usagef("--from %w", err)
		}
	}
	if to != "" {
		if s.To, err = trace.ParsePoint(to); err != nil {
			return s, usagef("--to %w", err)
		}
		if s.To == (trace.Point{}) {
			return s, usagef("--to %s: nothing comes before it", to)
		}
	}
	return s, nil
}

// isPlace tells a place in a trace from the name of a format: vmtrace convert
// takes both for --from and --to.
func isPlace(s string) bool {
	_, err := trace.ParsePoint(s)
	return err == nil
}

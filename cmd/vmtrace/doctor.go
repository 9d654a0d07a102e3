package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace/capture"
)

var doctorCommand = &command{
	name: "doctor", args: "", maxArgs: 0,
	short: "which recorders work on this machine, and what is missing",
	long: `
Tries what every recorder needs and says which work here; for the others it names what is
missing and the command that installs it. Exit status 1 when none works.`,
	setup: func(fs *pflag.FlagSet) action {
		return func(ctx context.Context, args []string, io stdio) error {
			working := 0
			for i := range capture.Tools {
				t := &capture.Tools[i]
				if err := t.Check(); err != nil {
					fmt.Fprintf(io.out, "%-8s no   %v\n", t.Name, err)
					continue
				}
				working++
				fmt.Fprintf(io.out, "%-8s yes  %s\n", t.Name, t.Help)
			}
			if working == 0 {
				return fmt.Errorf("no recorder works here: install one as said above")
			}
			return nil
		}
	},
}

package main

import (
	"context"
	"runtime"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/scale"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var scaleCommand = &command{
	name: "scale", args: "[flags] TRACE", minArgs: 1, maxArgs: 1,
	short: "how faults would scale with CPUs, by the design of the locks",
	long: `
Predicts how many page faults a second the threads of a trace take together on 1 to 128
CPUs, if faults take one mutex of the address space (global), its mmap lock for reading
(mm, Linux until 6.3), the lock of their mapping (vma, Linux 6.4; where that cannot be had
at once, the mmap lock), or only that of their page table (table, as in the model of this
program).

The trace is replayed once; then its threads do their faults, and the calls that change
mappings, in virtual time: each in its own order, by a table of costs (the rows fault.*,
call.*, access and lock.* of "vmtrace replay --costs"), with queues at each lock and at
each word that CPUs share. It is a model of locks and no measurement: read the shape,
where a line stops growing, and not the height. For each design the lock is named, or
the word of one, that threads wait for longest. What comes before --from is not simulated.

Examples:
  vmtrace scale traces/threads.vmt
  vmtrace gen page_fault1 --threads 128 -o - | vmtrace scale -
  vmtrace scale --cpus 1,2,3,4 -o out x.vmt      and a picture: out/scale.png
  vmtrace scale --costs my.json x.vmt            {"costs": [{"what": "lock.line", "ns": 200}]}: two sockets
  vmtrace scale --json x.vmt | jq '.designs[] | {name, efficiency, waits}'`,
	setup: func(fs *pflag.FlagSet) action {
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print the prediction as JSON")
		cpus := fs.IntSlice("cpus", []int{1, 2, 4, 8, 16, 32, 64, 128}, "`numbers` of CPUs")
		steps := fs.Int("steps", scale.DefaultSteps, "simulate at most so many `faults` and calls, the first of the trace")
		costs := fs.String("costs", "", "JSON `file` with costs in ns; what it does not name keeps the built-in cost")
		out := fs.StringP("output", "o", "", "write the picture to this `folder`")
		return func(ctx context.Context, args []string, io stdio) error {
			sel, err := part()
			if err != nil {
				return err
			}
			for i, n := range *cpus {
				if n < 1 || n > scale.MaxCPUs || i > 0 && n <= (*cpus)[i-1] {
					return usagef("--cpus: %d: numbers from 1 to %d, rising", n, scale.MaxCPUs)
				}
			}
			if *steps < 1 || *steps > scale.MaxSteps {
				return usagef("--steps %d: must be 1 to %d", *steps, scale.MaxSteps)
			}
			table, err := loadCosts(*costs)
			if err != nil {
				return err
			}
			if *out != "" {
				if err := report.PrepareDir(*out); err != nil {
					return err
				}
			}
			model := paging.DefaultConfig()
			model.Levels = 0 // those of the trace
			line := newStatusLine(io.err)
			defer line.clear()
			opts := scale.Options{CPUs: *cpus, Steps: *steps, Replay: replay.Options{Model: model, Costs: table, Path: args[0],
				Progress: func(p replay.Progress) { line.printf("%s: %s accesses", args[0], report.SI(p.Accesses)) }}}
			src, err := trace.Open(args[0], trace.WithSelection(sel), trace.WithWorkers(runtime.GOMAXPROCS(0)))
			if err != nil {
				return err
			}
			defer src.Close()
			s, err := scale.Run(ctx, src, opts)
			if err != nil {
				return err
			}
			line.clear()
			if *out != "" {
				if err := report.WriteScale(*out, s); err != nil {
					return err
				}
			}
			if *asJSON {
				return s.Write(io.out)
			}
			return report.ScaleText(io.out, s)
		}
	},
}

package scale

import (
	"context"
	"fmt"

	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Options configure a prediction. The zero value is useful.
type Options struct {
	Replay replay.Options // Work is not looked at
	CPUs   []int          // to be simulated; none = 1, 2, 4, ... 128
	Steps  int            // most steps of all threads that are looked at, the first; 0 = DefaultSteps
}

// DefaultSteps is how many faults and calls are simulated if nobody says.
const DefaultSteps = 200_000

// MaxSteps is the most that can be asked for: some 36 bytes each, and those of the mappings
// that calls change.
const MaxSteps = 1 << 24

// MaxCPUs is the most CPUs that can be simulated.
const MaxCPUs = 4096

// Run replays a source and predicts the faults a second for each design and number of
// CPUs. Errors are those of replay.Run, and a trace without faults.
func Run(ctx context.Context, src trace.Source, opts Options) (*result.Scale, error) {
	costs := opts.Replay.Costs.OrDefault()
	if opts.Steps == 0 {
		opts.Steps = DefaultSteps
	}
	if len(opts.CPUs) == 0 {
		for n := 1; n <= 128; n *= 2 {
			opts.CPUs = append(opts.CPUs, n)
		}
	}
	c := newCollector(&costs, opts.Steps)
	opts.Replay.Work = c.add
	run, err := replay.Run(ctx, src, opts.Replay)
	if err != nil {
		return nil, err
	}
	p, err := c.program()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opts.Replay.Path, err)
	}
	out := &result.Scale{Schema: result.Schema, Trace: run.Trace, Costs: costs.Name(), Threads: len(p.threads), CPUs: opts.CPUs,
		Faults: uint64(p.faults), LeftOut: uint64(p.left), Warnings: run.Warnings}
	price := prices{word: costs.NS("lock.word"), line: costs.NS("lock.line"), held: costs.NS("lock.table"), wake: costs.NS("lock.wake")}
	for i := range Designs {
		d := &Designs[i]
		row := result.ScaleDesign{Name: d.Name, Meaning: d.Meaning}
		rate := func(o outcome) float64 { return float64(p.faults) / o.now * 1e9 }
		one := simulate(p, d, 1, price)
		for _, n := range opts.CPUs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			o := one
			if n > 1 {
				o = simulate(p, d, n, price)
			}
			row.FaultsPerSecond = append(row.FaultsPerSecond, rate(o))
			row.Efficiency = append(row.Efficiency, rate(o)/rate(one)/float64(n))
			on, share := o.waits()
			row.Waits = append(row.Waits, result.ScaleWait{For: on, Share: share})
		}
		out.Designs = append(out.Designs, row)
	}
	if out.Warnings == nil {
		out.Warnings = []string{}
	}
	if p.left > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the first %d faults and calls are simulated, %d more are left out", p.steps, p.left))
	}
	if len(p.threads) == 1 {
		out.Warnings = append(out.Warnings, "the trace has one thread: more CPUs cannot help it")
	}
	return out, nil
}

package curve

import (
	"cmp"
	"context"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// Options configure a curve. The zero value is useful.
type Options struct {
	Replay   replay.Options // Model.Memory, Model.Swap are not looked at
	Points   int            // most points of the curve; 0 = all
	Budget   *uint64        // major faults that are acceptable; nil = not asked
	Rate     float64        // share of the pages to look at; 0 or 1 = all of them
	Seeds    int            // samples; 0 = 5
	Policies []string       // reclaim policies to be simulated beside the curve
	Sizes    []uint64       // bytes of memory to simulate them with; none = NumSizes, and the source is opened twice
	NumSizes int            // 0 = 16
}

const (
	defaultSeeds = 5
	defaultSizes = 16

	// leastPages is the smallest memory: a copy needs its source and its target.
	leastPages = 2
)

// Run replays what open gives once and returns the faults for every size of
// memory; with Policies and no Sizes it opens it a second time. Errors are those of
// replay.RunAll.
func Run(ctx context.Context, open func() (trace.Source, error), opts Options) (*result.Curve, error) {
	p := newPlan(opts)
	if len(opts.Sizes) > 0 {
		p.simulate(opts.Sizes)
	}
	if err := p.run(ctx, open); err != nil {
		return nil, err
	}
	c := p.curve()
	if len(opts.Policies) > 0 && len(opts.Sizes) == 0 {
		p.simulate(spread(c.FootprintBytes, p.leastBytes(), opts.NumSizes))
		if err := p.run(ctx, open); err != nil {
			return nil, err
		}
	}
	all := c.Points
	c.Policies = p.policies(all)
	c.Knees = knees(all)
	if opts.Budget != nil {
		c.Budget = withinBudget(all, *opts.Budget)
	}
	c.Points = thin(all, opts.Points, c.Knees)
	return c, nil
}

// points are the counts at every size, from the least to that where nothing
// leaves memory.
func (s *stack) points(base *result.Faults) []result.CurvePoint {
	most := max(s.deepest, leastPages)
	out := make([]result.CurvePoint, 0, most)
	var sum [paging.NumStackEvents]int64
	for pages := range most + 1 {
		for what, n := range s.counts.From(uint32(pages)) {
			sum[what] += n
		}
		if pages < leastPages {
			continue
		}
		out = append(out, result.CurvePoint{Bytes: uint64(pages) * paging.PageSize, Minor: uint64(int64(base.Minor) + sum[paging.StackMinor]),
			Major: uint64(int64(base.Major) + sum[paging.StackMajor]), WriteBackBytes: uint64(sum[paging.StackWriteBack]) * paging.PageSize})
	}
	return out
}

// withinBudget is the least memory with no more major faults, nil when there is
// none.
func withinBudget(points []result.CurvePoint, budget uint64) *result.Budget {
	b := &result.Budget{Major: budget}
	for _, p := range points {
		if p.Major <= budget {
			b.Bytes = p.Bytes
			break
		}
	}
	return b
}

// thin keeps at most n points: the ends, the knees, and of the rest the ones that
// tell most, at even steps of the curve's length.
func thin(all []result.CurvePoint, n int, keep []result.CurvePoint) []result.CurvePoint {
	if n <= 0 || len(all) <= n {
		return all
	}
	kept := []result.CurvePoint{all[0], all[len(all)-1]}
	kept = append(kept, keep...)
	high := float64(max(1, all[0].Major-all[len(all)-1].Major))
	length := 0.0
	step := func(i int) float64 {
		return 1/float64(len(all)) + float64(all[i-1].Major-all[i].Major)/high
	}
	for i := 1; i < len(all); i++ {
		length += step(i)
	}
	each, sum := length/float64(max(1, n-len(kept))), 0.0
	for i := 1; i < len(all)-1; i++ {
		if sum += step(i); sum >= each {
			kept = append(kept, all[i])
			sum = 0
		}
	}
	slices.SortFunc(kept, func(a, b result.CurvePoint) int { return cmp.Compare(a.Bytes, b.Bytes) })
	return slices.CompactFunc(kept, func(a, b result.CurvePoint) bool { return a.Bytes == b.Bytes })
}

package curve

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// plan is the runs that make a curve, all from one decode: for each sample one that
// measures distances, and one for each policy and size. Without sampling there is
// one sample, of all pages.
type plan struct {
	opts    Options
	rate    float64
	samples []*sample
	waiting []replay.Options // to be run
	take    []func(*result.Run)
}

// sample is one seed.
type sample struct {
	of    *replay.Sample // nil: all pages
	stack *stack
	run   *result.Run
	sims  []simulation
}

// simulation is a policy with so much memory.
type simulation struct {
	policy string
	pages  uint64 // of the sample: the size times the rate
	point  result.CurvePoint
	warned []string
}

func newPlan(opts Options) *plan {
	p := &plan{opts: opts, rate: opts.Rate}
	seeds := opts.Seeds
	if seeds <= 0 {
		seeds = defaultSeeds
	}
	if p.rate <= 0 || p.rate >= 1 {
		p.rate, seeds = 1, 1
	}
	for seed := range seeds {
		s := &sample{stack: newStack()}
		p.samples = append(p.samples, s)
		o := opts.Replay
		o.Model.Memory, o.Model.Swap, o.Model.ReclaimExact, o.Model.Stack = 0, 0, true, s.stack
		s.of = o.Sample
		if p.sampled() {
			s.of = &replay.Sample{Rate: p.rate, Seed: uint64(seed)}
			o.Sample, o.Pace = s.of, s.stack.times.pace
		}
		p.add(o, func(run *result.Run) { s.run = run })
	}
	return p
}

func (p *plan) sampled() bool { return p.rate < 1 }

// add plans a run. Those of one sample have to follow one another.
func (p *plan) add(o replay.Options, take func(*result.Run)) {
	if len(p.waiting) > 0 {
		o.Progress = nil
	}
	p.waiting, p.take = append(p.waiting, o), append(p.take, take)
}

// run performs what is planned.
func (p *plan) run(ctx context.Context, open func() (trace.Source, error)) error {
	runs, err := replay.RunAll(ctx, open, p.waiting)
	if err != nil {
		return err
	}
	for i, run := range runs {
		p.take[i](run)
	}
	p.waiting, p.take = nil, nil
	return nil
}

// leastBytes is the smallest memory of the curve.
func (p *plan) leastBytes() uint64 { return p.bytes(leastPages) }

// bytes is the memory that so many pages of a sample stand for.
func (p *plan) bytes(pages uint64) uint64 {
	return uint64(math.Round(float64(pages)/p.rate)) * paging.PageSize
}

// simulate plans every policy at every size: the real policy on the pages of a
// sample, with the sample's share of memory (C. Waldspurger, T. Saemundsson, I. Ahmad,
// N. Park: Cache Modeling and Optimization using Miniature Simulations, USENIX ATC
// 2017). lru is not simulated: it is the curve itself.
func (p *plan) simulate(sizes []uint64) {
	var pages []uint64
	for _, size := range sizes {
		pages = append(pages, max(leastPages, uint64(math.Round(float64(size/paging.PageSize)*p.rate))))
	}
	slices.Sort(pages)
	pages = slices.Compact(pages)
	planned, take := p.waiting, p.take
	p.waiting, p.take = nil, nil
	for i, s := range p.samples {
		if len(planned) > 0 { // the sample's distances, in the same lane
			p.add(planned[i], take[i])
		}
		s.sims = make([]simulation, 0, len(p.opts.Policies)*len(pages))
		for _, policy := range p.opts.Policies {
			for _, n := range pages {
				s.sims = append(s.sims, simulation{policy: policy, pages: n})
				if policy == "lru" {
					continue
				}
				o, sim := p.opts.Replay, &s.sims[len(s.sims)-1]
				o.Sample = s.of
				o.Model.Memory, o.Model.Swap, o.Model.Reclaim = n*paging.PageSize, 1<<44, policy
				p.add(o, func(run *result.Run) { sim.point, sim.warned = counts(run), run.Warnings })
			}
		}
	}
}

// counts is the point of the curve that a run under a limit is.
func counts(run *result.Run) result.CurvePoint {
	t := &run.Totals
	return result.CurvePoint{Bytes: run.Config.MemoryBytes, Minor: t.Faults.Minor, Major: t.Faults.Major,
		WriteBackBytes: t.Swap.OutBytes + t.Reclaim.FileOutBytes, OOMKills: t.Reclaim.OOMKills}
}

// spread is n sizes from the least to the footprint, at even steps of their
// logarithm; small memories in which everything thrashes are of little interest:
// the least is a 256th of the footprint.
func spread(footprint, least uint64, n int) []uint64 {
	if n <= 0 {
		n = defaultSizes
	}
	low := max(float64(least), float64(footprint)/256)
	steps := math.Log(max(1, float64(footprint)/low)) / float64(max(1, n-1))
	var out []uint64
	for i := range n {
		out = append(out, uint64(math.Round(low*math.Exp(float64(i)*steps)/paging.PageSize))*paging.PageSize)
	}
	return slices.Compact(out)
}

// policies are the curves of the policies; all is that of lru.
func (p *plan) policies(all []result.CurvePoint) []result.PolicyCurve {
	var out []result.PolicyCurve
	for k := range p.samples[0].sims {
		sim := &p.samples[0].sims[k]
		if k == 0 || sim.policy != p.samples[0].sims[k-1].policy {
			out = append(out, result.PolicyCurve{Policy: sim.policy})
		}
		c := &out[len(out)-1]
		point := all[min(sim.pages, uint64(len(all))+leastPages-1)-leastPages]
		if sim.policy != "lru" {
			var each []result.CurvePoint
			for _, s := range p.samples {
				each = append(each, s.sims[k].point)
			}
			point = p.estimate(each)
		}
		point.Bytes = p.bytes(sim.pages)
		c.Points = append(c.Points, point)
	}
	return out
}

// warnings are those of all runs, each once.
func (p *plan) warnings() []string {
	out := []string{}
	if p.sampled() {
		s := p.sample()
		out = append(out, fmt.Sprintf("sampled: counts are estimates, from %d samples of %v of the pages (%d pages each); the band is from the lowest to the highest of them", s.Seeds, s.Rate, s.Pages))
		if s.Pages < fewPages {
			out = append(out, fmt.Sprintf("the samples are small: with fewer than %d pages the estimates are rough; a larger --sample is better", fewPages))
		}
	}
	for _, w := range p.samples[0].run.Warnings {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// fewPages is how many pages in a sample are too few.
const fewPages = 200

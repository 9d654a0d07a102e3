package curve

import (
	"cmp"
	"math"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// Estimates from samples (SHARDS: C. Waldspurger, N. Park, A. Garthwaite, I. Ahmad,
// FAST 2015). With a rate R a sample holds R of the pages, a distance in it is R of
// the distance, and it takes R of the faults: so a memory of M pages is R·M pages
// of the sample, and its faults are those of the sample divided by R.
//
// They are divided by R and not by the share of references that the sample turned
// out to hold. This is the paper's correction SHARDS-adj (section 3.2): a sample
// with a few very popular pages more or less has many more or fewer references than
// expected, and the difference belongs to the first bucket of distances, since
// popular pages are hits in every memory. It changes no fault at any size that the
// curve has.

// curve is the curve of exact LRU, or its estimate.
func (p *plan) curve() *result.Curve {
	first := p.samples[0].run
	c := &result.Curve{Schema: result.Schema, Trace: first.Trace, Config: first.Config, Timing: first.Timing}
	c.Config.TLB = p.opts.Replay.Model.TLB.String()
	var all [][]result.CurvePoint
	sum := 0
	for _, s := range p.samples {
		points := s.stack.points(&s.run.Totals.Faults)
		all = append(all, points)
		sum += s.stack.deepest
		c.Timing.Seconds = max(c.Timing.Seconds, s.run.Timing.Seconds)
	}
	c.FootprintBytes = uint64(math.Round(float64(sum)/float64(len(all))/p.rate)) * paging.PageSize
	if c.Points = all[0]; p.sampled() {
		c.Points = p.estimates(all)
	}
	c.Reuse, c.WorkingSet = p.reuse(), p.workingSet()
	if p.sampled() {
		c.Sample = p.sample()
	}
	c.Warnings = p.warnings()
	return c
}

// estimates are the curve, from those of the samples.
func (p *plan) estimates(all [][]result.CurvePoint) []result.CurvePoint {
	longest := slices.MaxFunc(all, func(a, b []result.CurvePoint) int { return cmp.Compare(len(a), len(b)) })
	each, out := make([]result.CurvePoint, len(all)), make([]result.CurvePoint, len(longest))
	for i := range out {
		for k, points := range all {
			each[k] = points[min(i, len(points)-1)]
		}
		out[i] = p.estimate(each)
		out[i].Bytes = p.bytes(uint64(i) + leastPages)
	}
	return out
}

// sample describes the samples.
func (p *plan) sample() *result.Sample {
	pages := 0
	for _, s := range p.samples {
		pages += s.stack.deepest
	}
	return &result.Sample{Rate: p.rate, Seeds: len(p.samples), Pages: uint64(pages / len(p.samples))}
}

// estimate is the mean of what the samples say, and the band of it. Without
// sampling it is the count itself.
func (p *plan) estimate(each []result.CurvePoint) result.CurvePoint {
	if !p.sampled() {
		return each[0]
	}
	b := result.Band{MinorLow: math.MaxUint64, MajorLow: math.MaxUint64, WriteBackLow: math.MaxUint64}
	out := result.CurvePoint{Band: &b}
	for i := range each {
		out.OOMKills += each[i].OOMKills
	}
	for _, field := range []struct {
		of              func(*result.CurvePoint) *uint64
		mean, low, high *uint64
	}{
		{func(c *result.CurvePoint) *uint64 { return &c.Minor }, &out.Minor, &b.MinorLow, &b.MinorHigh},
		{func(c *result.CurvePoint) *uint64 { return &c.Major }, &out.Major, &b.MajorLow, &b.MajorHigh},
		{func(c *result.CurvePoint) *uint64 { return &c.WriteBackBytes }, &out.WriteBackBytes, &b.WriteBackLow, &b.WriteBackHigh},
	} {
		sum := 0.0
		for i := range each {
			v := float64(*field.of(&each[i])) / p.rate
			sum += v
			*field.low, *field.high = min(*field.low, uint64(math.Round(v))), max(*field.high, uint64(math.Round(v)))
		}
		*field.mean = uint64(math.Round(sum / float64(len(each))))
	}
	return out
}

// reuse is the mean histogram of distances.
func (p *plan) reuse() []result.Bucket {
	var sum [65]float64
	for _, s := range p.samples {
		s.stack.eachDistance(func(d int, n int64) {
			real := uint64(math.Round(float64(d) / p.rate))
			sum[bitsUpTo(real)] += float64(n)
		})
	}
	var h [65]uint64
	for i, n := range sum {
		h[i] = uint64(math.Round(n / p.rate / float64(len(p.samples))))
	}
	return buckets(h[:])
}

// workingSet is the mean over the samples, as far as all of them go.
func (p *plan) workingSet() []result.WorkingSet {
	var out []result.WorkingSet
	for k, s := range p.samples {
		one := s.stack.times.workingSet()
		if k == 0 {
			out = make([]result.WorkingSet, len(one))
		}
		out = out[:min(len(out), len(one))]
		for i := range out {
			out[i].Refs = one[i].Refs
			out[i].Pages += one[i].Pages / p.rate / float64(len(p.samples))
		}
	}
	return out
}

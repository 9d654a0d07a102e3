package bench

import (
	"slices"
	"testing"
	"time"
)

// Work does some units of work and says how many, and how long the part of it took
// that counts.
type Work func() (units int, took time.Duration)

// Pair does two works by turns, b.N times each, and reports the median rate of ours,
// the time of one unit, and as x-of-NAME how many times the rate of theirs that is:
// the median over the turns. Both works of a turn run within milliseconds of each
// other, so that a machine which is slower for a while is so for both.
func Pair(b *testing.B, unit, name string, ours, theirs Work) {
	b.Helper()
	ours() // warm
	theirs()
	b.ResetTimer()
	var rates, ratios []float64
	for i := range b.N {
		var mine, other float64
		if i%2 == 0 {
			mine, other = rate(ours), rate(theirs)
		} else {
			other, mine = rate(theirs), rate(ours)
		}
		rates, ratios = append(rates, mine), append(ratios, mine/other)
	}
	b.StopTimer()
	r := median(rates)
	b.ReportMetric(r, unit+"s/s")
	b.ReportMetric(1e9/r, "ns/"+unit)
	b.ReportMetric(median(ratios), "x-of-"+name)
	b.ReportMetric(0, "ns/op") // of both works together: of no meaning
}

// rate is units a second.
func rate(w Work) float64 {
	n, d := w()
	return float64(n) / d.Seconds()
}

// median of what is not empty.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// Timed is a work whose units all count: f does n.
func Timed(n int, f func()) Work {
	return func() (int, time.Duration) {
		began := time.Now()
		f()
		return n, time.Since(began)
	}
}

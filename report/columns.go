package report

import (
	"github.com/vmtrace/vmtrace/replay/result"
)

// maxColumns is how many columns a picture has room for.
const maxColumns = 240

// columns groups the buckets of a time line into equal columns.
type columns struct {
	edges []float64 // accesses: column i is edges[i] to edges[i+1]
	last  []int     // last bucket of each column
}

// newColumns groups the buckets of the run. A last column much narrower than the
// others joins its neighbour: rates over a few accesses mislead.
func newColumns(run *result.Run) columns {
	ends := run.Timeline.EndsAccesses
	c := columns{edges: []float64{0}}
	step := (len(ends) + maxColumns - 1) / maxColumns
	for i := step - 1; i < len(ends)+step-1 && len(ends) > 0; i += step {
		at := min(i, len(ends)-1)
		c.edges = append(c.edges, float64(ends[at]))
		c.last = append(c.last, at)
	}
	if n := len(c.last); n >= 2 && c.width(n-1) < c.width(n-2)/2 {
		c.edges = append(c.edges[:n-1], c.edges[n])
		c.last = append(c.last[:n-2], c.last[n-1])
	}
	return c
}

func (c *columns) width(i int) float64 { return c.edges[i+1] - c.edges[i] }

// sum adds up the buckets of each column.
func (c *columns) sum(values []uint64) []float64 {
	return c.each(values, func(sum, v float64) float64 { return sum + v })
}

// peak is the largest value in each column.
func (c *columns) peak(values []uint64) []float64 {
	return c.each(values, func(m, v float64) float64 { return max(m, v) })
}

func (c *columns) each(values []uint64, f func(acc, v float64) float64) []float64 {
	out := make([]float64, len(c.last))
	i := 0
	for col, last := range c.last {
		for ; i <= last; i++ {
			out[col] = f(out[col], float64(values[i]))
		}
	}
	return out
}

// rate is the sum of each column per so many accesses.
func (c *columns) rate(values []uint64, per float64) []float64 {
	out := c.sum(values)
	for i := range out {
		if w := c.width(i); w > 0 {
			out[i] *= per / w
		}
	}
	return out
}

package curve

import (
	"math"
	"slices"

	"github.com/vmtrace/vmtrace/replay/result"
)

// kneeHeight is how far a knee bends from the straight line between the ends of
// its part of the curve, in parts of the whole height.
const kneeHeight = 0.05

// mostKnees is how many knees are told.
const mostKnees = 4

// knees are the points where more memory begins to pay little: those farthest
// below the line between the ends of the curve of major faults, both axes
// logarithmic and scaled to 1 (V. Satopaa, J. Albrecht, D. Irwin, B. Raghavan: Finding a "Kneedle" in a
// Haystack, ICDCS workshops 2011); then those of the parts on both sides. They are
// in order of memory.
func knees(points []result.CurvePoint) []result.CurvePoint {
	if len(points) < 3 || points[0].Major == points[len(points)-1].Major {
		return nil
	}
	k := kneeFinder{points: points, x: make([]float64, len(points)), y: make([]float64, len(points))}
	for i, p := range points {
		k.x[i], k.y[i] = math.Log(float64(p.Bytes)), math.Log(float64(p.Major)+1)
	}
	k.height = slices.Max(k.y) - slices.Min(k.y)
	k.split(0, len(points)-1)
	return k.found
}

type kneeFinder struct {
	points []result.CurvePoint
	x, y   []float64
	height float64
	found  []result.CurvePoint
	n      int
}

// split finds the knee of the part [a, b] and those on its sides. Where the curve
// stays above the line and then falls, the part is cut at the edge of that fall.
func (k *kneeFinder) split(a, b int) {
	if b-a < 2 || k.n >= mostKnees {
		return
	}
	knee, edge := 0, 0
	deepest, highest := kneeHeight*k.height, kneeHeight*k.height
	for i := a + 1; i < b; i++ {
		line := k.y[a] + (k.y[b]-k.y[a])*(k.x[i]-k.x[a])/(k.x[b]-k.x[a])
		if depth := line - k.y[i]; depth > deepest {
			knee, deepest = i, depth
		} else if -depth > highest {
			edge, highest = i, -depth
		}
	}
	switch {
	case edge != 0 && highest > deepest:
		k.split(a, edge)
		k.split(edge, b)
	case knee != 0:
		k.n++
		k.split(a, knee)
		k.found = append(k.found, k.points[knee])
		k.split(knee, b)
	}
}

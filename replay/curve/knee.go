package curve

import "github.com/vmtrace/vmtrace/replay/result"

// kneeHeight is how far a knee bends from the straight line between the ends of
// its part of the curve, in parts of the whole height.
const kneeHeight = 0.1

// mostKnees is how many knees are told.
const mostKnees = 4

// knees are the points where more memory begins to pay little: those farthest
// below the line between the ends of the curve of major faults, both axes scaled
// to 1 (V. Satopaa, J. Albrecht, D. Irwin, B. Raghavan: Finding a "Kneedle" in a
// Haystack, ICDCS workshops 2011); then those of the parts on both sides. They are
// in order of memory.
func knees(points []result.CurvePoint) []result.CurvePoint {
	if len(points) < 3 || points[0].Major == points[len(points)-1].Major {
		return nil
	}
	k := kneeFinder{points: points, height: float64(points[0].Major - points[len(points)-1].Major), width: float64(len(points) - 1)}
	k.split(0, len(points)-1)
	return k.found
}

type kneeFinder struct {
	points        []result.CurvePoint
	height, width float64
	found         []result.CurvePoint
	n             int
}

// split finds the knee of the part [a, b] and those on its sides.
func (k *kneeFinder) split(a, b int) {
	if b-a < 2 || k.n >= mostKnees {
		return
	}
	at, deepest := 0, kneeHeight
	first, last := float64(k.points[a].Major), float64(k.points[b].Major)
	for i := a + 1; i < b; i++ {
		line := first + (last-first)*float64(i-a)/float64(b-a)
		if depth := (line - float64(k.points[i].Major)) / k.height; depth > deepest {
			at, deepest = i, depth
		}
	}
	if at == 0 {
		return
	}
	k.n++
	k.split(a, at)
	k.found = append(k.found, k.points[at])
	k.split(at, b)
}

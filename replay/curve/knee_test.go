package curve

import (
	"testing"

	"github.com/vmtrace/vmtrace/replay/result"
)

// TestKnees: curves whose knees are plain to see.
func TestKnees(t *testing.T) {
	curve := func(major ...uint64) []result.CurvePoint {
		var out []result.CurvePoint
		for i, m := range major {
			out = append(out, result.CurvePoint{Bytes: uint64(i+2) << 12, Major: m})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		major []uint64
		want  []uint64 // pages
	}{
		{"flat", []uint64{5, 5, 5, 5}, nil},
		{"one fall", []uint64{1000, 1000, 1000, 1000, 1, 1, 1, 1, 1}, []uint64{6}},
		{"two falls", []uint64{100000, 100000, 100, 100, 100, 100, 100, 100, 100, 100, 100, 1, 1, 1, 1, 1}, []uint64{4, 13}},
		{"the fall of a power is a straight line", []uint64{1 << 20 / 2, 1 << 20 / 3, 1 << 20 / 4, 1 << 20 / 5, 1 << 20 / 6}, nil},
	} {
		got := knees(curve(c.major...))
		ok := len(got) == len(c.want)
		for i := range got {
			ok = ok && got[i].Bytes == c.want[i]<<12
		}
		if !ok {
			t.Errorf("%s: %+v, want knees at %v pages", c.name, got, c.want)
		}
	}
}

package report

import (
	"fmt"
	"strings"

	"github.com/vmtrace/vmtrace/replay/result"
)

// Nanoseconds is a time for people: 12.3 us, 4.56 ms, 7.89 s.
func Nanoseconds(ns uint64) string {
	for _, u := range []struct {
		unit string
		ns   float64
	}{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}} {
		if v := float64(ns) / u.ns; v >= 0.9995 {
			return three(v) + " " + u.unit
		}
	}
	return fmt.Sprintf("%d ns", ns)
}

// estimateParts says what the estimated time goes to, in shares, most first.
func estimateParts(e *result.Estimate) string {
	var parts []string
	for _, k := range byCount(map[string]uint64{
		"faults": e.Faults, "reads from disk": e.Reads, "page-table walks": e.Walks, "TLB flushes": e.Flushes, "swap": e.Swap,
		"mappings of the kernel": e.Kernel,
	}) {
		if k.n > 0 {
			parts = append(parts, k.name+" "+percent(k.n, e.Total))
		}
	}
	if len(e.Unpriced) > 0 {
		parts = append(parts, "without a cost: "+strings.Join(e.Unpriced, " "))
	}
	if len(parts) == 0 {
		return "nothing that costs"
	}
	return strings.Join(parts, ", ")
}

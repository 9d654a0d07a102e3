package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SI is a count with a decimal prefix: "950", "12.3 k", "4.56 M".
func SI(n uint64) string {
	v, prefix := scale(float64(n), 1000, "kMGTPE")
	if prefix == "" {
		return strconv.FormatUint(n, 10)
	}
	return three(v) + " " + prefix
}

// Bytes is a size with a binary prefix: "512 B", "1.50 MiB".
func Bytes(n uint64) string {
	v, prefix := scale(float64(n), 1024, "KMGTPE")
	if prefix == "" {
		return strconv.FormatUint(n, 10) + " B"
	}
	return three(v) + " " + prefix + "iB"
}

// scale divides by base until the value is below it. What would be rounded up
// to base goes to the next prefix.
func scale(v, base float64, prefixes string) (float64, string) {
	prefix := ""
	for i := 0; i < len(prefixes) && v >= base-0.5*base/1000; i++ {
		v /= base
		prefix = prefixes[i : i+1]
	}
	return v, prefix
}

// three prints a value with three significant digits.
func three(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Count is a whole number with thousands apart: "1,234,567".
func Count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// percent is part of whole: "12.3 %", "0 %" of nothing.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	if part > 0 && p < 0.05 {
		return "<0.1 %"
	}
	return fmt.Sprintf("%.1f %%", p)
}

// plural is "1 process", "2 processes".
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + many
}

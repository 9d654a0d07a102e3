package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/replay"
)

// explainer tells faults in words: the first "N", or those of the records
// "FROM-TO", both included.
func explainer(w io.Writer, which string) (func(replay.Step), error) {
	left, first, last := uint64(math.MaxUint64), uint64(0), uint64(math.MaxUint64)
	var err error
	if from, to, isRange := strings.Cut(which, "-"); isRange {
		if first, err = strconv.ParseUint(from, 10, 64); err == nil {
			last, err = strconv.ParseUint(to, 10, 64)
		}
	} else {
		left, err = strconv.ParseUint(which, 10, 64)
	}
	if err != nil || first > last {
		return nil, usagef("--explain: %q is neither a number of faults, such as 20, nor a range of records, such as 500-600", which)
	}
	return func(s replay.Step) {
		if left == 0 || s.Record < first || s.Record > last {
			return
		}
		left--
		fmt.Fprintf(w, "record %d, thread %d of process %d: %v of %#x\n", s.Record, s.TID, s.PID, s.Fault.Access, s.Fault.Addr)
		for _, line := range s.Fault.Explain() {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}, nil
}

package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/vmtrace/vmtrace/replay"
)

// explainAll is --explain without a value.
const explainAll = "all"

// explainArgs finds the trace among the arguments of replay, and the value of
// --explain, which may be one of them: pflag leaves it there if it is not joined by
// a "=".
func explainArgs(explain string, args []string) (which, path string, err error) {
	if len(args) == 1 {
		return explain, args[0], nil
	}
	for i, word := range args {
		if _, _, _, ok := faultRange(word); ok && explain == explainAll {
			return word, args[1-i], nil
		}
	}
	if explain == explainAll {
		return "", "", usagef("--explain: %q or %q: neither a number of faults, such as 20, nor a range of records, such as 500-600", args[0], args[1])
	}
	return "", "", usagef("unexpected argument %q: one trace at a time", args[1])
}

// faultRange reads a number of faults "N", or records "FROM-TO", both included, or
// "all".
func faultRange(which string) (most, first, last uint64, ok bool) {
	most, last = math.MaxUint64, math.MaxUint64
	if which == explainAll {
		return most, first, last, true
	}
	var err error
	if from, to, isRange := strings.Cut(which, "-"); isRange {
		if first, err = strconv.ParseUint(from, 10, 64); err == nil {
			last, err = strconv.ParseUint(to, 10, 64)
		}
	} else {
		most, err = strconv.ParseUint(which, 10, 64)
	}
	return most, first, last, err == nil && first <= last
}

// explainer tells faults in words: those of faultRange.
func explainer(w io.Writer, which string) (func(replay.Step), error) {
	left, first, last, ok := faultRange(which)
	if !ok {
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

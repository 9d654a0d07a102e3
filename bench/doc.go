// Package bench holds the benchmarks of the whole and nothing else; what each
// number means, and the table of the last run, stands in README.md beside it.
//
//	go test -run '^$' -bench . ./bench/...
//
// Names are key=value paths (Fault/kind=anon), so that benchstat can group by
// key. Every benchmark verifies its result once, before the timed loop. The
// simulated counters are exact: they must not differ between two runs at all.
package bench

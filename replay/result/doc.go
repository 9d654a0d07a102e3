// Package result is the plain data of a finished run: what was replayed, with
// which configuration, what was counted and what there is to warn about. It
// imports nothing of vmtrace, so that a saved run can be read, drawn and
// compared without the model.
//
//	run, err := result.ReadFile("run.json")
//	if err != nil { ... }
//	fmt.Println(run.Totals.Faults.Minor, run.Totals.RSS.PeakBytes)
//
// # Rules
//
//   - Counts are whole numbers; a key carries its unit (peak_bytes, seconds).
//   - What is timed stands in Run.Timing and nowhere else: two runs of the
//     same trace with the same configuration are equal byte for byte once
//     Timing is left out (see [Run.Counts]).
//   - A metric has one name in every output: the path of its JSON key, with
//     dots ([Run.Metrics]). Gates and comparisons use these names.
//   - Schema is raised when a key changes its meaning or goes away, not when
//     one is added.
//
// Values of this package are plain data without locks: share them freely once
// the run is over, do not change them from two goroutines.
package result

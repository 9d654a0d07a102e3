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
//   - Lists and objects are there when they are empty (never null). Text is
//     valid UTF-8: what was not is replaced.
//   - What is missing, inferred, bounded or imposed is said in Warnings.
//
// # Names that other programs may rely on
//
//	schema
//	trace.{path,command,accesses,refs,reduce}
//	config.*
//	totals.{accesses,refs,page_table_bytes}
//	totals.faults.{minor,major,kinds.NAME}
//	totals.rss.{peak_bytes,final_bytes}
//	totals.tlb.{misses,walks}, totals.tlb.flushes.{total,causes.NAME}
//	totals.reclaim.{evictions,refaults}, totals.swap.{in_bytes,out_bytes}
//	totals.reclaim.{kswapd,direct}.{runs,scanned,stolen}: on a machine with kswapd
//	totals.write_back.{old_bytes,background_bytes}: with a flusher
//	totals.estimate_ns.{total,faults,reads,walks,flushes,swap,kernel}: estimates
//	agreement.segv, agreement.syscalls.{compared,mismatched,by_call.NAME}
//	processes[].{pid,command,faults,rss}, mappings[], series[], warnings[]
//	run.{seconds,refs_per_second,workers,order}
//	run.locks.CLASS.{acquired,contended,lost_races,retries}
//
// Values of this package are plain data without locks: share them freely once
// the run is over, do not change them from two goroutines.
package result

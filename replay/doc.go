// Package replay drives the paging model with a trace and collects what
// happened: it joins the leaves trace, paging and replay/result, which do not
// know each other.
//
//	src, err := trace.Open("traces/gzip.vmt")
//	if err != nil { ... }
//	defer src.Close()
//	run, err := replay.Run(ctx, src, replay.Options{Model: paging.DefaultConfig()})
//
// # The life of a record here
//
//  1. engine.go takes a batch from the source. A batch of references goes
//     through the task of its thread in chunks; everything else is an event.
//  2. apply.go turns an event into operations of the model: it is the only
//     file that names both trace records and model operations. calls.go holds
//     the table of system calls that change an address space.
//  3. agreement.go compares the model's answer with the recorded one.
//  4. The observers (obs_*.go) watch faults and take a snapshot of the
//     model's counters at every boundary of the time line.
//  5. collect.go makes the result.
//
// # Captured and other traces
//
// The layout of a captured trace is the recorder's: where the program got an
// address from mmap or mremap, that address is imposed, and the model checks
// that it was free, aligned and allowed. An access that the model refuses is
// then a fault of the model or of the capture: it is counted in
// result.Agreement, the first is described, and the replay goes on. (The last
// one of a process that really was ended by SIGSEGV or SIGBUS is explained and
// not counted.)
//
// In a generated or text trace the model places mappings by its own rules, and
// SIGSEGV, SIGBUS and OOM end the process as they would a real one; later
// records of a dead process are passed over and counted in a warning.
//
// # Order
//
// Records are applied in the order of the trace, by one goroutine. Threads run
// on the CPU that a Sched record names, or else on CPU i mod CPUs for the i-th
// thread of the trace.
package replay

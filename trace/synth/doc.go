// Package synth generates traces: workloads whose faults can be worked out by
// hand, and shapes that stress one part of a memory manager.
//
//	err := synth.Generate("zipf", synth.Params{Pages: 1000, Refs: 1e6, Seed: 7},
//		func(h trace.Header) (trace.Sink, error) { return trace.NewWriter(f, h) })
//
// A generated trace is the same, byte for byte, for the same parameters on every
// machine: random numbers come from PCG-DXSM (math/rand/v2.PCG), whose sequence
// is published, and what is drawn from them is integer arithmetic of this
// package. Memory is bounded by the number of threads, and of the mappings that
// each holds at a time (Live), not by pages or references.
//
// # How it works
//
// A generator is one row of the table [Generators] and one file: a function
// that makes a program of its parameters. A program is ordinary code that calls
// mmap, read, write, fork and so on of its thread (thread.go); every thread is a
// coroutine, and stream.go runs them in turns of Slice references and calls. One
// of them runs at a time, in a fixed order. Params and which generator takes
// which of them: params.go.
//
// Addresses are fixed (MAP_FIXED), so that a replay puts everything where the
// trace says; the heap begins where the first brk tells. Threads have no stacks
// and programs no image: what is in the trace is the workload alone. Consecutive
// accesses of a thread to one page make one reference that counts them.
//
// # What must be counted
//
// For P pages, N threads, R rounds and one process, on Linux 6.1 with a warm
// page cache, fault-around of 64 KiB and no memory limit; P a multiple of 512
// where there is a file. The kinds of faults are the functions of mm/memory.c.
// The tests hold what a trace contains, and the scripts
// cmd/vmtrace/testdata/gen_*.txtar what a replay counts, against this table.
//
//	page_fault1   N*R*P do_anonymous_page; N*R flushes of munmap
//	page_fault2   N*R*P do_cow_fault; N*R flushes of munmap
//	page_fault3   N*R*P do_shared_fault; N*R*(P/512 + 1) flushes of munmap:
//	              zap_pte_range flushes the dirty pages of each leaf table before
//	              it unlocks the table, and then the tables go
//	mmap1, mmap2  nothing: no page is touched
//	brk1          nothing: the page that comes and goes is never touched
//	tlb_flush1    of 16 pages one do_cow_fault, then 15 wp_page_copy, since the
//	              read fault of the first (do_read_fault) maps all 16; 16 reads;
//	              a flush for each copy and each madvise, N*R of munmap
//	tlb_flush2    N*R*P do_anonymous_page for the write and as many for the read;
//	              N*R*P flushes of madvise, N*R of munmap
//	tlb_flush3    of 16 pages one do_shared_fault, 15 wp_page_shared, 16 reads;
//	              N*R*P flushes of madvise, N*R of munmap
//	fork-server   with C children and K = P * writes / 100: P do_anonymous_page,
//	              R*C*K wp_page_copy by children, R wp_page_reuse by the parent;
//	              R*C flushes of fork, R*C*K of copy-on-write, R*C+1 of exit
//	mmap-storm    N*R do_anonymous_page, N*R flushes of munmap
//	malloc-mmap   every page of every block once: as many faults as writes
//	file-sync     N*P do_shared_fault in the first round, N*P wp_page_shared in
//	              each later one: msync makes the pages clean and read-only again
//	sparse        N*P/stride do_anonymous_page (fewer where two threads draw the
//	              same page), in P/512 leaf tables for a stride of 512; where
//	              transparent huge pages are always made, 512 times the memory
//	belady        5 do_anonymous_page; under FIFO 9 faults with
//	              3 frames and 10 with 4
package synth

// Package scale predicts, in virtual time, how the faults of a program with threads
// scale with the number of CPUs, for several designs of the kernel's locks.
//
// A replay tells what each thread has the kernel do (replay.Work): faults, with the
// mapping and the leaf table they are of, calls that change mappings, and the accesses
// in between. A discrete-event simulation then lets every thread do its own steps in
// its own order on so many CPUs. A step is a row of what a design does (Designs): it
// computes, changes a word that CPUs share, takes a lock, works with it held.
//
//   - A CPU runs one thread at a time. Threads that wait for a CPU or for a lock that
//     sleeps do so first come, first served; a thread keeps its CPU until it sleeps or
//     ends.
//   - A word that CPUs share (the counter of a reader/writer lock) is changed by one
//     CPU at a time, and costs more for each that did not change it last.
//   - A reader/writer lock is fair: a reader behind a waiting writer waits, too, as in
//     kernel/locking/rwsem.c. The lock of a page table is spun for.
//
// Costs are those of a replay (costs.json, rows fault.*, call.map, lock.*). What comes
// out is the shape: what saturates, where, and why. Left out are the caches but for the
// words of locks, memory bandwidth and the zone lock, TLB flushes, time slices, the
// fallback of per-VMA locks to the mmap lock, and whatever the threads wait for each
// other in user space. A call locks the mapping that begins at its first argument and
// no other that it changes, and a mapping that grows at its beginning becomes another:
// beside calls that change mappings the line of vma is too good.
package scale

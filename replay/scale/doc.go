// Package scale predicts, in virtual time, how the faults of a program with threads
// scale with the number of CPUs, for several designs of the kernel's locks.
//
// A replay tells what each thread has the kernel do (replay.Work): faults, with the
// mapping and the leaf table they are of, calls, with the mappings that they change, and
// the accesses in between. A discrete-event simulation then lets every thread do its own
// steps in its own order on so many CPUs. A step is a row of what a design does
// (Designs): it computes, changes a word that CPUs share, takes a lock, works with it
// held.
//
//   - A CPU runs one thread at a time. Threads that wait for a CPU or for a lock that
//     sleeps do so first come, first served; a thread keeps its CPU until it sleeps or
//     ends.
//   - A word that CPUs share (the counter of a reader/writer lock) is changed by one
//     CPU at a time, and costs more for each that did not change it last.
//   - A reader/writer lock is fair: a reader behind a waiting writer waits, too, as in
//     kernel/locking/rwsem.c. The lock of a page table is spun for.
//   - A call that makes memory go does so with the mmap lock given down to reading, and
//     with its mappings given back (mmap_write_downgrade): munmap, a brk that goes down, an
//     mremap that shrinks. Faults go on beside it, but other calls wait, and behind them
//     faults that want the mmap lock.
//   - With a lock for each mapping a fault only tries it. It falls back to the mmap lock
//     if a writer has the mapping or waits for it, if the mapping is anonymous and has no
//     anon_vma yet, and if the kernel faults itself: in copies to and from the program,
//     and for MAP_POPULATE and mlock. A call takes the mmap lock and then each mapping that
//     it changes; all are given back together (Linux 6.7 mm/memory.c:lock_vma_under_rcu,
//     include/linux/mm.h:vma_start_read, vma_start_write; Documentation/mm/
//     process_addrs.rst). Advice such as MADV_DONTNEED, and msync, take the mmap lock for
//     reading.
//   - Mappings are told apart by paging.MappingID: one that grows, shrinks, splits or
//     merges stays the same where the kernel's vm_area_struct does.
//
// Costs are those of a replay (costs.json, rows fault.*, call.*, lock.*). What comes
// out is the shape: what saturates, where, and why: the lock or word that threads wait
// for longest. Left out are:
//
//   - the caches but for the words of locks, memory bandwidth, the zone lock, TLB
//     flushes, time slices, waiting for a disk, and whatever the threads wait for each
//     other in user space. Each thread keeps its order, but in virtual time it may use a
//     mapping before another thread's call has made it;
//   - how long a call works but for the pages that it takes away, those of large pages as
//     if they were small: call.map, whatever its size;
//   - spinning for the mmap lock before going to sleep for it (rwsem_optimistic_spin);
//   - that a stack which grows takes the mmap lock for writing;
//   - other releases: until 6.6 faults of files fall back as well, since 6.10 a first
//     anonymous fault holds both locks for a moment (vmf_anon_prepare), and newer ones
//     take the lock of the mapping for some advice;
//   - exec and exit: nobody else is in the address space that they take down.
package scale

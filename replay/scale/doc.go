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
//
// # What page_fault1 shows
//
// Its threads map, write and unmap 128 MiB each (will-it-scale, tests/page_fault1.c),
// which one might take for mappings of their own. They are one. All threads have been
// made when the first maps (main.c: they wait for a pipe), so that no stack comes between;
// top-down placement puts each mapping below the last or into the highest hole; and what
// is new has no anon_vma, so it merges with the neighbour that it touches
// (mm/mmap.c:mmap_region, is_mergeable_anon_vma). munmap splits what it makes a hole in,
// and both parts keep the anon_vma, so that the next mmap puts them together. A second
// anon_vma begins only when the highest place is filled while that below it is empty. The
// generator's regions touch in the same way, and paging's TestMergeAgainstKernel holds
// the model against the live kernel, call by call. Counted there for mappings of 128 MiB
// less a page: with 4 threads 3.4 mappings at a time were 1.2 vm_area_structs, with 8
// threads 6.1 were 1.5, and 86 of 100 were in the largest.
//
// So the lock of the mapping is again one word for all, and per-VMA locks gain little
// where nobody calls: published_test.go holds the model against what was measured when
// they were proposed, 0.9 to 1.2 times the mmap lock in one mapping, and against
// speculative faults, which share no word and scale with the CPUs as table does here.
// Figures of page_fault1 itself were not published with per-VMA locks; those of
// speculative faults are "some moderate improvement". What there is to gain comes from
// the calls: with the mmap lock an mmap that waits for a munmap to drop its pages keeps
// all faults waiting, with a lock for each mapping it does not. The model has vma at 1.1
// times mm with 64 CPUs, and both stop at 5 to 6 times one CPU: pages are dropped by one
// thread at a time, since each mmap and munmap waits for the one before.
//
// Newer kernels show more: since Linux 6.7 anonymous mappings of whole 2 MiB are aligned
// by searching for 2 MiB more than they need (mm/huge_memory.c:__thp_get_unmapped_area),
// so that the hole of one of 128 MiB does not take another. Counted on 6.18: with 8
// threads 6.8 mappings at a time were 1.7 vm_area_structs and the largest had 78 of 100,
// with 64 threads of 4 MiB 5.1 were 3.7. The model is of 6.1 and does not align.
package scale

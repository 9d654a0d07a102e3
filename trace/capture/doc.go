// Package capture records real programs: a table of recorders (Tools), each of
// which runs a program and writes a trace while it runs.
//
//	tool := capture.Tools[0]
//	if err := tool.Check(); err != nil { ... } // says what to install
//	res, err := tool.Record(ctx, capture.Options{Command: []string{"ls"}}, open)
//
// # lackey
//
// Debian's valgrind with --tool=lackey prints every access and system call. It
// writes one log for each process, by name of its pid; the recorder makes each of
// these a FIFO before the process opens it. To know in time that there is a new
// process, it traces all of them with ptrace, for the events fork, exec and exit
// only. At such an event the process is stopped, so everything it has logged is
// in its FIFO; the recorder drains it, and so the order between processes is
// exact at fork, exec, exit and hence wait. Between those, processes are merged
// in the order in which their logs arrive. Valgrind runs one thread of a process
// at a time; the order between threads is exact.
//
// What valgrind does differently from the kernel, and what becomes of it:
//
//   - It lays out the address space: the trace holds the addresses it gave, and
//     its header says "captured", so that the model imposes them.
//   - It preloads a library into the program, vgpreload_core. Its mappings are
//     part of the program's own calls; who replays counts faults on files of
//     that name apart.
//   - It runs vfork, and clone with CLONE_VM and CLONE_VFORK, as a fork. The trace
//     says what the program asked for, and the recorder keeps the caller stopped
//     until the child has its own image or is gone, as the kernel does. A program
//     that has its child tell it something through the shared memory misses that:
//     posix_spawn of a missing program succeeds, and the child exits with 127.
//   - It builds the image and stack itself. The faults that the kernel takes
//     while it does that natively are in the trace as usercopy records: the
//     argument area of the stack, and the cleared tails of .bss. Frames of signal
//     handlers are not in the trace.
//   - It answers a few newer calls (rseq, clone3) with ENOSYS; the C library
//     falls back to older ones. The program has no vdso: the clock is read by
//     system calls.
//
// The recorder reads a log after the fact. What a call points to, other than its
// paths, which valgrind prints, may have changed by then: the buffers of readv,
// sendmsg and the like are in the trace if their vector still adds up to the result
// of the call, else the result of the recording has a warning. A file that is gone by
// then goes by its path, and has the size that the program maps.
//
// A daemon is recorded until it ends, too. A 32-bit program that a recorded one
// executes is not recorded, and there is a warning.
//
// # qemu
//
// Debian's qemu-user runs the program, and a plugin of ours (plugin/, compiled
// with cc when it is first used and kept in the user's cache) sees every access,
// translation block and system call. Each thread writes its records into a ring of
// its own in memory that all processes share with the recorder (plugin/ring.h), and
// publishes what is in it at every system call and when a part of the ring is full.
// A full ring makes the thread wait; nothing is dropped. The memory is found once
// and kept mapped, so a program may close its descriptors, change directory or give
// up its rights.
//
// Order: within a thread as it happened. Between threads and processes as it was
// published, hence exact at system calls and approximate between them, and the
// header says so. Before a call that takes memory away (munmap, mprotect, mremap,
// brk, madvise, mmap at a fixed address) and before a fork all other threads of the
// process publish, so that what they did before stands before.
//
// Children are followed through fork, vfork and exec; ptrace, for the events fork,
// exec and exit only, tells of their ends, and ends all of them with the recorder.
// An exec is followed by leading it into the emulator again (plugin/exec.h). Where
// that cannot be done (setuid programs, programs for other machines, after giving up
// the rights that the memory needs) the image runs natively, which is a lost record
// and a warning.
//
// The plugin folds (plugin/window.h). A reference of the trace is a run of accesses
// to one page; with Reduce = K (8 at most; what is above is left to package reduce)
// it keeps what an LRU memory of K pages cannot do without: a page that is not among
// the K used last, and as many others as it takes to drop the same page then (OLR of
// Kaplan, Smaragdakis and Wilson, SIGMETRICS 1999). That is exact for the memories
// and TLBs that package reduce names; TestWindowIsExact holds it against an LRU of
// its own. The counts of what is left out stand with the last reference to the page
// of those that are handed over together, at most 16384 and never across a system
// call. The first reference to a page after a system call has its address, every
// other one only its page: its offset is 0. With Reduce = 0 data references keep all
// of their addresses, and fetches have them as said before.
//
// What that costs: gzip -9 -c of 3 MB of kernel documentation (doc: 964 M accesses in
// 0.29 s), of 3 MB of C source (source: 802 M in 0.22 s) and of a 2.5 MB program (elf:
// 2.18 G in 0.41 s), full stream, two processors, wall time over native, and bytes per
// access; medians of 3 to 5:
//
//	                                                  doc    source   elf
//	emulator alone                                    2.5    2.5      2.0
//	with callbacks that do nothing                    4.5    5.2      4.8
//	before: window of K pages, first and last
//	  reference of each, 16 bytes each, counts not
//	  gathered, zstd level 7, K = 4                   31.3   28.2     22.9
//	now, K = 4                                        16.7   17.3     14.7
//	now, K = 0                                        41      45      62
//	bytes per access, K = 4                           0.0169 0.0179   0.0055
//	bytes per access, K = 0                           0.0384 0.0402   0.0173
//
// The thread of the program is what takes that long: two thirds of all processor time
// is in the emulator's process, which has one processor to itself. Of that, in doc,
// two fifths are the 34 M pages that enter a window of four (40 ns each), a
// third the callbacks that find their page, and the rest the emulator.
//
// Tried, with doc; seconds of wall time and of both processors:
//
//	references that K = 4 leaves   first and last of each window 92 M, package
//	                               reduce's rule (SAD) 78 M, OLR 68 M
//	the table above, before        9.2 and 13.7
//	OLR, one word a reference, symbols remembered by their key, compression on
//	  another goroutine, level 7   5.6 and 9.0
//	the same, level 1              4.7 and 7.0
//	the same, and fetches noted with the first access of a block where
//	  plugin/once.h allows it      4.3 and 6.3
//	what is known of a page in 64 bytes instead of 80, cc -O3, -march=native:
//	                               no difference beyond noise
//
// Not tried: inline operations of the plugin API, which count into one place for all
// threads before QEMU 9 and would lose counts.
//
// What the emulator does differently from the kernel, and what becomes of it:
//
//   - It lays out the address space, from 0x4000000000 on, and from QEMU 8.1 on among
//     its own (mixedGuest): the trace holds the addresses it gave, and its header says
//     "captured".
//   - It maps code without the permission to execute: the regions of the image are
//     made from the program headers instead. Pages of its own that the program can
//     reach (descriptor tables, signal return) are marked as the recorder's.
//   - It builds the image and stack itself: as with lackey, the kernel's faults of
//     that are in the trace as usercopy records.
//   - Fetches are noted where a translation block begins, all of the block at once.
//     A block that a fault leaves half done counts in full, or, where the fault is
//     at its first access, not at all (plugin/once.h). Vector accesses of 16
//     bytes and more count as several.
//   - It has no vdso (before QEMU 8.2): the clock is read by system calls. It
//     answers rseq, clone3 and set_robust_list with ENOSYS.
//   - It runs vfork as a fork; the plugin makes the parent wait, and the trace says
//     vfork.
//   - Frames of signal handlers are written by the emulator and not seen.
//   - A program that a signal ends leaves a line of QEMU's on the standard error.
//
// Tested with QEMU 7.2 of Debian 12 on x86-64, for programs of x86-64, i386 and aarch64;
// and with QEMU 10.0.2, which takes version 2 and later of the plugin interface only,
// built with --enable-plugins: Debian's own from 13 on is linked statically and cannot
// load plugins, which doctor tells.
//
// # faults
//
// Perf events of the kernel, one buffer for each processor: every minor and major
// fault with address, instruction pointer, thread and time, and the side band of
// mmap, exec, fork and exit. The buffers are merged by time. The program runs
// natively; its faults cost about a third more. It needs kernel.perf_event_paranoid
// of 2 or less, or root; at 2 the faults inside the kernel are missing, and the
// header says so.
//
// Every fault is a Fault record and a reference, so that a replay touches what the
// program touched first. Accesses that did not fault are not in the trace, and the
// header says "faults: only". The kind of the access is not in the event: a fetch is
// known by its address, and where memory is writable a write is assumed.
//
// Mappings are inferred. The kernel tells of them as they are after they merged with
// their neighbours, and not of munmap and mremap at all: what is new becomes a call
// of mmap at a fixed address, another protection one of mprotect, and memory that
// was unmapped and mapped again at the same place is taken to be the same. Pages
// that mlock, MAP_POPULATE or MADV_POPULATE make present are counted by getrusage
// and are no fault events.
//
// Memory that the kernel reads or writes for a call is described by the table in
// usercopy.go.
//
// # Marks
//
// qemu and lackey see the calls by which a program sets marks (trace.MarkPrefix);
// faults sees no calls. With Options.After the references before a mark are left out:
// as they come from the ring or the log, so the program is not faster before it.
package capture

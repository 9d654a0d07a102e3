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
//     through the task of its thread in chunks, which end where a bucket of the
//     time line is full; everything else is an event.
//  2. apply.go turns an event into operations of the model: it and the files it
//     calls are the only place that names both trace records and model
//     operations. tasks.go holds processes and threads; calls.go the table of
//     system calls that change an address space, calls_map.go those of them
//     that choose addresses; descriptors.go finds the file of an mmap.
//  3. agreement.go compares the model's answers with the recorded ones.
//  4. The observers (obs_*.go) watch faults and take a snapshot of the
//     model's counters at every boundary of the time line.
//  5. collect.go makes the result. limits.go says what is bounded, and how.
//
// run.go runs one configuration or several from one decode: fan.go hands the records
// to them, each lane (lane.go) in a goroutine of its own. A lane may be of a sample
// of the pages.
//
// optimal.go runs the engine twice for a policy that needs the future; frames.go
// follows what stands in the frames of a small memory, for the tables of textbooks.
//
// # Captured and other traces
//
// In a trace of origin "captured" or "converted" the layout of the address space
// is the recorder's:
//
//   - The address that mmap or mremap gave is imposed. The model checks that it
//     was free and aligned, and answers ENOMEM where it was not.
//   - A refusal of brk, or of mremap without MREMAP_MAYMOVE, to grow is imposed
//     where the model would have grown: something of the recorder's may have
//     stood in the way. So is a refusal of huge pages (MAP_HUGETLB), which
//     depends on the machine and its pool. Such answers compare as equal and are
//     counted (Syscalls.Imposed).
//   - An mmap that failed when it was recorded leaves nothing in the model: what
//     MAP_FIXED would have replaced stays.
//   - A descriptor that no File record names is taken for a file of its own.
//   - The identifier that shmget gave is imposed. A segment that is found by its
//     key without having been made is taken for new.
//   - A region that does not fit is a warning.
//   - An access that the model refuses is a fault of the model or of the
//     capture: it is counted in Agreement.Segv, the first is described, and the
//     replay goes on. The last one of a process that was ended by SIGSEGV or
//     SIGBUS is explained and not counted, if its thread did nothing after it.
//     Programs that handle the signal and live on cannot be told apart: their
//     accesses are counted.
//   - A UserCopy that the model refuses is counted likewise.
//
// In every other trace (generated, text) the model places mappings by its own
// rules. SIGSEGV, SIGBUS and OOM end the process as they would a real one; later
// records of a dead process are passed over and counted in a warning. A UserCopy
// that is refused is EFAULT, and nothing more. A region that does not fit is an
// error.
//
// In both, answers of the model that differ from the recorded ones are counted by
// call, and the first is described. Where no Map record tells the start of the
// heap, the first brk does.
//
// # Exec
//
// op=exec takes the old image down. The new one is what follows: Map records of
// its regions, and UserCopy records of what the kernel wrote while it built them -
// arguments and tables at the top of the stack, and zeros from where .bss begins to
// the end of that page; recorders write both, and so may a trace by hand (lesson
// exec_image). Nothing is counted beside them. paging.Task.ExecImage works all of
// it out from the headers of the program.
//
// # 32-bit programs
//
// The ABI in the header of the trace chooses the address space, for all of its
// processes: 2-level tables and the layout of a 32-bit kernel for i386, 4 levels
// otherwise. Options.Model.Levels chooses other tables: 3 (PAE), or 4 or 5, on
// which an i386 program gets the layout that 32-bit processes of a 64-bit kernel
// have. A recorded i386 program has that layout with any number of levels, since
// its addresses may lie above 3 GiB.
//
// # Shared memory
//
// Files whose path begins with /memfd: or /dev/shm/, and what memfd_create makes,
// are shared memory: pages are made on demand, and live as long as a descriptor, a
// mapping or, in /dev/shm, the file. Files follow ftruncate and fallocate; pages
// that write made are not known. Of shmctl only IPC_RMID acts. The one system
// call ipc of i386 that stood for all of these before Linux 5.1 is not followed.
//
// # Large pages
//
// With transparent huge pages time passes: small pages become huge ones in the
// background at times of the Time records, or, in a trace without any, of one ns for
// each access. A recorded mapping of hugetlb that the pool has no room for makes
// the pool grow, which the result tells. prctl is followed for PR_SET_THP_DISABLE.
//
// # In the background
//
// kswapd (paging.Config.Kswapd) and the flusher (Flusher) work while time passes
// (daemons.go): that which the table of costs gives to the accesses and faults so far,
// and never less than Time records tell. It is looked at after a reference that took a
// fault, after an event and every 16,384 accesses (2^20 without kswapd). What programs
// reclaim themselves takes them no time.
//
// # What is not acted on
//
// Fault records. Truth records only stand in the result, beside what
// the model had at that point. System calls outside of calls.go are counted by
// name; those among them that change memory make a warning (unmodelled), and so
// does memory that was asked for in huge pages without --thp. Close-on-exec: after exec a
// process keeps its descriptors until they are closed or named again.
//
// # Order and cost
//
// Records are applied in the order of the trace. With several workers the source
// decodes ahead, and what threads of different CPUs reference between two events is
// performed side by side where they do not meet (beside.go): hits, walks, and first
// touches in leaf tables that one CPU has for itself. Other faults, calls,
// and everything under a limit of memory keep their order. The result is
// the same to the last byte for any number of workers and however the references are
// cut into batches. Threads
// run on the CPU that a Sched record names, or else on CPU i mod CPUs for the
// i-th thread of the trace. References allocate nothing. Memory is bounded by
// what the model holds and by limits.go, not by the length of the trace; the
// model itself holds what a trace maps and touches, however much that is.
//
// # Tests
//
// testdata holds lessons: text traces with what must be counted, worked out by
// hand from the kernel's source (lesson_test.go says how to read and write one).
package replay

// Vmtrace replays memory accesses and system calls of a program through a model
// of the Linux memory manager, and shows its page faults, resident memory and TLB
// flushes.
//
//	vmtrace record -o ls.vmt -- ls -l      record a program
//	vmtrace report ls.vmt -o out           see its paging behaviour in out/report.html
//
// # Commands
//
//	record    run a program and write a trace while it runs
//	convert   turn text into a .vmt trace and back, or import the trace of another tool
//	gen       make a synthetic trace
//	info      what is in a trace
//	cat       print a trace as text
//	replay    run a trace through the memory manager and count
//	curve     faults against memory, all sizes in one pass
//	scale     how faults would scale with CPUs, by the design of the locks
//	report    draw the paging behaviour: one HTML file and its figures
//	validate  the live kernel against the model, side by side
//	doctor    which recorders work on this machine, and what is missing
//
// vmtrace COMMAND --help explains a command; its examples are checked by a test.
//
// # The model
//
// replay, report and validate take the same flags for the model: the kernel that it
// follows (--kernel linux-6.1 or linux-2.6.32), page tables and addresses (--levels,
// --compat, --highmem, --bottom-up, --vsyscall), processors (--cpus, --tlb), files
// (--page-cache, --fault-around), and what a process may have: --rlimit-as,
// --rlimit-data, --rlimit-stack, --rlimit-memlock, and --overcommit with --ram and
// --overcommit-ratio. All of them stand in the result and in the report.
//
// Times in a result but for run.* are estimates: counts times the costs of a
// built-in table, or of a JSON file in the same form (--costs):
//
//	{"costs": [{"what": "fault.demand_zero", "ns": 500}, {"what": "disk_read", "ns": 20000}]}
//
// --memory limits the memory of all processes together, and --reclaim says which page
// leaves. replay takes several policies, or all, and prints them side by side; opt is
// Belady's optimum, which reads the trace twice. --frames N is a memory of N pages as
// textbooks have it, and with --explain alone replay prints their table of frames:
//
//	vmtrace gen silberschatz -o book.vmt
//	vmtrace replay --frames 3 --reclaim fifo --explain book.vmt
//
// With --kswapd that is the memory of a whole machine and not the limit of a memory
// cgroup: it has the kernel's watermarks, and kswapd frees pages in the background, in
// estimated time. The result tells what it did and what programs had to do themselves:
//
//	vmtrace replay --memory 64MiB --kswapd x.vmt
//
// --flusher writes dirty pages of files back as time goes by: where the trace has time
// records, or with --kswapd when more than a tenth of memory is dirty. They can be written
// to again then only with another fault.
//
// --thp gives anonymous memory huge pages, and --hugepages fills the pool that
// MAP_HUGETLB takes from. What huge pages would save in TLB misses, and cost in memory:
//
//	vmtrace gen random --pages 32768 -o random.vmt
//	vmtrace replay random.vmt
//	vmtrace replay --thp always random.vmt
//
// --recycle drops clean pages of files under the program, as if others needed the
// memory.
//
// replay --explain tells faults in words, with the entry of the page table before
// and after: PTE, address, the frame and what it holds, how many entries map it, and
// its bits: P present (N: there, but no access permitted), W writable, X executable,
// A accessed, D dirty, E exclusive.
//
// # Streams and exit statuses
//
// Results go to standard output, everything else to standard error. The file
// name - is a stream, so that commands can be joined:
//
//	vmtrace gen zipf -o - | vmtrace replay -
//
// A trace may also be an http or https address: its index is read first, then only
// the blocks that are needed, where the server takes ranges.
//
// Every command that reads a trace takes --from and --to: record numbers, times
// such as 1.5s since the first time record, or marks such as mark:ready. References before --from are left
// out, calls and mappings before it are kept, so a replay starts with the right
// mappings but with cold memory, and says so; cat leaves both out.
//
// The exit status is 0 when the work was done, 1 when it failed, 2 for a mistake
// on the command line, 3 when a gate did not hold (validate). After record it is
// that of the program. On a terminal long work shows its progress; elsewhere
// nothing but errors and warnings is said.
//
// # Adding a command
//
// One file with a command value, one row in the table of command.go.
package main

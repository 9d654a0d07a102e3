// Package paging models the memory manager of Linux 6.1 on x86: address spaces and their mappings, page tables, page faults,
// copy-on-write, the page cache, and the TLBs of several CPUs. It counts what a
// kernel and a processor would do; it holds no contents of memory.
//
//	m, err := paging.New(paging.DefaultConfig())
//	if err != nil { ... }
//	t := m.NewProcess(1, 1, 0) // pid, tid, CPU
//	addr, errno := t.Mmap(paging.MmapArgs{Len: 1 << 20, Prot: paging.ProtRead | paging.ProtWrite,
//		Flags: paging.MapPrivate | paging.MapAnonymous})
//	if errno != 0 { ... }
//	t.Access(addr, paging.Write) // paging.Minor: a zeroed frame
//	child := t.Fork(2, 2, 1)
//	child.Access(addr, paging.Write) // paging.Minor: a copy
//	minor, major := child.Faults()
//
// The reference is the 6.1 long-term kernel as Debian ships it (package
// linux-source-6.1). Comments name file and function; "the kernel" is that one.
// Config.Profile "linux-2.6.32" brings back some of what that kernel did: no
// fault-around, the lock of the whole address space for faults, flushes that are
// full but for single pages, no ASIDs, non-linear file mappings, no transparent huge
// pages, and less advice (profile.go).
//
// # What is modelled
//
//   - Overcommit in its three modes (overcommit.go), by memory promised.
//   - Mappings (vma.go, merge.go): split, and merged by the rules of vma_merge
//     and mmap_region, with anon_vma, file, offset and flags; which of them stays
//     the same is told by MappingID (mappings.go).
//   - Calls, each returning the kernel's value or errno: mmap and munmap
//     (mmap.go, placement in place.go), remap_file_pages (remapfile.go, and
//     nonlinear.go as it was until 4.0), brk, mprotect (protect.go), mremap,
//     madvise, msync, mlock and its kin (mlock.go), fork, clone, vfork, exec,
//     exit (process.go); a new image from the headers of a program, with the
//     faults that execve itself takes (exec.go, exec_elf.go).
//   - Page tables of 2 (i386), 3 (PAE), 4 (x86-64) and 5 levels (LA57) by one
//     walker (pagetable.go), and the end of user memory and the places of
//     mappings that go with each (layout.go, place.go).
//   - The fault tree (fault.go): zero page and zeroed frame, private and shared
//     file mappings with fault-around (filemap.go), copy-on-write with reuse and
//     copy, stack growth (stack.go), SIGSEGV and SIGBUS.
//   - get_user_pages (gup.go) with write, force, dump and pin, partial counts and a
//     pending SIGKILL, and what is built on it: populating and locking
//     (populate.go), process_vm_readv and process_vm_writev, access by a
//     debugger, core dumps; the vsyscall page.
//   - Shared memory (shmem.go): behind shared anonymous mappings, tmpfs and memfd,
//     and System V segments with shmget, shmat, shmdt and removal (sysvshm.go).
//   - Transparent huge pages (thp.go) at the first fault, split when a part of them
//     changes, collapsed by a background scan or MADV_COLLAPSE (collapse.go).
//   - Pages of hugetlb (hugetlb.go, hugetlb_pool.go, hugetlb_map.go) of 2 MiB, 4 MiB
//     and 1 GiB, with reservations, surplus and SIGBUS when the pool is empty.
//   - The page cache, warm or cold; a cold one with read-ahead (file.go,
//     readahead.go); truncation, holes, write-back (rmap.go).
//   - Resident memory by kind for each process, page-table memory, peaks.
//   - Memory under a limit (memory.go): charged as by a memory cgroup, swap with
//     slots, swap cache and read-ahead (swap.go), reclaim through a reverse map
//     (reclaim.go, exchange.go) by a table of policies (policy.go), out of memory as an
//     outcome;
//     or memory of a whole machine, with watermarks and kswapd (kswapd.go);
//     write-back of dirty pages of files by age (flusher.go);
//     faults at every size of memory at once (levels.go, measure.go), and a machine of
//     a sample of the pages (only.go).
//   - Mappings of the kernel's own (kernelmap.go): kmap and kmap_local of high
//     memory, thread stacks in vmalloc areas with their lazy flush.
//   - For each CPU a TLB of two levels with entries of their own for large pages,
//     tagged by ASID (tlb.go, tlb_large.go, cpu.go), many references at a
//     time where they miss, with their entries looked up ahead (run.go, translate.go,
//     and in assembler ahead_amd64.s, and for the usual geometry translate_amd64.s);
//     every flush by cause, scope and the CPUs it went to
//     (flush.go, gather.go).
//
// Machine.Check recounts all of it.
//
// # Not covered
//
// NUMA; userfaultfd; merging of equal pages; protection keys; lazy TLB mode
// and kernel threads; page-walk caches; time, but as [Machine.Pass] and
// [Machine.Background] are told of it.
//
// # Concurrency
//
// One goroutine uses a [Task] at a time; different tasks, also of one address
// space, may run at once. [Machine] and [File] are safe for concurrent use but
// for Machine.Stats, Machine.Pass and Machine.Check, which want quiet.
//
// The tree of locks, outermost first; a goroutine takes them downwards only.
// Builds with the tag invariants, and with the race detector, check the order
// and that what needs a lock has it.
//
//	cpu.mu            a task that runs references on the CPU; its TLB and ASIDs
//	  File.mu         one change of a file's size or hole at a time (invalidate_lock)
//	    Space.faultMu the whole fault, with LockGlobal
//	      Space.mu    mmap lock: writing, changes of mappings and tables freed or moved;
//	                  reading, keeps both: new tables and anon_vmas, the whole fault with LockMM
//	        Space.mu  of the child, in fork
//	          table.mu      entries of one leaf table (split page-table lock)
//	            table.mu    of the other table, in fork and mremap
//	              memory.mu, File.ahead.mu, Machine.shmemMu, Machine.tasksMu, Machine.filesMu,
//	              hugePools.mu, framePool.mu, kernelMaps.mu, cpu.queueMu, flusher.mu:
//	              nothing but framePool.mu, cpu.queueMu and flusher.mu is taken under them, and Machine.filesMu
//	              and hugePools.mu under Machine.shmemMu; and the table.mu of a page that
//	              leaves memory is tried, but not waited for, under memory.mu (exchange.go)
//
// What happens at them is counted by class: Stats.Locks, lockstats.go.
//
// collapser.mu is innermost, but in Machine.Pass, which wants quiet.
//
// What has no lock: a list of mappings and all in it but the anon_vma is
// immutable, and published by an atomic pointer. A walk reads directories and
// entries without a lock; of an entry it sets only accessed and dirty, by
// compare-and-swap. A reference that hits in the TLB, or finds its entry, takes
// no lock but its CPU's. A flush of another CPU is queued and looked at before
// that CPU's next lookup, which comes to the same as an interrupt.
//
// A fault looks its mapping up without the mmap lock, and asks whether it is gone
// once it has the lock of the leaf table. Whoever changes mappings publishes the new
// list first, marks those that are gone, and visits the tables then; so either the
// fault sees the mark, or the visit sees the fault's entry. A fault on one mapping
// reads nothing that changes with the others. Where the kernel makes a fault wait for the
// mmap lock - it would be refused, or finds an entry that a mprotect has yet to
// reach - it waits here too. [LockMM] and [LockGlobal] are other designs, to
// be measured against; what they count is the same.
//
// # State notation
//
// Task.Dump and FaultInfo.Explain write mappings and entries as lines (dump.go):
//
//	VMA 0x10000000-0x10004000 rw- private [anon]
//	PTE 0x10001000 frame 3 anon 2 PW-AD-
//
// Tests draw mappings as strips, one character a page: w read-write, r
// read-only, x executable, - no access, . not mapped, and a bar between two
// mappings that touch, as in "ww|rrrr|ww.." (merge_test.go).
//
// # Differences from Linux 6.1
//
// Counting:
//
//   - Differs from Linux: a fetch from memory that may be read but not executed
//     is refused at once; access_error lets the first one map the page.
//
//   - Differs from Linux: pages of the vdso and of vvar are mapped but not
//     resident; the vdso's count as file pages there.
//
//   - An access to an address that is not canonical is a general protection fault
//     to the processor, not a page fault. It is a fault kind of its own here
//     ([FaultGP]), so that it is seen; the outcome, SIGSEGV, is the same.
//
//   - Differs from Linux: all processes of a machine have the same layout; with
//     [Config.Compat] there are no 64-bit ones.
//
//   - Differs from Linux: where 32-bit kernels are concerned, only CONFIG_VMSPLIT_3G
//     is there, page table isolation is off (PAE has three directories of its own
//     from the beginning, not four), and either all memory is low memory or all
//     frames of programs are high memory ([Config.HighMem]). With Compat on
//     2 or 3 levels addresses reach up to where a 64-bit kernel lets them, so that
//     what was recorded there fits.
//
//   - Differs from Linux: a read of the vsyscall page, where one is permitted, does
//     not go through the TLB; a fetch is taken for a call that the kernel emulates,
//     wherever in the page it is, and what that call touches is left out.
//
//   - Differs from Linux: [Task.ProcessVM] and [Task.AccessRemote] do not ask
//     whether the one process may trace the other (EPERM, ESRCH), and pages are
//     held for no longer than the call that made them present.
//
//   - Differs from Linux: the root of the page table is not counted, as VmPTE
//     does not count it; a mremap of a gigabyte or more that finds directories
//     without tables does not copy those.
//
//   - Differs from Linux: memory for a fork, a mapping or a table never runs out,
//     only frames do (2^30). The limits of address
//     space, data, stack and locked memory (limits.go, [Config]) are the same for
//     every process; regions of an image ([Task.MapRegion]) are not held against
//     them, nor does RLIMIT_DATA count its data segment against brk.
//     vm.max_map_count is 65530.
//
//   - Differs from Linux: overcommit (overcommit.go) goes by [Config.RAM], without
//     swap, and takes all of it for free at boot (user_reserve_kbytes,
//     admin_reserve_kbytes); its sum is exact, where a per-CPU counter lags. Pages of
//     tmpfs, of memfd and of segments with SHM_NORESERVE are not charged one by one,
//     and neither are regions of an image refused. [Task.Fork] does not fail:
//     [Task.MayFork] says whether it would.
//
//   - Differs from Linux: calls come from an unprivileged process, but files are
//     open for reading and writing: EACCES of file modes, sealing and noexec do
//     not occur.
//
//   - Differs from Linux: MADV_MERGEABLE does nothing but split mappings where its
//     flag does. Without a limit and swap MADV_PAGEOUT does nothing, and after
//     MADV_FREE pages stay.
//
//   - Differs from Linux: a call that is refused with ENOMEM at vm.max_map_count
//     leaves the mappings as they were; the kernel may leave the first of two
//     splits.
//
//   - Differs from Linux 2.6.32 (the profile): calls and flags that came later are
//     there but for advice; populating reads shared memory where that kernel wrote
//     it; reclaim finds the entries of non-linear mappings one by one and their
//     accessed bits too; exec, merging, placement and the guard gap of 1 MiB are
//     those of 6.1; mremap flushes ranges and not page by page.
//
// Memory under a limit:
//
//   - Differs from Linux: a page is charged alone, not in batches of 64, and page
//     tables are not charged. There is one group, and what it reclaims it reclaims
//     when there is no room, as memory cgroups do; there is no memory.high.
//   - Differs from Linux: with [Config.Kswapd] the machine is one node with one zone;
//     it has all of its memory for programs but what is below the mark min; marks are
//     not boosted, nor raised for huge pages (set_recommended_min_free_kbytes).
//     kswapd has a processor of its own, what it writes is written when it goes on, it
//     looks at the marks after each batch of 32 pages and not after a scan at one
//     priority, and nobody waits for it (throttle_direct_reclaim); it does not run in
//     the middle of a system call. Read-ahead stops where only min pages are free.
//   - Differs from Linux: dirty pages of files are written by whoever needs room, also
//     those who make room for themselves and with a flusher ([Config.Flusher],
//     flusher.go), which takes no time to write and for which nobody waits
//     (balance_dirty_pages); it knows how much is too much only of a whole machine,
//     writes at most 1024 pages of a file before it looks again, from the first on,
//     and does not see what write(2) makes dirty.
//   - Differs from Linux: a page keeps its number while it is out of memory: that
//     is its swap slot, and its shadow entry. Slots are not clustered.
//   - Differs from Linux: pages of files that are in memory before the run (warm)
//     belong to somebody else and are neither charged nor reclaimed.
//   - Differs from Linux: all policies but linux and mglru map and read pages one by one:
//     there is no fault-around, no read-ahead of files or swap.
//   - Differs from Linux: the window of swap read-ahead is 8 pages and does not
//     adapt.
//
// Large pages:
//
//   - Differs from Linux: of files and shared memory none are huge (shmem_enabled is
//     never). The pages of a huge page that lost their mappings are free at once; the
//     kernel keeps them until the rest goes or memory is short (deferred_split_folio).
//   - Differs from Linux: there is always a free huge page where there are frames
//     enough; memory does not fragment but in that frames of split huge pages are
//     put together again only when whole blocks of them are free.
//   - Differs from Linux: with "always" a fault does not make room under a limit for
//     a huge page, and takes a small one; with MADV_HUGEPAGE it makes room once. Each
//     page of a huge page has its own place in the lists of a policy; the first that
//     leaves splits the mapping.
//   - Differs from Linux: the scan of khugepaged is over when it has looked at 8 places
//     (pages_to_scan 4096), however many it passed over; its max_ptes_none, _swap and
//     _shared are the defaults. It does not collapse files.
//   - Differs from Linux: mremap and remap_file_pages do not know the sharing of page
//     tables of hugetlb (CONFIG_ARCH_WANT_HUGE_PMD_SHARE), and hugetlbfs has no
//     sub-pools (min_size); recorded mappings make a pool grow.
//   - Entries of large pages have ways of their own in the first level of a TLB, as
//     in Skylake; see tlb_large.go.
//
// Exec:
//
//   - Differs from Linux: [Task.ExecImage] does not read the strings from the old
//     image; a 32-bit program of a 64-bit kernel has its stack at 4 GiB from the
//     beginning; the vdso is placed like a mapping and not tried above the stack;
//     randomisation moves the stack only (Image.Shift). Files without write
//     permission, set-user-id, scripts (#!) and limits of processes do not occur.
//
// Placement:
//
//   - Differs from Linux: addresses are not randomised, and files do not ask for
//     alignment (thp_get_unmapped_area places large mappings of ext4 and xfs at
//     2 MiB).
//   - Differs from Linux: "[heap]" and other names of regions keep mappings
//     apart; the kernel merges anonymous memory mapped right behind the heap.
//
// Files:
//
//   - Differs from Linux: every file has write notice (page_mkwrite or dirty
//     accounting); shared memory has none.
//   - Differs from Linux: System V segments have no owners (EACCES, EPERM, and
//     IPC namespaces do not occur), and of huge pages only ENOMEM; sealing of a
//     memfd is left out; fallocate gives shared memory no pages, since what it gives
//     is not mapped before it is used. A shared anonymous mapping may be grown by mremap beyond
//     its object, which is SIGBUS there.
//   - Differs from Linux: with a warm cache every page of a file is present,
//     also those a file gains; after a truncation the kernel reads them again.
//     Read-ahead belongs to the file, not to the open descriptor; its windows are
//     128 KiB; a page that is being read counts as present.
//   - Differs from Linux: without [Config.Flusher] MS_SYNC cleans the pages of the
//     range and nothing else does.
//
// Reclaim:
//
//   - policy_linuxlru.go and policy_mglru.go say at the top what is simplified in
//     them.
//   - Differs from Linux: the statistics of the group by which it is decided whether
//     active pages become inactive are current. A later kernel's may be seconds old
//     (mem_cgroup_flush_stats_ratelimited), and it decides otherwise in programs
//     that run for less; see keepCurrent in live_reclaim_test.go.
//   - Differs from Linux: policies that are told of every reference read nothing
//     ahead for MADV_WILLNEED and POSIX_FADV_WILLNEED, since what would be read
//     depends on how much room there is; under the policy opt memory given up by
//     MADV_FREE goes to swap.
//
// TLB:
//
//   - Differs from Linux: entries of the kernel's mappings are not in the TLB; their
//     flushes are counted, and those of everything empty it. A thread stack is given
//     up when the thread ends (no RCU delay), its frames are not taken from the
//     pool, and nothing but thread stacks is in vmalloc.
//   - Differs from Linux: exit flushes what the CPU has of the space; the kernel
//     is in lazy TLB mode by then and leaves the entries to be overwritten. The
//     request is counted in both.
//   - Differs from Linux: an ASID stands for the address space alone; with page
//     table isolation the kernel uses two, and flushes the second on the way
//     back to user mode.
//   - A CPU that is behind by more than one flush drops its whole ASID, as in
//     flush_tlb_func; its second condition, "not up to date with the mm", is left
//     out: flushes queue up here while a CPU does nothing.
//
// # Agreement with a live kernel
//
// testdata/UNREACHED.md lists what no test of the package reaches, and why.
// TestAgainstKernel runs the programs of testdata/kernel (73 cases) natively and
// on the model; TestTHPAgainstKernel and TestHugeTLBAgainstKernel do with 112 cases of
// large pages, counts of huge pages, pools and errors among them. On a 6.18 kernel
// all agree to the fault but these:
//
//   - private_write_after_truncate, one fault less: the first fault behind the
//     truncated part is a major one there.
//   - free_mprotect_write, and mprotect_write where there is no zero page: since
//     6.2 mprotect makes private pages writable that are exclusive but clean
//     (can_change_private_pte_writable); 6.1 wants them dirty
//     (can_change_pte_writable), so every page faults once more.
//   - thp_mprotect_write and thp_mprotect_part_write, for the same reason: 6.3 makes
//     huge pages writable as well, and a split leaves entries clean.
//   - thp_zero_page_written: since 6.13 a write to the huge zero page gets a huge page
//     where 6.1 splits it.
//   - thp_dontneed_write and thp_dontneed_huge: since 6.14 MADV_DONTNEED frees the
//     tables that it leaves empty, so that a huge page fits again.
//   - hugetlb_dontneed_reserved, hugetlb_memfd_cut_reserved: since 6.9 a page that is
//     unmapped is reserved again for the process that made the mapping.
//   - hugetlb_fixed_part_errno: EINVAL there, ENOMEM of every failed unmapping in 6.1.
//   - stack_growth may be one page off: where the stack pointer stands at the
//     start of the case is not controlled.
//
// That kernel had no zero page for user memory; [Config.NoZeroPage] says so to
// the model, and the test finds out.
package paging

// Package lackey is the grammar of the log of valgrind --tool=lackey
// --trace-mem=yes --trace-syscalls=yes --trace-sched=yes, line by line:
//
//	I  addr,size                     instruction fetch (hexadecimal, decimal)
//	 L addr,size   S   M             load, store, modify
//	SYSCALL[pid,t](nr) name ( args ) --> [pre-success] Success(0x0)
//	SYSCALL[pid,t](nr) name ( args )[sync] --> Failure(0x2)
//	SYSCALL[pid,t](nr) name ( args ) --> [async] ...
//	SYSCALL[pid,t](nr) ... [async] --> Success(0x0)
//	 --> [pre-success] Success(0x0)  the result of a call whose line was interrupted
//	--pid--   SCHED[t]:  acquired lock (...)
//	==pid== Command: ...
//
// (valgrind 3.19: lackey/lk_main.c, coregrind/m_syswrap/syswrap-main.c and
// m_scheduler/scheduler.c). A SCHED line can begin in the middle of the line of a
// call: clone yields the lock before its line is ended. t is valgrind's number of
// the thread.
//
// Recorder and importer read it with these functions, which keep nothing.
package lackey

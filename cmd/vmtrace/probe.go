package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// probePages is how many pages lacksZeroPage touches.
const probePages = 64

// lacksZeroPage asks the live kernel whether a read of fresh anonymous memory
// gets a frame of its own: a page that is read and then written takes one fault
// then, and two where the read maps the shared zero page
// (mm/memory.c:do_anonymous_page, do_wp_page). Some kernels of virtual machines
// have none for user memory.
func lacksZeroPage() (bool, error) {
	runtime.LockOSThread() // the faults of this thread count
	defer runtime.UnlockOSThread()
	const page = 4096
	mem, err := unix.Mmap(-1, 0, probePages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return false, err
	}
	defer unix.Munmap(mem)
	// Huge pages would make it a few faults in all; a kernel without them
	// refuses the advice, which is as well.
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE)
	var sum byte
	for i := 0; i < len(mem); i += page {
		sum += mem[i]
	}
	before, err := threadFaults()
	if err != nil {
		return false, err
	}
	for i := 0; i < len(mem); i += page {
		mem[i] = sum + 1
	}
	after, err := threadFaults()
	return after-before < probePages/2, err
}

// threadFaults are the minor faults of the calling thread so far.
func threadFaults() (int64, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return u.Minflt, err
}

package capture

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// nativeRate is how many accesses a program makes in a second of processor time without
// a recorder, for telling how much slower it is with one: gzip -9 4.1 G, sort 5.9 G, perl
// 6.3 G, git log 5.8 G, cc1 3.6 G on a current server, by user and system time.
const nativeRate = 5e9

// slowdown estimates how much longer the program takes, in processor time of its
// processes, so that one that waits for something does not count as slow. 0: not known.
func (s *session) slowdown() float64 {
	if s.living == nil || s.accesses == 0 {
		return 0
	}
	cpu := reapedTime() - s.reaped
	const most = 64 // processes to look at
	n := 0
	for pid := range s.living() {
		if n++; n > most {
			return 0
		}
		cpu += processorTime(pid)
	}
	return cpu.Seconds() / (float64(s.accesses) / nativeRate)
}

// reapedTime is the processor time of processes that this one has waited for.
func reapedTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processorTime is that of a process and of the children it has waited for (proc(5):
// utime, stime, cutime, cstime of stat, in ticks of USER_HZ).
func processorTime(pid uint32) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
	fields := strings.Fields(rest)
	const utime, after, userHZ = 14 - 3, 18 - 3, 100
	if len(fields) < after {
		return 0
	}
	ticks := uint64(0)
	for _, f := range fields[utime:after] {
		n, _ := strconv.ParseUint(f, 10, 63)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHZ
}

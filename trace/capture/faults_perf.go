package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Perf events: perf_event_open(2), include/uapi/linux/perf_event.h. One event per
// processor counts minor faults and carries the side band (mmap, comm, fork, exit);
// a second one counts major faults into the same buffer. Both are inherited, and
// begin with the exec of the program that the calling thread starts.

// perfCPU is the buffer of one processor.
type perfCPU struct {
	fds  [2]int // minor, major
	ids  [2]uint64
	mem  []byte
	page *unix.PerfEventMmapPage
	data []byte
}

// perfSet is the buffers of all processors. One goroutine uses it.
type perfSet struct {
	cpus       []*perfCPU
	userOnly   bool // faults in the kernel are not permitted
	pending    []perfRecord
	majorID    map[uint64]bool
	bufferSize int
}

// perfRecord is a record as the kernel wrote it.
type perfRecord struct {
	kind  uint32
	misc  uint16
	cpu   int
	major bool
	time  uint64 // CLOCK_MONOTONIC, ns
	body  []byte // without header; valid as long as the record
}

const (
	perfSampleType = unix.PERF_SAMPLE_IDENTIFIER | unix.PERF_SAMPLE_IP | unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_ADDR
	perfTrailer    = 24 // pid, tid, time and id behind every record but samples
	perfHeader     = 8
	perfLargest    = 4 << 20 // bytes of a buffer; smaller where the limit on locked memory asks for it
	perfSmallest   = 64 << 10
)

// openPerf opens the events on the calling thread, with buffers unless it is only
// to be seen whether that can be done. The goroutine must be locked to the thread.
func openPerf(buffers bool) (*perfSet, error) {
	s := &perfSet{majorID: map[uint64]bool{}}
	if buffers {
		s.bufferSize = perfLargest
	}
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	for _, userOnly := range []bool{false, true} {
		s.userOnly = userOnly
		for _, cpu := range cpus {
			var c *perfCPU
			if c, err = s.openCPU(cpu); err != nil {
				break
			}
			s.cpus = append(s.cpus, c)
		}
		if err == nil || !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			break
		}
		s.close()
	}
	if err != nil {
		s.close()
		return nil, perfError(err)
	}
	return s, nil
}

func perfError(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		level, _ := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
		return fmt.Errorf("perf events are not permitted (kernel.perf_event_paranoid is %s): sysctl kernel.perf_event_paranoid=2, or run as root", strings.TrimSpace(string(level)))
	}
	return fmt.Errorf("perf_event_open: %w", err)
}

// onlineCPUs reads the list of processors, such as "0-3,6".
func onlineCPUs() ([]int, error) {
	data, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(data)), ",") {
		var a, b int
		if n, _ := fmt.Sscanf(part, "%d-%d", &a, &b); n == 1 {
			b = a
		} else if n != 2 {
			return nil, fmt.Errorf("list of processors %q", data)
		}
		for ; a <= b; a++ {
			cpus = append(cpus, a)
		}
	}
	return cpus, nil
}

func (s *perfSet) openCPU(cpu int) (*perfCPU, error) {
	c := &perfCPU{fds: [2]int{-1, -1}}
	if err := s.open(c, cpu); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// open opens the two events of a processor and their buffer.
func (s *perfSet) open(c *perfCPU, cpu int) (err error) {
	for i, config := range []uint64{unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ} {
		attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: config, Sample: 1, Sample_type: perfSampleType, Clockid: unix.CLOCK_MONOTONIC,
			Bits: unix.PerfBitDisabled | unix.PerfBitInherit | unix.PerfBitEnableOnExec | unix.PerfBitSampleIDAll | unix.PerfBitUseClockID | unix.PerfBitWatermark}
		attr.Size = uint32(unsafe.Sizeof(attr))
		attr.Wakeup = perfSmallest
		if i == 0 {
			attr.Bits |= unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitMmapData | unix.PerfBitComm | unix.PerfBitCommExec | unix.PerfBitTask
		}
		if s.userOnly {
			attr.Bits |= unix.PerfBitExcludeKernel
		}
		if c.fds[i], err = unix.PerfEventOpen(&attr, 0, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC); err != nil {
			return err
		}
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fds[i]), unix.PERF_EVENT_IOC_ID, uintptr(unsafe.Pointer(&c.ids[i]))); e != 0 {
			return e
		}
	}
	if s.bufferSize == 0 {
		return nil
	}
	for {
		c.mem, err = unix.Mmap(c.fds[0], 0, os.Getpagesize()+s.bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err == nil || s.bufferSize <= perfSmallest {
			break
		}
		s.bufferSize /= 2
	}
	if err != nil {
		return err
	}
	if err := unix.IoctlSetInt(c.fds[1], unix.PERF_EVENT_IOC_SET_OUTPUT, c.fds[0]); err != nil {
		return err
	}
	s.majorID[c.ids[1]] = true
	c.page = (*unix.PerfEventMmapPage)(unsafe.Pointer(&c.mem[0]))
	c.data = c.mem[os.Getpagesize():]
	return nil
}

func (c *perfCPU) close() {
	if c.mem != nil {
		unix.Munmap(c.mem)
	}
	for _, fd := range c.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (s *perfSet) close() {
	for _, c := range s.cpus {
		c.close()
	}
	s.cpus = nil
}

// read takes what the buffers hold.
func (s *perfSet) read() {
	for i, c := range s.cpus {
		head := atomic.LoadUint64(&c.page.Data_head)
		tail := c.page.Data_tail
		all := make([]byte, head-tail) // the records keep parts of it
		c.copy(all, tail)
		atomic.StoreUint64(&c.page.Data_tail, head)
		for len(all) >= perfHeader {
			size := int(binary.LittleEndian.Uint16(all[6:]))
			if size < perfHeader || size > len(all) {
				break // never written by the kernel
			}
			r := perfRecord{kind: binary.LittleEndian.Uint32(all), misc: binary.LittleEndian.Uint16(all[4:]), cpu: i, body: all[perfHeader:size:size]}
			if r.stamp(s) {
				s.pending = append(s.pending, r)
			}
			all = all[size:]
		}
	}
}

func (c *perfCPU) copy(b []byte, at uint64) {
	n := copy(b, c.data[at%uint64(len(c.data)):])
	copy(b[n:], c.data)
}

// stamp finds the time of a record; false for one that is too short.
func (r *perfRecord) stamp(s *perfSet) bool {
	if r.kind == unix.PERF_RECORD_SAMPLE {
		if len(r.body) < 40 {
			return false
		}
		r.major = s.majorID[binary.LittleEndian.Uint64(r.body)]
		r.time = binary.LittleEndian.Uint64(r.body[24:])
		return true
	}
	n := len(r.body) - perfTrailer
	if n < 0 {
		return false
	}
	r.time = binary.LittleEndian.Uint64(r.body[n+8:])
	return true
}

// upTo gives the records before a point in time, in the order of time. It keeps
// the others.
func (s *perfSet) upTo(limit uint64) []perfRecord {
	sort.SliceStable(s.pending, func(i, j int) bool { return s.pending[i].time < s.pending[j].time })
	n := sort.Search(len(s.pending), func(i int) bool { return s.pending[i].time >= limit })
	out := s.pending[:n:n]
	s.pending = append([]perfRecord(nil), s.pending[n:]...)
	return out
}

// monotonic is the clock of the records.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return uint64(t.Nano())
}

// perfUsable says whether the events can be opened here.
func perfUsable() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s, err := openPerf(false)
		if err == nil {
			s.close()
		}
		done <- err
	}()
	return <-done
}

package capture

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vmtrace/vmtrace/trace"
)

// The Go side of plugin/ring.h, which describes it. TestRingLayout compares the
// two.

const (
	ringHeadBytes = 256 << 10
	ringSlots     = 4096
	ringSlotBytes = 64 << 10
	ringWords     = 65536
	ringStride    = ringSlotBytes + ringWords*8
	ringBytes     = ringHeadBytes + ringSlots*ringStride
	ringQueue     = 4096
	ringWindow    = 8
	ringKnown     = 512
	ringWide      = 1024
	ringMagic     = 0x676e6972746d76 // "vmtring"
)

// callFacts is what the plugin has to know of a system call.
type callFacts uint16

const (
	callCut callFacts = 1 << iota
	callExit
	callFork
	callMmap
	callOldMmap
	callSize
	callVector
	callMessage
	callVFork
	callClone
	callExec
	callPath
	callPathAt
)

const (
	eventStart = 1 + iota
	eventBirth
	eventThread
	eventCall
	eventReturn
	eventFile
	eventMemory
	eventLate
	eventMark
)

type ringNote struct {
	ready atomic.Uint64
	end   uint64
	slot  uint32
	wides uint32
}

type ringHead struct {
	magic       uint64
	window, ips uint32
	offsets, _  uint32
	_           [5]uint64
	head        atomic.Uint64
	_           [7]uint64
	tail        atomic.Uint64
	_           [7]uint64
	sleeping    atomic.Uint32
	full        atomic.Uint32
	top         atomic.Uint32
	slots       uint32
	_           [6]uint64
	path        [256]byte
	plugin      [512]byte
	stack       [32]byte
	emulator    [4][256]byte
	calls       [4][1024]callFacts
	queue       [ringQueue]ringNote
}

// ringPage is a page that a thread has used since the last barrier.
type ringPage struct {
	page, stamp   uint64
	pending       [2]uint64
	record, stood uint64
	ip            uint64
	epoch         uint32
	flags         [4]uint8
}

type ringSlot struct {
	state          atomic.Uint32
	pid, tid       uint32
	claiming       atomic.Uint32
	pos, published atomic.Uint64
	_              [4]uint64
	tail           atomic.Uint64
	waiting        atomic.Uint32
	inGuest        uint32
	held           atomic.Uint32
	_              uint32
	_              [5]uint64
	clock, room    uint64
	used, cut      uint32
	epoch, listed  uint32
	wides          atomic.Uint32
	_              [23]uint32
	known          [ringKnown]ringPage
	wide           [2 * ringWide]uint64
}

// slotLimit is how many threads can be alive at once. Tests lower it.
var slotLimit uint32 = ringSlots

// ring is the memory shared with the plugins.
type ring struct {
	file *os.File
	mem  []byte
	head *ringHead
}

// newRing makes the memory. window is the number of pages of the plugin's
// window, 1 to keep every run; plugin is the file of the plugin.
func newRing(window int, ips, offsets bool, plugin string) (*ring, error) {
	fd, err := unix.MemfdCreate("vmtrace", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory shared with QEMU")
	if err := f.Truncate(ringBytes); err != nil {
		f.Close()
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, ringBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mmap of %d MiB: %w", ringBytes>>20, err)
	}
	r := &ring{file: f, mem: mem, head: (*ringHead)(unsafe.Pointer(&mem[0]))}
	r.head.magic, r.head.window, r.head.slots = ringMagic, uint32(window), slotLimit
	if ips {
		r.head.ips = 1
	}
	if offsets {
		r.head.offsets = 1
	}
	for abi, facts := range pluginCalls() {
		r.head.calls[abi] = facts
	}
	copy(r.head.path[:len(r.head.path)-1], r.path())
	copy(r.head.plugin[:len(r.head.plugin)-1], plugin)
	copy(r.head.stack[:], strconv.FormatUint(stackSize(), 10))
	for abi := range emulators {
		if q, err := findEmulator(abi); err == nil {
			copy(r.head.emulator[abi][:len(r.head.emulator[abi])-1], q.path)
		}
	}
	return r, nil
}

func (r *ring) close() {
	unix.Munmap(r.mem)
	r.file.Close()
}

// path is where the plugins find the memory.
func (r *ring) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.file.Fd()) }

func (r *ring) slot(i uint32) *ringSlot {
	return (*ringSlot)(unsafe.Pointer(&r.mem[ringHeadBytes+int(i)*ringStride]))
}

func (r *ring) words(i uint32) *[ringWords]uint64 {
	return (*[ringWords]uint64)(unsafe.Pointer(&r.mem[ringHeadBytes+int(i)*ringStride+ringSlotBytes]))
}

// sleep waits until a thread publishes, at most ms milliseconds.
func (r *ring) sleep(ms int) {
	h := r.head
	h.sleeping.Store(1)
	if h.head.Load() == h.tail.Load() {
		futexWait(&h.sleeping, 1, ms)
	}
	h.sleeping.Store(0)
}

// consumed tells the thread of the slot how far its ring has been read.
func (s *ringSlot) consumed(pos uint64) {
	s.tail.Store(pos)
	if s.waiting.Load() != 0 {
		s.waiting.Store(0)
		futexWake(&s.waiting)
	}
}

// free gives the slot to whoever asks next.
func (s *ringSlot) free() {
	s.pos.Store(0)
	s.published.Store(0)
	s.tail.Store(0)
	s.claiming.Store(0)
	s.state.Store(0)
}

// Operations of futex(2).
const futexOpWait, futexOpWake = 0, 1

func futexWait(word *atomic.Uint32, value uint32, ms int) {
	t := unix.NsecToTimespec(int64(ms) * 1e6)
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWait, uintptr(value), uintptr(unsafe.Pointer(&t)), 0, 0)
}

func futexWake(word *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexOpWake, 1, 0, 0, 0)
}

// A reference in the ring (plugin/ring.h).
const (
	refWide        = 1 << 61
	refAddress     = 1 << 60
	refFirst       = 40
	refSecond      = 50
	refMost        = 1<<10 - 1
	refMostFetches = 1<<20 - 1
	refPage        = 1<<40 - 1
	refCode        = 1 << 63 // of a page: its fetches
)

// leftOver gives references for the accesses that a dead thread has made and not
// counted in one yet, in the order of the last of each page.
func (s *ringSlot) leftOver(emit func(page uint64, kind trace.Access, counts [2]uint64, ip uint64)) {
	var left []*ringPage
	for i := range s.known {
		if k := &s.known[i]; k.pending[0]|k.pending[1] != 0 {
			left = append(left, k)
		}
	}
	slices.SortFunc(left, func(a, b *ringPage) int { return cmp.Compare(a.stamp, b.stamp) })
	for _, k := range left {
		kind := trace.Read
		switch {
		case k.page&refCode != 0:
			kind = trace.Exec
		case k.pending[0] == 0:
			kind = trace.Write
		}
		emit(k.page&refPage, kind, k.pending, k.ip)
	}
}

// wordsText reads a string of n bytes from the words of an event.
func wordsText(words []uint64, n uint64) string {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return string(b[:min(n, uint64(len(b)))])
}

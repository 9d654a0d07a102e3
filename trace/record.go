package trace

// Kind identifies a record kind on disk. Values are frozen: a new kind takes
// the next free number and an old reader answers ErrVersion for it.
type Kind uint8

// The record kinds. The spec table describes the fields of each.
const (
	KindRef      Kind = 1 + iota // page reference (hot: column encoded, see Ref)
	KindSyscall                  // system call, raw, with its result
	KindUserCopy                 // the kernel touched user memory for a call
	KindMap                      // region that existed when recording began
	KindFile                     // file identity for the page cache
	KindProcess                  // start, fork, vfork, clone, exec, exit
	KindSched                    // from here on records belong to this thread
	KindTime                     // monotonic time, retired instructions
	KindTruth                    // what the live kernel counted so far
	KindFault                    // fault that the live kernel took
	KindMark                     // label of a phase
	KindLost                     // so many records are missing here

	numKinds = iota + 1
)

// Access is the kind of a memory access.
type Access uint8

// The access kinds. A modify (read-modify-write) is a Write.
const (
	Read  Access = 1
	Write Access = 2
	Exec  Access = 3
)

// Ref is a run of references by one thread to one page with no other record
// of that thread in between (or, in a reduced trace, the fold of several such
// runs: see package reduce). The counts add up to the accesses folded in.
//
// The model performs First, then one write if Writes > 0 and First was not a
// write, then one fetch if Execs > 0 and First was not a fetch: this is all
// that can change the state of a page.
type Ref struct {
	VPN    uint64 // virtual page number: byte address / 4096
	Reads  uint32 // data reads folded in
	Writes uint32 // data writes (and modifies) folded in
	Execs  uint32 // instruction fetches folded in
	Offset uint16 // byte offset in the page of the first access
	First  Access // kind of the first access
}

// Accesses is the number of accesses folded into the reference.
func (r *Ref) Accesses() uint64 {
	return uint64(r.Reads) + uint64(r.Writes) + uint64(r.Execs)
}

// MaxArgs is the largest number of numeric fields of any record kind.
const MaxArgs = 12

// Event is any record but a Ref. Args holds its numeric fields in the order
// of the spec table, Text its one string field, if the kind has one. The
// typed views below (Syscall, Map, ...) name the fields; NewX builds an Event
// from one.
type Event struct {
	Kind   Kind
	Thread uint32 // thread id as recorded; the writer emits a Sched when it changes
	Args   [MaxArgs]uint64
	Text   string
}

// ABI says how to read system-call numbers and arguments.
type ABI uint8

// The system-call ABIs.
const (
	ABIX8664   ABI = 1
	ABII386    ABI = 2
	ABIAArch64 ABI = 3
)

// Syscall is a system call as the program made it. Ret is the raw return
// value: -errno (two's complement) on failure. Data holds what a pointer
// argument pointed to where the model needs it (the argument block of
// old_mmap, the path of open); otherwise it is empty.
type Syscall struct {
	ABI  ABI
	Nr   uint32
	Args [6]uint64
	Ret  uint64
	Data string
}

// UserCopy says that the kernel read or wrote Len bytes of user memory at
// Addr on behalf of the thread. Write is true where the kernel wrote.
type UserCopy struct {
	Addr, Len uint64
	Write     bool
}

// MapFlags describe a region that existed at start.
type MapFlags uint32

// The region flags. MapRecorder marks a mapping that belongs to the recorder
// (for example a library that valgrind preloads) and not to the program.
const (
	MapShared    MapFlags = 1 << 0
	MapGrowsDown MapFlags = 1 << 1
	MapHeap      MapFlags = 1 << 2 // the brk heap
	MapStack     MapFlags = 1 << 3 // the main stack
	MapVDSO      MapFlags = 1 << 4
	MapVVar      MapFlags = 1 << 5
	MapVSyscall  MapFlags = 1 << 6 // gate area
	MapRecorder  MapFlags = 1 << 7
	MapInferred  MapFlags = 1 << 8 // guessed from references by an importer
)

// Protection bits of Map.Prot, as PROT_READ, PROT_WRITE and PROT_EXEC of mmap(2).
const (
	ProtRead  = 1
	ProtWrite = 2
	ProtExec  = 4
)

// Map is a region [Start, End) of the thread's process that existed when
// recording (or the image, after exec) began. File is 0 for anonymous memory.
type Map struct {
	Start, End uint64
	Prot       uint32
	Flags      MapFlags
	File       uint64 // id of a File record
	Offset     uint64 // bytes into the file
	Name       string // as in /proc/PID/maps: path, "[heap]", "[stack]", ...
}

// File gives an identity to a file; it precedes the first record that uses
// its ID. Size is in bytes. A later File record with the same ID updates the
// size (truncate, write past the end). FD other than 0 says that from here on
// descriptor FD-1 of the thread's process names this file: that is how an mmap
// record finds it.
type File struct {
	ID       uint64
	Dev, Ino uint64
	Size     uint64
	FD       uint64 // 1 + descriptor, 0 for none
	Path     string
}

// ProcessOp is what happened to a process or thread.
type ProcessOp uint8

// The process operations.
const (
	OpStart ProcessOp = 1 // process Child (thread Tid) is there when recording begins
	OpFork  ProcessOp = 2 // the thread forked process Child with a copied address space
	OpVFork ProcessOp = 3 // the thread forked process Child that shares the address space until exec or exit
	OpClone ProcessOp = 4 // the thread started thread Tid in process Child
	OpExec  ProcessOp = 5 // the process replaced its image: Map records of the new one follow
	OpExit  ProcessOp = 6 // the thread ended
	OpGroup ProcessOp = 7 // the whole process ended (exit_group or a signal)
)

// Process is a process event of the thread it belongs to.
type Process struct {
	Op     ProcessOp
	Child  uint32 // process id
	Tid    uint32 // thread id of the new thread
	Flags  uint64 // clone flags
	Status uint64 // exit status as in wait(2), for OpGroup
	Text   string // command line, for OpStart and OpExec
}

// Sched says that the records that follow belong to Thread. CPU is 1 + the
// CPU it runs on, 0 where unknown.
type Sched struct {
	Thread uint32
	CPU    uint32
}

// Time is a point in monotonic time. Instructions is 0 where unknown.
type Time struct {
	NS           uint64
	Instructions uint64
}

// Truth is what the live kernel had counted for the process at this point.
// It serves validation and never the model. RSS is in bytes, 0 where unknown.
type Truth struct {
	PID          uint32
	Minor, Major uint64
	RSS          uint64
}

// Fault is a fault that the live kernel took for the thread.
type Fault struct {
	Addr   uint64
	IP     uint64
	Access Access
	Major  bool
}

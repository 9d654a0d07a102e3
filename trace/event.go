package trace

// Typed views of events and their constructors: the only place that knows
// which argument is which field of Specs.

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// NewSyscall makes an event of a system call.
func NewSyscall(thread uint32, s Syscall) Event {
	e := Event{Kind: KindSyscall, Thread: thread, Text: s.Data}
	e.Args[0], e.Args[1], e.Args[8] = uint64(s.ABI), uint64(s.Nr), s.Ret
	copy(e.Args[2:8], s.Args[:])
	return e
}

// Syscall is the view of a KindSyscall event.
func (e *Event) Syscall() Syscall {
	s := Syscall{ABI: ABI(e.Args[0]), Nr: uint32(e.Args[1]), Ret: e.Args[8], Data: e.Text}
	copy(s.Args[:], e.Args[2:8])
	return s
}

// NewUserCopy makes an event of a copy to or from user memory.
func NewUserCopy(thread uint32, c UserCopy) Event {
	return Event{Kind: KindUserCopy, Thread: thread, Args: [MaxArgs]uint64{c.Addr, c.Len, b2u(c.Write)}}
}

// UserCopy is the view of a KindUserCopy event.
func (e *Event) UserCopy() UserCopy {
	return UserCopy{Addr: e.Args[0], Len: e.Args[1], Write: e.Args[2] != 0}
}

// NewMap makes an event of a region.
func NewMap(thread uint32, m Map) Event {
	return Event{Kind: KindMap, Thread: thread, Text: m.Name,
		Args: [MaxArgs]uint64{m.Start, m.End, uint64(m.Prot), uint64(m.Flags), m.File, m.Offset}}
}

// Map is the view of a KindMap event.
func (e *Event) Map() Map {
	return Map{Start: e.Args[0], End: e.Args[1], Prot: uint32(e.Args[2]), Flags: MapFlags(e.Args[3]), File: e.Args[4], Offset: e.Args[5], Name: e.Text}
}

// NewFile makes an event of a file's identity.
func NewFile(thread uint32, f File) Event {
	return Event{Kind: KindFile, Thread: thread, Text: f.Path, Args: [MaxArgs]uint64{f.ID, f.Dev, f.Ino, f.Size, f.FD}}
}

// File is the view of a KindFile event.
func (e *Event) File() File {
	return File{ID: e.Args[0], Dev: e.Args[1], Ino: e.Args[2], Size: e.Args[3], FD: e.Args[4], Path: e.Text}
}

// NewProcess makes a process event.
func NewProcess(thread uint32, p Process) Event {
	return Event{Kind: KindProcess, Thread: thread, Text: p.Text,
		Args: [MaxArgs]uint64{uint64(p.Op), uint64(p.Child), uint64(p.Tid), p.Flags, p.Status}}
}

// Process is the view of a KindProcess event.
func (e *Event) Process() Process {
	return Process{Op: ProcessOp(e.Args[0]), Child: uint32(e.Args[1]), Tid: uint32(e.Args[2]), Flags: e.Args[3], Status: e.Args[4], Text: e.Text}
}

// NewSched makes an event of a switch to s.Thread.
func NewSched(s Sched) Event {
	return Event{Kind: KindSched, Thread: s.Thread, Args: [MaxArgs]uint64{uint64(s.Thread), uint64(s.CPU)}}
}

// Sched is the view of a KindSched event.
func (e *Event) Sched() Sched { return Sched{Thread: uint32(e.Args[0]), CPU: uint32(e.Args[1])} }

// NewTime makes an event of a point in time.
func NewTime(thread uint32, t Time) Event {
	return Event{Kind: KindTime, Thread: thread, Args: [MaxArgs]uint64{t.NS, t.Instructions}}
}

// Time is the view of a KindTime event.
func (e *Event) Time() Time { return Time{NS: e.Args[0], Instructions: e.Args[1]} }

// NewTruth makes an event of what the live kernel had counted.
func NewTruth(thread uint32, t Truth) Event {
	return Event{Kind: KindTruth, Thread: thread, Args: [MaxArgs]uint64{uint64(t.PID), t.Minor, t.Major, t.RSS}}
}

// Truth is the view of a KindTruth event.
func (e *Event) Truth() Truth {
	return Truth{PID: uint32(e.Args[0]), Minor: e.Args[1], Major: e.Args[2], RSS: e.Args[3]}
}

// NewFault makes an event of a fault of the live kernel.
func NewFault(thread uint32, f Fault) Event {
	return Event{Kind: KindFault, Thread: thread, Args: [MaxArgs]uint64{f.Addr, f.IP, uint64(f.Access), b2u(f.Major)}}
}

// Fault is the view of a KindFault event.
func (e *Event) Fault() Fault {
	return Fault{Addr: e.Args[0], IP: e.Args[1], Access: Access(e.Args[2]), Major: e.Args[3] != 0}
}

// NewMark makes a label.
func NewMark(thread uint32, label string) Event {
	return Event{Kind: KindMark, Thread: thread, Text: label}
}

// Mark is the label of a KindMark event.
func (e *Event) Mark() string { return e.Text }

// NewLost says that n records are missing here.
func NewLost(thread uint32, n uint64, what string) Event {
	return Event{Kind: KindLost, Thread: thread, Text: what, Args: [MaxArgs]uint64{n}}
}

// Lost is the view of a KindLost event.
func (e *Event) Lost() (n uint64, what string) { return e.Args[0], e.Text }

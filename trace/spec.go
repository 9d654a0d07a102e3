package trace

// The one table of record kinds. Encoder, decoder, text twin, documentation
// and the tests read it; what it says is the format.

// Format says how the text twin prints a numeric field. On disk every numeric
// field is an unsigned varint.
type Format uint8

// The formats.
const (
	Dec  Format = iota // 12
	Hex                // 0xc
	Enum               // one of Names; the value is the position
	Bits               // Names of the bits that are set, separated by commas
	Rwx                // r-x
	Flag               // 0 or 1
)

// Field is one numeric field of a record kind.
type Field struct {
	Name   string
	Format Format
	Names  []string
	Doc    string
}

// Spec describes a record kind.
type Spec struct {
	Name   string
	Doc    string
	Fields []Field // Event.Args in this order
	Text   string  // name of the string field, "" if the kind has none
}

// Specs describes every record kind; index it with a Kind. Ref is described
// for people only: its columns are the business of block.go.
var Specs = [numKinds]Spec{
	KindRef: {Name: "ref", Doc: "run of accesses of the thread to one page", Fields: []Field{
		{"addr", Hex, nil, "byte address of the first access"},
		{"r", Dec, nil, "reads"}, {"w", Dec, nil, "writes"}, {"x", Dec, nil, "instruction fetches"},
		{"first", Enum, accessNames, "kind of the first access"}}},
	KindSyscall: {Name: "syscall", Doc: "system call with its result", Text: "data", Fields: []Field{
		{"abi", Enum, abiNames, "calling convention"}, {"nr", Dec, nil, "number"},
		{"a0", Hex, nil, "argument"}, {"a1", Hex, nil, "argument"}, {"a2", Hex, nil, "argument"},
		{"a3", Hex, nil, "argument"}, {"a4", Hex, nil, "argument"}, {"a5", Hex, nil, "argument"},
		{"ret", Hex, nil, "raw return value, -errno on failure"}}},
	KindUserCopy: {Name: "usercopy", Doc: "the kernel touched user memory for the thread", Fields: []Field{
		{"addr", Hex, nil, "first byte"}, {"len", Dec, nil, "bytes"}, {"write", Flag, nil, "1: the kernel wrote"}}},
	KindMap: {Name: "map", Doc: "region that existed when recording, or the image, began", Text: "name", Fields: []Field{
		{"start", Hex, nil, "first byte"}, {"end", Hex, nil, "byte after the last"}, {"prot", Rwx, nil, "protection"},
		{"flags", Bits, mapFlagNames, "what it is"}, {"file", Dec, nil, "id of a file record, 0 for anonymous memory"},
		{"off", Hex, nil, "byte offset in the file"}}},
	KindFile: {Name: "file", Doc: "identity of a file", Text: "path", Fields: []Field{
		{"id", Dec, nil, "name of the file in this trace"}, {"dev", Hex, nil, "device"}, {"ino", Dec, nil, "inode"},
		{"size", Dec, nil, "bytes"}, {"fd", Dec, nil, "1 + descriptor that names it from here on, 0 for none"}}},
	KindProcess: {Name: "process", Doc: "process event of the thread", Text: "text", Fields: []Field{
		{"op", Enum, opNames, "what happened"}, {"pid", Dec, nil, "process it happened to"}, {"tid", Dec, nil, "its (new) thread"},
		{"flags", Hex, nil, "clone flags"}, {"status", Hex, nil, "exit status as wait(2) gives it"}}},
	KindSched: {Name: "sched", Doc: "from here on records belong to this thread", Fields: []Field{
		{"thread", Dec, nil, "thread id"}, {"cpu", Dec, nil, "1 + processor, 0 where unknown"}}},
	KindTime: {Name: "time", Doc: "point in time", Fields: []Field{
		{"ns", Dec, nil, "monotonic nanoseconds"}, {"insns", Dec, nil, "retired instructions, 0 where unknown"}}},
	KindTruth: {Name: "truth", Doc: "what the live kernel had counted", Fields: []Field{
		{"pid", Dec, nil, "process"}, {"minor", Dec, nil, "minor faults"}, {"major", Dec, nil, "major faults"}, {"rss", Dec, nil, "bytes, 0 where unknown"}}},
	KindFault: {Name: "fault", Doc: "fault the live kernel took", Fields: []Field{
		{"addr", Hex, nil, "byte address"}, {"ip", Hex, nil, "instruction pointer"}, {"access", Enum, accessNames, "kind"}, {"major", Flag, nil, "1: waited for a device"}}},
	KindMark: {Name: "mark", Doc: "label of a phase", Text: "label"},
	KindLost: {Name: "lost", Doc: "records are missing here", Text: "what", Fields: []Field{{"n", Dec, nil, "how many"}}},
}

var (
	accessNames  = []string{"", "r", "w", "x"}
	abiNames     = []string{"", "x86-64", "i386", "aarch64"}
	opNames      = []string{"", "start", "fork", "vfork", "clone", "exec", "exit", "group"}
	mapFlagNames = []string{"shared", "growsdown", "heap", "stack", "vdso", "vvar", "vsyscall", "recorder", "inferred"}
)

// String is the name of the kind in the text twin.
func (k Kind) String() string {
	if k == 0 || k >= numKinds {
		return "unknown"
	}
	return Specs[k].Name
}

// String is "r", "w" or "x".
func (a Access) String() string {
	if int(a) >= len(accessNames) {
		return "?"
	}
	return accessNames[a]
}

// String is "x86-64", "i386" or "aarch64".
func (a ABI) String() string {
	if int(a) >= len(abiNames) {
		return "?"
	}
	return abiNames[a]
}

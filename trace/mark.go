package trace

import "strings"

// Programs set marks by asking for a file that is not there: one whose path begins
// with MarkPrefix. Any language and any shell can do that without a library, every
// recorder and importer that sees system calls sees it, and where nobody records it
// costs a call that fails:
//
//	access("vmtrace:loaded", F_OK)     C
//	test -e vmtrace:loaded             shell
//	os.path.exists("vmtrace:loaded")   Python
//
// The mark stands before the call.

// MarkPrefix begins the paths that are marks. The rest is the label.
const MarkPrefix = "vmtrace:"

// maxMark bounds a label in bytes; what is longer is no mark.
const maxMark = 255

// markCalls are the calls that ask for a file and do not open it, with the argument
// that points to the path.
var markCalls = map[string]int{
	"access": 0, "stat": 0, "lstat": 0, "stat64": 0, "lstat64": 0,
	"faccessat": 1, "faccessat2": 1, "newfstatat": 1, "fstatat64": 1, "statx": 1,
}

// MarkCalls gives the numbers of the calls of an ABI by which a program can set a
// mark, each with the argument that points to the path.
func MarkCalls(abi ABI) map[uint32]int {
	calls := map[uint32]int{}
	for name, arg := range markCalls {
		if nr, ok := SyscallNumber(abi, name); ok {
			calls[nr] = arg
		}
	}
	return calls
}

// MarkLabel is the label of a path that is a mark. ok is false for one that is none.
func MarkLabel(path string) (label string, ok bool) {
	label, ok = strings.CutPrefix(path, MarkPrefix)
	return label, ok && label != "" && len(label) <= maxMark
}

// CallMark is the label that a call sets, of whose arguments text holds the strings
// that they point to. ok is false for a call that sets none.
func CallMark(abi ABI, nr uint32, text []string) (label string, ok bool) {
	arg, ok := markCalls[SyscallName(abi, nr)]
	if !ok || arg >= len(text) {
		return "", false
	}
	return MarkLabel(text[arg])
}

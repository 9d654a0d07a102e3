package trace

import (
	"strings"
	"testing"
)

func TestCallMark(t *testing.T) {
	for _, c := range []struct {
		call  string
		text  []string
		label string
	}{
		{"access", []string{"vmtrace:a b", ""}, "a b"},
		{"faccessat", []string{"", "vmtrace:x"}, "x"},
		{"newfstatat", []string{"/", "vmtrace:x"}, "x"},
		{"access", []string{"vmtrace:" + strings.Repeat("x", 256)}, ""},
		{"access", []string{"vmtrace:"}, ""},
		{"access", []string{"/tmp/vmtrace:x"}, ""},
		{"access", nil, ""},
		{"newfstatat", []string{"vmtrace:x"}, ""},
		{"open", []string{"vmtrace:x"}, ""}, // it would make a file
	} {
		nr, ok := SyscallNumber(ABIX8664, c.call)
		if !ok {
			t.Fatal(c.call)
		}
		if label, ok := CallMark(ABIX8664, nr, c.text); label != c.label && ok || ok != (c.label != "") {
			t.Errorf("%s(%q): %q, %v; want %q", c.call, c.text, label, ok, c.label)
		}
	}
}

// Every ABI has calls that set marks: aarch64 has those with a directory only.
func TestMarkCalls(t *testing.T) {
	for abi, want := range map[ABI][]string{
		ABIX8664:   {"access", "stat", "lstat", "faccessat", "faccessat2", "newfstatat", "statx"},
		ABII386:    {"access", "stat", "lstat", "stat64", "lstat64", "faccessat", "faccessat2", "fstatat64", "statx"},
		ABIAArch64: {"faccessat", "faccessat2", "newfstatat", "statx"},
	} {
		calls := MarkCalls(abi)
		if len(calls) != len(want) {
			t.Errorf("%v: %d calls, want %v", abi, len(calls), want)
		}
		for _, name := range want {
			if nr, ok := SyscallNumber(abi, name); !ok || calls[nr] != markCalls[name] {
				t.Errorf("%v: %s is not there", abi, name)
			}
		}
	}
}

package trace

import (
	"strings"
	"testing"
)

// check feeds a text stream to a checker and returns the first broken rule.
func check(t *testing.T, text string) error {
	t.Helper()
	r, err := NewTextReader(strings.NewReader(textMagic + "\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return Validate(r)
}

// TestChecker: the rules of doc.go, kept and broken.
func TestChecker(t *testing.T) {
	start := "process op=start pid=1 tid=1\n"
	for text, want := range map[string]string{
		start + "R 0x1000\nprocess op=exit\n":                                       "",
		start + "file id=1\nfile id=1 size=9\nmap start=0x1000 end=0x2000 file=1\n": "",
		start + "process op=clone pid=1 tid=2\nsched thread=2\nR 0x1000":            "",
		start + "process op=fork pid=2\nsched thread=2\nR 0x1000":                   "",
		start + "time ns=5\ntime ns=5\ntime ns=6":                                   "",
		"R 0x1000":                          "record 0: reference of thread 0, which has not started or has ended",
		start + "process op=exit\nR 0x1000": "has not started or has ended",
		start + "process op=clone pid=1 tid=2\nprocess op=exec\nsched thread=2\nR 0x1": "has not started or has ended",
		start + "process op=clone pid=1 tid=2\nprocess op=group\nsched thread=2\nR 0":  "has not started or has ended",
		start + start:                                    "thread 1 starts twice",
		start + "process op=clone tid=1":                 "thread 1 starts twice",
		start + "process op=fork pid=1 tid=7":            "process 1 starts twice",
		start + "process op=99":                          "operation 99 is unknown",
		start + "map start=0x1000 end=0x1000":            "is empty or not of whole pages",
		start + "map start=0x1000 end=0x2001":            "is empty or not of whole pages",
		start + "map start=0x1000 end=0x2000 file=3":     "file 3 has not been announced",
		start + "usercopy addr=0xffffffffffffffff len=2": "run over the address space",
		start + "time ns=5\ntime ns=4":                   "time goes back from 5 to 4 ns",
	} {
		err := check(t, text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q:\n  got  %v\n  want %q", text, err, want)
		}
	}
}

// TestCheckerLimits: more than the declared maxima is told.
func TestCheckerLimits(t *testing.T) {
	c := NewChecker()
	batch := func(e Event) error { return c.Batch(&Batch{Thread: e.Thread, Event: &e}) }
	if err := batch(NewProcess(1, Process{Op: OpStart, Child: 1, Tid: 1})); err != nil {
		t.Fatal(err)
	}
	last := func(n int, event func(i int) Event) error {
		for i := range n {
			if err := batch(event(i)); err != nil {
				t.Fatal(err)
			}
		}
		return batch(event(n))
	}
	for want, err := range map[string]error{
		"regions": last(maxRegions, func(int) Event { return NewMap(1, Map{Start: 0, End: 4096}) }),
		"files":   last(maxFiles, func(i int) Event { return NewFile(1, File{ID: uint64(i)}) }),
		"threads": last(maxThreads-1, func(i int) Event { return NewProcess(1, Process{Op: OpClone, Tid: uint32(i + 2)}) }),
	} {
		if err == nil || !strings.Contains(err.Error(), "more than 1048576 "+want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := batch(NewProcess(1, Process{Op: OpExec})); err != nil {
		t.Fatal(err)
	}
	if err := batch(NewMap(1, Map{Start: 0, End: 4096})); err != nil {
		t.Errorf("a new image: %v", err)
	}
}

package capture

import (
	"bytes"
	"io"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// A program of QEMU 10.0.2 among the memory of the emulator, as /proc/PID/maps has
// it: the emulator uses the same C library and interpreter, has a thread with a stack
// of 8 MiB, and what stands behind the program's stack has merged with it.
func TestMixedGuest(t *testing.T) {
	program, emulator := compile(t, "modes.c", "-static", "-pthread"), compile(t, "marks.c", "-static")
	exe, ld := statFile(program), statFile(emulator)
	ld.dev++ // no file of the program's
	const stack = 8<<20 + 5<<12
	all := []mapping{
		{start: 0x400000, end: 0x401000, perms: "r--p", file: exe, name: program},
		{start: 0x401000, end: 0x480000, perms: "r--p", offset: 0x1000, file: exe, name: program},
		{start: 0x7fca587f2000, end: 0x7fca587ff000, perms: "rw-p"},
		{start: 0x7fca587ff000, end: 0x7fca58800000, perms: "---p"},
		{start: 0x7fca58800000, end: 0x7fca59000000, perms: "rw-p"}, // of a thread of the emulator
		{start: 0x7fca59000000, end: 0x7fca60fff000, perms: "rwxp"}, // code that it has made
		{start: 0x7fca61000000, end: 0x7fca61001000, perms: "r--p", file: ld, name: emulator},
		{start: 0x7fca611e9000, end: 0x7fca611ea000, perms: "---p"},
		{start: 0x7fca611ea000, end: 0x7fca611ea000 + stack + 0x81000, perms: "rw-p"},
		{start: 0x7fca61e93000, end: 0x7fca61e94000, perms: "r--p"}, // the vdso
		{start: 0x7fca61e9e000, end: 0x7fca61e9f000, perms: "r--p"},
		{start: 0x7fca71000000, end: 0x7fca71001000, perms: "r--p", file: ld, name: emulator},
		{start: 0x7ffe15906000, end: 0x7ffe15927000, perms: "rw-p", name: "[stack]"},
	}
	isELF := func(addr uint64) bool { return addr == 0x7fca61e93000 }
	for _, c := range []struct {
		pc   uint64
		want []uint64
	}{
		{0x401000, []uint64{0x400000, 0x7fca611e9000, 0x7fca611ea000, 0x7fca61e93000}},
		{0x7fca71001000, []uint64{0x400000, 0x7fca611e9000, 0x7fca611ea000, 0x7fca61e93000, 0x7fca71000000}},
	} {
		got := mixedGuest(all, exe, c.pc, stack, isELF)
		if len(got) != len(c.want) {
			t.Fatalf("from %#x: %+v, want those at %#x", c.pc, got, c.want)
		}
		for i := range got {
			if got[i].start != c.want[i] {
				t.Errorf("from %#x: mapping %d at %#x, want %#x", c.pc, i, got[i].start, c.want[i])
			}
		}
		if m := guestImage(got, stack); m.stack != [2]uint64{0x7fca611ea000, 0x7fca611ea000 + stack} {
			t.Errorf("from %#x: stack %#x", c.pc, m.stack)
		}
	}
}

// A thread gets the memory that another one has unmapped before that one's call has
// returned: the call that gave it up comes first.
func TestVacated(t *testing.T) {
	var out bytes.Buffer
	r := &qemuRecorder{procs: map[uint32]*qemuProcess{}, threads: map[uint32]*qemuThread{}}
	if err := r.open(func(h trace.Header) (*trace.Writer, error) { return trace.NewWriter(&out, h) }, trace.Header{}); err != nil {
		t.Fatal(err)
	}
	p := r.addProcess(1, trace.ABIX8664)
	gives, gets, other := r.addThread(p, 1), r.addThread(p, 2), r.addThread(p, 3)
	const mmap, munmap = 9, 11
	r.called(gives, []uint64{munmap, 0x7000, 0x2000, 0, 0, 0, 0})
	r.called(other, []uint64{munmap, 0x9000, 0x1000, 0, 0, 0, 0})
	r.called(gets, []uint64{mmap, 0, 0x1000, 3, 0x22, 1<<64 - 1, 0})
	r.threadEvent(gets, eventReturn, []uint64{mmap, 0x8000})
	r.threadEvent(gives, eventReturn, []uint64{munmap, 0})
	r.threadEvent(other, eventReturn, []uint64{munmap, 0})
	if err := r.w.Close(); err != nil {
		t.Fatal(err)
	}
	src, err := trace.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var got []uint64
	for {
		b, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if b.Event != nil && b.Event.Kind == trace.KindSyscall {
			got = append(got, uint64(b.Event.Thread), uint64(b.Event.Syscall().Nr))
		}
	}
	if want := []uint64{1, munmap, 2, mmap, 3, munmap}; len(got) != len(want) || [6]uint64(got) != [6]uint64(want) {
		t.Errorf("threads and calls %v, want %v", got, want)
	}
}

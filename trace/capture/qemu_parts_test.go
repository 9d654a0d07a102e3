package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/vmtrace/vmtrace/trace"
)

func hexRange(start, end uint64) string { return fmt.Sprintf("%#x-%#x", start, end) }

// The C compiler says where the fields of ring.h are.
func TestRingLayout(t *testing.T) {
	need(t, "cc", "gcc libc6-dev")
	var h ringHead
	var s ringSlot
	var e ringPage
	var n ringNote
	facts := []struct {
		c    string
		want uintptr
	}{
		{"MAGIC", ringMagic}, {"HEAD_BYTES", ringHeadBytes}, {"SLOTS", ringSlots}, {"SLOT_BYTES", ringSlotBytes}, {"RING_WORDS", ringWords}, {"QUEUE", ringQueue},
		{"MAX_WINDOW", ringWindow}, {"BASE32", uintptr(guestBase(trace.ABII386))},
		{"CALL_CUT", uintptr(callCut)}, {"CALL_EXIT", uintptr(callExit)}, {"CALL_FORK", uintptr(callFork)}, {"CALL_MMAP", uintptr(callMmap)},
		{"CALL_OLD_MMAP", uintptr(callOldMmap)}, {"CALL_SIZE", uintptr(callSize)}, {"CALL_VECTOR", uintptr(callVector)}, {"CALL_MESSAGE", uintptr(callMessage)},
		{"CALL_VFORK", uintptr(callVFork)}, {"CALL_CLONE", uintptr(callClone)}, {"CALL_EXEC", uintptr(callExec)},
		{"EVENT_START", eventStart}, {"EVENT_BIRTH", eventBirth}, {"EVENT_THREAD", eventThread}, {"EVENT_CALL", eventCall}, {"EVENT_RETURN", eventReturn},
		{"EVENT_FILE", eventFile}, {"EVENT_MEMORY", eventMemory}, {"EVENT_LATE", eventLate}, {"EVENT_MARK", eventMark},
		{"CALL_PATH", uintptr(callPath)}, {"CALL_PATH_AT", uintptr(callPathAt)}, {"MARK_BYTES", uintptr(len(trace.MarkPrefix))},
		{"sizeof(struct note)", unsafe.Sizeof(n)}, {"offsetof(struct note, end)", unsafe.Offsetof(n.end)}, {"offsetof(struct note, slot)", unsafe.Offsetof(n.slot)},
		{"sizeof(struct shared)", unsafe.Sizeof(h)}, {"offsetof(struct shared, window)", unsafe.Offsetof(h.window)}, {"offsetof(struct shared, ips)", unsafe.Offsetof(h.ips)},
		{"offsetof(struct shared, head)", unsafe.Offsetof(h.head)}, {"offsetof(struct shared, tail)", unsafe.Offsetof(h.tail)},
		{"offsetof(struct shared, sleeping)", unsafe.Offsetof(h.sleeping)}, {"offsetof(struct shared, full)", unsafe.Offsetof(h.full)},
		{"offsetof(struct shared, top)", unsafe.Offsetof(h.top)}, {"offsetof(struct shared, slots)", unsafe.Offsetof(h.slots)}, {"offsetof(struct shared, path)", unsafe.Offsetof(h.path)}, {"offsetof(struct shared, plugin)", unsafe.Offsetof(h.plugin)},
		{"offsetof(struct shared, stack)", unsafe.Offsetof(h.stack)}, {"offsetof(struct shared, emulator)", unsafe.Offsetof(h.emulator)},
		{"offsetof(struct shared, calls)", unsafe.Offsetof(h.calls)}, {"offsetof(struct shared, queue)", unsafe.Offsetof(h.queue)},
		{"sizeof(struct known)", unsafe.Sizeof(e)}, {"offsetof(struct known, stamp)", unsafe.Offsetof(e.stamp)}, {"offsetof(struct known, pending)", unsafe.Offsetof(e.pending)},
		{"offsetof(struct known, ip)", unsafe.Offsetof(e.ip)}, {"CODE", 1 << 63},
		{"KNOWN", ringKnown}, {"MAX_WIDE", ringWide}, {"REF_PAGE", refPage}, {"REF_WIDE", refWide}, {"REF_ADDRESS", refAddress}, {"REF_FIRST", refFirst}, {"REF_SECOND", refSecond},
		{"REF_MOST", refMost}, {"REF_MOST_FETCHES", refMostFetches}, {"offsetof(struct note, wides)", unsafe.Offsetof(n.wides)}, {"offsetof(struct shared, offsets)", unsafe.Offsetof(h.offsets)},
		{"offsetof(struct slot, pid)", unsafe.Offsetof(s.pid)}, {"offsetof(struct slot, tid)", unsafe.Offsetof(s.tid)}, {"offsetof(struct slot, claiming)", unsafe.Offsetof(s.claiming)},
		{"offsetof(struct slot, pos)", unsafe.Offsetof(s.pos)}, {"offsetof(struct slot, published)", unsafe.Offsetof(s.published)},
		{"offsetof(struct slot, tail)", unsafe.Offsetof(s.tail)}, {"offsetof(struct slot, waiting)", unsafe.Offsetof(s.waiting)},
		{"offsetof(struct slot, held)", unsafe.Offsetof(s.held)}, {"offsetof(struct slot, used)", unsafe.Offsetof(s.used)}, {"offsetof(struct slot, known)", unsafe.Offsetof(s.known)},
		{"offsetof(struct slot, wides)", unsafe.Offsetof(s.wides)}, {"offsetof(struct slot, wide)", unsafe.Offsetof(s.wide)},
	}
	var source strings.Builder
	source.WriteString("#include <stddef.h>\n#include \"ring.h\"\n")
	for _, f := range facts {
		fmt.Fprintf(&source, "_Static_assert((%s) == %dull, \"%s\");\n", f.c, f.want, f.c)
	}
	source.WriteString("_Static_assert(sizeof(struct slot) <= SLOT_BYTES && sizeof(struct shared) <= HEAD_BYTES, \"sizes\");\n")
	file := filepath.Join(t.TempDir(), "layout.c")
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-Iplugin", "-fsyntax-only", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The plugin compiles without a warning for every version of the interface.
func TestPluginWarnings(t *testing.T) {
	need(t, "cc", "gcc libc6-dev")
	for _, api := range []string{"-DAPI_VERSION=1", "-DAPI_VERSION=2"} {
		cmd := exec.Command("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fPIC", api, "-c", "-o", filepath.Join(t.TempDir(), "p.o"), "plugin/plugin.c")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", api, err, out)
		}
	}
}

// The interface is chosen by what the emulator says of itself: QEMU from 9.0 on takes
// versions from 2 on (plugins/plugin.h: QEMU_PLUGIN_MIN_VERSION), and one that is
// linked statically has no -plugin among its options.
func TestEmulatorVersions(t *testing.T) {
	for _, c := range []struct {
		version, options string
		api              int // 0: refused
	}{
		{"7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "-g -plugin", 1}, {"8.2.0", "-plugin", 1}, {"9.0.0", "-plugin", 2}, {"10.0.2 (Debian)", "-plugin", 2}, {"10.0.2", "-g", 0},
	} {
		dir := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\ntest $1 = -h && echo '%s' || printf '%%s\n' 'qemu-x86_64 version %s' 'Copyright (c)'\n", c.options, c.version)
		if err := os.WriteFile(filepath.Join(dir, "qemu-x86_64"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir)
		q, err := findEmulator(trace.ABIX8664)
		switch {
		case c.api == 0 && (err == nil || !strings.Contains(err.Error(), "qemu-x86_64 10.0.2 cannot load plugins")):
			t.Errorf("%+v: %v", c, err)
		case c.api != 0 && (err != nil || q.api != c.api || q.version != strings.Fields(c.version)[0]):
			t.Errorf("%+v: %+v, %v", c, q, err)
		}
	}
}

// Missing tools are named with the package that has them.
func TestQEMUMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := checkQEMU(); err == nil || !strings.Contains(err.Error(), "apt-get install qemu-user") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without QEMU: %v", err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := buildPlugin(&emulator{api: 1}); err == nil || !strings.Contains(err.Error(), "apt-get install gcc") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a compiler: %v", err)
	}
}

// A process that was killed between claiming a note and filling it in does not
// hold up the others; one that lives does.
func TestAbandonedNote(t *testing.T) {
	mem, err := newRing(4, false, true, "")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.close()
	r := &qemuRecorder{ring: mem, tracer: newTracer(mem.head.head.Load)}
	mem.head.top.Store(1)
	mem.head.head.Store(1)
	s := mem.slot(0)
	s.state.Store(1)
	s.claiming.Store(1)
	s.pid, s.tid = uint32(os.Getpid()), uint32(os.Getpid())
	wait := func() {
		for limit := time.Now().Add(3 * holeWait); time.Now().Before(limit) && mem.head.tail.Load() == 0; {
			r.notes()
		}
	}
	if wait(); mem.head.tail.Load() != 0 {
		t.Error("the note of a living thread was passed over")
	}
	s.tid = 1 << 30 // no such thread
	if wait(); mem.head.tail.Load() != 1 {
		t.Error("the note of a dead thread was waited for")
	}
}

// After an exec the new image can have a slot before the recorder hears of the exec:
// only those of the old image are freed.
func TestDrainAfterExec(t *testing.T) {
	mem, err := newRing(4, false, true, "")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.close()
	r := &qemuRecorder{ring: mem, procs: map[uint32]*qemuProcess{}, threads: map[uint32]*qemuThread{}}
	p := r.addProcess(77, trace.ABIX8664)
	r.bind(0, r.addThread(p, 77))
	mem.head.top.Store(2)
	for i := range uint32(2) {
		mem.slot(i).state.Store(1)
		mem.slot(i).pid = 77
	}
	state := func() [2]uint32 { return [2]uint32{mem.slot(0).state.Load(), mem.slot(1).state.Load()} }
	if r.drain(p, false); state() != [2]uint32{0, 1} {
		t.Errorf("slots of the old and the new image: %v, want 0 and 1", state())
	}
	if r.drain(p, true); state() != [2]uint32{0, 0} {
		t.Errorf("slots of a dead process: %v, want 0 and 0", state())
	}
}

func TestInspectProgram(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	arm := write("arm", string(tinyELF(183, aarch64Code)), 0o755)
	script := write("script", "#! "+arm+" -x  y\nrest", 0o755)
	p, err := inspectProgram([]string{script, "a", "b"})
	if want := []string{arm, "-x  y", script, "a", "b"}; err != nil || p.path != arm || p.abi != trace.ABIAArch64 || !slices.Equal(p.argv, want) {
		t.Errorf("script: %+v, %v, want arguments %q", p, err, want)
	}
	for name, tc := range map[string]struct{ path, want string }{
		"setuid":  {write("setuid", "x", 0o755|os.ModeSetuid), "setuid"},
		"text":    {write("text", "hello", 0o755), "no ELF program"},
		"machine": {write("ppc", string(tinyELF(21, nil)), 0o755), "EM_PPC64"},
		"missing": {filepath.Join(dir, "nothing"), "no such file"},
	} {
		if _, err := inspectProgram([]string{tc.path}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
}

// The first mapping of a file names its segments; what belongs to no file is
// stack or the emulator's. The lines are those of a static program.
func TestGuestImage(t *testing.T) {
	path := compile(t, "modes.c", "-static", "-pthread")
	f := statFile(path)
	all := []mapping{
		{start: 0x400000, end: 0x401000, perms: "r--p", file: f, name: path},
		{start: 0x4000000000, end: 0x4000001000, perms: "---p"},
		{start: 0x4000001000, end: 0x4000801000 + 0x2000, perms: "rw-p"},
	}
	m := guestImage(all, 8<<20)
	if m.stack != [2]uint64{0x4000001000, 0x4000801000} {
		t.Errorf("stack %#x", m.stack)
	}
	kinds := map[uint32]int{}
	recorder := 0
	for _, r := range m.regions {
		kinds[r.Prot]++
		if r.Flags&trace.MapRecorder != 0 {
			recorder++
			if r.Start != 0x4000801000 || r.End != 0x4000803000 {
				t.Errorf("the emulator's region is %s", hexRange(r.Start, r.End))
			}
		}
	}
	// A static program has segments r, rx, r and rw, and zeroed memory behind.
	if kinds[trace.ProtRead] < 1 || kinds[trace.ProtRead|trace.ProtExec] != 1 || kinds[trace.ProtRead|trace.ProtWrite] < 3 || recorder != 1 || len(m.cleared) != 1 {
		t.Errorf("regions by protection %v, of the emulator %d, cleared tails %d", kinds, recorder, len(m.cleared))
	}
}

func TestGuestCommand(t *testing.T) {
	q := &emulator{path: "qemu"}
	for _, abi := range []trace.ABI{trace.ABIX8664, trace.ABII386} {
		p := &program{path: "/bin/prog", argv: []string{"prog", "-B", "2"}, abi: abi}
		args := append([]string{q.path}, q.arguments("plugin.so", "memory", p)...)
		if got := guestCommand([]byte(strings.Join(args, "\x00") + "\x00")); got != "prog -B 2" {
			t.Errorf("%v: command %q", abi, got)
		}
	}
}

func TestVectorForms(t *testing.T) {
	th := &qemuThread{proc: &qemuProcess{abi: trace.ABII386}}
	le := binary.LittleEndian
	th.call.Ret = 70
	iov := le.AppendUint32(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 0x1000), 60), 0x2000), 4096)
	th.memory = []guestMemory{{0x500, iov}}
	b := make([]byte, 2*sizeIovec)
	if !th.read(0x500, b) {
		t.Fatal("the vector is not found")
	}
	got := []uint64{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])}
	if want := []uint64{0x1000, 60, 0x2000, 10}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: 32-bit words widened, 70 bytes in all", got, want)
	}
}

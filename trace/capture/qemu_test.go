package capture

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

func needQEMU(t *testing.T) {
	t.Helper()
	need(t, "qemu-x86_64", "qemu-user")
	need(t, "cc", "gcc libc6-dev")
}

// The program writes one word to each of 1000 pages, whatever is folded; and what
// is folded changes nothing in the model.
func TestQEMUPages(t *testing.T) {
	needQEMU(t)
	const n = 1000
	var accesses, minor, flushes, rss uint64
	for _, k := range []int{0, 2, 4, 20} {
		rec := record(t, qemu, Options{Reduce: k}, modes(t), "pages", "1000")
		c := rec.contents(t)
		if pages, writes := c.writtenTo("mmap", n<<12); pages != n || writes != n {
			t.Errorf("K=%d: %d pages of the mapping were written by %d writes, want %d by as many", k, pages, writes, n)
		}
		if c.lost != 0 || len(c.warnings) != 0 || len(rec.res.Warnings) != 0 {
			t.Errorf("K=%d: %d records lost, warnings %v, %v", k, c.lost, c.warnings, rec.res.Warnings)
		}
		if c.accesses != rec.res.Progress.Accesses {
			t.Errorf("K=%d: the trace holds %d accesses, the recorder said %d", k, c.accesses, rec.res.Progress.Accesses)
		}
		run := rec.replayed(t)
		if k == 0 {
			accesses, minor, flushes, rss = c.accesses, run.Totals.Faults.Minor, run.Totals.TLB.Flushes.Total, run.Totals.RSS.PeakBytes
			continue
		}
		// The environment of the process differs in nothing, so all is equal.
		if c.accesses != accesses || run.Totals.Faults.Minor != minor || run.Totals.TLB.Flushes.Total != flushes || run.Totals.RSS.PeakBytes != rss {
			t.Errorf("K=%d: %d accesses, %d faults, %d flushes, %d bytes; unreduced %d, %d, %d, %d", k,
				c.accesses, run.Totals.Faults.Minor, run.Totals.TLB.Flushes.Total, run.Totals.RSS.PeakBytes, accesses, minor, flushes, rss)
		}
	}
}

// Valgrind is an independent recorder: without address randomisation (setarch -R)
// both make the same mapping calls of the same sizes, see the same pages within
// 2 %, and lead to the same minor faults within 2 % or 4.
func TestQEMUAgreesWithLackey(t *testing.T) {
	needQEMU(t)
	need(t, "valgrind", "valgrind")
	need(t, "setarch", "util-linux")
	if os.Getenv("VMTRACE_TEST_FIXED") == "" { // the recorders inherit it from the process
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("setarch", "-R", self, "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "VMTRACE_TEST_FIXED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	q, l := lookBy(t, qemu), lookBy(t, lackey)
	if !slices.Equal(q.calls, l.calls) {
		t.Errorf("mapping calls\nqemu:   %v\nlackey: %v", q.calls, l.calls)
	}
	if d := max(q.pages, l.pages) - min(q.pages, l.pages); d*50 > l.pages {
		t.Errorf("pages: qemu %d, lackey %d", q.pages, l.pages)
	}
	if d := max(q.minor, l.minor) - min(q.minor, l.minor); d > 4 && d*50 > l.minor {
		t.Errorf("minor faults: qemu %d, lackey %d", q.minor, l.minor)
	}
}

// look is what two recorders of one program are compared by.
type look struct {
	calls []string
	pages int
	minor uint64
}

func lookBy(t *testing.T, tool Tool) (s look) {
	rec := record(t, tool, Options{Reduce: 4}, modes(t), "pages", "2000")
	c := rec.contents(t)
	for i := range c.calls {
		switch name := trace.SyscallName(c.calls[i].ABI, c.calls[i].Nr); name {
		case "mmap", "munmap", "mprotect", "mremap", "madvise":
			s.calls = append(s.calls, fmt.Sprintf("%s(%#x)", name, c.calls[i].Args[1]))
		case "brk":
			s.calls = append(s.calls, name)
		}
	}
	run := rec.replayed(t)
	s.pages, s.minor = len(c.pages), run.Totals.Faults.Minor-run.Totals.Faults.Foreign
	return s
}

func TestQEMUThreads(t *testing.T) {
	needQEMU(t)
	rec := record(t, qemu, Options{Reduce: 4}, modes(t), "threads")
	c := rec.contents(t)
	if c.count(trace.OpClone) != 4 || c.count(trace.OpExit) != 4 {
		t.Errorf("%d threads began and %d ended, want 4 and 4", c.count(trace.OpClone), c.count(trace.OpExit))
	}
	maps := 0
	for i := range c.calls {
		if trace.SyscallName(c.calls[i].ABI, c.calls[i].Nr) == "mmap" && c.calls[i].Args[1] == 50<<12 {
			maps++
		}
	}
	if maps != 4*20 {
		t.Errorf("%d mappings of 50 pages, want 80", maps)
	}
	// Every page that was mapped faults once, and nothing is touched after munmap.
	if run := rec.replayed(t); run.Totals.Faults.Minor < 4*20*50 || run.Totals.Faults.Minor > 4*20*50+100 {
		t.Errorf("%d minor faults, want 4000 for the mappings and a few dozen for the rest", run.Totals.Faults.Minor)
	}
	if !strings.Contains(c.header.Labels["order"], "approximate") {
		t.Errorf("labels %v do not tell of the order", c.header.Labels)
	}
}

// There are more threads than slots: one after the other they find one, and at
// once they do not. Those of "threads" can be over before the next one looks for a slot.
func TestQEMUManyThreads(t *testing.T) {
	needQEMU(t)
	slotLimit = 8
	defer func() { slotLimit = ringSlots }()
	const n = 40
	c := record(t, qemu, Options{Reduce: 4}, modes(t), "churn", strconv.Itoa(n)).contents(t)
	if c.count(trace.OpClone) != n || c.count(trace.OpExit) != n {
		t.Errorf("%d threads began and %d ended, want %d", c.count(trace.OpClone), c.count(trace.OpExit), n)
	}
	slotLimit = 2
	if _, err := tryRecord(t, context.Background(), qemu, Options{Reduce: 4}, modes(t), "together"); err == nil || !strings.Contains(err.Error(), "more than 2 threads") {
		t.Errorf("5 threads where 2 may be: error %v", err)
	}
}

// Each child writes 50 of the 100 pages that it shares with its parent: 150 copies.
func TestQEMUFork(t *testing.T) {
	needQEMU(t)
	for _, k := range []int{0, 4} {
		rec := record(t, qemu, Options{Reduce: k}, modes(t), "fork")
		c := rec.contents(t)
		if c.count(trace.OpFork) != 3 || c.count(trace.OpGroup) != 4 {
			t.Errorf("%d forks, %d ends", c.count(trace.OpFork), c.count(trace.OpGroup))
		}
		for _, p := range c.processes {
			if p.Op == trace.OpGroup && p.Status != 0 && p.Status != 3<<8 {
				t.Errorf("process %d ended with status %#x", p.Child, p.Status)
			}
		}
		// Neither lost nor doubled: 100 writes of the parent and 3 x 50.
		if pages, writes := c.writtenTo("mmap", 100<<12); pages != 100 || writes != 250 {
			t.Errorf("%d pages with %d writes, want 100 with 250", pages, writes)
		}
		if cow := rec.replayed(t).Totals.Faults.Kinds["cow_copy"]; cow < 150 || cow > 200 {
			t.Errorf("%d copies on write, want 150 and a few of stack and data", cow)
		}
	}
}

// A program that replaces its image goes on being recorded, also through a script.
func TestQEMUExec(t *testing.T) {
	needQEMU(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!"+modes(t)+" pages\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		command []string
		execs   int
		pages   uint64
	}{
		"exec":           {[]string{modes(t), "exec", modes(t), "pages", "77"}, 1, 77},
		"script":         {[]string{script, "x"}, 0, 0}, // the argument is the script's name: 0 pages
		"exec of script": {[]string{modes(t), "exec", script}, 1, 0},
	} {
		rec := record(t, qemu, Options{Reduce: 4}, tc.command...)
		c := rec.contents(t)
		if got := c.count(trace.OpExec); got != tc.execs || c.lost != 0 || rec.res.ExitCode != 0 && tc.pages > 0 {
			t.Errorf("%s: %d images after the first, want %d; %d lost, exit status %d", name, got, tc.execs, c.lost, rec.res.ExitCode)
		}
		if tc.pages > 0 {
			if pages, _ := c.writtenTo("mmap", tc.pages<<12); pages != int(tc.pages) {
				t.Errorf("%s: %d pages written, want %d", name, pages, tc.pages)
			}
		}
		rec.replayed(t)
	}
}

// What a program does to its surroundings does not reach the recorder.
func TestQEMUUnusualPrograms(t *testing.T) {
	needQEMU(t)
	for _, mode := range []string{"close", "drop", "daemon"} {
		if mode == "drop" && os.Getuid() != 0 {
			continue // there is nothing to give up
		}
		rec := record(t, qemu, Options{Reduce: 4}, modes(t), mode)
		if rec.res.ExitCode != 0 {
			t.Errorf("%s: exit status %d", mode, rec.res.ExitCode)
		}
		if pages, _ := rec.contents(t).writtenTo("mmap", 100<<12); pages != 100 {
			t.Errorf("%s: %d pages written, want 100", mode, pages)
		}
		rec.replayed(t)
	}
}

// A program that gives up rights and runs another one with what is left of them, which
// is nothing after the exec: that one runs natively, and the trace says so.
func TestQEMUDropsRightsBeforeExec(t *testing.T) {
	needQEMU(t)
	if os.Getuid() != 0 {
		t.Log("not root: there are no rights to give up")
		return
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatal("setpriv: apt-get install util-linux")
	}
	rec := record(t, qemu, Options{}, setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "true")
	if rec.res.ExitCode != 0 {
		t.Errorf("exit status %d", rec.res.ExitCode)
	}
	if got := strings.Join(rec.res.Warnings, "\n"); !strings.Contains(got, "which the qemu recorder could not follow") {
		t.Errorf("warnings %q, want one of a program that ran natively", got)
	}
	if c := rec.contents(t); c.lost != 1 {
		t.Errorf("%d lost records, want 1", c.lost)
	}
}

func TestQEMUChangesDirectory(t *testing.T) {
	needQEMU(t)
	inAnotherDirectory(t, qemu)
}

func TestQEMUExitStatus(t *testing.T) {
	needQEMU(t)
	if rec := record(t, qemu, Options{}, modes(t), "exit", "41"); rec.res.ExitCode != 41 || rec.res.Signal != 0 {
		t.Errorf("exit status %d, signal %d, want 41 and none", rec.res.ExitCode, rec.res.Signal)
	}
	rec := record(t, qemu, Options{}, modes(t), "crash")
	if rec.res.Signal != 11 || rec.res.ExitCode != 128+11 {
		t.Errorf("exit status %d, signal %d, want SIGSEGV", rec.res.ExitCode, rec.res.Signal)
	}
	rec.replayed(t) // the access that killed it is no mistake of the model
}

func TestQEMUStreams(t *testing.T) {
	needQEMU(t)
	var out bytes.Buffer
	record(t, qemu, Options{Stdin: strings.NewReader("through\n"), Stdout: &out, Env: []string{"PATH=" + os.Getenv("PATH")}}, "cat")
	if out.String() != "through\n" {
		t.Errorf("cat wrote %q", out.String())
	}
}

// readv fills 60 bytes of the first page and 40 of the second.
func TestQEMUVectors(t *testing.T) {
	needQEMU(t)
	c := record(t, qemu, Options{Reduce: 4}, modes(t), "vector").contents(t)
	var lens []uint64
	for _, u := range c.copies {
		if u.Write && u.Addr&0xfff == 0 && (u.Len == 60 || u.Len == 40) {
			lens = append(lens, u.Len)
		}
	}
	if !slices.Equal(lens, []uint64{60, 40}) {
		t.Errorf("the kernel's writes to the parts of readv: %v bytes, want 60 and 40", lens)
	}
}

// Instruction pointers lie in the code that was fetched.
func TestQEMUInstructionPointers(t *testing.T) {
	needQEMU(t)
	for _, k := range []int{0, 4} {
		rec := record(t, qemu, Options{Reduce: k, IP: true}, modes(t), "pages", "10")
		src := openTrace(t, rec.path)
		fetched, outside := map[uint64]bool{}, 0
		for {
			b, err := src.Next()
			if err != nil {
				break
			}
			if b.Refs != nil && len(b.IPs) != len(b.Refs) {
				t.Fatalf("K=%d: %d instruction pointers for %d references", k, len(b.IPs), len(b.Refs))
			}
			for i := range b.Refs {
				if b.Refs[i].First == trace.Exec {
					fetched[b.Refs[i].VPN] = true
					if b.IPs[i]>>12 != b.Refs[i].VPN {
						t.Errorf("K=%d: a fetch from page %#x has instruction pointer %#x", k, b.Refs[i].VPN, b.IPs[i])
					}
				} else if !fetched[b.IPs[i]>>12] {
					outside++
				}
			}
		}
		src.Close()
		if outside > 0 || len(fetched) == 0 {
			t.Errorf("K=%d: %d accesses by instructions on pages that had not been fetched from", k, outside)
		}
	}
}

func TestQEMUOtherABIs(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	arm := filepath.Join(dir, "aarch64")
	if err := os.WriteFile(arm, tinyELF(elf.EM_AARCH64, aarch64Code), 0o755); err != nil {
		t.Fatal(err)
	}
	for abi, tc := range map[trace.ABI]struct{ path, call string }{
		trace.ABII386:    {compile(t, "i386.c", "-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector"), "mmap2"},
		trace.ABIAArch64: {arm, "mmap"},
	} {
		need(t, emulators[abi], "qemu-user")
		rec := record(t, qemu, Options{Reduce: 4}, tc.path)
		c := rec.contents(t)
		if rec.res.ExitCode != 7 || c.header.ABI != abi {
			t.Errorf("%v: exit status %d, ABI %v", abi, rec.res.ExitCode, c.header.ABI)
		}
		if pages, writes := c.writtenTo(tc.call, 100<<12); pages != 100 || writes != 100 {
			t.Errorf("%v: %d pages with %d writes, want 100 with 100", abi, pages, writes)
		}
		rec.replayed(t)
	}
}

// aarch64Code is testdata/aarch64.S as aarch64-linux-gnu-as 2.40 assembles it.
var aarch64Code = []uint32{0xd2800000, 0xd2880001, 0xf2a000c1, 0xd2800062, 0xd2800443, 0x92800004, 0xd2800005, 0xd2801bc8, 0xd4000001,
	0xd2800c81, 0xf9000001, 0x91400400, 0xf1000421, 0x54ffffa1, 0xd28000e0, 0xd2800bc8, 0xd4000001}

// tinyELF is a program of one segment: headers and code (elf(5)).
func tinyELF(machine elf.Machine, code []uint32) []byte {
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + 4*len(code))
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1,
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64})
	binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000})
	binary.Write(&b, binary.LittleEndian, code)
	return b.Bytes()
}

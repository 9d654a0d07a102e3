package paging

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// readELF is what a program's headers say.
func readELF(t *testing.T, m *Machine, path string) ELF {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	out := ELF{File: m.File(1, uint64(len(path)), uint64(info.Size()), path), Dyn: f.Type == elf.ET_DYN}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			g := Segment{Offset: p.Off, Vaddr: p.Vaddr, FileSize: p.Filesz, MemSize: p.Memsz, Align: p.Align}
			for _, bit := range []struct {
				flag elf.ProgFlag
				prot Prot
			}{{elf.PF_R, ProtRead}, {elf.PF_W, ProtWrite}, {elf.PF_X, ProtExec}} {
				if p.Flags&bit.flag != 0 {
					g.Prot |= bit.prot
				}
			}
			out.Segments = append(out.Segments, g)
		}
	}
	return out
}

// What the live kernel counts for a program that ends with its first
// instructions: all of it but the fetch of those is taken by execve itself.
func TestExecAgainstKernel(t *testing.T) {
	cc, dir := compiler(t), t.TempDir()
	build := func(name, source string, flags ...string) string {
		bin := filepath.Join(dir, name)
		args := append([]string{"-O1", "-Wall", "-Werror", "-o", bin, filepath.Join("testdata", "kernel", source)}, flags...)
		if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
			t.Fatalf("cc %s: %v\n%s", source, err, out)
		}
		return bin
	}
	runner := build("exec", "exec.c")
	bare := []string{"-nostdlib", "-static", "-fno-stack-protector"}
	for _, c := range []struct {
		what     string
		flags    []string
		n, bytes uint64
	}{
		{"code alone", nil, 1, 8},
		{"data, not touched", []string{"-DDATA=20000"}, 1, 8},
		{".bss begins inside a page: its rest is cleared", []string{"-DDATA=100", "-DBSS=100000"}, 1, 8},
		{".bss within that page", []string{"-DDATA=100", "-DBSS=100"}, 1, 8},
		{".bss alone", []string{"-DBSS=100000"}, 1, 8},
		{"may lie anywhere", []string{"-static-pie", "-DDATA=100", "-DBSS=100000"}, 1, 8},
		{"arguments of 100 kB", nil, 1, 100000},
		{"of 15 times 128 KiB", nil, 15, 128 << 10},
		{"many short ones: their pointers take as much", nil, 20000, 8},
		{"too many bytes", nil, 49, 128 << 10},
		{"one that is too long", nil, 1, 128<<10 + 1},
	} {
		flags := append([]string{}, bare...)
		for _, f := range c.flags {
			if f == "-static-pie" {
				flags = []string{"-nostdlib", "-static-pie", "-fPIE", "-fno-stack-protector"}
			} else {
				flags = append(flags, f)
			}
		}
		tiny := build("tiny", "tiny.c", flags...)
		out, err := exec.Command(runner, tiny, fmt.Sprint(c.n), fmt.Sprint(c.bytes)).Output()
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		tk := task(t)
		im := Image{ELF: readELF(t, tk.machine, tiny), Path: uint64(len(tiny)) + 1, VVar: 4, VDSO: 2}
		for range c.n {
			im.Args = append(im.Args, c.bytes)
		}
		st, errno := tk.ExecImage(&im)
		if errno != 0 {
			if errno != E2BIG || !strings.HasPrefix(string(out), "status") {
				t.Errorf("%s: the model refuses with %v, the kernel says %s", c.what, errno, out)
			}
			check(t, tk.machine)
			t.Logf("%s: both refuse", c.what)
			continue
		}
		f, _ := elf.Open(tiny)
		tk.Access(st.Bias+f.Entry, Exec)
		f.Close()
		check(t, tk.machine)
		model, _ := tk.Faults()
		live, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
		if err != nil || live != model {
			t.Errorf("%s: the kernel counts %s, the model %d", c.what, strings.TrimSpace(string(out)), model)
			continue
		}
		t.Logf("%s: %d faults", c.what, live)
	}
}

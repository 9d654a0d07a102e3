package paging

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The micro-programs of testdata/kernel run on the live kernel; the same steps,
// on the model, must take the same number of minor faults, give or take 3. Where
// a difference is known to remain, explained says why, and so does doc.go.
//
// The live kernel may be another release than the model's 6.1, and may have no
// zero page; the first case of anon.c finds that out and the model is set
// accordingly.

const tolerance = 3

// explanation is why a later kernel gives something else than 6.1, and what 6.1 gives
// by its source.
type explanation struct {
	by61 int64
	why  string
}

// explained are the cases that may differ by more than the tolerance.
var explained = map[string]explanation{
	"free_mprotect_write":          {kernelN, "since Linux 6.2 mprotect makes clean exclusive pages writable as well (can_change_private_pte_writable)"},
	"mprotect_write":               {kernelN, "the same, where reads get frames of their own instead of the zero page: those are clean"},
	"private_write_after_truncate": {kernelN / 2, "the pages of the file that were cut off are not in the cache: the first fault is a major one and reads around it"},
}

// steps is a case on the model; it mirrors the C function of the same steps.
type steps struct {
	t    *testing.T
	tk   *Task
	got  map[string]int64
	from uint64
}

const (
	kernelN    = 256
	kernelBase = 0x100000000000
	kernelHeap = 0x200000000000
	kernelTop  = 0x7ffffffff000
)

func (s *steps) begin() { s.from, _ = s.tk.Faults() }

func (s *steps) end(name string) {
	s.t.Helper()
	minor, major := s.tk.Faults()
	if major != 0 {
		s.t.Errorf("%s: %d major faults with a warm cache", name, major)
	}
	s.got[name] = int64(minor - s.from)
	check(s.t, s.tk.machine)
}

// count measures one part.
func (s *steps) count(name string, do func()) {
	s.begin()
	do()
	s.end(name)
}

func (s *steps) touch(addr, n, step uint64, a Access) {
	s.t.Helper()
	for i := uint64(0); i < n; i += step {
		if out := s.tk.Access(addr+i*PageSize, a); out.Fatal() {
			s.t.Fatalf("page %d: %v", i, out)
		}
	}
}

func (s *steps) rd(addr, n, step uint64) { s.touch(addr, n, step, Read) }
func (s *steps) wr(addr, n, step uint64) { s.touch(addr, n, step, Write) }

func (s *steps) mmap(addr, n uint64, prot Prot, flags MapFlags, f *File) uint64 {
	return s.tk.pages(s.t, n, MmapArgs{Addr: addr, Prot: prot, Flags: flags | MapFixed, File: f})
}

func (s *steps) anon() uint64 { return s.mmap(kernelBase, kernelN, rw, anon, nil) }

func (s *steps) file() *File { return s.tk.machine.File(1, 1, kernelN*PageSize, "data") }

func (s *steps) mremap(old, oldN, newN, flags, to uint64) {
	if _, errno := s.tk.Mremap(old, oldN*PageSize, newN*PageSize, flags, to, 0); errno != 0 {
		s.t.Fatal(errno)
	}
}

// fork returns the steps of the child.
func (s *steps) fork() *steps {
	return &steps{t: s.t, tk: s.tk.Fork(2, 2, 1), got: s.got}
}

// kernelCases are the programs and their cases, in any order.
var kernelCases = map[string][]func(s *steps){
	"anon": {
		func(s *steps) {
			a := s.anon()
			s.rd(a, kernelN, 1)
			s.count("zero_page_written", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) { a := s.anon(); s.count("anon_read", func() { s.rd(a, kernelN, 1) }) },
		func(s *steps) {
			a := s.anon()
			s.count("anon_write", func() { s.wr(a, kernelN, 1) })
			s.count("anon_write_again", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.count("anon_read_stride", func() { s.rd(a, kernelN, 3) })
			s.count("anon_write_after_read_stride", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapShared|MapAnonymous, nil)
			s.count("shmem_read_stride", func() { s.rd(a, kernelN, 4) })
			s.count("shmem_write", func() { s.wr(a, kernelN, 1) })
			s.tk.Munmap(a, kernelN/2*PageSize)
			s.count("shmem_read_again", func() { s.rd(a+kernelN/2*PageSize, kernelN/2, 1) })
		},
		func(s *steps) {
			s.tk.SetBrk(kernelHeap, kernelHeap)
			s.tk.Brk(kernelHeap + kernelN*PageSize)
			s.count("brk_write", func() { s.wr(kernelHeap, kernelN, 1) })
			s.count("brk_down_and_up", func() {
				s.tk.Brk(kernelHeap + kernelN/2*PageSize)
				s.tk.Brk(kernelHeap + kernelN*PageSize)
			})
			s.count("brk_write_again", func() { s.wr(kernelHeap, kernelN, 1) })
		},
		func(s *steps) {
			if err := s.tk.MapRegion(Region{Start: kernelTop - 33*PageSize, End: kernelTop, Prot: rw, Kind: Stack}); err != nil {
				s.t.Fatal(err)
			}
			deep := func() {
				for i := uint64(1); i <= kernelN; i++ {
					s.wr(kernelTop-i*PageSize, 1, 1)
				}
			}
			s.wr(kernelTop-4*PageSize, 4, 1) // warm
			s.count("stack_growth", deep)
			s.count("stack_again", deep)
		},
		func(s *steps) { // the threads' faults are the process's
			a := s.anon()
			total := int64(0)
			for i := range uint64(4) {
				th := &steps{t: s.t, tk: s.tk.Clone(uint32(10+i), int(i)%s.tk.machine.CPUs()), got: map[string]int64{}}
				th.count("part", func() { th.wr(a+i*kernelN/4*PageSize, kernelN/4, 1) })
				total += th.got["part"]
			}
			s.got["threads_write"] = total
		},
	},
	"fork": {
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			c := s.fork()
			c.count("fork_child_writes_first", func() { c.wr(a, kernelN, 1) })
			s.count("fork_parent_writes_second", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			c := s.fork()
			s.count("fork_parent_writes_first", func() { s.wr(a, kernelN, 1) })
			c.count("fork_child_writes_second", func() { c.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			c := s.fork()
			c.count("fork_child_reads", func() { c.rd(a, kernelN, 1) })
			s.count("fork_parent_reads", func() { s.rd(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			s.fork().tk.ExitGroup()
			s.count("fork_parent_writes_after_exit", func() { s.wr(a, kernelN/2, 1) })
			s.tk.Mprotect(a, kernelN*PageSize, ProtRead)
			s.tk.Mprotect(a, kernelN*PageSize, rw)
			s.count("fork_parent_writes_after_exit_and_mprotect", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			b := s.mmap(kernelBase+4*kernelN*PageSize, kernelN, rw, anon, nil)
			s.rd(a, kernelN, 1)
			s.rd(b, kernelN, 1)
			s.wr(b, 1, 1)
			c := s.fork()
			c.count("fork_child_reads_zero_pages", func() { c.rd(a, kernelN, 1) })
			c.count("fork_child_reads_zero_pages_beside_a_written_one", func() { c.rd(b, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			s.tk.Madvise(a, kernelN*PageSize, madvWipeOnFork)
			c := s.fork()
			c.count("wipeonfork_child_reads", func() { c.rd(a, kernelN, 1) })
			s.count("wipeonfork_parent_writes", func() { s.wr(a, kernelN, 1) })
		},
	},
	"file": {
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapPrivate, s.file())
			s.count("private_read", func() { s.rd(a, kernelN, 1) })
			s.count("private_write_after_read", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapPrivate, s.file())
			s.count("private_write", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapPrivate, s.file())
			s.count("private_write_stride", func() { s.wr(a, kernelN, 8) })
			s.count("private_read_after_write_stride", func() { s.rd(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase+5*PageSize, kernelN, rw, MapPrivate, s.file())
			s.count("private_read_unaligned", func() { s.rd(a, 64, 1) })
			s.count("private_read_backwards", func() {
				for i := uint64(kernelN - 1); i >= 64; i-- {
					s.rd(a+i*PageSize, 1, 1)
				}
			})
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapShared, s.file())
			s.count("shared_read", func() { s.rd(a, kernelN, 1) })
			s.count("shared_write_after_read", func() { s.wr(a, kernelN, 1) })
			s.tk.Msync(a, kernelN*PageSize, msSync)
			s.count("shared_write_after_msync", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapShared, s.file())
			s.count("shared_write", func() { s.wr(a, kernelN, 1) })
			s.count("shared_read_after_write", func() { s.rd(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapShared, s.file())
			s.wr(a, kernelN, 1)
			s.tk.Mprotect(a, kernelN*PageSize, ProtRead)
			s.tk.Mprotect(a, kernelN*PageSize, rw)
			s.count("shared_write_after_mprotect", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.mmap(kernelBase, kernelN, rw, MapPrivate, s.file())
			s.wr(a, kernelN, 1)
			s.tk.machine.File(1, 1, kernelN/2*PageSize, "data")
			s.tk.machine.File(1, 1, kernelN*PageSize, "data")
			s.count("private_write_after_truncate", func() { s.wr(a, kernelN, 1) })
		},
	},
	"calls": {
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			s.tk.Madvise(a, kernelN/2*PageSize, madvDontNeed)
			s.count("dontneed_write", func() { s.wr(a, kernelN, 1) })
			s.tk.Madvise(a, kernelN*PageSize, madvDontNeed)
			s.count("dontneed_read", func() { s.rd(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			s.tk.Madvise(a, kernelN*PageSize, madvFree)
			s.count("free_read_write", func() { s.rd(a, kernelN, 1); s.wr(a, kernelN, 1) })
			s.tk.Madvise(a, kernelN*PageSize, madvFree)
			s.tk.Mprotect(a, kernelN*PageSize, ProtRead)
			s.tk.Mprotect(a, kernelN*PageSize, rw)
			s.count("free_mprotect_write", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := uint64(kernelBase)
			s.count("populate", func() { s.mmap(a, kernelN, rw, anon|MapPopulate, nil) })
			s.count("populate_write", func() { s.wr(a, kernelN, 1) })
			s.tk.Munmap(a, kernelN*PageSize)
			s.count("populate_read_only", func() { s.mmap(a, kernelN, ProtRead, anon|MapPopulate, nil) })
		},
		func(s *steps) {
			a := s.anon()
			s.count("madvise_populate_read", func() { s.tk.Madvise(a, kernelN*PageSize, madvPopulateRead) })
			s.count("madvise_populate_write", func() { s.tk.Madvise(a, kernelN*PageSize, madvPopulateWrite) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 4)
			s.count("mlock", func() { s.tk.Mlock(a, kernelN*PageSize) })
			s.count("mlock_write", func() { s.wr(a, kernelN, 1) })
			s.tk.Munlock(a, kernelN*PageSize)
			s.tk.Madvise(a, kernelN*PageSize, madvDontNeed)
			s.count("mlock_onfault", func() { s.tk.Mlock2(a, kernelN*PageSize, mlockOnFault) })
		},
		func(s *steps) {
			a, b := s.anon(), uint64(kernelBase+(4*kernelN+7)*PageSize)
			s.wr(a, kernelN, 2)
			s.mremap(a, kernelN, 2*kernelN, mremapMayMove|mremapFixed, b)
			s.count("mremap_move_grow_write", func() { s.wr(b, 2*kernelN, 1) })
			s.count("mremap_dontunmap_write", func() {
				s.mremap(b, 2*kernelN, 2*kernelN, mremapMayMove|mremapFixed|mremapDontUnmap, a)
				s.wr(a, 2*kernelN, 1)
			})
			s.count("mremap_dontunmap_old_write", func() { s.wr(b, 2*kernelN, 1) })
		},
		func(s *steps) {
			a, b := s.mmap(kernelBase, 1024, rw, anon, nil), uint64(kernelBase+4096*PageSize)
			s.wr(a, 1024, 2)
			s.mremap(a, 1024, 1024, mremapMayMove|mremapFixed, b)
			s.count("mremap_tables_write", func() { s.wr(b, 1024, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 2)
			s.tk.Mprotect(a, kernelN*PageSize, ProtRead)
			s.count("mprotect_read", func() { s.rd(a, kernelN, 1) })
			s.tk.Mprotect(a, kernelN*PageSize, rw)
			s.count("mprotect_write", func() { s.wr(a, kernelN, 1) })
			s.tk.Mprotect(a, kernelN*PageSize, 0)
			s.tk.Mprotect(a, kernelN*PageSize, rw)
			s.count("mprotect_none_write", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.wr(a, kernelN, 1)
			s.mmap(a+kernelN/4*PageSize, kernelN/2, rw, anon, nil)
			s.count("overlay_write", func() { s.wr(a, kernelN, 1) })
		},
		func(s *steps) {
			a := s.anon()
			s.count("read_into_fresh_memory", func() {
				if done, out := s.tk.Copy(a+100, (kernelN-1)*PageSize, true); done != (kernelN-1)*PageSize || out != OK {
					s.t.Errorf("copied %d bytes: %v", done, out)
				}
			})
		},
	},
}

// compiler is the C compiler of the machine.
func compiler(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler: install gcc and libc6-dev")
	}
	return cc
}

func TestAgainstKernel(t *testing.T) {
	cc, dir := compiler(t), t.TempDir()
	live := map[string]map[string]int64{}
	for program := range kernelCases {
		live[program] = runMicro(t, cc, dir, program)
	}
	if t.Failed() {
		return
	}
	c := DefaultConfig()
	c.NoZeroPage = live["anon"]["zero_page_written"] == 0
	t.Logf("the live kernel maps the zero page: %v", !c.NoZeroPage)
	for program, cases := range kernelCases {
		judge(t, program, c, cases, live[program], explained, tolerance)
	}
}

// judge does the cases of a program on the model, and compares what they print with what
// the program printed on the live kernel. Where an explanation allows a difference the
// model has to give what 6.1 would.
func judge(t *testing.T, program string, c Config, cases []func(*steps), live map[string]int64, explained map[string]explanation, slack int64) {
	t.Helper()
	got := map[string]int64{}
	for _, do := range cases {
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		do(&steps{t: t, tk: m.NewProcess(1, 1, 0), got: got})
		check(t, m)
	}
	for name, want := range live {
		model, ok := got[name]
		diff := model - want
		switch e, known := explained[name]; {
		case !ok:
			t.Errorf("%s.c: case %s is missing on the model", program, name)
		case diff == 0:
		case known && model == e.by61:
			t.Logf("%s: model %d, kernel %d: %s", name, model, want, e.why)
		case diff > slack || diff < -slack:
			t.Errorf("%s: model %d, kernel %d", name, model, want)
		default:
			t.Logf("%s: model %d, kernel %d: within the tolerance", name, model, want)
		}
	}
	if len(got) != len(live) {
		t.Errorf("%s.c printed %d cases, the model has %d", program, len(live), len(got))
	}
	t.Logf("%s.c: %d cases compared", program, len(live))
}

// runMicro compiles and runs a program and returns the least of each case.
func runMicro(t *testing.T, cc, dir, program string) map[string]int64 {
	t.Helper()
	bin := filepath.Join(dir, program)
	if out, err := exec.Command(cc, "-O1", "-Wall", "-Werror", "-static", "-pthread", "-o", bin, filepath.Join("testdata", "kernel", program+".c")).CombinedOutput(); err != nil {
		t.Errorf("cc %s.c: %v\n%s", program, err, out)
		return nil
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(bin)
	if program == "file" {
		cmd.Args = append(cmd.Args, filepath.Join(fileDir(t, dir), "data"))
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, &stderr)
		return nil
	}
	least := map[string]int64{}
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var name string
		var v int64
		if _, err := fmt.Sscan(lines.Text(), &name, &v); err != nil {
			t.Errorf("%s printed %q", program, lines.Text())
			continue
		}
		old, ok := least[name]
		if !ok || v < old || strings.HasSuffix(name, "_huge") && v > old { // the kernel may find no huge page once
			least[name] = v
		}
	}
	return least
}

// fileDir is a directory on a file system with write-back: on tmpfs a shared
// mapping is not write-protected, so the numbers of file.c would differ.
func fileDir(t *testing.T, dir string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	kind, best := "", ""
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 2 && strings.HasPrefix(dir+"/", strings.TrimSuffix(f[1], "/")+"/") && len(f[1]) >= len(best) {
			best, kind = f[1], f[2]
		}
	}
	if kind != "tmpfs" {
		return dir
	}
	other, err := os.MkdirTemp("/var/tmp", "vmtrace")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	return other
}

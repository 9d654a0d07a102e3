package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay"
)

// modelFlags declares the flags that configure the memory manager, and returns
// what makes options of them.
func modelFlags(fs *pflag.FlagSet) func() (replay.Options, error) {
	c := paging.DefaultConfig()
	kernel := fs.String("kernel", c.Profile, "`kernel` to follow: "+strings.Join(paging.Profiles(), " or "))
	fs.IntVar(&c.Levels, "levels", 0, "`levels` of the page table: 2 (i386), 3 (PAE), 4 (x86-64), 5 (LA57); by default 4, and 2 for a trace of i386 programs")
	fs.IntVar(&c.CPUs, "cpus", c.CPUs, "processors; threads are spread over them in the order they start")
	tlb := fs.String("tlb", "", "TLB `geometry` of each processor (default "+c.TLB.String()+")")
	cache := fs.String("page-cache", "warm", "file pages at the start: `warm` (in memory: minor faults) or cold (the first read is a major fault)")
	around := newSize(c.FaultAround)
	fs.Var(around, "fault-around", "map so many bytes of cached file pages around a read fault; 4KiB = off")
	zero := fs.Bool("zero-page", true, "reads of fresh anonymous memory map the shared zero page; =false for kernels that have none")
	locking := fs.String("locking", c.Locking.String(), "page-table `locks`: per-table, global or mm")
	memory := memoryFlags(fs, &c)
	huge := hugeFlags(fs, &c)
	fs.BoolVar(&c.BottomUp, "bottom-up", false, "place mappings upwards, as with vm.legacy_va_layout")
	vsyscall := fs.String("vsyscall", c.Vsyscall.String(), "what programs may do with the vsyscall `page`: xonly, emulate (it can be read too) or none")
	fs.BoolVar(&c.Compat, "compat", false, "give programs the addresses of 32-bit processes of a 64-bit kernel")
	fs.BoolVar(&c.HighMem, "highmem", false, "frames of programs are high memory, which the kernel maps to zero or copy it; with 2 or 3 levels")
	costs := fs.String("costs", "", "JSON `file` with costs in ns for the estimate of time; what it does not name keeps the built-in cost")
	limits := limitFlags(fs, &c)
	recycle := fs.Uint64("recycle", 0, "drop clean pages of files from the page cache, mapped or not, after every so many `accesses`, as if others needed the memory")
	workers := fs.Int("workers", runtime.GOMAXPROCS(0), "decode ahead, and run CPUs side by side, with so many `workers`; the result is the same for any number, 1 does it all in turn")
	return func() (replay.Options, error) {
		var err error
		if err = c.SetProfile(*kernel); err != nil {
			return replay.Options{}, usagef("--kernel: %w", err)
		}
		if !fs.Changed("fault-around") {
			*around = size(c.FaultAround)
		}
		if !fs.Changed("locking") {
			*locking = c.Locking.String()
		}
		if *tlb != "" {
			if c.TLB, err = paging.ParseTLB(*tlb); err != nil {
				return replay.Options{}, usagef("--tlb: %w", err)
			}
		}
		if c.Cache, err = paging.ParseCacheState(*cache); err != nil {
			return replay.Options{}, usagef("--page-cache: %w", err)
		}
		if c.Locking, err = paging.ParseLocking(*locking); err != nil {
			return replay.Options{}, usagef("--locking: %w", err)
		}
		if c.Vsyscall, err = paging.ParseVsyscallMode(*vsyscall); err != nil {
			return replay.Options{}, usagef("--vsyscall: %w", err)
		}
		c.FaultAround, c.NoZeroPage = uint64(*around), !*zero
		if err = memory(fs.Changed("page-cache")); err != nil {
			return replay.Options{}, err
		}
		if err := huge(); err != nil {
			return replay.Options{}, err
		}
		if err := limits(); err != nil {
			return replay.Options{}, err
		}
		checked := c
		if checked.Levels == 0 {
			checked.Levels = 4 // chosen when the trace is known
			checked.HighMem = false
		}
		if err := checked.Validate(); err != nil {
			return replay.Options{}, usageError{err}
		}
		if *recycle > 0 && c.NeedsFuture() {
			return replay.Options{}, usagef("--recycle does not go with --reclaim opt: leave one of them out")
		}
		table, err := loadCosts(*costs)
		if err != nil {
			return replay.Options{}, err
		}
		return replay.Options{Model: c, Costs: table, Workers: *workers, RecycleEvery: *recycle}, nil
	}
}

// limitFlags declares the flags of what a process may map, and returns what
// puts them into the configuration.
func limitFlags(fs *pflag.FlagSet, c *paging.Config) func() error {
	overcommit := fs.String("overcommit", c.Overcommit.String(), "`mode` of vm.overcommit_memory: 0 (no request above --ram), 1 (everything is promised), 2 (all promises together below a limit)")
	fs.Uint64Var(&c.OvercommitRatio, "overcommit-ratio", c.OvercommitRatio, "`percentage` of --ram that mode 2 promises")
	for _, f := range []struct {
		name, help string
		bytes      *uint64
	}{
		{"ram", "memory of the machine that overcommit goes by", &c.RAM},
		{"rlimit-as", "bytes a process may map (ulimit -v)", &c.AddressLimit},
		{"rlimit-data", "bytes of private writable memory a process may map (ulimit -d)", &c.DataLimit},
		{"rlimit-stack", "bytes a stack may grow to (ulimit -s)", &c.StackLimit},
		{"rlimit-memlock", "bytes a process may lock in memory (ulimit -l)", &c.LockedLimit},
	} {
		fs.Var((*size)(f.bytes), f.name, f.help)
	}
	return func() (err error) {
		if c.Overcommit, err = paging.ParseOvercommit(*overcommit); err != nil {
			return usagef("--overcommit: %w", err)
		}
		return nil
	}
}

// loadCosts reads the table of costs in a file; no name is the built-in one.
func loadCosts(path string) (replay.Costs, error) {
	if path == "" {
		return replay.DefaultCosts(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return replay.Costs{}, err
	}
	costs, err := replay.ParseCosts(data, path)
	if err != nil {
		return replay.Costs{}, fmt.Errorf("%s: %w", path, err)
	}
	return costs, nil
}

// size is a flag for a number of bytes: 64KiB, 1.5GB, 4096, unlimited.
type size uint64

func newSize(n uint64) *size { s := size(n); return &s }

func (s *size) String() string {
	if *s == paging.NoLimit {
		return "unlimited"
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(*s)), " ", "")
}

func (s *size) Set(text string) error {
	if text == "unlimited" {
		*s = paging.NoLimit
		return nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 4096, 64KiB, 1.5GiB or unlimited", text)
	}
	*s = size(n)
	return nil
}

func (s *size) Type() string { return "size" }

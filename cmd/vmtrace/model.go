package main

import (
	"fmt"
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
	fs.IntVar(&c.Levels, "levels", 0, "`levels` of the page table: 2 (i386), 3 (PAE), 4 (x86-64), 5 (LA57); by default 4, and 2 for a trace of i386 programs")
	fs.IntVar(&c.CPUs, "cpus", c.CPUs, "processors; threads are spread over them in the order they start")
	tlb := fs.String("tlb", "", "TLB `geometry` of each processor (default "+c.TLB.String()+")")
	cache := fs.String("page-cache", "warm", "file pages at the start: `warm` (in memory: minor faults) or cold (the first read is a major fault)")
	around := newSize(c.FaultAround)
	fs.Var(around, "fault-around", "map so many bytes of cached file pages around a read fault; 4KiB = off")
	zero := fs.Bool("zero-page", true, "reads of fresh anonymous memory map the shared zero page; =false for kernels that have none")
	memlock := newSize(c.LockedLimit)
	fs.Var(memlock, "memlock", "bytes a process may lock in memory (ulimit -l)")
	locking := fs.String("locking", c.Locking.String(), "page-table `locks`: per-table, global or mm")
	memory := memoryFlags(fs, &c)
	fs.BoolVar(&c.BottomUp, "bottom-up", false, "place mappings upwards, as with vm.legacy_va_layout")
	vsyscall := fs.String("vsyscall", c.Vsyscall.String(), "what programs may do with the vsyscall `page`: xonly, emulate (it can be read too) or none")
	return func() (replay.Options, error) {
		var err error
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
		if err := memory(fs.Changed("page-cache")); err != nil {
			return replay.Options{}, err
		}
		c.FaultAround, c.NoZeroPage, c.LockedLimit = uint64(*around), !*zero, uint64(*memlock)
		checked := c
		if checked.Levels == 0 {
			checked.Levels = 4 // chosen when the trace is known
		}
		if err := checked.Validate(); err != nil {
			return replay.Options{}, usageError{err}
		}
		return replay.Options{Model: c}, nil
	}
}

// size is a flag for a number of bytes: 64KiB, 1.5GB, 4096.
type size uint64

func newSize(n uint64) *size { s := size(n); return &s }

func (s *size) String() string {
	return strings.ReplaceAll(humanize.IBytes(uint64(*s)), " ", "")
}

func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 4096, 64KiB or 1.5GiB", text)
	}
	*s = size(n)
	return nil
}

func (s *size) Type() string { return "size" }

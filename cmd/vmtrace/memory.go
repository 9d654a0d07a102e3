package main

import (
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
)

// memoryFlags declares the flags of a memory limit and returns what fills in the
// configuration. It wants to know whether the state of the page cache was given:
// under a limit files are not in memory at the start unless one says so.
func memoryFlags(fs *pflag.FlagSet, c *paging.Config) func(cacheGiven bool) error {
	memory := newSize(0)
	fs.Var(memory, "memory", "`limit` of memory for all processes together, as of a memory cgroup; files are cold then unless --page-cache says otherwise")
	frames := fs.Uint64("frames", 0, "memory of `N` pages, as textbooks have it: for --memory, --reclaim-exact, --page-cache cold and --zero-page=false")
	swap := fs.String("swap", "", "`size` of swap, or none (default with --memory: as much as it takes)")
	device := fs.String("swap-device", c.SwapDevice.String(), "`device` of swap: disk (reads neighbours ahead) or zram")
	names := policyNames()
	reclaim := fs.String("reclaim", names[0], "`policy` that chooses which page leaves: "+strings.Join(names, ", ")+"; replay takes several, with commas in between, or all")
	exact := fs.Bool("reclaim-exact", false, "tell the policy of every reference, as in its paper, instead of accessed bits; no fault-around, no read-ahead")
	fs.BoolVar(&c.Kswapd, "kswapd", false, "take --memory for all that the machine has: with watermarks, and kswapd that frees pages in the background")
	fs.BoolVar(&c.Flusher, "flusher", false, "write dirty pages of files back in the background, when they are 30 s old or, with --kswapd, too many")
	return func(cacheGiven bool) error {
		c.Memory, c.Reclaim, c.ReclaimExact = uint64(*memory)&^(paging.PageSize-1), *reclaim, *exact
		if fs.Changed("frames") {
			if *frames == 0 || *frames > 1<<30 {
				return usagef("--frames %d: must be 1 to %d", *frames, 1<<30)
			}
			for _, other := range []string{"memory", "reclaim-exact", "page-cache", "zero-page"} {
				if fs.Changed(other) {
					return usagef("--frames stands for --%s too: leave one of them out", other)
				}
			}
			c.Memory, c.ReclaimExact, c.NoZeroPage = *frames*paging.PageSize, true, true
		}
		if c.Kswapd && !fs.Changed("memory") {
			return usagef("--kswapd wants to know how much memory the machine has: --memory SIZE")
		}
		if fs.Changed("memory") && c.Memory == 0 {
			return usagef("--memory %s: the least is one page, 4KiB", memory)
		}
		var err error
		if c.SwapDevice, err = paging.ParseSwapDevice(*device); err != nil {
			return usagef("--swap-device: %w", err)
		}
		switch {
		case *swap == "none", *swap == "" && c.Memory == 0:
			c.Swap = 0
		case *swap == "":
			c.Swap = 1 << 44 // more than there are frames
		default:
			n := newSize(0)
			if err := n.Set(*swap); err != nil {
				return usagef("--swap: %w", err)
			}
			c.Swap = uint64(*n) &^ (paging.PageSize - 1)
		}
		if c.Memory > 0 && !cacheGiven {
			c.Cache = paging.CacheCold
		}
		return nil
	}
}

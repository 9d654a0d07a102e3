package main

import (
	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/paging"
)

// hugeFlags declares the flags of large pages and returns what fills in the
// configuration.
func hugeFlags(fs *pflag.FlagSet, c *paging.Config) func() error {
	thp := fs.String("thp", c.THP.String(), "transparent huge pages for `memory` that is anonymous: never, madvise (where MADV_HUGEPAGE asks) or always")
	fs.DurationVar(&c.CollapseEvery, "khugepaged", c.CollapseEvery, "`time` between two scans for small pages that become a huge one; time is the trace's, or 1 ns an access")
	fs.Uint64Var(&c.HugePages, "hugepages", 0, "`pages` in the pool of hugetlb, of 2MiB (4MiB with 2 levels)")
	fs.Uint64Var(&c.HugeOvercommit, "hugepages-overcommit", 0, "`pages` that the pool may grow by when it is empty")
	fs.Uint64Var(&c.GiantPages, "hugepages-1g", 0, "`pages` in the pool of 1GiB pages")
	return func() (err error) {
		if c.THP, err = paging.ParseTHP(*thp); err != nil {
			return usagef("--thp: %w", err)
		}
		return nil
	}
}

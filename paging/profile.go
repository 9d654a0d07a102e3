package paging

import (
	"fmt"
	"slices"
	"strings"
)

// profile is what tells one kernel from another: a row of profiles. The rest of
// the package is Linux 6.1.
type profile struct {
	name string

	faultAround bool // reads of files map what is around, too (since 3.15)
	locking     Locking
	// keepsWrite: mprotect to read-only and back leaves private pages that are
	// dirty and not shared writable (can_change_pte_writable, since 6.0); else
	// each faults once more.
	keepsWrite bool
	// ceiling is the most pages flushed one by one; before 3.7 that is one page,
	// and mmu_gather flushes all (arch/x86/mm/tlb.c: flush_tlb_range is
	// flush_tlb_mm).
	ceiling     uint64
	gatherWhole bool
	thp         bool             // transparent huge pages (since 2.6.38)
	killed      Errno            // of get_user_pages for a process that is being killed
	asids       int              // address spaces a CPU keeps TLB entries of (since 4.14; before, a switch flushes)
	lacks       func(a int) bool // advice of madvise that is not known yet
	nonLinear   bool             // remap_file_pages makes mappings non-linear (until 4.0)
}

// profiles is the table of kernels.
var profiles = []profile{
	{name: "linux-6.1", faultAround: true, locking: LockPerTable, keepsWrite: true, thp: true, killed: EINTR, ceiling: flushCeiling, asids: numASIDs,
		lacks: func(int) bool { return false }},
	{name: "linux-2.6.32", locking: LockMM, killed: ERESTARTSYS, ceiling: 1, gatherWhole: true, asids: 1, nonLinear: true,
		lacks: func(a int) bool { return a == madvFree || a > madvUnmergeable && a != madvHWPoison }},
}

func findProfile(name string) (profile, error) {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
	if i < 0 {
		return profile{}, fmt.Errorf("profile %q: there are %s", name, strings.Join(Profiles(), ", "))
	}
	return profiles[i], nil
}

// Profiles are the names of the kernels that the model can follow.
func Profiles() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}

// SetProfile makes the configuration follow another kernel, with that kernel's
// own fault-around and locks. An error names the profiles there are.
func (c *Config) SetProfile(name string) error {
	p, err := findProfile(name)
	if err != nil {
		return err
	}
	c.Profile, c.Locking, c.FaultAround = p.name, p.locking, PageSize
	if p.faultAround {
		c.FaultAround = defaultFaultAround
	}
	return nil
}

package paging

import (
	"fmt"
	"strings"
)

// paths is the way through the fault tree to each leaf (see fault.go), after a
// mapping was found and the access permitted.
var paths = map[FaultKind][]string{
	ZeroPage:     {"the entry is empty", "anonymous memory", "a read", "the shared zero page, read-only (do_anonymous_page)"},
	DemandZero:   {"the entry is empty", "anonymous memory", "a frame of its own, zeroed (do_anonymous_page)"},
	FileRead:     {"the entry is empty", "pages of a file", "a read or fetch", "the page of the cache, and those around it (do_read_fault)"},
	FileCOW:      {"the entry is empty", "pages of a file", "a write, private", "a frame of its own with a copy (do_cow_fault)"},
	FileShared:   {"the entry is empty", "pages of a file", "a write, shared", "the page of the cache, writable (do_shared_fault)"},
	CowCopy:      {"the entry is present", "it is read-only and this is a write", "the page is private and not this entry's alone", "a copy of it (wp_page_copy)"},
	CowZero:      {"the entry is present", "it is read-only and this is a write", "it is the zero page", "a frame of its own, zeroed (wp_page_copy)"},
	CowReuse:     {"the entry is present", "it is read-only and this is a write", "the page has no other owner", "made writable (wp_page_reuse)"},
	MkWrite:      {"the entry is present", "it is read-only and this is a write", "the mapping is shared", "made writable and dirty (wp_page_shared)"},
	SwapIn:       {"the entry stands for a page in swap", "the page comes back (do_swap_page)"},
	NonLinear:    {"the entry names a page of the file", "that page of the cache (do_nonlinear_fault)"},
	Spurious:     {"the entry is present", "it permits the access already", "nothing to do"},
	Unshare:      {"the entry is present", "the kernel wants to pin a page that is shared", "the mapping gets one of its own (do_wp_page)"},
	HugeZero:     {"there is no table yet", "anonymous memory, a huge page would lie in the mapping", "a read", "the huge zero page, read-only (do_huge_pmd_anonymous_page)"},
	HugeDemand:   {"there is no table yet", "anonymous memory, a huge page would lie in the mapping", "a huge page, zeroed (do_huge_pmd_anonymous_page)"},
	HugeReuse:    {"the entry maps a huge page", "it is read-only and this is a write", "the page has no other owner", "made writable (do_huge_pmd_wp_page)"},
	HugeTLBFault: {"memory of hugetlb", "the entry is empty", "a page of the pool, or of the object (hugetlb_no_page)"},
	HugeTLBCopy:  {"memory of hugetlb", "it is read-only and this is a write", "the page is not this mapping's alone", "a copy of it (hugetlb_wp)"},
	HugeTLBReuse: {"memory of hugetlb", "it is read-only and this is a write", "the page has no other owner", "made writable (hugetlb_wp)"},
	FaultBus:     {"beyond the end of the file", "refused"},
	FaultOOM:     {"a frame is needed", "there is none"},
}

// Explain tells the fault in words, a line each: the mapping, the way through the
// fault tree, the entry before and after in the notation of dump.go, and the
// outcome. Call it while the FaultInfo is valid; it wants
// Machine.TellEntries.
func (f *FaultInfo) Explain() []string {
	m := f.Task.machine
	mapping, path := "VMA none", []string{"nothing is mapped there, and no stack may grow to it", "refused"}
	if f.Start != f.End {
		mapping = describeMapping(f.Start, f.End, f.Prot, f.Shared, f.Name)
		path = append([]string{fmt.Sprintf("a %v is permitted by %v", f.Access, f.Prot)}, paths[f.Kind]...)
	}
	switch {
	case f.Kind == FaultGP:
		path = []string{"the address is not canonical: a general protection fault, not a page fault", "refused"}
	case f.Kind == FaultSegv && f.Start != f.End:
		path = []string{fmt.Sprintf("a %v is not permitted by %v", f.Access, f.Prot), "refused"}
	}
	if f.Outcome == Major {
		path = append(path[:1:1], append([]string{"the page is not in memory: it is read, and this waits"}, path[1:]...)...)
	}
	entries := "entries"
	if f.Pages == 1 {
		entries = "entry"
	}
	result := ""
	if v := f.Result(); v != 0 && v != VMFaultMajor {
		result = fmt.Sprintf(" (%v)", v)
	}
	return []string{
		mapping,
		"path " + strings.Join(path, " -> "),
		fmt.Sprintf("before %v %#x %s", entryClass(f.Before), f.Addr, m.describeEntry(f.Before, f.beforeMaps)),
		fmt.Sprintf("after  %v %#x %s", entryClass(f.After), f.Addr, m.DescribeEntry(f.After)),
		fmt.Sprintf("%v, %v, %d %s made present%s", f.Outcome, f.Kind, f.Pages, entries, result),
	}
}

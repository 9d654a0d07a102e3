package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vmtrace/vmtrace/replay/result"
)

// words says what a fault kind or flush cause of a result means to a reader. A
// name that is not here is shown as it is.
var words = map[string]string{
	"zero_page":        "first read of anonymous memory (zero page)",
	"demand_zero":      "first write to anonymous memory (zeroed page)",
	"file_read":        "read of a file page",
	"file_cow":         "first write to a private file page",
	"file_shared":      "first write to a shared file page",
	"cow_copy":         "write to a shared page: copied",
	"cow_zero":         "write where the zero page was",
	"cow_reuse":        "write by the only owner: reused",
	"mkwrite":          "first write through a shared mapping",
	"swap_in":          "read back from swap",
	"non_linear":       "page of a non-linear file mapping",
	"spurious":         "entry was right already",
	"segv":             "refused: no mapping or not permitted",
	"sigbus":           "refused: beyond the end of the file",
	"oom":              "refused: no memory",
	"unshare":          "page pinned by the kernel: made its own",
	"not_canonical":    "refused: not an address",
	"huge_zero":        "first read of anonymous memory (huge zero page)",
	"huge_demand_zero": "first access to anonymous memory (huge page)",
	"huge_reuse":       "write to a huge page by its only owner",
	"hugetlb":          "page of hugetlb",
	"hugetlb_copy":     "write to a shared page of hugetlb: copied",
	"hugetlb_reuse":    "write to a page of hugetlb by its only owner",
	"huge_split":       "huge page split",
	"huge_collapse":    "small pages collapsed to a huge one",
	"munmap":           "munmap",
	"mprotect":         "mprotect",
	"mremap":           "mremap",
	"cow":              "copy-on-write",
	"madvise":          "madvise",
	"fork":             "fork",
	"exec":             "exec",
	"exit":             "exit",
	"truncate":         "truncate",
	"brk":              "brk",
	"reclaim":          "reclaim",
	"kmap":             "pool of high-memory mappings came round",
	"kmap_local":       "high-memory frame zeroed or copied",
	"vunmap":           "thread stacks given up",
	"write_protect":    "write-back (write-protect)",
}

// describe is the name with its meaning: "cow_copy: write to a shared page: copied".
func describe(name string) string {
	if w := words[name]; w != "" && w != name {
		return name + ": " + w
	}
	return name
}

// counted is a name with its count.
type counted struct {
	name string
	n    uint64
}

// byCount lists a map of counts, most first.
func byCount(m map[string]uint64) []counted {
	out := make([]counted, 0, len(m))
	for k, n := range m {
		if n > 0 {
			out = append(out, counted{k, n})
		}
	}
	slices.SortFunc(out, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	return out
}

// seriesOf lists the series below a prefix: "faults." gives those of all fault
// kinds. What comes back has the rest of the name.
func seriesOf(run *result.Run, prefix string) []result.Series {
	var out []result.Series
	for _, s := range run.Series {
		if rest, ok := strings.CutPrefix(s.Name, prefix); ok {
			s.Name = rest
			out = append(out, s)
		}
	}
	return out
}

// seriesNamed is the series of that name, nil for none.
func seriesNamed(run *result.Run, name string) *result.Series {
	i := slices.IndexFunc(run.Series, func(s result.Series) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &run.Series[i]
}

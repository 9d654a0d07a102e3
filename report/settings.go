package report

import (
	"fmt"
	"math"

	"github.com/vmtrace/vmtrace/replay/result"
)

// setting is a row of the table of how the model was set.
type setting struct{ Name, Value string }

// settings lists how the model was set. What a result of an earlier version does
// not tell is left out.
func settings(run *result.Run) []setting {
	c := &run.Config
	zero := "the shared zero page"
	if !c.ZeroPage {
		zero = "frames of their own"
	}
	rows := []setting{
		{"kernel", fmt.Sprintf("%s, locks of faults: %s", c.Profile, c.Locking)},
		{"processors", fmt.Sprint(c.CPUs)},
		{"TLB", c.TLB},
		{"page tables", fmt.Sprintf("%d levels%s", c.Levels, when(c.Compat, ", addresses of 32-bit processes"))},
		{"placement of mappings", "downwards from the stack"},
		{"fault-around", Bytes(c.FaultAroundBytes)},
		{"page cache", c.PageCache + " at the start"},
		{"first reads of anonymous memory", "get " + zero},
	}
	if c.BottomUp {
		rows[4].Value = "upwards"
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, setting{name, value})
		}
	}
	add("frames of programs", when(c.HighMem, "high memory"))
	if c.THP != "" && c.THP != "never" {
		add("transparent huge pages", c.THP+", collapse every "+Nanoseconds(c.CollapseEveryNS))
	}
	if n := c.HugePages + c.GiantPages; n > 0 {
		add("pools of hugetlb", fmt.Sprintf("%d pages, %d more on demand, %d of 1 GiB", c.HugePages, c.HugeOvercommit, c.GiantPages))
	}
	add("dirty pages of files", when(c.Flusher, "written when they are 30 s old"))
	if w := c.Watermarks; w != nil {
		add("free memory of the machine", fmt.Sprintf("kswapd below %s, until above %s; %s for the kernel", Bytes(w.LowBytes), Bytes(w.HighBytes), Bytes(w.MinBytes)))
	}
	if c.RecycleEvery > 0 {
		add("page cache recycled", "every "+SI(c.RecycleEvery)+" accesses")
	}
	add("vsyscall page", c.Vsyscall)
	add("overcommit", overcommitInWords(c))
	for _, l := range []struct {
		name  string
		bytes uint64
	}{
		{"address space of a process", c.AddressLimitBytes}, {"data of a process", c.DataLimitBytes},
		{"stack", c.StackLimitBytes}, {"locked memory of a process", c.LockedLimitBytes},
	} {
		if l.bytes != 0 {
			add(l.name, "at most "+limit(l.bytes))
		}
	}
	return rows
}

func when(on bool, text string) string {
	if on {
		return text
	}
	return ""
}

// limit is a number of bytes that may be none.
func limit(n uint64) string {
	if n == math.MaxUint64 {
		return "what it asks for"
	}
	return Bytes(n)
}

func overcommitInWords(c *result.Config) string {
	ram := "memory without end"
	if c.RAMBytes != math.MaxUint64 {
		ram = Bytes(c.RAMBytes) + " of memory"
	}
	switch c.Overcommit {
	case "":
		return ""
	case "2":
		return fmt.Sprintf("mode 2, promises up to %d %% of %s", c.OvercommitRatio, ram)
	}
	return "mode " + c.Overcommit + ", " + ram
}

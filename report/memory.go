package report

import (
	"fmt"

	"github.com/vmtrace/vmtrace/replay/result"
)

// The words for a memory limit and what came of it.

// limitKind says what the limit is of.
func limitKind(c *result.Config) string {
	if c.Watermarks != nil {
		return "machine of"
	}
	return "memory limit"
}

func limitName(c *result.Config) string {
	if c.MemoryBytes == 0 {
		return "none"
	}
	return Bytes(c.MemoryBytes)
}

func policyName(c *result.Config) string {
	if c.ReclaimExact {
		return c.Reclaim + ", told of every reference"
	}
	return c.Reclaim + ", by accessed bits"
}

func swapName(c *result.Config) string {
	switch {
	case c.SwapBytes == 0:
		return "no swap"
	case c.SwapBytes >= 1<<44:
		return "ample swap (" + c.SwapDevice + ")"
	}
	return Bytes(c.SwapBytes) + " of swap (" + c.SwapDevice + ")"
}

func outcomeInWords(t *result.Totals) string {
	switch t.Reclaim.Outcome {
	case result.PressureOOM:
		return "out of memory, " + plural(t.Reclaim.OOMKills, "process was", "processes were") + " killed"
	case result.PressureThrash:
		return "it thrashed"
	}
	return "it ran to its end"
}

// memoryInWords says what a limit did, "" without one.
func memoryInWords(run *result.Run) string {
	c, t := &run.Config, &run.Totals
	if c.MemoryBytes == 0 {
		return ""
	}
	under := "Under a limit of"
	if c.Watermarks != nil {
		under = "On a machine of"
	}
	return fmt.Sprintf(under+" %s (%s, %s) %s: %s left memory and %s came back; %s were read from swap and %s written to it.",
		Bytes(c.MemoryBytes), policyName(c), swapName(c), outcomeInWords(t), plural(t.Reclaim.Evictions, "page", "pages"), Count(t.Reclaim.Refaults),
		Bytes(t.Swap.InBytes), Bytes(t.Swap.OutBytes))
}

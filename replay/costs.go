package replay

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// Costs turn the counts of a run into time. What comes out is an estimate: the
// costs are those of one machine, each event costs the same wherever it happens,
// and nothing overlaps. The built-in table is costs.json, which says where each
// number comes from; testdata/costs/costs.c measures most of them.

//go:embed costs.json
var builtinCosts []byte

// Costs is a table of costs in ns by what costs them. The zero value is no table:
// use DefaultCosts or ParseCosts.
type Costs struct {
	name string
	ns   map[string]float64
}

// maxCost is the largest cost that a table may hold: an hour in ns.
const maxCost = 3600e9

// costTable is a table as JSON. Machine and sources are for people.
type costTable struct {
	Machine string `json:"machine"`
	Costs   []struct {
		What   string  `json:"what"`
		NS     float64 `json:"ns"`
		Source string  `json:"source"`
	} `json:"costs"`
}

// DefaultCosts is the built-in table.
func DefaultCosts() Costs {
	c := Costs{name: "built in", ns: map[string]float64{}}
	if err := c.read(builtinCosts, nil); err != nil {
		panic("replay: costs.json: " + err.Error()) // a test reads it
	}
	return c
}

// Name says where the table came from.
func (c *Costs) Name() string { return c.name }

// NS is what something costs, by a name of the built-in table; 0 for others.
func (c *Costs) NS(what string) float64 { return c.ns[what] }

// OrDefault is the built-in table in place of no table.
func (c Costs) OrDefault() Costs {
	if c.ns == nil {
		return DefaultCosts()
	}
	return c
}

// ParseCosts reads a table in the form of costs.json. What it does not name costs
// what the built-in table says. name says in results where it came from. An error
// tells what is wrong: JSON, a name that the built-in table does not have, or a
// cost below 0 or above an hour.
func ParseCosts(data []byte, name string) (Costs, error) {
	known := DefaultCosts()
	c := Costs{name: name, ns: maps.Clone(known.ns)}
	if err := c.read(data, known.ns); err != nil {
		return Costs{}, err
	}
	return c, nil
}

// read adds the rows of a table; known are the names there may be, nil for any.
func (c *Costs) read(data []byte, known map[string]float64) error {
	var t costTable
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return fmt.Errorf("table of costs: %w", err)
	}
	if dec.More() {
		return fmt.Errorf("table of costs: more than one JSON document")
	}
	for i, row := range t.Costs {
		if _, ok := known[row.What]; known != nil && !ok {
			return fmt.Errorf("table of costs, row %d: %q is unknown; there are: %s", i+1, row.What, strings.Join(slices.Sorted(maps.Keys(known)), " "))
		}
		if !(row.NS >= 0 && row.NS <= maxCost) {
			return fmt.Errorf("table of costs, row %d: %q costs %v ns: must be 0 to an hour", i+1, row.What, row.NS)
		}
		c.ns[row.What] = row.NS
	}
	return nil
}

// estimate is the time that the counts of a run stand for.
func (c *Costs) estimate(t *result.Totals, levels int) result.Estimate {
	e := result.Estimate{Costs: c.name, Unpriced: []string{}}
	var total float64
	sum := func(parts ...float64) uint64 {
		var ns float64
		for _, p := range parts {
			ns += p
		}
		total += ns
		return wholeNS(ns)
	}
	times := func(n uint64, what string) float64 { return float64(n) * c.ns[what] }
	e.Walks = sum(times(t.TLB.Walks*uint64(levels), "walk_step"))
	var faults []float64
	for _, kind := range slices.Sorted(maps.Keys(t.Faults.Kinds)) {
		if _, ok := c.ns["fault."+kind]; !ok {
			e.Unpriced = append(e.Unpriced, "fault."+kind)
		}
		faults = append(faults, times(t.Faults.Kinds[kind], "fault."+kind))
	}
	e.Faults = sum(faults...)
	e.Reads = sum(times(t.Faults.Major-min(t.Faults.Major, t.Swap.InBytes/paging.PageSize), "disk_read"))
	f := &t.TLB.Flushes
	local := f.Causes[paging.FlushKmapLocal.String()] // each of one page, told apart below
	e.Flushes = sum(times(f.Full, "flush.full"), times(f.Pages-min(f.Pages, local), "flush.page"), times(f.IPIs, "flush.ipi"))
	e.Swap = sum(times(t.Swap.InBytes/paging.PageSize, "swap_in_page"), times(t.Swap.OutBytes/paging.PageSize, "swap_out_page"))
	e.Kernel = sum(times(t.Kernel.KmapLocals, "kmap_local"), times(t.Kernel.StacksMade, "thread_stack"))
	e.Total = wholeNS(total)
	return e
}

// wholeNS rounds to whole ns, at most the largest number.
func wholeNS(ns float64) uint64 {
	if ns >= math.MaxUint64 {
		return math.MaxUint64
	}
	return uint64(math.Round(ns))
}

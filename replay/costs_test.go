package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// The sum of counts times costs, worked out by hand.
func TestEstimate(t *testing.T) {
	c, err := ParseCosts([]byte(`{"costs": [
		{"what": "walk_step", "ns": 1.5}, {"what": "fault.demand_zero", "ns": 100}, {"what": "fault.file_read", "ns": 200}, {"what": "fault.swap_in", "ns": 50},
		{"what": "disk_read", "ns": 10000}, {"what": "swap_in_page", "ns": 3000}, {"what": "swap_out_page", "ns": 2000},
		{"what": "flush.page", "ns": 7}, {"what": "flush.full", "ns": 70}, {"what": "flush.ipi", "ns": 700},
		{"what": "kmap_local", "ns": 9}, {"what": "thread_stack", "ns": 90}]}`), "mine.json")
	if err != nil {
		t.Fatal(err)
	}
	totals := &result.Totals{
		Faults: result.Faults{Minor: 10, Major: 5, Kinds: map[string]uint64{"demand_zero": 10, "file_read": 3, "swap_in": 2, "oom": 1}},
		TLB: result.TLB{Walks: 101, Flushes: result.Flushes{Full: 2, Ranged: 6, Pages: 14, IPIs: 3,
			Causes: map[string]uint64{"munmap": 4, "kmap_local": 4}}},
		Swap:   result.Swap{InBytes: 2 * 4096, OutBytes: 4096},
		Kernel: result.Kernel{KmapLocals: 4, StacksMade: 1},
	}
	got := c.estimate(totals, 4)
	want := result.Estimate{Costs: "mine.json", Walks: 606, Faults: 1000 + 600 + 100, Reads: 3 * 10000, Flushes: 2*70 + 10*7 + 3*700,
		Swap: 2*3000 + 2000, Kernel: 4*9 + 90, Total: 606 + 1700 + 30000 + 2310 + 8000 + 126, Unpriced: []string{"fault.oom"}}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

// Every way a fault is resolved has a cost, and every cost a source.
func TestBuiltinCosts(t *testing.T) {
	var table costTable
	if err := json.Unmarshal(builtinCosts, &table); err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Costs {
		if row.Source == "" || row.NS <= 0 {
			t.Errorf("%s costs %v ns, by %q", row.What, row.NS, row.Source)
		}
	}
	c := DefaultCosts()
	for k := range paging.NumFaultKinds {
		name := paging.FaultKind(k).String()
		if _, ok := c.ns["fault."+name]; !ok && name != "oom" && name != "not_canonical" {
			t.Errorf("a fault of kind %s has no cost", name)
		}
	}
}

func TestCostErrors(t *testing.T) {
	for in, want := range map[string]string{
		``:                               "EOF",
		`{"costs": [], "speed": 1}`:      "speed",
		`{"costs": []} {}`:               "more than one",
		`{"costs": [{"what": "walks"}]}`: `row 1: "walks" is unknown; there are: access call.drop_page call.map disk_read`,
		`{"costs": [{"what": "disk_read", "ns": -1}]}`:     "must be 0 to an hour",
		`{"costs": [{"what": "disk_read", "ns": 3.7e12}]}`: "must be 0 to an hour",
	} {
		if _, err := ParseCosts([]byte(in), "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
	if c, err := ParseCosts([]byte(`{"costs": [{"what": "disk_read", "ns": 0}]}`), "x"); err != nil || c.ns["disk_read"] != 0 || c.ns["walk_step"] == 0 {
		t.Errorf("a cost of 0, the rest as built in: %v, %v", c, err)
	}
}

// The program that measures costs builds, runs, and measures what the table says
// it does. No time is asserted.
func TestCostProgram(t *testing.T) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no C compiler: install gcc and libc6-dev")
	}
	bin := filepath.Join(t.TempDir(), "costs")
	if out, err := exec.Command(cc, "-O2", "-Wall", "-Werror", "-pthread", "-o", bin, "testdata/costs/costs.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin, "1").Output()
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]bool{}
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		name, _, _ := strings.Cut(sc.Text(), " ")
		measured[name] = true
	}
	var table costTable
	if err := json.Unmarshal(builtinCosts, &table); err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Costs {
		name := strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(row.What, "fault."), "call."), ".", "_")
		if name = strings.TrimPrefix(name, "flush_ipi"); name == "" {
			name = "ipi"
		}
		if strings.HasPrefix(row.Source, "costs.c") && !measured[name] {
			t.Errorf("%s is said to be measured by costs.c, which does not print %s", row.What, name)
		}
	}
}

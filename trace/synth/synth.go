package synth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// Params are the parameters of a generator.
type Params struct {
	Pages  uint64 // 4 KiB pages of the region
	Refs   uint64 // references to make
	Seed   uint64
	Writes int // percent of the references that write
}

// Limits of the parameters.
const (
	maxPages = 1 << 28 // a region of 2^40 bytes
	maxRefs  = 1 << 50
)

// Generator is one workload.
type Generator struct {
	Name string
	Help string // one line
	// next returns the page (0 to Pages-1) of reference i.
	pages func(p Params, rng *rand.Rand) func(i uint64) uint64
}

// Generators lists the workloads.
var Generators = []Generator{
	{"sequential", "every page in turn, over and over", sequential},
	{"random", "pages drawn uniformly", random},
	{"zipf", "few pages take most references: the n-th most popular page gets a share of 1/n", zipf},
}

// Names lists the names, separated by commas.
func Names() string {
	names := make([]string, len(Generators))
	for i, g := range Generators {
		names[i] = g.Name
	}
	return strings.Join(names, ", ")
}

// Validate returns an error when a parameter is out of range.
func (p Params) Validate() error {
	switch {
	case p.Pages < 1 || p.Pages > maxPages:
		return fmt.Errorf("%d pages: must be 1 to %d", p.Pages, maxPages)
	case p.Refs > maxRefs:
		return fmt.Errorf("%d references: at most %d", p.Refs, uint64(maxRefs))
	case p.Writes < 0 || p.Writes > 100:
		return fmt.Errorf("%d percent of writes: must be 0 to 100", p.Writes)
	}
	return nil
}

// The process of every generated trace and where its region lies.
const (
	pid        = 1
	base       = 0x10000000000
	protRW     = trace.ProtRead | trace.ProtWrite
	mapFixed   = 0x32 // MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
	nrMmap     = 9
	chunk      = 4096
	pageShift  = 12
	noFile     = ^uint64(0)
	accessSize = 8
)

// Known says whether there is a generator of that name.
func Known(name string) bool {
	return slices.ContainsFunc(Generators, func(g Generator) bool { return g.Name == name })
}

// Generate writes the named workload into the sink that open returns, and
// closes it: a process maps Pages of private anonymous memory and makes Refs
// single accesses to it.
func Generate(name string, p Params, open func(trace.Header) (trace.Sink, error)) error {
	for i := range Generators {
		if Generators[i].Name == name {
			if err := p.Validate(); err != nil {
				return err
			}
			return Generators[i].write(p, open)
		}
	}
	return fmt.Errorf("generator %q is unknown; there are %s", name, Names())
}

func (g *Generator) write(p Params, open func(trace.Header) (trace.Sink, error)) error {
	command := []string{g.Name, fmt.Sprintf("pages=%d", p.Pages), fmt.Sprintf("refs=%d", p.Refs), fmt.Sprintf("seed=%d", p.Seed), fmt.Sprintf("writes=%d", p.Writes)}
	dst, err := open(trace.Header{Origin: "generated", Tool: "gen " + g.Name, Command: command, ABI: trace.ABIX8664})
	if err != nil {
		return err
	}
	events := []trace.Event{
		trace.NewProcess(pid, trace.Process{Op: trace.OpStart, Child: pid, Tid: pid, Text: strings.Join(command, " ")}),
		trace.NewSyscall(pid, trace.Syscall{ABI: trace.ABIX8664, Nr: nrMmap, Ret: base,
			Args: [6]uint64{base, p.Pages << pageShift, protRW, mapFixed, noFile, 0}}),
	}
	for i := range events {
		if err := dst.Event(&events[i]); err != nil {
			return err
		}
	}
	if err := g.refs(p, dst); err != nil {
		return err
	}
	end := trace.NewProcess(pid, trace.Process{Op: trace.OpGroup, Child: pid})
	if err := dst.Event(&end); err != nil {
		return err
	}
	return dst.Close()
}

func (g *Generator) refs(p Params, dst trace.Sink) error {
	rng := rand.New(rand.NewPCG(p.Seed, 0x766d7472616365))
	mix := rand.New(rand.NewPCG(p.Seed, 0x777269746573))
	next := g.pages(p, rng)
	refs := make([]trace.Ref, 0, chunk)
	for i := uint64(0); i < p.Refs; i++ {
		page := next(i)
		r := trace.Ref{VPN: base>>pageShift + page, Offset: uint16(i * accessSize % 4096), First: trace.Read, Reads: 1}
		if mix.IntN(100) < p.Writes {
			r.First, r.Reads, r.Writes = trace.Write, 0, 1
		}
		refs = append(refs, r)
		if len(refs) == chunk || i == p.Refs-1 {
			if err := dst.Refs(pid, refs, nil); err != nil {
				return err
			}
			refs = refs[:0]
		}
	}
	return nil
}

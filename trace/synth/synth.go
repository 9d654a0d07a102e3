package synth

import (
	"fmt"
	"maps"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// Generator is one workload.
type Generator struct {
	Name string
	Help string // one line

	takes takes
	check func(Params) error // rules between parameters; nil for none
	build func(Params) program
}

// takes are the parameters of a generator with their defaults.
type takes map[string]uint64

func (t takes) and(more takes) takes {
	all := maps.Clone(t)
	maps.Copy(all, more)
	return all
}

// What many generators take.
var (
	turns    = takes{"threads": 1, "processes": 1, "slice": 64}
	patterns = turns.and(takes{"pages": 1 << 16, "refs": 1 << 20, "seed": 1, "writes": 30})
	shapes   = turns.and(takes{"pages": 1 << 15, "rounds": 4}) // 128 MiB, as in will-it-scale
)

// Generators lists the workloads. It is filled by init, since a generator's
// error messages name the others.
var Generators []Generator

func init() {
	Generators = []Generator{
		{"sequential", "every page in turn, over and over", patterns, nil, region(sequential)},
		{"random", "pages drawn uniformly", patterns, nil, region(uniform)},
		{"zipf", "few pages take most references: the n-th most popular gets a share of 1/n^theta", patterns.and(takes{"theta": 100}), nil, region(zipf)},
		{"strided", "every stride-th page, then the ones beside them: a matrix by columns", patterns.and(takes{"stride": 16}), nil, region(strided)},
		{"loop", "a window swept a number of times before the next one", patterns.and(takes{"window": 1024, "rounds": 8}), nil, region(loop)},
		{"scan", "one long scan beside a small set of hot pages", patterns.and(takes{"hot": 10, "share": 80}), needPages(2), region(scan)},
		{"phases", "a working set that changes all at once, with a mark at each change", patterns.and(takes{"phases": 8}), phasesFit, region(phases)},
		{"mix", "scan, loop, popular and random pages at once: what defeats simple policies", patterns.and(takes{"theta": 100}), needPages(4), region(mix)},
		{"chase", "pointers through all of a heap in random order, 64 bytes a node", turns.and(takes{"pages": 1 << 14, "refs": 1 << 20, "seed": 1}), nil, chase},
		{"matmul", "product of matrices of 8-byte numbers, row by column", turns.and(takes{"size": 128}), nil, matmul},
		{"matmul-blocked", "the same product by blocks that fit a cache", turns.and(takes{"size": 128, "block": 32}), nil, matmulBlocked},
		{"fork-server", "children forked from a warm parent write part of its memory: copy-on-write", takes{"pages": 1 << 12, "seed": 1, "writes": 10, "rounds": 16, "children": 4, "slice": 64}, idsSuffice, forkServer},
		{"malloc-brk", "a heap that grows and shrinks like that of malloc: brk", turns.and(takes{"pages": 1 << 12, "seed": 1, "rounds": 256}), regionEach, mallocBrk},
		{"malloc-mmap", "large blocks allocated, written and freed: mmap and munmap", turns.and(takes{"pages": 256, "seed": 1, "rounds": 256, "live": 16}), slotsFit, mallocMmap},
		{"mmap-storm", "many small mappings come and go, with a guard page each", turns.and(takes{"pages": 16, "seed": 1, "rounds": 4096, "live": 256}), slotsFit, mmapStorm},
		{"file-sync", "a shared file written and made clean by msync, again and again", shapes, regionEach, fileSync},
		{"sparse", "one page in each stride: hostile to transparent huge pages", turns.and(takes{"pages": 1 << 20, "seed": 1, "stride": 512, "rounds": 2}), nil, sparse},
		{"page_fault1", "will-it-scale: anonymous memory mapped, written, unmapped", shapes, regionEach, shape(anonMemory, touchAll)},
		{"page_fault2", "will-it-scale: private file mapping mapped, written, unmapped", shapes, regionEach, shape(privateFile, touchAll)},
		{"page_fault3", "will-it-scale: shared file mapping mapped, written, unmapped", shapes, regionEach, shape(sharedFile, touchAll)},
		{"mmap1", "will-it-scale: anonymous memory mapped and unmapped", shapes, regionEach, shape(anonMemory, touchNone)},
		{"mmap2", "will-it-scale: private file mapping mapped and unmapped", shapes, regionEach, shape(privateFile, touchNone)},
		{"brk1", "will-it-scale: the heap one page up and down", turns.and(takes{"rounds": 1 << 15}), nil, brk1},
		{"tlb_flush1", "will-it-scale: private file pages written, dropped by madvise, read", shapes, regionEach, shape(privateFile, dropEach)},
		{"tlb_flush2", "will-it-scale: anonymous pages written, dropped by madvise, read", shapes.and(takes{"pages": 256, "rounds": 64}), regionEach, shape(anonMemory, dropEach)},
		{"tlb_flush3", "will-it-scale: shared file pages written, dropped by madvise, read", shapes, regionEach, shape(sharedFile, dropEach)},
		{"belady", "the string of Belady's anomaly: 1 2 3 4 1 2 5 1 2 3 4 5", takes{}, nil, textbook(belady)},
		{"silberschatz", "the string of Operating System Concepts: 7 0 1 2 0 3 0 4 2 3 ...", takes{}, nil, textbook(silberschatz)},
		{"tanenbaum", "the string of Modern Operating Systems: 0 2 1 3 5 4 6 3 7 4 ...", takes{}, nil, textbook(tanenbaum)},
		{"string", "a string of one's own: --string 1,2,3,1,2,4", takes{"string": 0}, stringFits, ownString},
	}
}

// Names lists the names, separated by commas.
func Names() string {
	names := make([]string, len(Generators))
	for i, g := range Generators {
		names[i] = g.Name
	}
	return strings.Join(names, ", ")
}

// Find returns the generator of that name.
func Find(name string) (*Generator, error) {
	for i := range Generators {
		if Generators[i].Name == name {
			return &Generators[i], nil
		}
	}
	return nil, fmt.Errorf("generator %q is unknown; there are %s", name, Names())
}

// Validate returns an error that names the flag where a parameter is out of
// range or not one that the generator takes.
func (g *Generator) Validate(p Params) error {
	_, err := g.complete(p)
	return err
}

// Generate writes the named workload into the sink that open returns, and
// closes it. It returns an error before it calls open for parameters that
// Validate refuses, and afterwards the first error of the sink.
func Generate(name string, p Params, open func(trace.Header) (trace.Sink, error)) error {
	g, err := Find(name)
	if err != nil {
		return err
	}
	if p, err = g.complete(p); err != nil {
		return err
	}
	words := g.describe(p)
	dst, err := open(trace.Header{Origin: "generated", Tool: "gen " + g.Name, Command: words, ABI: trace.ABIX8664})
	if err != nil {
		return err
	}
	s := newStream(dst, p, strings.Join(words, " "))
	if err := s.run(g.build(p)); err != nil {
		return err
	}
	return dst.Close()
}

package synth

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Params are the parameters of a generator. Each generator takes some of them.
// A field that is 0 stands for the default of the generator, but for Seed and
// Writes, of which 0 is a value like any other.
type Params struct {
	Pages     uint64 // 4 KiB pages of the region
	Refs      uint64 // references of each thread
	Seed      uint64
	Writes    uint64 // percent of the references, or pages, that are written
	Threads   uint64 // of each process
	Processes uint64
	Slice     uint64 // references and calls of a thread before the next one runs
	Rounds    uint64 // repetitions of what the generator does
	Stride    uint64 // pages between two references
	Theta     uint64 // skew of a Zipf distribution, in hundredths
	Window    uint64 // pages of the part that is looped over
	Hot       uint64 // percent of the pages that are hot
	Share     uint64 // percent of the references that go to hot pages
	Phases    uint64 // parts of the run with a working set of their own
	Live      uint64 // mappings that a thread holds at a time
	Children  uint64 // processes forked at a time
	Size      uint64 // rows and columns of a matrix
	Block     uint64 // rows and columns of a block of a matrix
	String    string // page numbers, separated by blanks or commas
}

// Limits of the parameters.
const (
	maxPages   = 1 << 28 // 2^40 bytes
	maxRefs    = 1 << 50
	maxTasks   = 1 << 16 // threads of all processes
	maxThreads = 1 << 12 // threads of a process, processes
)

// Parameter describes one field of Params.
type Parameter struct {
	Name     string // of the flag, without dashes
	Unit     string // of the value
	Help     string
	Min, Max uint64

	number func(*Params) *uint64
	text   func(*Params) *string // instead of number
	cents  bool                  // the number is in hundredths
}

// Parameters lists the parameters.
var Parameters = []Parameter{
	{Name: "pages", Unit: "pages", Help: "pages of 4 KiB in the region", Min: 1, Max: maxPages, number: func(p *Params) *uint64 { return &p.Pages }},
	{Name: "refs", Unit: "references", Help: "references of each thread", Min: 1, Max: maxRefs, number: func(p *Params) *uint64 { return &p.Refs }},
	{Name: "seed", Unit: "", Help: "seed of the random numbers", Max: 1<<64 - 1, number: func(p *Params) *uint64 { return &p.Seed }},
	{Name: "writes", Unit: "percent", Help: "references, or pages, that are written", Max: 100, number: func(p *Params) *uint64 { return &p.Writes }},
	{Name: "threads", Unit: "threads", Help: "threads of each process", Min: 1, Max: maxThreads, number: func(p *Params) *uint64 { return &p.Threads }},
	{Name: "processes", Unit: "processes", Help: "processes, each with memory of its own", Min: 1, Max: maxThreads, number: func(p *Params) *uint64 { return &p.Processes }},
	{Name: "slice", Unit: "references", Help: "references and calls of a thread before the next one runs", Min: 1, Max: 1 << 40, number: func(p *Params) *uint64 { return &p.Slice }},
	{Name: "rounds", Unit: "rounds", Help: "repetitions", Min: 1, Max: 1 << 40, number: func(p *Params) *uint64 { return &p.Rounds }},
	{Name: "stride", Unit: "pages", Help: "pages between two references", Min: 1, Max: maxPages, number: func(p *Params) *uint64 { return &p.Stride }},
	{Name: "theta", Unit: "skew", Help: "skew of the Zipf distribution: rank n has a share of 1/n^theta", Min: 1, Max: 200, cents: true, number: func(p *Params) *uint64 { return &p.Theta }},
	{Name: "window", Unit: "pages", Help: "pages that are looped over before the next ones", Min: 1, Max: maxPages, number: func(p *Params) *uint64 { return &p.Window }},
	{Name: "hot", Unit: "percent", Help: "pages that are hot", Min: 1, Max: 99, number: func(p *Params) *uint64 { return &p.Hot }},
	{Name: "share", Unit: "percent", Help: "references that go to hot pages", Min: 1, Max: 99, number: func(p *Params) *uint64 { return &p.Share }},
	{Name: "phases", Unit: "phases", Help: "parts of the run, each with a working set of its own", Min: 1, Max: 1 << 20, number: func(p *Params) *uint64 { return &p.Phases }},
	{Name: "live", Unit: "mappings", Help: "mappings that a thread holds at a time", Min: 1, Max: 1 << 15, number: func(p *Params) *uint64 { return &p.Live }},
	{Name: "children", Unit: "processes", Help: "children at a time", Min: 1, Max: maxThreads, number: func(p *Params) *uint64 { return &p.Children }},
	{Name: "size", Unit: "rows", Help: "rows and columns of each matrix", Min: 1, Max: 1 << 17, number: func(p *Params) *uint64 { return &p.Size }},
	{Name: "block", Unit: "rows", Help: "rows and columns of a block", Min: 1, Max: 1 << 17, number: func(p *Params) *uint64 { return &p.Block }},
	{Name: "string", Unit: "numbers", Help: "page numbers, separated by blanks or commas", text: func(p *Params) *string { return &p.String }},
}

// FindParameter returns the parameter of that name, or nil.
func FindParameter(name string) *Parameter {
	for i := range Parameters {
		if Parameters[i].Name == name {
			return &Parameters[i]
		}
	}
	return nil
}

// format words a value as Set reads it.
func (par *Parameter) format(v uint64) string {
	if par.cents {
		return fmt.Sprintf("%d.%02d", v/100, v%100)
	}
	return strconv.FormatUint(v, 10)
}

// parse reads a number, or one with at most two decimals.
func (par *Parameter) parse(text string) (uint64, error) {
	digits := text
	if par.cents {
		whole, decimals, _ := strings.Cut(text, ".")
		if whole == "" || len(decimals) > 2 {
			return 0, fmt.Errorf("--%s %q: must be a number with at most two decimals, from %s to %s", par.Name, text, par.format(par.Min), par.format(par.Max))
		}
		digits = whole + decimals + "00"[len(decimals):]
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("--%s %q: must be a whole number from %s to %s", par.Name, text, par.format(par.Min), par.format(par.Max))
	}
	return v, nil
}

// check returns an error for a value that is out of range.
func (par *Parameter) check(v uint64) error {
	if v < par.Min || v > par.Max {
		return fmt.Errorf("--%s: %s %s: must be %s to %s", par.Name, par.format(v), par.Unit, par.format(par.Min), par.format(par.Max))
	}
	return nil
}

// Set sets a parameter from its text. It returns an error for a parameter that
// there is not, that the generator does not take, or that is out of range.
func (g *Generator) Set(p *Params, name, value string) error {
	par := FindParameter(name)
	if par == nil {
		return fmt.Errorf("parameter %q is unknown", name)
	}
	if _, ok := g.takes[name]; !ok {
		return g.refuse(par)
	}
	if par.text != nil {
		*par.text(p) = value
		return nil
	}
	v, err := par.parse(value)
	if err == nil {
		err = par.check(v)
	}
	if err != nil {
		return err
	}
	*par.number(p) = v
	return nil
}

func (g *Generator) refuse(par *Parameter) error {
	return fmt.Errorf("--%s: %s does not take it; these do: %s", par.Name, g.Name, strings.Join(TakenBy(par.Name), ", "))
}

// TakenBy lists the generators that take a parameter.
func TakenBy(parameter string) []string {
	var names []string
	for i := range Generators {
		if _, ok := Generators[i].takes[parameter]; ok {
			names = append(names, Generators[i].Name)
		}
	}
	return names
}

// Default is the default of a parameter, as Set reads it, and whether the
// generator takes the parameter.
func (g *Generator) Default(parameter string) (string, bool) {
	v, ok := g.takes[parameter]
	if !ok || FindParameter(parameter).text != nil {
		return "", ok
	}
	return FindParameter(parameter).format(v), true
}

// Defaults are the parameters of the generator, each with its default.
func (g *Generator) Defaults() Params {
	var p Params
	for name, v := range g.takes {
		if par := FindParameter(name); par.number != nil {
			*par.number(&p) = v
		}
	}
	return p
}

// complete fills in defaults and checks everything that can be wrong with
// parameters.
func (g *Generator) complete(p Params) (Params, error) {
	for i := range Parameters {
		par := &Parameters[i]
		def, taken := g.takes[par.Name]
		switch {
		case par.text != nil:
			if *par.text(&p) != "" && !taken {
				return p, g.refuse(par)
			}
		case !taken:
			if *par.number(&p) != 0 {
				return p, g.refuse(par)
			}
		default:
			v := par.number(&p)
			if *v == 0 && par.Min > 0 {
				*v = def
			}
			if err := par.check(*v); err != nil {
				return p, err
			}
		}
	}
	if p.Threads*p.Processes > maxTasks {
		return p, fmt.Errorf("--threads %d in each of --processes %d: must be at most %d threads in all", p.Threads, p.Processes, maxTasks)
	}
	if g.check != nil {
		return p, g.check(p)
	}
	return p, nil
}

// regionEach refuses what does not fit where every thread has a region of its
// own.
func regionEach(p Params) error {
	if n := cmp.Or(p.Threads, 1) * p.Pages; n > maxPages {
		return fmt.Errorf("--pages %d for each of --threads %d: must be at most %d pages in all", p.Pages, p.Threads, maxPages)
	}
	return nil
}

// describe lists the parameters that the generator takes, as name=value.
func (g *Generator) describe(p Params) []string {
	words := []string{g.Name}
	for i := range Parameters {
		par := &Parameters[i]
		if _, ok := g.takes[par.Name]; !ok {
			continue
		}
		if par.text != nil {
			words = append(words, par.Name+"="+*par.text(&p))
		} else {
			words = append(words, par.Name+"="+par.format(*par.number(&p)))
		}
	}
	return words
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

var genCommand = &command{
	name: "gen", args: "NAME -o OUT [flags]", minArgs: 1, maxArgs: 1,
	short: "make a synthetic trace",
	long: `
Writes a generated workload: what its threads and processes reference, and the system
calls with which they ask for memory. The same parameters give the same bytes on every
machine. A flag that a generator does not take is an error.

` + generatorList() + `
Examples:
  vmtrace gen sequential --pages 1000 --refs 1000 -o seq.vmt
  vmtrace gen zipf --pages 1000000 --refs 10000000 --theta 0.9 -o zipf.vmt
  vmtrace gen page_fault1 --threads 4 -o pf1.vmt     four threads, 128 MiB each
  vmtrace gen fork-server --children 8 --writes 25 -o fork.vmt
  vmtrace gen string --string 1,2,3,4,1,2,5 -o s.txt     text, for people
  vmtrace gen matmul --size 200 -o - | vmtrace replay -     straight into a replay`,
	setup: func(fs *pflag.FlagSet) action {
		out := fs.StringP("output", "o", "", "file to write, - is standard output; text where the name ends in .txt")
		to := fs.String("to", "", "`form` to write: vmt or text (default by the name of the output)")
		offsets := fs.Bool("offsets", true, "give each reference an offset in its page; a trace without is smaller")
		given := generatorFlags(fs)
		return func(ctx context.Context, args []string, std stdio) error {
			if *out == "" {
				return usagef("-o OUT is missing: name the file to write")
			}
			asText, err := wantsText(*to, *out)
			if err != nil {
				return err
			}
			p, err := given.params(args[0])
			if err != nil {
				return usageError{err}
			}
			var how []trace.WriterOption
			if !*offsets {
				how = append(how, trace.WithoutOffsets())
			}
			return writeTo(*out, std, func(w io.Writer) error {
				return synth.Generate(args[0], p, func(h trace.Header) (trace.Sink, error) {
					sink, err := newSink(w, h, asText, how...)
					return stoppable{sink, ctx}, err
				})
			})
		}
	},
}

func generatorList() string {
	var b strings.Builder
	for _, g := range synth.Generators {
		fmt.Fprintf(&b, "  %-14s %s\n", g.Name, g.Help)
	}
	return b.String()
}

// given are the parameters on the command line, in the order of the table.
type given []*givenValue

// givenValue is a flag that is read once the generator is known.
type givenValue struct {
	parameter *synth.Parameter
	text      string
	set       bool
}

// String, Set and Type make it a pflag.Value.
func (v *givenValue) String() string { return v.text }
func (v *givenValue) Type() string   { return v.parameter.Unit }
func (v *givenValue) Set(text string) error {
	v.text, v.set = text, true
	return nil
}

// generatorFlags declares a flag for each parameter of the generators.
func generatorFlags(fs *pflag.FlagSet) given {
	var all given
	for i := range synth.Parameters {
		v := &givenValue{parameter: &synth.Parameters[i]}
		fs.Var(v, v.parameter.Name, v.parameter.Help+defaults(v.parameter.Name))
		all = append(all, v)
	}
	return all
}

// params are the defaults of the generator with what was given instead.
func (g given) params(name string) (synth.Params, error) {
	generator, err := synth.Find(name)
	if err != nil {
		return synth.Params{}, err
	}
	p := generator.Defaults()
	for _, v := range g {
		if v.set {
			if err := generator.Set(&p, v.parameter.Name, v.text); err != nil {
				return p, err
			}
		}
	}
	return p, generator.Validate(p)
}

// defaults words the defaults of a parameter: one for all generators that take
// it, or the most common one and those that have another.
func defaults(parameter string) string {
	var order []string // defaults as they come
	users := map[string][]string{}
	most := ""
	for _, name := range synth.TakenBy(parameter) {
		g, err := synth.Find(name)
		if err != nil {
			panic(err) // TakenBy gives names of the table
		}
		def, _ := g.Default(parameter)
		if users[def] == nil {
			order = append(order, def)
		}
		if users[def] = append(users[def], name); len(users[def]) > len(users[most]) {
			most = def
		}
	}
	if most == "" { // a parameter without a default
		return " (" + strings.Join(users[most], ", ") + ")"
	}
	text := " (default " + most
	for _, def := range order {
		if def != most {
			text += "; " + strings.Join(users[def], ", ") + " " + def
		}
	}
	return text + ")"
}

// stoppable ends with the error of the context once that is done, so that
// Ctrl-C stops a generator.
type stoppable struct {
	trace.Sink
	ctx context.Context
}

func (s stoppable) Refs(thread uint32, refs []trace.Ref, ips []uint64) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.Sink.Refs(thread, refs, ips)
}

func (s stoppable) Event(e *trace.Event) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.Sink.Event(e)
}

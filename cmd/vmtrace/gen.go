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
Writes a generated workload: a process maps a region of private anonymous memory and
references its pages. The same parameters give the same bytes on every machine.

` + generatorList() + `
Examples:
  vmtrace gen sequential --pages 1000 --refs 1000 -o seq.vmt
  vmtrace gen zipf --pages 1000000 --refs 10000000 --seed 7 -o zipf.vmt
  vmtrace gen random --writes 100 -o random.txt      text, for people`,
	setup: func(fs *pflag.FlagSet) action {
		var p synth.Params
		out := fs.StringP("output", "o", "", "file to write, - is standard output; text where the name ends in .txt")
		to := fs.String("to", "", "`form` to write: vmt or text (default by the name of the output)")
		fs.Uint64Var(&p.Pages, "pages", 1<<16, "pages of 4 KiB in the region")
		fs.Uint64Var(&p.Refs, "refs", 1<<20, "references to make")
		fs.Uint64Var(&p.Seed, "seed", 1, "seed of the random numbers")
		fs.IntVar(&p.Writes, "writes", 30, "references that write, in `percent`")
		return func(ctx context.Context, args []string, std stdio) error {
			if *out == "" {
				return usagef("-o OUT is missing: name the file to write")
			}
			asText, err := wantsText(*to, *out)
			if err != nil {
				return err
			}
			if !synth.Known(args[0]) {
				return usagef("generator %q is unknown; there are %s", args[0], synth.Names())
			}
			if err := p.Validate(); err != nil {
				return usageError{err}
			}
			return writeTo(*out, std, func(w io.Writer) error {
				return synth.Generate(args[0], p, func(h trace.Header) (trace.Sink, error) { return newSink(w, h, asText) })
			})
		}
	},
}

func generatorList() string {
	var b strings.Builder
	for _, g := range synth.Generators {
		fmt.Fprintf(&b, "  %-12s %s\n", g.Name, g.Help)
	}
	return b.String()
}

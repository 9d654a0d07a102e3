package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"
)

// command is one subcommand: a row of the table.
type command struct {
	name    string
	args    string // what follows the name in the usage line
	short   string // one line
	long    string // what it does, with examples
	minArgs int
	maxArgs int // -1: any number

	// setup declares the flags and returns what runs once they are parsed.
	setup func(fs *pflag.FlagSet) action
}

// action does the work of a command.
type action func(ctx context.Context, args []string, io stdio) error

// commands is the table of subcommands, in the order of the help.
var commands []*command

func init() {
	commands = []*command{
		recordCommand, convertCommand, genCommand,
		infoCommand, catCommand,
		replayCommand, curveCommand, scaleCommand, reportCommand, validateCommand,
		doctorCommand,
	}
}

func findCommand(name string) *command {
	for _, c := range commands {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *command) flags(err io.Writer) (*pflag.FlagSet, action) {
	fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	act := c.setup(fs)
	fs.Usage = func() { c.usage(fs, err) }
	return fs, act
}

func (c *command) execute(ctx context.Context, args []string, io stdio) error {
	fs, act := c.flags(io.out)
	if err := fs.Parse(args); err != nil {
		if err == pflag.ErrHelp {
			return nil
		}
		return usagef("%s: %w (see vmtrace %s --help)", c.name, err, c.name)
	}
	rest := fs.Args()
	if len(rest) < c.minArgs {
		return usagef("%s: too few arguments; usage: vmtrace %s %s", c.name, c.name, c.args)
	}
	if c.maxArgs >= 0 && len(rest) > c.maxArgs {
		return usagef("%s: unexpected argument %q; usage: vmtrace %s %s", c.name, rest[c.maxArgs], c.name, c.args)
	}
	if err := act(ctx, rest, io); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (c *command) usage(fs *pflag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "%s\n\nUsage: vmtrace %s %s\n\n%s\n", c.short, c.name, c.args, strings.TrimSpace(c.long))
	if fs.HasFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", fs.FlagUsagesWrapped(100))
	}
}

func printOverview(w io.Writer) {
	fmt.Fprint(w, "vmtrace replays memory accesses and system calls of a program through a model of the\nLinux memory manager, and shows its page faults, resident memory and TLB flushes.\n\n")
	fmt.Fprint(w, "Usage: vmtrace <command> [flags] [arguments]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, "\nStart with:\n  vmtrace record -o ls.vmt -- ls -l      record a program\n  vmtrace report ls.vmt -o out           see its paging behaviour in out/report.html\n\nvmtrace <command> --help explains a command.\n")
}

func help(args []string, io stdio) error {
	if len(args) == 0 {
		printOverview(io.out)
		return nil
	}
	c := findCommand(args[0])
	if c == nil {
		return unknownCommand(args[0])
	}
	fs, _ := c.flags(io.out)
	fs.Usage()
	return nil
}

func unknownCommand(name string) error {
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.name
	}
	return usagef("unknown command %q; there are: %s", name, strings.Join(names, ", "))
}

func printVersion(w io.Writer) error {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	_, err := fmt.Fprintf(w, "vmtrace %s\n", version)
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitGate   = 3 // a gate did not hold (compare, validate)
)

func main() {
	if os.Getenv("GOGC") == "" {
		// What a run knows of pages grows with them and stays; there is little garbage, so
		// that looking for it more often costs nothing, and arrays that grow leave less.
		debug.SetGCPercent(10)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// stdio is what a command talks to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a mistake on the command line: exit status 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// gateError says that a comparison did not hold: exit status 3.
type gateError struct{ error }

// statusError passes on the exit status of a recorded program; nothing is
// printed for it.
type statusError struct{ code int }

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// run is the whole program: a function of arguments and streams.
func run(ctx context.Context, args []string, io stdio) int {
	return exitCode(dispatch(ctx, args, io), io)
}

func dispatch(ctx context.Context, args []string, io stdio) error {
	if len(args) == 0 {
		printOverview(io.err)
		return statusError{exitUsage}
	}
	switch args[0] {
	case "help", "-h", "--help":
		return help(args[1:], io)
	case "version", "--version":
		return printVersion(io.out)
	}
	c := findCommand(args[0])
	if c == nil {
		return unknownCommand(args[0])
	}
	return c.execute(ctx, args[1:], io)
}

// exitCode prints the error in one line and maps it to the exit status.
func exitCode(err error, io stdio) int {
	var status statusError
	var usage usageError
	var gate gateError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitDone
	case errors.As(err, &status):
		return status.code
	case errors.Is(err, syscall.EPIPE):
		return exitDone // the reader of our output has seen enough
	}
	fmt.Fprintf(io.err, "vmtrace: %v\n", err)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &gate):
		return exitGate
	}
	return exitFailed
}

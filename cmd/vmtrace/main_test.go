package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run vmtrace as a command of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vmtrace": main,
	})
}

// TestScripts runs testdata/*.txtar: command lines with the output and the
// exit status that people and programs rely on.
func TestScripts(t *testing.T) {
	traces, err := filepath.Abs("../../traces")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TRACES", traces)
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": expectStatus,
		},
	})
}

// expectStatus implements "status N command...": the command must end with
// exit status N exactly.
func expectStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [argument...]")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = err.Error()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			got = strconv.Itoa(exit.ExitCode())
		}
	}
	if got != want {
		ts.Fatalf("exit status %s, want %s", got, want)
	}
}

// TestBrokenPipe shows that a reader that has seen enough is a normal end.
func TestBrokenPipe(t *testing.T) {
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	code := run(context.Background(), []string{"help"}, stdio{in: os.Stdin, out: w, err: os.Stderr})
	if code != exitDone {
		t.Errorf("exit status %d, want %d", code, exitDone)
	}
}

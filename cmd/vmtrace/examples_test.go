package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// TestExamples holds the examples of every command's help against its flags:
// an example that the program would refuse to parse is an error of the manual.
func TestExamples(t *testing.T) {
	for _, c := range commands {
		_, examples, found := strings.Cut(c.long, "Examples:\n")
		if !found {
			if c.maxArgs != 0 {
				t.Errorf("%s: no examples", c.name)
			}
			continue
		}
		for line := range strings.Lines(examples) {
			checkExample(t, line)
		}
	}
}

// checkExample parses every call of vmtrace in a line such as
// "vmtrace gen zipf -o - | vmtrace replay -       what it does".
func checkExample(t *testing.T, line string) {
	line = strings.TrimSpace(line)
	if i := strings.Index(line, "   "); i > 0 {
		line = line[:i]
	}
	for call := range strings.SplitSeq(line, "|") {
		words := strings.Fields(call)
		if len(words) == 0 || words[0] != "vmtrace" {
			continue
		}
		c := findCommand(words[1])
		if c == nil {
			t.Errorf("%q: no command %s", line, words[1])
			continue
		}
		var args []string
		for _, w := range words[2:] {
			if !strings.HasPrefix(w, "<") && !strings.HasPrefix(w, ">") {
				args = append(args, w)
			}
		}
		fs, _ := c.flags(io.Discard)
		if err := fs.Parse(args); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		if n := len(fs.Args()); n < c.minArgs || c.maxArgs >= 0 && n > c.maxArgs {
			t.Errorf("%q: %d arguments", line, n)
		}
	}
}

// TestManual holds the list of commands in doc.go against the table.
func TestManual(t *testing.T) {
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if line := fmt.Sprintf("//\t%-9s %s\n", c.name, c.short); !strings.Contains(string(manual), line) {
			t.Errorf("doc.go lacks the line %q", line)
		}
	}
}

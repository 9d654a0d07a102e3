package vmtrace

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vmtrace/vmtrace/"

// mayImport is the import graph of ARCHITECTURE.md: for every folder, the
// folders of this module that its code (tests apart) may import.
var mayImport = map[string][]string{
	"trace":         {},
	"trace/capture": {"trace", "trace/reduce", "trace/lackey"},
	"trace/synth":   {"trace"},
	"trace/reduce":  {"trace"},
	"trace/convert": {"trace", "trace/lackey"},
	"trace/lackey":  {},
	"paging":        {},
	"replay/result": {},
	"replay/curve":  {"trace", "paging", "replay", "replay/result"},
	"replay/scale":  {"trace", "paging", "replay", "replay/result"},
	"replay":        {"trace", "paging", "replay/result"},
	"report":        {"replay/result"},
	"bench":         {"trace", "trace/synth", "trace/reduce", "paging", "replay", "replay/result", "report"},
	"bench/rivals":  {},
	"cmd/vmtrace": {"trace", "trace/capture", "trace/convert", "trace/synth", "trace/reduce", "paging",
		"replay", "replay/result", "replay/curve", "replay/scale", "report"},
}

// onlyIn keeps third-party code at one place each.
var onlyIn = map[string]string{
	"github.com/klauspost/compress": "trace",
	"gonum.org/v1/plot":             "report",
	"github.com/spf13/pflag":        "cmd/vmtrace",
}

func TestImports(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range f.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			checkImport(t, path, folder, target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no Go file found: run the test from the root of the module")
	}
}

func checkImport(t *testing.T, path, folder, target string) {
	t.Helper()
	if inner, ok := strings.CutPrefix(target, module); ok {
		allowed, known := mayImport[folder]
		if !known {
			t.Errorf("%s: folder %s has no row in mayImport: say what it may import", path, folder)
			return
		}
		for _, a := range allowed {
			if a == inner {
				return
			}
		}
		t.Errorf("%s: %s must not import %s (ARCHITECTURE.md, the house)", path, folder, inner)
		return
	}
	for library, home := range onlyIn {
		if strings.HasPrefix(target, library) && folder != home && !strings.HasPrefix(folder, home+"/") {
			t.Errorf("%s: %s is used only in %s", path, library, home)
		}
	}
}

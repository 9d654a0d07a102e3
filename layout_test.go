package vmtrace

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines is how long a Go file may be; a longer one usually holds two ideas.
const maxLines = 500

// TestLayout: every package says in its doc.go what it is, files stay short, and none is
// for one system by its name: policy_linux.go was, though it is about a kernel and not
// for one.
func TestLayout(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		if strings.HasSuffix(path, "_linux.go") {
			t.Errorf("%s is built on Linux only, by its name; if that is meant, say so with //go:build", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(data, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, at most %d are expected", path, n, maxLines)
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || d.Name() == "doc.go" && bytes.HasPrefix(data, []byte("// "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no doc.go that begins with a package comment", dir)
		}
	}
}

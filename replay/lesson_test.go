package replay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
	"github.com/vmtrace/vmtrace/trace"
)

// TestLessons runs the lessons of testdata: txtar archives of text traces and
// of what the replay must count. For each NAME.trace there is a NAME.want. The
// first line of a trace may be "#options" with levels=, cpus=, cache=, around=, tlb=,
// kernel=, overcommit=, ram= (bytes), highmem= (0 or 1), thp=, khugepaged=, recycle=, memory=, swap= (bytes), kswapd=, flusher= (0 or 1), hugepages=,
// hugepages-1g= and buckets=; "# vmtrace text 1" is put before it.
//
// A line of NAME.want is a dotted path into the JSON of the result (a leading
// "totals." may be left out) and its value, or
//
//	path ~ text     the value contains the text
//	error ~ text    the replay fails with this error
//
// A path to an object of numbers stands for all of them: "faults.kinds
// demand_zero:1 segv:1", "-" for none. Unless they are named, refused accesses,
// mismatched calls and warnings must be none.
//
// Every expected value was worked out by hand from the kernel's rules; comments
// name them.
//
// Each trace is replayed as text (with the sched records that writers insert), as .vmt, one reference at a time, and with its
// runs cut at random: the results must be the same to the last byte. The model
// recounts itself each time.
func TestLessons(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no lessons: %v", err)
	}
	for _, path := range archives {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		wants := map[string]string{}
		for _, f := range ar.Files {
			if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
				wants[name] = string(f.Data)
			}
		}
		for _, f := range ar.Files {
			name, ok := strings.CutSuffix(f.Name, ".trace")
			if !ok {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar")+"/"+name, func(t *testing.T) {
				if wants[name] == "" {
					t.Fatalf("there is no %s.want", name)
				}
				lesson(t, string(f.Data), wants[name])
			})
		}
	}
}

func lesson(t *testing.T, text, want string) {
	opts := lessonOptions(t, text)
	// With the sched records that writers insert, which the other forms have.
	text = rewritten(t, open(t, text))
	run, err := Run(context.Background(), open(t, text), opts)
	if err != nil {
		for line := range strings.Lines(want) {
			if part, ok := strings.CutPrefix(line, "error ~ "); ok && strings.Contains(err.Error(), strings.TrimSpace(part)) {
				return
			}
		}
		t.Fatal(err)
	}
	if strings.Contains("\n"+want, "\nerror ~ ") {
		t.Fatal("the replay did not fail")
	}
	compareWant(t, run, want)
	for what, src := range variants(t, text) {
		again, err := Run(context.Background(), src, opts)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a, b := counts(t, run), counts(t, again); a != b {
			t.Errorf("%s: another result:\n%s", what, firstDifference(a, b))
		}
	}
}

func lessonOptions(t *testing.T, text string) Options {
	opts := Options{Model: paging.DefaultConfig(), Path: "lesson", Check: true}
	opts.Model.Levels = 0 // by the header
	line, _, _ := strings.Cut(text, "\n")
	if !strings.HasPrefix(line, "#options ") {
		return opts
	}
	for _, kv := range strings.Fields(line)[1:] {
		key, value, _ := strings.Cut(kv, "=")
		n, _ := strconv.Atoi(value)
		var err error
		switch key {
		case "cpus":
			opts.Model.CPUs = n
		case "around":
			opts.Model.FaultAround = uint64(n)
		case "levels":
			opts.Model.Levels = n
		case "overcommit":
			opts.Model.Overcommit, err = paging.ParseOvercommit(value)
		case "highmem":
			opts.Model.HighMem = n == 1
		case "kernel":
			err = opts.Model.SetProfile(value)
		case "ram":
			opts.Model.RAM = uint64(n)
		case "buckets":
			opts.Buckets = n
		case "cache":
			opts.Model.Cache, err = paging.ParseCacheState(value)
		case "thp":
			opts.Model.THP, err = paging.ParseTHP(value)
		case "memory":
			opts.Model.Memory = uint64(n)
		case "swap":
			opts.Model.Swap = uint64(n)
		case "kswapd":
			opts.Model.Kswapd = n == 1
		case "flusher":
			opts.Model.Flusher = n == 1
		case "recycle":
			opts.RecycleEvery = uint64(n)
		case "khugepaged":
			opts.Model.CollapseEvery, err = time.ParseDuration(value)
		case "hugepages":
			opts.Model.HugePages = uint64(n)
		case "hugepages-1g":
			opts.Model.GiantPages = uint64(n)
		case "tlb":
			opts.Model.TLB, err = paging.ParseTLB(value)
		default:
			err = fmt.Errorf("option %q is unknown", key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return opts
}

func open(t testing.TB, text string) trace.Source {
	t.Helper()
	src, err := trace.NewTextReader(strings.NewReader("# vmtrace text 1\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// variants are the same trace in other forms.
func variants(t testing.TB, text string) map[string]trace.Source {
	t.Helper()
	return map[string]trace.Source{
		"as .vmt":                  asVMT(t, open(t, text)),
		"as .vmt, written as text": open(t, rewritten(t, asVMT(t, open(t, text)))),
		"one reference at a time":  &cutter{Source: open(t, text), next: func(int) int { return 1 }},
		"runs cut at random":       &cutter{Source: open(t, text), next: randomCut()},
	}
}

func randomCut() func(int) int {
	rng := rand.New(rand.NewPCG(1, 2))
	return func(n int) int { return 1 + rng.IntN(n) }
}

func asVMT(t testing.TB, src trace.Source) trace.Source {
	t.Helper()
	var buf bytes.Buffer
	w, err := trace.NewWriter(&buf, *src.Header())
	if err != nil {
		t.Fatal(err)
	}
	copyAll(t, w, src)
	r, err := trace.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rewritten is the text of a source as the writer writes it, without its first
// line.
func rewritten(t testing.TB, src trace.Source) string {
	t.Helper()
	var buf bytes.Buffer
	w, err := trace.NewTextWriter(&buf, *src.Header())
	if err != nil {
		t.Fatal(err)
	}
	copyAll(t, w, src)
	_, text, _ := strings.Cut(buf.String(), "\n")
	return text
}

func copyAll(t testing.TB, dst trace.Sink, src trace.Source) {
	t.Helper()
	if err := trace.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// cutter hands out the runs of a source in smaller pieces.
type cutter struct {
	trace.Source
	next  func(int) int // how many of so many
	batch trace.Batch
}

func (c *cutter) Next() (*trace.Batch, error) {
	if len(c.batch.Refs) == 0 {
		b, err := c.Source.Next()
		if err != nil || b.Event != nil {
			return b, err
		}
		c.batch = *b
	}
	n := c.next(len(c.batch.Refs))
	b := c.batch
	b.Refs = b.Refs[:n]
	c.batch.Refs = c.batch.Refs[n:]
	c.batch.Seq += uint64(n)
	return &b, nil
}

// counts is the JSON of what was counted.
func counts(t testing.TB, run *result.Run) string {
	t.Helper()
	var buf bytes.Buffer
	if err := run.Counts().Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %s, and not %s", i+1, y[i], x[i])
		}
	}
	return "one is longer"
}

// compareWant holds the result against the lines of a .want file.
func compareWant(t *testing.T, run *result.Run, want string) {
	values := flatten(t, run)
	expected := map[string]bool{}
	sc := bufio.NewScanner(strings.NewReader(want))
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		path, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		part, contains := strings.CutPrefix(rest, "~ ")
		if _, ok := values[path]; !ok {
			path = "totals." + path
		}
		got, ok := values[path]
		expected[path] = true
		switch {
		case !ok:
			t.Errorf("%s: the result has no such value", line)
		case contains && !strings.Contains(got, part), !contains && got != rest:
			t.Errorf("%s: got %s", line, got)
		}
	}
	for path, none := range map[string]string{"agreement.segv": "0", "agreement.syscalls.mismatched": "0", "warnings": "-"} {
		named := slices.ContainsFunc(slices.Collect(maps.Keys(expected)), func(p string) bool { return strings.HasPrefix(p, path) })
		if got := values[path]; got != none && !named {
			t.Errorf("%s is %s and not expected; first: %s %s", path, got, values["agreement.first_segv"], values["agreement.syscalls.first"])
		}
	}
}

// flatten gives every value of the result by its dotted path, and every object
// of numbers and list of numbers as one line.
func flatten(t testing.TB, run *result.Run) map[string]string {
	t.Helper()
	var doc any
	dec := json.NewDecoder(strings.NewReader(counts(t, run)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	flattenInto(out, "", doc)
	return out
}

func flattenInto(out map[string]string, path string, v any) {
	join := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	var parts []string
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			flattenInto(out, join(key), v[key])
			parts = append(parts, fmt.Sprintf("%s:%s", key, out[join(key)]))
		}
	case []any:
		for i, item := range v {
			flattenInto(out, fmt.Sprintf("%s[%d]", path, i), item)
			parts = append(parts, out[fmt.Sprintf("%s[%d]", path, i)])
		}
		for i, item := range v { // a series by its name
			if m, ok := item.(map[string]any); ok && m["name"] != nil && m["values"] != nil {
				out[join(fmt.Sprint(m["name"]))] = out[fmt.Sprintf("%s[%d].values", path, i)]
			}
		}
	default:
		out[path] = fmt.Sprint(v)
		return
	}
	out[path] = strings.Join(parts, " ")
	if len(parts) == 0 {
		out[path] = "-"
	}
}

// lessonTexts are the traces of all lessons.
func lessonTexts(t testing.TB) []string {
	t.Helper()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no lessons: %v", err)
	}
	var out []string
	for _, path := range archives {
		ar, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range ar.Files {
			if strings.HasSuffix(f.Name, ".trace") {
				out = append(out, string(f.Data))
			}
		}
	}
	return out
}

// TestEveryCallHasALesson: no row of the tables of calls is untested.
func TestEveryCallHasALesson(t *testing.T) {
	all := strings.Join(lessonTexts(t), "\n")
	var keys []callKey
	keys = slices.AppendSeq(keys, maps.Keys(calls))
	keys = slices.AppendSeq(keys, maps.Keys(followedCalls))
	for _, key := range keys {
		name := trace.SyscallName(key.abi, key.nr)
		if !strings.Contains(all, "syscall "+name+"(") && !strings.Contains(all, "syscall i386:"+name+"(") {
			t.Errorf("no lesson calls %s", name)
		}
	}
}

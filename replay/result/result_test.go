package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// full returns a run in which every field has a value of its own.
func full(t *testing.T) *Run {
	t.Helper()
	r := new(Run)
	next := uint64(0)
	fill(t, reflect.ValueOf(r).Elem(), &next)
	r.Schema = Schema
	r.Timeline.EndsAccesses = []uint64{10, 20}
	r.Series = []Series{{Name: "rss.anon", Unit: "bytes", Kind: Gauge, Values: []uint64{4096, math.MaxUint64}}}
	return r
}

func fill(t *testing.T, v reflect.Value, next *uint64) {
	*next++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), next)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), next)
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		fill(t, e, next)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), e)
	case reflect.String:
		v.SetString("<text> & \u2028 é")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(*next))
	case reflect.Uint64:
		v.SetUint(math.MaxUint64 - *next) // beyond what a float64 can hold
	case reflect.Uint32:
		v.SetUint(math.MaxUint32 - *next)
	case reflect.Float64:
		v.SetFloat(0.1 * float64(*next))
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

func document(t *testing.T, r *Run) string {
	t.Helper()
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestRoundTrip(t *testing.T) {
	r := full(t)
	text := document(t, r)
	got, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("read back:\n%s\nwritten:\n%s", document(t, got), text)
	}
	path := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(path, []byte(text+"\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err = ReadFile(path); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("from a file: %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	changed := func(change func(*Run)) string {
		r := full(t)
		change(r)
		return document(t, r)
	}
	for _, c := range []struct{ what, text, want string }{
		{"nothing", "", "EOF"},
		{"no JSON", "# vmtrace text 1", "invalid character"},
		{"another document", `{"points":[]}`, "schema 0, this program reads 1 to 1"},
		{"a list", `[]`, "cannot unmarshal"},
		{"a later schema", changed(func(r *Run) { r.Schema = Schema + 1 }), "schema 2, this program reads 1 to 1"},
		{"a negative count", `{"schema":1,"totals":{"accesses":-1}}`, "cannot unmarshal"},
		{"cut off", document(t, full(t))[:200], "unexpected EOF"},
		{"two documents", document(t, full(t)) + "{}", "something follows"},
		{"garbage behind", document(t, full(t)) + "x", "something follows"},
		{"a short series", changed(func(r *Run) { r.Series[0].Values = r.Series[0].Values[:1] }), `series "rss.anon" has 1 values for 2 buckets`},
		{"buckets out of order", changed(func(r *Run) { r.Timeline.EndsAccesses[1] = 10 }), "bucket 1 of the time line ends at 10 accesses, the one before at 10"},
	} {
		_, err := Read(strings.NewReader(c.text))
		if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.what, err, c.want)
		}
	}
	if _, err := read(endless{}, 1<<16); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "larger than 65536 bytes") {
		t.Errorf("endless input: error %v", err)
	}
	if _, err := ReadFile("no/such/file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	path := filepath.Join(t.TempDir(), "bad.json")
	os.WriteFile(path, []byte("{}"), 0o644)
	if _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("the error does not name the file: %v", err)
	}
}

// endless is white space without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A metric is named by its JSON path; every number of totals, agreement and run
// is one, and nothing else is.
func TestMetrics(t *testing.T) {
	r := full(t)
	var names []string
	for _, m := range r.Metrics() {
		names = append(names, m.Name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %v", names)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(document(t, r)), &doc); err != nil {
		t.Fatal(err)
	}
	var want []string
	numbers("", doc["totals"], &want)
	numbers("agreement.", doc["agreement"], &want)
	numbers("run.", doc["run"], &want)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("got  %v\nwant %v", names, want)
	}
	for _, name := range []string{"accesses", "faults.minor", "faults.kinds.key", "rss.peak_bytes", "page_table_bytes", "tlb.misses", "tlb.flushes.causes.key",
		"reclaim.evictions", "swap.in_bytes", "agreement.segv", "agreement.syscalls.by_call.key.mismatched", "run.seconds"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
	r.Totals.Faults.Major = 17
	i := slices.IndexFunc(r.Metrics(), func(m Metric) bool { return m.Name == "faults.major" })
	if v := r.Metrics()[i].Value; v != 17 {
		t.Errorf("faults.major is %v", v)
	}
}

func numbers(prefix string, v any, out *[]string) {
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, item := range m {
		if _, ok := item.(float64); ok {
			*out = append(*out, prefix+key)
		}
		numbers(prefix+key+".", item, out)
	}
}

// Counts leaves out what is timed and nothing else.
func TestCounts(t *testing.T) {
	r := full(t)
	c := r.Counts()
	if !reflect.ValueOf(c.Timing).IsZero() || reflect.ValueOf(r.Timing).IsZero() {
		t.Errorf("timing %+v of %+v", c.Timing, r.Timing)
	}
	c.Timing = r.Timing
	if !reflect.DeepEqual(c, r) {
		t.Error("Counts changed something else")
	}
}

package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sort"
	"strings"
)

// ErrSchema is returned for a document that is not a result of this program or
// has a schema newer than this program knows.
var ErrSchema = errors.New("not a result this version can read")

// maxDocument bounds what Read takes into memory, in bytes.
const maxDocument = 256 << 20

// Write writes the run as indented JSON.
func (r *Run) Write(w io.Writer) error { return write(w, r) }

// WriteList writes several runs as an indented JSON array.
func WriteList(w io.Writer, runs []*Run) error { return write(w, runs) }

func write(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(document)
}

// Read reads one run, which must be all that rd holds. It returns ErrSchema for
// other documents.
func Read(rd io.Reader) (*Run, error) { return read(rd, maxDocument) }

func read(rd io.Reader, limit int64) (*Run, error) {
	lim := &io.LimitedReader{R: rd, N: limit + 1}
	dec := json.NewDecoder(lim)
	var r Run
	err := dec.Decode(&r)
	if err == nil {
		if _, next := dec.Token(); next != io.EOF {
			err = errors.New("something follows the document")
		}
	}
	switch {
	case lim.N <= 0:
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrSchema, limit)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	case r.Schema < 1 || r.Schema > Schema:
		return nil, fmt.Errorf("%w: schema %d, this program reads 1 to %d", ErrSchema, r.Schema, Schema)
	}
	if err := r.checkTimeline(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSchema, err)
	}
	return &r, nil
}

// checkTimeline makes sure that buckets follow one another and that every
// series has one value for each.
func (r *Run) checkTimeline() error {
	ends := r.Timeline.EndsAccesses
	for i := 1; i < len(ends); i++ {
		if ends[i] <= ends[i-1] {
			return fmt.Errorf("bucket %d of the time line ends at %d accesses, the one before at %d", i, ends[i], ends[i-1])
		}
	}
	for _, s := range r.Series {
		if len(s.Values) != len(ends) {
			return fmt.Errorf("series %q has %d values for %d buckets", s.Name, len(s.Values), len(ends))
		}
	}
	return nil
}

// ReadFile reads one run from a file; errors name it.
func ReadFile(path string) (*Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Counts returns a copy of the run without what is timed: equal for equal
// trace, configuration and seed.
func (r *Run) Counts() *Run {
	c := *r
	c.Timing = Timing{}
	return &c
}

// Metric is one number of a run under its dotted name.
type Metric struct {
	Name  string
	Value float64
}

// Metrics lists every number of totals, agreement and run, by dotted JSON
// path, sorted by name. The prefix "totals." is left out: "faults.major",
// "rss.peak_bytes", "agreement.segv", "run.seconds".
func (r *Run) Metrics() []Metric {
	var out []Metric
	walkNumbers("", reflect.ValueOf(r.Totals), &out)
	walkNumbers("agreement", reflect.ValueOf(r.Agreement), &out)
	walkNumbers("run", reflect.ValueOf(r.Timing), &out)
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func walkNumbers(prefix string, v reflect.Value, out *[]Metric) {
	join := func(name string) string {
		if prefix == "" {
			return name
		}
		return prefix + "." + name
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			walkNumbers(join(name), v.Field(i), out)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walkNumbers(prefix, v.Elem(), out)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walkNumbers(join(it.Key().String()), it.Value(), out)
		}
	case reflect.Uint64, reflect.Uint32:
		*out = append(*out, Metric{prefix, float64(v.Uint())})
	case reflect.Int:
		*out = append(*out, Metric{prefix, float64(v.Int())})
	case reflect.Float64:
		*out = append(*out, Metric{prefix, v.Float()})
	}
}

package replay

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vmtrace/vmtrace/trace"
)

// limits bound what a replay holds, whatever the trace says, beside what is
// alive in the model. What goes beyond the first three is an error; beyond the
// others counts are added up in one row, or text is left out, and a warning says
// so.
type limits struct {
	threads     int // alive, as trace.Checker has it
	files       int // announced
	descriptors int // known, in all tables together
	rows        int // of processes, mappings and marks in the result, each
	ignored     int // names of calls that the model has no part in
	warnings    int
	names       int // bytes of all names
}

var defaultLimits = limits{threads: 1 << 20, files: 1 << 20, descriptors: 1 << 22, rows: 1 << 14, ignored: 1 << 10, warnings: 50, names: 64 << 20}

const (
	maxName      = 4096 // bytes of a name that are kept: PATH_MAX
	nameOverhead = 64   // bytes that a kept name costs beside its own
)

// names keeps every name once, in valid UTF-8, since JSON can hold nothing
// else.
type names struct {
	limit int
	seen  map[string]string
	bytes int
	left  uint64 // left out
}

func (n *names) keep(s string) string {
	if len(s) > maxName {
		cut := maxName
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	if kept, ok := n.seen[s]; ok {
		return kept
	}
	if n.bytes+len(s)+nameOverhead > n.limit {
		n.left++
		return "(name left out)"
	}
	if n.seen == nil {
		n.seen = map[string]string{}
	}
	n.bytes += len(s) + nameOverhead
	kept := plain(s)
	n.seen[strings.Clone(s)] = kept
	return kept
}

// plain replaces what is not UTF-8.
func plain(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// warnings are texts for the result.
type warnings struct {
	limit int
	list  []string
	said  map[string]bool // formats of once
	extra int             // not kept
}

func (w *warnings) add(format string, args ...any) {
	if len(w.list) < w.limit {
		w.list = append(w.list, fmt.Sprintf(format, args...))
	} else {
		w.extra++
	}
}

// once adds a warning the first time that its format comes up.
func (w *warnings) once(format string, args ...any) {
	if w.said[format] {
		return
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[format] = true
	w.list = append(w.list, fmt.Sprintf(format, args...))
}

// all is the list, and how many more there were.
func (w *warnings) all() []string {
	if w.extra == 0 {
		return w.list
	}
	return append(w.list, fmt.Sprintf("%d more warnings are left out", w.extra))
}

// lost adds up the records that the recorder says are missing.
type lost struct {
	records uint64
	places  uint64
	first   string
}

func (l *lost) add(ev *trace.Event, accesses uint64) {
	n, what := ev.Lost()
	if l.places == 0 {
		l.first = fmt.Sprintf("after %d accesses (%s)", accesses, plain(what[:min(len(what), 200)]))
	}
	l.records += n
	l.places++
}

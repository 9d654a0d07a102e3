package replay

import (
	"cmp"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// faultCounts are the faults of a process or mapping.
type faultCounts struct {
	minor, major          uint64
	foreign, foreignMajor uint64 // of these, on mappings of the recorder
	kinds                 [paging.NumFaultKinds]uint64
}

func (f *faultCounts) add(i *paging.FaultInfo) {
	f.kinds[i.Kind] += i.Times
	switch {
	case i.Outcome == paging.Minor:
		f.minor += i.Times
		if i.Foreign {
			f.foreign += i.Times
		}
	case i.Outcome == paging.Major:
		f.major += i.Times
		if i.Foreign {
			f.foreignMajor += i.Times
		}
	}
}

func (f *faultCounts) merge(o *faultCounts) {
	f.minor += o.minor
	f.major += o.major
	f.foreign += o.foreign
	f.foreignMajor += o.foreignMajor
	for k := range f.kinds {
		f.kinds[k] += o.kinds[k]
	}
}

func (f *faultCounts) result() result.Faults {
	return result.Faults{Minor: f.minor, Major: f.major, Foreign: f.foreign, ForeignMajor: f.foreignMajor, Kinds: kindNames(&f.kinds)}
}

func kindNames(kinds *[paging.NumFaultKinds]uint64) map[string]uint64 {
	out := map[string]uint64{}
	for k, n := range kinds {
		if n != 0 {
			out[paging.FaultKind(k).String()] = n
		}
	}
	return out
}

// mappingKey groups faults: all mappings of one name and protection in all
// processes of one id are one row.
type mappingKey struct {
	pid     uint32
	name    string
	prot    paging.Prot
	foreign bool
}

// otherMappings is the row of what has none of its own, above the limit.
var otherMappings = mappingKey{name: "(other mappings)"}

// mappings counts faults by mapping. Faults come in runs on one mapping, so
// the last row is kept at hand.
type mappings struct {
	limit   int
	rows    map[mappingKey]*faultCounts
	lastKey mappingKey
	last    *faultCounts
	full    bool
}

func newMappings(limit int) *mappings {
	return &mappings{limit: limit, rows: map[mappingKey]*faultCounts{}}
}

func (m *mappings) add(pid uint32, i *paging.FaultInfo) {
	key := mappingKey{pid, i.Name, i.Prot, i.Foreign}
	if m.last == nil || key != m.lastKey {
		m.last = m.row(key)
		m.lastKey = key
	}
	m.last.add(i)
}

func (m *mappings) row(key mappingKey) *faultCounts {
	f := m.rows[key]
	if f == nil && len(m.rows) >= m.limit {
		m.full = true
		key = otherMappings
		f = m.rows[key]
	}
	if f == nil {
		f = &faultCounts{}
		m.rows[key] = f
	}
	return f
}

// result lists the rows, most faults first; at equal numbers by process, name
// and protection, so that the order is always the same.
func (m *mappings) result() []result.Mapping {
	out := make([]result.Mapping, 0, len(m.rows))
	for k, f := range m.rows {
		out = append(out, result.Mapping{PID: k.pid, Name: k.name, Prot: k.prot.String(), Foreign: k.foreign,
			Minor: f.minor, Major: f.major, Kinds: kindNames(&f.kinds)})
	}
	slices.SortFunc(out, func(a, b result.Mapping) int {
		return cmp.Or(cmp.Compare(b.Minor+b.Major, a.Minor+a.Major), cmp.Compare(a.PID, b.PID),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Prot, b.Prot), compareBool(a.Foreign, b.Foreign))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Step is one fault as Options.Explain sees it.
type Step struct {
	Record   uint64 // number of the record in the trace, from 0
	Accesses uint64 // performed before that record
	PID, TID uint32
	Fault    *paging.FaultInfo // valid during the call
}

// onFault hands a fault of the model to the observers.
func (e *engine) onFault(i *paging.FaultInfo) {
	e.daemons.fault(i)
	pid := i.Task.PID()
	if p := e.procs[pid]; p != nil {
		p.faults.add(i)
	}
	e.mappings.add(pid, i)
	if e.opts.Frames != nil {
		e.opts.Frames.fault(i)
	}
	if e.tells() {
		e.fault(i)
	}
	if e.opts.Explain != nil {
		e.opts.Explain(Step{Record: e.records, Accesses: e.accesses, PID: pid, TID: i.Task.TID(), Fault: i})
	}
}

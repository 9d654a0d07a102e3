package replay

import (
	"cmp"
	"slices"

	"github.com/vmtrace/vmtrace/paging"
	"github.com/vmtrace/vmtrace/replay/result"
)

// mappingKey groups faults: all mappings of one name and protection in one
// process are one row.
type mappingKey struct {
	pid     uint32
	name    string
	prot    paging.Prot
	foreign bool
}

// mappings counts faults by mapping. Faults come in runs on one mapping, so
// the last row is kept at hand.
type mappings struct {
	rows    map[mappingKey]*faultCounts
	lastKey mappingKey
	last    *faultCounts
}

func newMappings() *mappings { return &mappings{rows: map[mappingKey]*faultCounts{}} }

func (m *mappings) add(pid uint32, i *paging.FaultInfo) {
	key := mappingKey{pid, i.Name, i.Prot, i.Foreign}
	if m.last == nil || key != m.lastKey {
		m.last = m.rows[key]
		if m.last == nil {
			m.last = &faultCounts{}
			m.rows[key] = m.last
		}
		m.lastKey = key
	}
	m.last.add(i)
}

// result lists the rows, most faults first.
func (m *mappings) result() []result.Mapping {
	out := make([]result.Mapping, 0, len(m.rows))
	for k, f := range m.rows {
		out = append(out, result.Mapping{PID: k.pid, Name: k.name, Prot: k.prot.String(), Foreign: k.foreign,
			Minor: f.minor, Major: f.major, Kinds: kindNames(&f.kinds)})
	}
	slices.SortFunc(out, func(a, b result.Mapping) int {
		return cmp.Or(cmp.Compare(b.Minor+b.Major, a.Minor+a.Major), cmp.Compare(a.PID, b.PID),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Prot, b.Prot))
	})
	return out
}

// Step is one fault as Options.Explain sees it.
type Step struct {
	Record   uint64 // of the trace, counted from 0
	Accesses uint64 // done before the chunk of references it happened in
	PID, TID uint32
	Fault    *paging.FaultInfo // valid during the call
}

// onFault hands a fault of the model to the observers.
func (e *engine) onFault(i *paging.FaultInfo) {
	tid := i.Task.TID()
	pid := i.Task.PID()
	if p := e.procs[pid]; p != nil {
		p.faults.add(i)
	}
	e.mappings.add(pid, i)
	if e.opts.Explain != nil {
		e.opts.Explain(Step{Record: e.records, Accesses: e.accesses, PID: pid, TID: tid, Fault: i})
	}
}

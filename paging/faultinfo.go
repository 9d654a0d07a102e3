package paging

// FaultInfo describes one fault, for observers.
type FaultInfo struct {
	Task       *Task
	Times      uint64 // 1; after a trial, how many faults this stands for: only Task, Kind, Outcome and the mapping are set then
	Addr       uint64 // of the page; the byte within is not known
	Access     Access
	Kind       FaultKind
	Outcome    Outcome
	Start, End uint64 // of the mapping, 0 for none
	Prot       Prot
	Name       string // of the mapping: path, [heap], [stack], [anon]
	Foreign    bool   // the mapping belongs to the recorder
	Pages      int    // entries made present
	Retries    uint64 // attempts before the one that counted
	Shared     bool   // the mapping is
	Unprepared bool   // the mapping had no anon_vma before
	Mapping    MappingID
	// Before and After are the entry of the page, and how many entries mapped
	// its frame before. For Explain.
	Before, After uint64
	beforeMaps    int32
}

// of says what the mapping of the fault is, nil for none.
func (i *FaultInfo) of(v *vma) {
	if i.Name = "(no mapping)"; v != nil {
		i.Start, i.End, i.Prot, i.Name, i.Foreign = v.start, v.end, v.prot(), v.Name(), v.foreign()
		i.Shared, i.Mapping = !v.private(), v.identity()
	}
}

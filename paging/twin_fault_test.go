package paging

// access is what a program does.
func (p *twinProc) access(page uint64, a Access) Outcome {
	v, e := p.vma[page], p.entry(page)
	if v != nil && p.allows(v, a) && e != nil && (a != Write || e.write) {
		if h := p.hugeAt(page); h != nil {
			h.dirty = h.dirty || a == Write
		}
		e.dirty = e.dirty || a == Write
		return OK
	}
	return p.fault(page, a)
}

// allows says whether an access is permitted; entries of 2 levels cannot forbid
// fetches.
func (p *twinProc) allows(v *twinVMA, a Access) bool {
	switch {
	case a == Write:
		return v.prot&ProtWrite != 0
	case a == Exec && p.w.levels > 2:
		return v.prot&ProtExec != 0
	}
	return v.prot != 0
}

func (p *twinProc) fault(page uint64, a Access) Outcome {
	kind, out := p.resolve(page, a)
	p.w.faults[kind]++
	if out == Minor {
		p.minor++
	}
	return out
}

func (p *twinProc) resolve(page uint64, a Access) (FaultKind, Outcome) {
	v := p.vma[page]
	if half := p.w.end; v == nil && p.w.levels > 3 && page >= half && page < 1<<52-half {
		return FaultGP, SIGSEGV // the bits above those translated are not all the same
	}
	if v == nil || !p.allows(v, a) {
		return FaultSegv, SIGSEGV
	}
	return p.take(page, a)
}

// take is the fault of an access that is permitted, or forced.
func (p *twinProc) take(page uint64, a Access) (FaultKind, Outcome) {
	v, e := p.vma[page], p.pte[page]
	index := p.indexAt(page)
	if v.file != nil && index >= v.file.pages {
		return FaultBus, SIGBUS
	}
	if a == Write && !v.shared && v.anon == nil {
		v.anon = p.sharedAnon(page)
	}
	if p.wantsHuge(page) {
		if v.anon == nil {
			v.anon = p.sharedAnon(page) // also for a read
		}
		return p.faultHuge(page, a), Minor
	}
	p.makeTables(page)
	if h := p.hugeAt(page); h != nil { // a write to a read-only entry
		if h.frames != nil && (h.unique || h.frames[0].block.refs == 1) {
			h.write, h.dirty, h.unique = v.prot&ProtWrite != 0, true, true
			return HugeReuse, Minor
		}
		p.split(page)
		e = p.pte[page]
	}
	if e != nil { // a write to a read-only entry
		switch {
		case v.shared:
			e.write, e.dirty = true, true
			return MkWrite, Minor
		case e.unique || e.f.kind == rssAnon && e.f != p.w.zero && e.f.sole():
			e.write, e.dirty, e.unique = v.prot&ProtWrite != 0, true, true
			return CowReuse, Minor
		}
		kind := CowCopy
		if e.f == p.w.zero {
			kind = CowZero
		}
		p.dropPTE(page)
		p.own(page, true)
		return kind, Minor
	}
	if _, named := p.marks[page]; named {
		delete(p.marks, page)
		p.set(page, v.file.frame(index), v.prot&ProtWrite != 0)
		p.pte[page].dirty = a == Write
		return NonLinear, Minor
	}
	switch {
	case v.file == nil && a == Write:
		p.own(page, false)
		return DemandZero, Minor
	case v.file == nil:
		p.set(page, p.w.zero, false)
		return ZeroPage, Minor
	case a == Write && !v.shared:
		p.own(page, false)
		return FileCOW, Minor
	case a == Write:
		p.set(page, v.file.frame(index), true)
		p.pte[page].dirty = true
		return FileShared, Minor
	}
	start, end := p.bounds(page)
	size := uint64(1) << p.w.bits
	first := max(page/p.w.around*p.w.around, start, page/size*size)
	for i := first; i < min(first+p.w.around, end, (page/size+1)*size); i++ {
		index := uint64(int64(i) + v.offset)
		if p.pte[i] != nil || index >= v.file.pages || v.file.shmem && i != page && v.file.frames[index] == nil {
			continue
		}
		p.set(i, v.file.frame(index), v.shared && v.file.shmem && v.prot&ProtWrite != 0)
	}
	return FileRead, Minor
}

// sharedAnon is find_mergeable_anon_vma.
func (p *twinProc) sharedAnon(page uint64) *twinAnon {
	start, end := p.bounds(page)
	for _, n := range []*twinVMA{p.vma[end], p.vma[start-1]} {
		if n == nil || n.anon == nil || n.anon.forked {
			continue
		}
		same := *n
		same.prot = p.vma[page].prot
		if same.like(p.vma[page]) {
			return n.anon
		}
	}
	return &twinAnon{}
}

func (f *twinFile) frame(index uint64) *twinFrame {
	if f.frames[index] == nil {
		kind := rssFile
		if f.shmem {
			kind = rssShmem
		}
		f.frames[index] = &twinFrame{kind: kind, index: index}
	}
	return f.frames[index]
}

func (p *twinProc) set(page uint64, f *twinFrame, write bool) {
	f.maps++
	p.pte[page] = &twinPTE{f: f, write: write}
}

// own gives a page a frame of its own, in place of another if cow.
func (p *twinProc) own(page uint64, cow bool) {
	v := p.vma[page]
	write := v.prot&ProtWrite != 0
	p.set(page, &twinFrame{kind: rssAnon}, write)
	p.pte[page].dirty, p.pte[page].unique = write || v.file != nil || cow, true
}

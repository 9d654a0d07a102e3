package paging

// debug is a page reached by a debugger (force), or by process_vm_readv and
// process_vm_writev (pin): whether it can be, and the faults of that, which the
// process that reaches out is charged for.
func (p *twinProc) debug(by *twinProc, page uint64, write, force, pin bool) bool {
	v := p.vma[page]
	plain := v != nil && !v.shared
	switch {
	case v == nil:
		return false
	case write && v.prot&ProtWrite == 0 && !(force && plain):
		return false
	case !write && v.prot&ProtRead == 0 && !force:
		return false
	}
	for {
		e := p.entry(page)
		mine := e != nil && e.f.kind == rssAnon && e.f != p.w.zero && e.unique
		switch {
		case e != nil && write && (e.write || plain && v.prot&ProtWrite == 0 && mine):
			return true
		case e != nil && !write && pin && e.f.kind == rssAnon && e.f != p.w.zero && !e.unique:
			p.w.faults[Unshare]++
			by.minor++
			if h := p.hugeAt(page); h != nil {
				if h.frames[0].block.refs == 1 {
					h.unique = true
					continue
				}
				p.split(page)
				e = p.pte[page]
			}
			if e.f.sole() {
				e.unique = true
				continue
			}
			p.dropPTE(page)
			p.set(page, &twinFrame{kind: rssAnon}, false)
			p.pte[page].unique = true
			continue
		case e != nil && !write:
			return true
		}
		a := Read
		if write {
			a = Write
		}
		kind, out := p.take(page, a)
		p.w.faults[kind]++
		if out != Minor {
			return false
		}
		by.minor++
	}
}

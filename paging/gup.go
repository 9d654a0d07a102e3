package paging

// Access of the kernel to pages of an address space by way of its page table
// instead of by its addresses, after Linux 6.1 mm/gup.c: get_user_pages and what
// is built on it. copy_to_user and copy_from_user are not: see Task.Copy.

// gupFlags change what getUserPages does.
type gupFlags uint8

const (
	gupWrite   gupFlags = 1 << iota // pages that may be written: copy-on-write is broken (FOLL_WRITE)
	gupForce                        // also where the protection forbids it, if mprotect could permit it (FOLL_FORCE)
	gupDump                         // no page where there would be only zeros (FOLL_DUMP)
	gupPin                          // pages that stay the mapping's own while they are held (FOLL_PIN)
	gupUnshare                      // of a fault: the page has to become the mapping's own (FAULT_FLAG_UNSHARE)
	gupFault                        // of a fault: it is taken here, and not by an access of the program
)

// gupStep is what getUserPages finds at a page.
type gupStep uint8

const (
	gupFound gupStep = iota
	gupMissing
	gupShared // it would do but for gupPin
	gupHole   // gupDump: nothing to dump
)

// getUserPages makes n pages from the one at addr on present and as writable as
// the flags ask for, and returns how many it got: fewer than n where it was
// stopped, and only if it got none an error (__get_user_pages): EFAULT (nothing
// is mapped, or it may not be accessed, or the fault fails), ENOMEM (no frame),
// EINTR (the process is being killed; ERESTARTSYS on 2.6.32).
func (t *Task) getUserPages(addr, n uint64, flags gupFlags) (done uint64, errno Errno) {
	for ; done < n; done++ {
		if errno := t.getUserPage(addr>>pageShift+done, flags); errno != 0 {
			if done > 0 {
				errno = 0
			}
			return done, errno
		}
	}
	return done, 0
}

func (t *Task) getUserPage(vpn uint64, flags gupFlags) Errno {
	t.faulted = false
	for {
		v := t.space.list().at(vpn << pageShift)
		if v == nil {
			return t.machine.gatePage(vpn, flags)
		}
		if errno := v.checkGUP(flags); errno != 0 {
			return errno
		}
		if t.proc.killed.Load() {
			return t.machine.profile.killed
		}
		fault := flags | gupFault
		switch t.followPage(v, vpn, flags) {
		case gupFound:
			t.used(vpn, flags.access())
			t.touched(vpn, flags)
			return 0
		case gupHole:
			return EFAULT
		case gupShared:
			fault |= gupUnshare
		}
		switch out := t.faultAs(vpn, fault); {
		case out == OOM:
			return ENOMEM
		case out.Fatal():
			return EFAULT
		}
	}
}

// touched marks a page as accessed (FOLL_TOUCH), but for a core dump.
func (t *Task) touched(vpn uint64, flags gupFlags) {
	g := t.machine.memory
	if g == nil || g.marks == nil || flags&gupDump != 0 {
		return
	}
	if tab := t.leaf(vpn); tab != nil {
		if e := tab.load(vpn); e&(pteP|pteNone) != 0 {
			g.accessed(ptePFN(e))
		}
	}
}

func (f gupFlags) access() Access {
	if f&gupWrite != 0 {
		return Write
	}
	return Read
}

// faultAs takes a fault for getUserPages (faultin_page).
func (t *Task) faultAs(vpn uint64, flags gupFlags) Outcome {
	t.gup = flags
	defer func() { t.gup = 0 }()
	return t.fault(vpn, flags.access())
}

// checkGUP says whether the mapping may be accessed (check_vma_flags). A forced
// write needs a mapping whose pages are copied before they are written.
func (v *vma) checkGUP(flags gupFlags) Errno {
	force := flags&gupForce != 0
	switch {
	case v.flags&vmPFNMap != 0:
		return EFAULT
	case flags&gupWrite != 0:
		if v.flags&vmWrite == 0 && !(force && v.isCOW() && v.huge == nil) { // hugetlb knows no forced writes
			return EFAULT
		}
	case v.flags&vmRead == 0 && !(force && v.flags&vmMayRead != 0):
		return EFAULT
	}
	return 0
}

// followPage looks at the entry of a page (follow_page_pte).
func (t *Task) followPage(v *vma, vpn uint64, flags gupFlags) gupStep {
	var e uint64
	if tab := t.leaf(vpn); tab != nil {
		e = tab.load(vpn)
	}
	anonymous := v.file == nil && v.flags&vmSpecial == 0
	switch {
	case isSwap(e), isFileEntry(e):
		return gupMissing
	case e == 0:
		if flags&gupDump != 0 && (anonymous || v.huge != nil && !v.holdsHuge(vpn)) { // no_page_table, follow_hugetlb_page
			return gupHole
		}
		return gupMissing
	case e&pteNone != 0 && flags&gupForce == 0: // gup_can_follow_protnone
		return gupMissing
	}
	f := t.machine.frames.at(ptePFN(e))
	switch {
	case flags&gupWrite != 0 && !v.followWrite(e, f):
		return gupMissing
	case flags&gupDump != 0 && f.kind == frameZero && v.flags&vmSpecial == 0:
		return gupHole
	case flags&(gupWrite|gupPin) == gupPin && e&(pteW|pteExclusive) == 0 && (f.kind == frameAnon || f.kind == frameHugeAnon): // gup_must_unshare
		return gupShared
	}
	return gupFound
}

// followWrite says whether a page may be written through this entry: by a forced
// write also where it is read-only, once the page is the mapping's own
// (can_follow_write_pte; that the write is forced has been checked).
func (v *vma) followWrite(e uint64, f *frame) bool {
	return e&pteW != 0 || v.isCOW() && v.flags&vmWrite == 0 && f.kind == frameAnon && e&pteExclusive != 0
}

// unshare gives a private mapping a page of its own without making it writable
// (do_wp_page with FAULT_FLAG_UNSHARE). Precondition: tab.mu; e is present.
func (t *Task) unshare(v *vma, tab *table, vpn, e uint64) (FaultKind, int) {
	f := t.machine.frames.at(ptePFN(e))
	switch {
	case f.kind != frameAnon || e&pteExclusive != 0: // another task was faster
		return Unshare, 0
	case t.machine.sole(f, ptePFN(e)):
		tab.update(vpn, func(e uint64) uint64 { return e | pteExclusive })
		return Unshare, 0
	}
	pfn := t.allocCopy(ptePFN(e))
	if pfn == 0 {
		return Unshare, -1
	}
	tab.set(vpn, mkPTE(pfn, t.bits(v, false)|pteExclusive))
	t.machine.memory.link(pfn, mapping{tab, vpn})
	t.space.flushPages(t, FlushCOW, vpn, vpn+1)
	t.unmapFrame(tab, vpn, f, e)
	return Unshare, 1
}

// VsyscallMode is what a 64-bit program may do with the vsyscall page, which
// lies among the kernel's addresses (arch/x86/entry/vsyscall/vsyscall_64.c). It
// can never be written.
type VsyscallMode uint8

// The modes (vsyscall= on the kernel's command line).
const (
	VsyscallXOnly   VsyscallMode = iota // calls into it are emulated; it cannot be read
	VsyscallEmulate                     // it can be read too
	VsyscallNone                        // it is not there
)

var vsyscallNames = []string{"xonly", "emulate", "none"}

func (v VsyscallMode) String() string { return name(vsyscallNames, int(v)) }

// ParseVsyscallMode reads "xonly", "emulate" or "none".
func ParseVsyscallMode(s string) (VsyscallMode, error) {
	return parse[VsyscallMode](vsyscallNames, s)
}

const gateVPN = 0xffffffffff600000 >> pageShift // VSYSCALL_ADDR

// gateAllows says whether an access of a program to the page works out. A fetch
// faults and is emulated, which no process is charged for.
func (m *Machine) gateAllows(vpn uint64, a Access) bool {
	if vpn != gateVPN || !m.layout.wide {
		return false
	}
	switch m.cfg.Vsyscall {
	case VsyscallXOnly:
		return a == Exec
	case VsyscallEmulate:
		return a != Write
	}
	return false
}

// gatePage is what getUserPages says of a page without a mapping
// (get_gate_page): only in mode emulate there is an entry.
func (m *Machine) gatePage(vpn uint64, flags gupFlags) Errno {
	if flags&gupWrite != 0 || !m.gateAllows(vpn, Read) {
		return EFAULT
	}
	return 0
}

// Kill makes SIGKILL pending for the process of the task: what makes pages
// present stops at the next page (fatal_signal_pending). The tasks end by Exit.
// It is safe for concurrent use.
func (t *Task) Kill() { t.proc.killed.Store(true) }

// within lets do act on another task's address space for t: faults count for t.
func (t *Task) within(target *Task, do func(r *Task)) {
	t.inSpace(target.space, do)
}

// inSpace lets do act on an address space for t.
func (t *Task) inSpace(s *Space, do func(r *Task)) {
	t.RunOn(t.onCPU)
	r := &Task{machine: t.machine, space: s, proc: t.proc, actor: t, onCPU: t.onCPU, frames: frameCache{pool: t.machine.frames}}
	do(r)
	r.frames.drain()
	t.stats.add(&r.stats)
}

// pinAtOnce is how many pages process_vm_readv holds at a time
// (mm/process_vm_access.c:PVM_MAX_KMALLOC_PAGES pages of pointers).
const pinAtOnce = 2 * PageSize / 8

// ProcessVM copies between the memory of the task at local and that of another
// task at remote, to the other with write (process_vm_readv and
// process_vm_writev of one range each, mm/process_vm_access.c). The remote pages
// are pinned by getUserPages, the local ones are accessed as by Copy. It returns
// how many bytes were copied, or EFAULT if none were. The other task must not
// end or call Exec meanwhile.
func (t *Task) ProcessVM(target *Task, local, remote, length uint64, write bool) (uint64, Errno) {
	flags := gupPin
	if write {
		flags |= gupWrite
	}
	copied := uint64(0)
	for copied < length {
		at := remote + copied
		n := min((at&pageMask+length-copied+pageMask)>>pageShift, pinAtOnce)
		t.within(target, func(r *Task) { n, _ = r.getUserPages(at, n, flags) })
		if n == 0 {
			break
		}
		t.kmapLocal(n) // copy_page_to_iter, copy_page_from_iter
		part := min(n<<pageShift-at&pageMask, length-copied)
		done, out := t.Copy(local+copied, part, !write)
		copied += done
		if out.Fatal() {
			break
		}
	}
	if copied == 0 && length > 0 {
		return 0, EFAULT
	}
	return copied, 0
}

// AccessRemote reads or writes another task's memory as a debugger does, past
// its protection (mm/memory.c:access_process_vm with FOLL_FORCE; ptrace, and
// /proc/PID/mem), one page at a time. It returns how many bytes it reached. The
// other task must not end or call Exec meanwhile.
func (t *Task) AccessRemote(target *Task, addr, length uint64, write bool) uint64 {
	flags := gupForce
	if write {
		flags |= gupWrite
	}
	done := uint64(0)
	t.within(target, func(r *Task) {
		if r.space.list().at(addr) == nil && !r.growStack(addr&^pageMask) {
			return
		}
		for done < length {
			if _, errno := r.getUserPages(addr+done, 1, flags); errno != 0 {
				return
			}
			if tab := r.leaf((addr + done) >> pageShift); tab != nil {
				r.kmap(ptePFN(tab.load((addr + done) >> pageShift)))
			}
			done += min(length-done, PageSize-(addr+done)&pageMask)
		}
	})
	return done
}

// DumpPage says whether a core dump gets a page of its own for the address, and
// not a hole: the zero page, and anonymous memory that was never touched, are
// left out without a fault (get_dump_page).
func (t *Task) DumpPage(addr uint64) bool {
	t.RunOn(t.onCPU)
	n, _ := t.getUserPages(addr, 1, gupForce|gupDump)
	return n == 1
}

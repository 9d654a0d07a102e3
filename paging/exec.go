package paging

// A new program in place of a process's old one, with the faults that the kernel
// takes while it builds the image: the pages of arguments, the end of a .bss that
// begins inside a page of the file, the tables on the stack. After Linux 6.1
// fs/exec.c (do_execveat_common, setup_arg_pages) and fs/binfmt_elf.c
// (load_elf_binary).

// Image describes a program and how it is started.
type Image struct {
	ELF
	Interp    *ELF     // the dynamic loader, nil for none
	Path      uint64   // bytes of the file's path, with the NUL
	Args, Env []uint64 // bytes of each string, with the NUL
	Aux       int      // entries of the auxiliary vector before AT_NULL; 0 = those of 6.1
	Shift     uint64   // bytes by which randomisation moves the stack down
	VVar      uint64   // pages of the vdso's data
	VDSO      uint64   // pages of the vdso, 0 for none
	ExecStack bool     // PT_GNU_STACK asks for an executable stack
}

// ELF is a file to be mapped by its program headers.
type ELF struct {
	File     *File
	Dyn      bool      // ET_DYN: may lie anywhere
	Segments []Segment // PT_LOAD
}

// Segment is a program header of the kind PT_LOAD; sizes and addresses in bytes.
type Segment struct {
	Offset, Vaddr, FileSize, MemSize, Align uint64
	Prot                                    Prot
}

// Started is where things are in a new image.
type Started struct {
	Stack  uint64 // stack pointer
	Bias   uint64 // of the program, from what its headers say
	Interp uint64 // of the dynamic loader
	Brk    uint64
	// Dead says that the old image was gone when the error came up: the process is
	// to be ended (fs/exec.c:bprm_execve, force_fatal_sig(SIGSEGV)).
	Dead bool
}

// Limits of arguments (include/uapi/linux/limits.h, binfmts.h, resource.h).
const (
	argMax      = 131072        // ARG_MAX: as much is always allowed
	maxArgLen   = 32 * PageSize // MAX_ARG_STRLEN
	argsOfStack = 8 << 20 / 4 * 3
	stackExpand = 128 << 10 // below the arguments (setup_arg_pages)
)

// ExecImage starts a program. Its other threads die. Faults are counted for the
// task; those of reading the strings from the old image are not taken. Errors
// before the old image goes: E2BIG (the arguments are longer than three quarters
// of 8 MiB, a quarter of RLIMIT_STACK, or 128 KiB each, or find no memory), ENOEXEC
// (no segment, or more headers than a page holds), ELIBBAD (the same of the
// loader), ENOMEM, EINTR (Task.Kill). After it, with Started.Dead: ENOMEM,
// EFAULT, EINVAL, and those of Mmap.
func (t *Task) ExecImage(im *Image) (Started, Errno) {
	t.RunOn(t.onCPU)
	fresh := t.machine.newSpace()
	fresh.users.Add(1)
	p, errno := t.pushArguments(fresh, im)
	switch {
	case errno != 0:
	case !im.loadable(&t.machine.layout):
		errno = ENOEXEC
	case im.Interp != nil && !im.Interp.loadable(&t.machine.layout):
		errno = ELIBBAD
	}
	if errno != 0 {
		fresh.leave(t, FlushExec)
		return Started{}, errno
	}
	t.become(fresh)
	var st Started
	for _, step := range []func() Errno{
		func() (errno Errno) { p, errno = t.settleStack(im, p); return },
		func() (errno Errno) { errno = t.loadProgram(im, &st); return },
		func() (errno Errno) { errno = t.loadInterp(im.Interp, &st); return },
		func() Errno { return t.mapVDSO(im) },
		func() (errno Errno) { st.Stack, errno = t.elfTables(im, p); return },
	} {
		if errno := step(); errno != 0 {
			st.Dead = true
			return st, errno
		}
	}
	t.SetBrk(st.Brk, st.Brk)
	return st, 0
}

// loadable says whether there are program headers, and no more than a page of
// them (load_elf_phdrs).
func (f *ELF) loadable(y *layout) bool {
	size := len(f.Segments) * 56
	if !y.wide {
		size = len(f.Segments) * 32
	}
	return size > 0 && size <= PageSize
}

// arguments is the writing of strings from the top of a stack down.
type arguments struct {
	task   *Task // in the new space
	p, min uint64
}

// pushArguments makes the stack of a new space and writes the strings
// (bprm_mm_init, bprm_stack_limits, copy_strings). It returns where they begin.
func (t *Task) pushArguments(s *Space, im *Image) (p uint64, errno Errno) {
	y := &t.machine.layout
	v := &vma{start: y.end - PageSize, end: y.end, flags: protFlags(ProtRead|ProtWrite) | vmMayAll | vmGrowsDown | vmAccount, pgoff: y.end>>pageShift - 1, name: regionNames[Stack]}
	s.lock(t)
	ok := s.mayCommit(1)
	if ok {
		s.publish(vmaList{v})
	}
	s.unlock(t)
	if !ok {
		return 0, ENOMEM
	}
	word := uint64(8)
	if y.word>>32 == 0 {
		word = 4
	}
	limit := max(min(argsOfStack, t.machine.cfg.StackLimit/4), argMax)
	pointers := uint64(max(len(im.Args), 1)+len(im.Env)) * word
	if limit <= pointers {
		return 0, E2BIG
	}
	t.inSpace(s, func(r *Task) {
		a := arguments{task: r, p: y.end - word}
		a.min = a.p - min(a.p, limit-pointers)
		errno = a.pushAll(im)
		p = a.p
	})
	return p, errno
}

// pushAll writes the path, the environment and the arguments, each from its last
// string to its first; an empty list of arguments gets an empty string.
func (a *arguments) pushAll(im *Image) Errno {
	if errno := a.push(im.Path); errno != 0 {
		return errno
	}
	for _, list := range [][]uint64{im.Env, im.Args} {
		for i := range list {
			if errno := a.push(list[len(list)-1-i]); errno != 0 {
				return errno
			}
		}
	}
	if len(im.Args) == 0 {
		return a.push(1)
	}
	return 0
}

// push writes one string: page by page, from the last to the first, the stack
// grows and the page is made present (get_arg_page).
func (a *arguments) push(length uint64) Errno {
	if length > maxArgLen || length > a.p || a.p-length < a.min {
		return E2BIG
	}
	end := a.p
	a.p -= length
	for end > a.p {
		if a.task.proc.killed.Load() {
			return EINTR
		}
		page := (end - 1) &^ pageMask
		if a.task.space.list()[0].start > page && !a.task.growStack(page) {
			return E2BIG
		}
		if n, _ := a.task.getUserPages(page, 1, gupWrite); n == 0 {
			return E2BIG
		}
		end = max(page, a.p)
	}
	return 0
}

// settleStack moves the stack to its place and makes room below it
// (setup_arg_pages). It returns where the strings begin now.
func (t *Task) settleStack(im *Image, p uint64) (uint64, Errno) {
	y, s := &t.machine.layout, t.space
	top := pageUp((min(y.end, y.window) - im.Shift) &^ 15) // arch_align_stack
	s.lock(t)
	v := s.list()[0]
	if im.Shift >= y.end || top < mmapMinAddr || v.end-v.start >= top-mmapMinAddr {
		s.unlock(t)
		return 0, ENOMEM
	}
	if im.ExecStack {
		n := v.clone()
		n.flags |= vmExec
		s.publish(vmaList{n})
		g := s.gather(t, FlushMprotect)
		s.reprotect(&g, n, n.first(), n.last())
		g.flush()
	}
	if by := v.end - top; by != 0 {
		s.shiftStack(t, by)
		p -= by
	}
	v = s.list()[0]
	s.unlock(t)
	base := v.start - stackExpand
	if limit := t.machine.cfg.StackLimit &^ pageMask; v.end-v.start+stackExpand > limit {
		base = v.end - limit
	}
	if base < v.start && !t.growStack(base) {
		return 0, EFAULT
	}
	return p, 0
}

// shiftStack moves the only mapping down with its entries, whose old place may
// overlap the new one (shift_arg_pages). Precondition: s.mu.
func (s *Space) shiftStack(t *Task, by uint64) {
	v := s.list()[0]
	n := v.clone() // the offset stays (vma_adjust)
	n.start, n.end = v.start-by, v.end-by
	s.moveEntries(t, v.first(), n.first(), v.pages())
	s.publish(vmaList{n})
	g := s.gather(t, FlushMremap)
	s.freeTables(&g, s.list(), max(n.last(), v.first()), v.last())
	g.flush()
}

// mapVDSO places the vdso and its data as a mapping without a hint is placed.
// Differs from Linux: map_vdso_randomized tries above the stack first.
func (t *Task) mapVDSO(im *Image) Errno {
	if im.VDSO == 0 {
		return 0
	}
	s := t.space
	s.lock(t)
	addr, errno := s.place(MmapArgs{}, (im.VVar+im.VDSO)<<pageShift)
	s.unlock(t)
	if errno != 0 {
		return errno
	}
	text := addr + im.VVar<<pageShift
	if im.VVar > 0 && t.MapRegion(Region{Start: addr, End: text, Prot: ProtRead, Kind: VVar}) != nil ||
		t.MapRegion(Region{Start: text, End: text + im.VDSO<<pageShift, Prot: ProtRead | ProtExec, Kind: VDSO}) != nil {
		return ENOMEM
	}
	return 0
}

// elfTables writes what a program finds on its stack: the name of the platform,
// random bytes, and from the stack pointer up the count of the arguments, the
// pointers and the auxiliary vector (create_elf_tables).
func (t *Task) elfTables(im *Image, p uint64) (sp uint64, errno Errno) {
	word, platform, aux := uint64(8), uint64(len("x86_64")+1), 20
	if !t.machine.layout.wide {
		word, platform, aux = 4, uint64(len("i686")+1), 21 // AT_SYSINFO
	}
	if im.Aux != 0 {
		aux = im.Aux
	}
	p = p&^15 - platform
	if _, out := t.Copy(p, platform, true); out.Fatal() {
		return 0, EFAULT
	}
	const random = 16
	p -= random
	if _, out := t.Copy(p, random, true); out.Fatal() {
		return 0, EFAULT
	}
	vector := uint64(aux+1) * 2 * word
	pointers := uint64(max(len(im.Args), 1)+1+len(im.Env)+1+1) * word
	sp = (p - vector - pointers) &^ 15
	if _, out := t.Copy(sp, vector+pointers, true); out.Fatal() {
		return 0, EFAULT
	}
	return sp, 0
}

package paging

import (
	"fmt"
	"math"
)

// System V shared memory, after Linux 6.1 ipc/shm.c and ipc/util.c. A segment is
// an object of shared memory with an identifier; every mapping of it counts as
// an attachment. One that is removed (IPC_RMID) stays until the last attachment
// is gone, and can be attached until then.

// Flags of shmget(2) and shmat(2), and the limits of segments.
const (
	ipcPrivate = 0
	ipcCreat   = 0o1000
	ipcExcl    = 0o2000
	shmHugeTLB = 0o4000

	shmNoReserve = 0o10000 // of shmget

	shmRdonly = 0o10000 // of shmat
	shmRnd    = 0o20000
	shmRemap  = 0o40000
	shmExec   = 0o100000

	shmMni      = 4096    // SHMMNI: segments
	shmReserve  = 1 << 24 // SHMMAX, the bytes of one, and SHMALL, the pages of all, are the largest unsigned long but for so many
	ipcMinCycle = 64      // indices are not used again before (ipc_min_cycle)
	ipcSeqShift = 15
)

// segment is one segment (shmid_kernel). Its file holds its size and its count
// of attachments.
type segment struct {
	id, key int32
	pages   uint64
	file    *File
	removed bool // IPC_RMID came
}

// sysvShm is the table of segments (ipc_ids). Machine.shmemMu guards it.
type sysvShm struct {
	byID  map[int32]*segment
	byKey map[int32]*segment // those with a key
	total uint64             // pages of all
	next  int32              // index to try first
	last  int32              // index given last, plus 1
	seq   int32
}

// vacantID returns the next identifier: indices go round, so that one that was
// given up is not used again at once, and a sequence number counts the rounds
// (ipc_idr_alloc).
func (t *sysvShm) vacantID() int32 {
	limit := min(int32(max(len(t.byID)*3/2, ipcMinCycle)), shmMni)
	used := make(map[int32]bool, len(t.byID))
	for id := range t.byID {
		used[id&(1<<ipcSeqShift-1)] = true
	}
	at := t.next
	for at < limit && used[at] {
		at++
	}
	if at >= limit {
		for at = 0; used[at]; at++ {
		}
	}
	if at < t.last {
		t.seq = (t.seq + 1) % (math.MaxInt32 >> ipcSeqShift)
	}
	t.next, t.last = at+1, at+1
	return t.seq<<ipcSeqShift + at
}

func (t *sysvShm) destroy(seg *segment) {
	delete(t.byID, seg.id)
	t.total -= seg.pages
}

// ShmArgs are the arguments of shmget(2). ID at 0 or more imposes the identifier
// of a new segment: the one that a recorded program got.
type ShmArgs struct {
	Key   int32
	Size  uint64
	Flags int
	ID    int32
}

// Shmget finds or makes a segment and returns its identifier. Errors: ENOENT,
// EEXIST, EINVAL (the size; an imposed identifier that is taken), ENOSPC (the
// limits), ENOMEM (huge pages: the pool is empty; overcommit).
func (t *Task) Shmget(a ShmArgs) (int32, Errno) {
	s := t.begin()
	defer s.unlock(t)
	m := t.machine
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	if seg := m.sysv.byKey[a.Key]; seg != nil && a.Key != ipcPrivate {
		switch {
		case a.Flags&(ipcCreat|ipcExcl) == ipcCreat|ipcExcl:
			return 0, EEXIST
		case seg.file.Size() < a.Size:
			return 0, EINVAL
		}
		return seg.id, 0
	}
	if a.Key != ipcPrivate && a.Flags&ipcCreat == 0 {
		return 0, ENOENT
	}
	return s.newSegment(a)
}

// newSegment is newseg. Preconditions: s.mu; Machine.shmemMu.
func (s *Space) newSegment(a ShmArgs) (int32, Errno) {
	m := s.machine
	t := &m.sysv
	limit := m.layout.word - shmReserve
	pages := a.Size >> pageShift
	if a.Size&pageMask != 0 {
		pages++
	}
	switch {
	case a.Size == 0 || a.Size > limit:
		return 0, EINVAL
	case t.total+pages < t.total || t.total+pages > limit:
		return 0, ENOSPC
	case a.Flags&shmHugeTLB != 0 && m.pool(uint64(a.Flags)>>mapHugeShift&0x3f) == nil:
		return 0, EINVAL
	case a.Size > m.layout.fileMax: // __shmem_file_setup
		return 0, EINVAL
	case len(t.byID) >= shmMni:
		return 0, ENOSPC
	}
	id := a.ID
	if id < 0 {
		id = t.vacantID()
	} else if t.byID[id] != nil {
		return 0, EINVAL
	}
	seg := &segment{id: id, key: a.Key, pages: pages}
	seg.file = &File{machine: m, shmem: true, sized: true, held: 1, segment: seg, path: fmt.Sprintf("/SYSV%08x (deleted)", uint32(a.Key))}
	seg.file.size.Store(a.Size)
	if a.Flags&shmHugeTLB != 0 {
		if !seg.hugePages(m.pool(uint64(a.Flags)>>mapHugeShift&0x3f), a) {
			return 0, ENOMEM
		}
		a.Flags |= shmNoReserve // its pages come from the pool, not from what may be promised
	}
	flags := vmaFlags(0)
	if a.Flags&shmNoReserve != 0 && m.cfg.Overcommit != OvercommitNever {
		flags = vmNoReserve
	}
	if !seg.file.promise(s, flags, pages) {
		return 0, ENOMEM
	}
	m.anyShmem.Store(true)
	if t.byID == nil {
		t.byID, t.byKey = map[int32]*segment{}, map[int32]*segment{}
	}
	t.byID[id] = seg
	t.total += pages
	if a.Key != ipcPrivate {
		t.byKey[a.Key] = seg
	}
	return id, 0
}

// hugePages gives a segment pages of hugetlb (newseg: hugetlb_file_setup). false:
// the pool is too small.
func (seg *segment) hugePages(p *hugePool, a ShmArgs) bool {
	m := seg.file.machine
	size := alignUp(a.Size, PageSize<<p.shift)
	held := seg.file
	seg.file = m.newHugeFile(p, size, held.path)
	seg.file.segment, seg.file.held = seg, 1
	m.hugetlb.mu.Lock()
	defer m.hugetlb.mu.Unlock()
	return a.Flags&shmNoReserve != 0 || seg.file.reserve(0, size>>pageShift, a.ID >= 0)
}

// Shmrm removes a segment (shmctl with IPC_RMID): its key is free at once, and it
// goes with the last attachment. EINVAL: there is none with this identifier.
func (m *Machine) Shmrm(id int32) Errno {
	t := m.kernelTask()
	defer m.retire(t)
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	seg := m.sysv.byID[id]
	switch {
	case seg == nil:
		return EINVAL
	case seg.removed:
		return 0
	}
	seg.removed = true
	if m.sysv.byKey[seg.key] == seg {
		delete(m.sysv.byKey, seg.key)
	}
	seg.file.held--
	seg.file.reap(&t.frames)
	return 0
}

// ShmExists says whether there is a segment with this identifier.
func (m *Machine) ShmExists(id int32) bool {
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	return m.sysv.byID[id] != nil
}

// Shmat attaches a segment and returns where. at other than 0 imposes the
// address of a call that leaves it to the kernel, as MmapArgs.At does. Errors:
// EINVAL (no such segment; an address that is not of whole pages, without
// SHM_RND, or where something is mapped, without SHM_REMAP), and those of Mmap.
func (t *Task) Shmat(id int32, addr uint64, flags int, at uint64) (uint64, Errno) {
	a := MmapArgs{Addr: addr, Prot: ProtRead | ProtWrite, Flags: MapShared, At: at}
	if addr != 0 {
		if addr&pageMask != 0 && flags&shmRnd == 0 {
			return 0, EINVAL
		}
		a.Addr &^= pageMask
		a.Flags |= MapFixed
	}
	if a.Addr == 0 && flags&shmRemap != 0 {
		return 0, EINVAL
	}
	if flags&shmRdonly != 0 {
		a.Prot, a.readOnly = ProtRead, true
	}
	if flags&shmExec != 0 {
		a.Prot |= ProtExec
	}
	if a.File = t.machine.holdSegment(id); a.File == nil {
		return 0, EINVAL
	}
	defer a.File.Release()
	a.Len = a.File.Size()
	s := t.begin()
	if a.Addr != 0 && flags&shmRemap == 0 && (a.Addr+a.Len < a.Addr || s.list().overlaps(a.Addr, a.Addr+a.Len)) {
		s.unlock(t)
		return 0, EINVAL
	}
	length, _ := a.length(t.machine)
	addr, errno := s.mmap(t, length, a)
	locked := s.defFlags&vmLocked != 0
	s.unlock(t)
	if errno == 0 && locked {
		t.populate(addr, addr+length, false)
	}
	return addr, errno
}

// holdSegment returns the object of a segment, kept alive; nil where there is
// none.
func (m *Machine) holdSegment(id int32) *File {
	m.shmemMu.Lock()
	defer m.shmemMu.Unlock()
	seg := m.sysv.byID[id]
	if seg == nil {
		return nil
	}
	seg.file.held++
	return seg.file
}

// Shmdt detaches the segment attached at addr: every part of it that is left
// where it was attached, whatever munmap and mprotect have made of it. EINVAL: no
// segment is attached there.
func (t *Task) Shmdt(addr uint64) Errno {
	if addr&pageMask != 0 {
		return EINVAL
	}
	s := t.begin()
	defer s.unlock(t)
	var found *File
	for i := s.list().find(addr); i < len(s.list()); {
		v := s.list()[i]
		if found != nil && v.end-addr > pageUp(found.Size()) {
			break
		}
		if v.file == nil || v.file.segment == nil || v.start < addr || (v.start-addr)>>pageShift != v.pgoff || found != nil && v.file != found {
			i++
			continue
		}
		found = v.file
		s.unmap(t, FlushMunmap, v.start, v.end-v.start) // the next mapping takes its place in the list
	}
	if found == nil {
		return EINVAL
	}
	return 0
}

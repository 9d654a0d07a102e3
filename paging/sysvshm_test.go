package paging

import "testing"

// Expected values: Linux 6.1 ipc/shm.c (newseg, do_shmat, ksys_shmdt,
// shmctl_down), ipc/util.c (ipcget_public, ipc_idr_alloc), shmget(2), shmop(2).

func seg(t *testing.T, tk *Task, key int32, size uint64, flags int) int32 {
	t.Helper()
	id, errno := tk.Shmget(ShmArgs{Key: key, Size: size, Flags: flags, ID: -1})
	if errno != 0 {
		t.Fatalf("shmget(%d, %d, %#o): %v", key, size, flags, errno)
	}
	return id
}

func TestShmget(t *testing.T) {
	tk := task(t)
	m := tk.machine
	if id := seg(t, tk, 7, 3*PageSize, ipcCreat); id != 0 {
		t.Errorf("the first identifier is %d, not 0", id)
	}
	if id := seg(t, tk, ipcPrivate, 1, 0); id != 1 {
		t.Errorf("the second is %d, not 1: IPC_PRIVATE makes a new one each time", id)
	}
	for _, c := range []struct {
		what string
		a    ShmArgs
		id   int32
		want Errno
	}{
		{"by its key", ShmArgs{7, 3 * PageSize, 0, -1}, 0, 0},
		{"size 0 asks for less", ShmArgs{7, 0, 0, -1}, 0, 0},
		{"IPC_CREAT finds it too", ShmArgs{7, 0, ipcCreat, -1}, 0, 0},
		{"larger than it is (shm_more_checks)", ShmArgs{7, 3*PageSize + 1, 0, -1}, 0, EINVAL},
		{"IPC_CREAT|IPC_EXCL", ShmArgs{7, 0, ipcCreat | ipcExcl, -1}, 0, EEXIST},
		{"no such key", ShmArgs{8, 1, 0, -1}, 0, ENOENT},
		{"a new one of size 0 (SHMMIN)", ShmArgs{8, 0, ipcCreat, -1}, 0, EINVAL},
		{"above SHMMAX", ShmArgs{8, 1<<64 - 1<<24, ipcCreat, -1}, 0, EINVAL},
		{"above the largest file (__shmem_file_setup)", ShmArgs{8, 1 << 63, ipcCreat, -1}, 0, EINVAL},
		{"huge pages, the pool is empty", ShmArgs{8, 1, ipcCreat | shmHugeTLB, -1}, 0, ENOMEM},
		{"imposed identifier", ShmArgs{9, 1, ipcCreat, 77}, 77, 0},
		{"imposed identifier that is taken", ShmArgs{10, 1, ipcCreat, 77}, 0, EINVAL},
	} {
		if id, errno := tk.Shmget(c.a); id != c.id || errno != c.want {
			t.Errorf("%s: %d, %v, want %d, %v", c.what, id, errno, c.id, c.want)
		}
	}
	check(t, m)
}

// Indices go round in 64 (ipc_min_cycle), and the sequence number in bits 15 up
// counts the rounds (ipc_idr_alloc).
func TestShmIdentifiers(t *testing.T) {
	tk := task(t)
	m := tk.machine
	for i := range int32(64) {
		if id := seg(t, tk, ipcPrivate, 1, 0); id != i {
			t.Fatalf("identifier %d, want %d", id, i)
		}
		if errno := m.Shmrm(i); errno != 0 {
			t.Fatal(errno)
		}
	}
	if id := seg(t, tk, ipcPrivate, 1, 0); id != 1<<15 {
		t.Errorf("the 65th identifier is %#x, want %#x", id, 1<<15)
	}
	if errno := m.Shmrm(0); errno != EINVAL {
		t.Errorf("an identifier of an earlier round: %v", errno)
	}
	for range shmMni - 1 {
		seg(t, tk, ipcPrivate, 1, 0)
	}
	if _, errno := tk.Shmget(ShmArgs{Size: 1, ID: -1}); errno != ENOSPC {
		t.Errorf("segment %d: %v, want ENOSPC (SHMMNI)", shmMni+1, errno)
	}
}

func TestShmat(t *testing.T) {
	tk := task(t)
	m := tk.machine
	id := seg(t, tk, 7, 3*PageSize-100, ipcCreat)
	tk.pages(t, 1, MmapArgs{Addr: callBase, Prot: rw, Flags: anon | MapFixed})
	const base = 0x7ffff7fff000 // mmap_base of setarch -R
	for _, c := range []struct {
		what  string
		id    int32
		addr  uint64
		flags int
		at    uint64
		want  uint64
		errno Errno
		prot  Prot
	}{
		{"the kernel chooses, whole pages", id, 0, 0, 0, base - 3*PageSize, 0, rw},
		{"again, below", id, 0, shmRdonly, 0, base - 6*PageSize, 0, ProtRead},
		{"SHM_EXEC", id, 0, shmRdonly | shmExec, 0, base - 9*PageSize, 0, ProtRead | ProtExec},
		{"at an address", id, far, 0, 0, far, 0, rw},
		{"where something is", id, far + 2*PageSize, 0, 0, 0, EINVAL, 0},
		{"SHM_REMAP takes its place", id, far + 2*PageSize, shmRemap, 0, far + 2*PageSize, 0, rw},
		{"not of whole pages", id, far + 64*PageSize + 5, 0, 0, 0, EINVAL, 0},
		{"SHM_RND rounds down", id, far + 64*PageSize + 5, shmRnd, 0, far + 64*PageSize, 0, rw},
		{"SHM_REMAP without an address", id, 0, shmRemap, 0, 0, EINVAL, 0},
		{"SHM_REMAP, rounded down to nothing", id, 5, shmRnd | shmRemap, 0, 0, EINVAL, 0},
		{"rounded down to nothing: fixed at 0", id, 5, shmRnd, 0, 0, EPERM, 0},
		{"below vm.mmap_min_addr", id, PageSize, 0, 0, 0, EPERM, 0},
		{"beyond user memory", id, window64 - PageSize, 0, 0, 0, ENOMEM, 0},
		{"over the end of all addresses", id, 1<<64 - PageSize, 0, 0, 0, EINVAL, 0},
		{"no such segment", id + 1, 0, 0, 0, 0, EINVAL, 0},
		{"imposed", id, 0, 0, far + 128*PageSize, far + 128*PageSize, 0, rw},
		{"imposed where something is", id, 0, 0, callBase, 0, ENOMEM, 0},
	} {
		got, errno := tk.Shmat(c.id, c.addr, c.flags, c.at)
		if got != c.want || errno != c.errno {
			t.Errorf("%s: %#x, %v, want %#x, %v", c.what, got, errno, c.want, c.errno)
			continue
		}
		if errno != 0 {
			continue
		}
		if v := tk.space.list().at(got); v.prot() != c.prot || v.Name() != "/SYSV00000007 (deleted)" {
			t.Errorf("%s: %v %s", c.what, v.prot(), v.Name())
		}
	}
	check(t, m)
}

// A segment lives from shmget to IPC_RMID and the last detach; its pages are the
// same for all who attach it, and fresh in a new one.
func TestSegmentLives(t *testing.T) {
	a := task(t)
	m := a.machine
	b := m.NewProcess(2, 2, 1)
	id := seg(t, a, 7, 4*PageSize, ipcCreat)
	at, _ := a.Shmat(id, far, 0, 0)
	got := kinds(m, func() {
		for p := range uint64(4) {
			a.Access(at+p*PageSize, Write)
		}
	})
	expect(t, "shared memory is made page by page", got, map[FaultKind]uint64{FileShared: 4})
	a.Shmdt(at)
	if m.rss.total() != 0 {
		t.Errorf("%d pages resident after detaching", m.rss.total())
	}
	bt, _ := b.Shmat(id, far, shmRdonly, 0)
	got = kinds(m, func() {
		for p := range uint64(4) {
			b.Access(bt+p*PageSize, Read)
		}
	})
	expect(t, "the pages are still there, but shm_vm_ops has no map_pages: no fault-around", got, map[FaultKind]uint64{FileRead: 4})
	if out := b.Access(bt, Write); out != SIGSEGV {
		t.Errorf("write with SHM_RDONLY: %v", out)
	}
	child := b.Fork(3, 3, 0)
	if errno := m.Shmrm(id); errno != 0 {
		t.Errorf("IPC_RMID: %v", errno)
	}
	if _, errno := a.Shmget(ShmArgs{Key: 7, ID: -1}); errno != ENOENT {
		t.Errorf("the key after IPC_RMID: %v", errno)
	}
	if _, errno := a.Shmat(id, far, 0, 0); errno != 0 {
		t.Errorf("attach by identifier while it is attached: %v", errno)
	}
	a.Exit()
	b.Exit()
	if !m.ShmExists(id) {
		t.Error("gone while the child has it attached")
	}
	check(t, m)
	child.Shmdt(far)
	if m.ShmExists(id) {
		t.Error("there after the last detach")
	}
	check(t, m)
	again := seg(t, child, 7, 4*PageSize, ipcCreat)
	child.Shmat(again, far, 0, 0)
	got = kinds(m, func() {
		for p := range uint64(4) {
			child.Access(far+p*PageSize, Read)
		}
	})
	expect(t, "a new segment has no pages", got, map[FaultKind]uint64{FileRead: 4})
	check(t, m)
}

// ksys_shmdt: what is left of the attachment goes, and nothing else.
func TestShmdt(t *testing.T) {
	tk := task(t)
	m := tk.machine
	id := seg(t, tk, ipcPrivate, 6*PageSize, 0)
	tk.pages(t, 2, MmapArgs{Addr: page(6), Prot: rw, Flags: anon | MapFixed})
	tk.Shmat(id, page(0), 0, 0)
	tk.Munmap(page(0), PageSize)
	tk.Munmap(page(3), PageSize)
	tk.Mprotect(page(4), PageSize, ProtRead)
	tk.Mprotect(page(4), PageSize, rw)
	if l := tk.space.list(); len(l) != 4 { // pages 1 and 2, 4, 5; and the anonymous memory
		t.Errorf("%d mappings: those with vm_ops->close never merge (is_mergeable_vma)", len(l))
	}
	if errno := tk.Shmdt(page(1)); errno != EINVAL {
		t.Errorf("at a part: %v", errno)
	}
	if errno := tk.Shmdt(page(0) + 1); errno != EINVAL {
		t.Errorf("not of whole pages: %v", errno)
	}
	if errno := tk.Shmdt(page(6)); errno != EINVAL {
		t.Errorf("no segment: %v", errno)
	}
	if errno := tk.Shmdt(page(0)); errno != 0 {
		t.Errorf("where it was attached, though that page is gone: %v", errno)
	}
	if l := tk.space.list(); len(l) != 1 || l[0].start != page(6) {
		t.Errorf("%d mappings are left", len(l))
	}
	if errno := tk.Shmdt(page(0)); errno != EINVAL {
		t.Errorf("twice: %v", errno)
	}
	check(t, m)
}

// The object of memfd_create lives as long as a descriptor or a mapping, ends
// where ftruncate says, and loses pages to holes (memfd_create(2), fallocate(2)).
func TestMemfd(t *testing.T) {
	tk := task(t)
	m := tk.machine
	f := m.SharedFile(9, 1, 0, "/memfd:x")
	f.Hold()
	at := tk.pages(t, 8, MmapArgs{Prot: rw, Flags: MapShared, File: f})
	if out := tk.Access(at, Write); out != SIGBUS {
		t.Errorf("beyond the end: %v", out)
	}
	f.Truncate(4 * PageSize)
	got := kinds(m, func() { tk.Access(at, Write); tk.Access(at+3*PageSize, Read); tk.Access(at+3*PageSize, Write) })
	expect(t, "inside it", got, map[FaultKind]uint64{FileShared: 1, FileRead: 1}) // writable at once: no page_mkwrite
	got = kinds(m, func() { tk.Access(at+PageSize, Read); tk.Access(at+2*PageSize, Read) })
	expect(t, "each page is new", got, map[FaultKind]uint64{FileRead: 2})
	f.Punch(0, 2)
	if n := m.rss.total(); n != 2 {
		t.Errorf("%d pages resident after a hole of 2, want 2", n)
	}
	f.Release()
	if out := tk.Access(at, Write); out != Minor {
		t.Errorf("after the descriptor is closed: %v", out)
	}
	check(t, m)
	tk.Munmap(at, 8*PageSize)
	if f.cached.Load() != 0 || m.files[fileKey{9, 1}] != nil {
		t.Errorf("%d pages are left, forgotten: %v", f.cached.Load(), m.files[fileKey{9, 1}] == nil)
	}
	check(t, m)
}

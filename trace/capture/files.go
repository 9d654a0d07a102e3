package capture

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vmtrace/vmtrace/trace"
)

const atFDCWD = -100

// openFile is a file that descriptors name.
type openFile struct {
	path     string
	dev, ino uint64
	size     uint64
}

// fdTable is what the descriptors of a process name, as far as the log tells.
type fdTable struct {
	files map[int32]*openFile
	cwd   string
}

// newFDTable is the table of a process that is about to start, by what it
// inherits.
func newFDTable(pid uint32) *fdTable {
	t := &fdTable{files: map[int32]*openFile{}}
	t.cwd, _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return t
}

func (t *fdTable) clone() *fdTable {
	n := &fdTable{files: make(map[int32]*openFile, len(t.files)), cwd: t.cwd}
	for fd, f := range t.files {
		n.files[fd] = f
	}
	return n
}

func (t *fdTable) open(pid uint32, fd, dir int32, path string) {
	base := t.cwd
	if dir != atFDCWD {
		if d := t.at(pid, dir); d != nil {
			base = d.path
		}
	}
	path = absolute(base, path)
	f := statFile(path)
	if f == nil {
		if f = statOpen(pid, fd, path); f == nil {
			f = unseenFile(pid, path)
		}
	}
	f.path = path
	t.files[fd] = f
}

// statOpen is the identity of a file that is gone from its path, by the descriptor
// that was opened, nil if that names another file by now: the log is read after the
// fact. Only the last name is compared, since links and roots may change the others.
func statOpen(pid uint32, fd int32, path string) *openFile {
	f := statFile(fdPath(pid, fd))
	link, err := os.Readlink(fdPath(pid, fd)) // after the look: what it names now it named then
	if err != nil || filepath.Base(strings.TrimSuffix(link, " (deleted)")) != filepath.Base(path) {
		return nil
	}
	return f
}

// unseenFile stands for a file that was gone before it could be looked at. Its
// identity is that of its path in the process, and its size is what is mapped.
func unseenFile(pid uint32, path string) *openFile {
	h := fnv.New64a()
	h.Write([]byte(path))
	return &openFile{path: path, dev: ^uint64(pid), ino: h.Sum64()}
}

func (f *openFile) unseen(pid uint32) bool { return f.dev == ^uint64(pid) }

func fdPath(pid uint32, fd int32) string { return fmt.Sprintf("/proc/%d/fd/%d", pid, fd) }

// statFile returns the identity behind a path, nil when there is none.
func statFile(path string) *openFile {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return nil
	}
	return &openFile{path: path, dev: st.Dev, ino: st.Ino, size: uint64(st.Size)}
}

// memfd has an identity of its own; the kernel's is taken while the descriptor
// is open.
func (t *fdTable) memfd(pid uint32, fd int32, name string) {
	f := statFile(fdPath(pid, fd))
	if f == nil {
		f = unseenFile(pid, fmt.Sprintf("/memfd:%s %d", name, fd))
	}
	f.path = "/memfd:" + name
	t.files[fd] = f
}

func (t *fdTable) close(fd int32) { delete(t.files, fd) }

func (t *fdTable) closeRange(first, last uint64) {
	for fd := range t.files {
		if uint64(fd) >= first&0xffffffff && uint64(fd) <= last&0xffffffff {
			delete(t.files, fd)
		}
	}
}

func (t *fdTable) dup(from, to int32) {
	if f := t.files[from]; f != nil {
		t.files[to] = f
	} else {
		delete(t.files, to)
	}
}

func (t *fdTable) chdir(path string) { t.cwd = absolute(t.cwd, path) }

// at is what a descriptor names: by the log, or, for one that the program was
// given, by the kernel.
func (t *fdTable) at(pid uint32, fd int32) *openFile {
	if f := t.files[fd]; f != nil {
		return f
	}
	link := fdPath(pid, fd)
	f := statFile(link)
	if f != nil {
		f.path, _ = os.Readlink(link)
		t.files[fd] = f
	}
	return f
}

// refresh brings the size up to date, while the descriptor still names the
// file, or by its path.
func (f *openFile) refresh(pid uint32, fd int32) {
	for _, path := range []string{fdPath(pid, fd), f.path} {
		if now := statFile(path); now != nil && now.dev == f.dev && now.ino == f.ino {
			f.size = now.size
			return
		}
	}
}

// fileIDs gives every file of a trace a number.
type fileIDs map[[2]uint64]uint64

func (ids fileIDs) record(f *openFile, fd int32) trace.File {
	key := [2]uint64{f.dev, f.ino}
	id := ids[key]
	if id == 0 {
		id = uint64(len(ids) + 1)
		ids[key] = id
	}
	return trace.File{ID: id, Dev: f.dev, Ino: f.ino, Size: f.size, FD: uint64(fd), Path: f.path}
}

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, offset uint64
	perms              string
	file               *openFile // nil for none
	name               string
}

// readMaps reads the mappings of a process.
func readMaps(pid uint32) ([]mapping, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	var out []mapping
	for line := range strings.Lines(string(data)) {
		var m mapping
		var major, minor, ino uint64
		n, err := fmt.Sscanf(line, "%x-%x %s %x %x:%x %d", &m.start, &m.end, &m.perms, &m.offset, &major, &minor, &ino)
		if err != nil || n != 7 {
			return nil, fmt.Errorf("maps of process %d: %q", pid, line)
		}
		if fields := strings.SplitN(strings.TrimSpace(line), " ", 6); len(fields) == 6 {
			m.name = strings.TrimSpace(fields[5])
		}
		if ino != 0 {
			m.file = statFile(m.name)
			if m.file == nil || m.file.ino != ino { // deleted, or replaced by another
				m.file = &openFile{path: m.name, dev: major<<8 | minor, ino: ino, size: m.offset + m.end - m.start}
			}
		}
		out = append(out, m)
	}
	return out, nil
}

func (m *mapping) prot() uint32 {
	var p uint32
	for i, bit := range []uint32{trace.ProtRead, trace.ProtWrite, trace.ProtExec} {
		if m.perms[i] != '-' {
			p |= bit
		}
	}
	return p
}

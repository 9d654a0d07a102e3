package capture

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFDTable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"a": 10, "sub/b": 20} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const pid = noProcess // nothing can be asked of it
	tab := &fdTable{files: map[int32]*openFile{}, cwd: dir}
	size := func(fd int32) int {
		if f := tab.at(pid, fd); f != nil {
			return int(f.size)
		}
		return -1
	}
	expect := func(what string, fd int32, want int) {
		t.Helper()
		if got := size(fd); got != want {
			t.Errorf("%s: descriptor %d has %d bytes, want %d (-1: nothing)", what, fd, got, want)
		}
	}
	tab.open(pid, 3, atFDCWD, "a")
	expect("open by a relative path", 3, 10)
	tab.open(pid, 4, atFDCWD, dir+"/sub")
	tab.open(pid, 5, 4, "b")
	expect("openat by a descriptor", 5, 20)
	child := tab.clone()
	tab.dup(3, 6)
	tab.close(3)
	expect("dup", 6, 10)
	expect("close", 3, -1)
	tab.dup(9, 6)
	expect("dup of an unknown one", 6, -1)
	tab.chdir("sub")
	tab.open(pid, 7, atFDCWD, "b")
	expect("chdir", 7, 20)
	tab.closeRange(4, 6)
	expect("close_range", 5, -1)
	expect("close_range", 7, 20)
	tab = child
	expect("a child's table is its own", 3, 10)

	tab.open(pid, 8, atFDCWD, "gone")
	f, again := tab.at(pid, 8), unseenFile(pid, filepath.Join(dir, "gone"))
	if f == nil || f.dev != again.dev || f.ino != again.ino || !f.unseen(pid) {
		t.Errorf("a file that is gone: %+v, want the identity of its path, %+v", f, again)
	}
}

// A file has one id, whatever paths and descriptors lead to it.
func TestFileIDs(t *testing.T) {
	ids := fileIDs{}
	a := ids.record(&openFile{path: "/lib/x", dev: 1, ino: 7}, 0)
	b := ids.record(&openFile{path: "/usr/lib/x", dev: 1, ino: 7}, 4)
	c := ids.record(&openFile{path: "/lib/x", dev: 2, ino: 7}, 0)
	if a.ID != b.ID || a.ID == c.ID || b.FD != 4 {
		t.Errorf("ids %d, %d, %d, descriptor field %d; want two the same, another, and 4", a.ID, b.ID, c.ID, b.FD)
	}
}

func TestReadMaps(t *testing.T) {
	all, err := readMaps(uint32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := statFile(exe)
	for i := range all {
		m := &all[i]
		if m.file != nil && m.file.dev == want.dev && m.file.ino == want.ino {
			if m.start >= m.end || m.name != exe || m.file.size != want.size {
				t.Errorf("mapping of the program: %+v", *m)
			}
			return
		}
	}
	t.Errorf("none of %d mappings is of %s", len(all), exe)
}

// A file that is gone from its path is known by its descriptor as long as that is
// open; a descriptor that names another file by then says nothing of it.
func TestGoneFile(t *testing.T) {
	dir := t.TempDir()
	gone, other := filepath.Join(dir, "gone"), filepath.Join(dir, "other")
	var open [2]*os.File
	for i, path := range []string{gone, other} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		open[i] = f
	}
	want := statFile(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	pid := uint32(os.Getpid())
	tab := newFDTable(pid)
	fd := int32(open[0].Fd())
	tab.open(pid, fd, atFDCWD, gone)
	if f := tab.at(pid, fd); f.unseen(pid) || f.ino != want.ino || f.path != gone {
		t.Errorf("while it is open: %+v, want inode %d", f, want.ino)
	}
	fd = int32(open[1].Fd())
	tab.open(pid, fd, atFDCWD, gone)
	if f := tab.at(pid, fd); !f.unseen(pid) || f.path != gone {
		t.Errorf("by a descriptor that names another file: %+v", f)
	}
}

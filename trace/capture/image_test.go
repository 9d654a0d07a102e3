package capture

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// writeELF writes an ELF file that has these segments and no sections.
func writeELF(t *testing.T, segments ...elf.Prog64) string {
	t.Helper()
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(segments))}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	for _, part := range []any{h, segments} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// fs/binfmt_elf.c:padzero clears from the end of the file's part of a writable
// segment to the end of that page, if memory goes on behind it.
func TestClearedTails(t *testing.T) {
	text := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Filesz: 0x1234, Memsz: 0x1234}
	data := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x2dd8, Vaddr: 0x3dd8, Filesz: 0x240, Memsz: 0x900}
	whole := data
	whole.Filesz = 0x1000 - 0xdd8 // ends with a page
	noBSS := data
	noBSS.Memsz = noBSS.Filesz
	for _, c := range []struct {
		name     string
		segments []elf.Prog64
		want     []uint64
	}{
		{"data and .bss share a page", []elf.Prog64{text, data}, []uint64{0x108000 + 0x3dd8 + 0x240}},
		{".bss begins with a page", []elf.Prog64{text, whole}, nil},
		{"no .bss", []elf.Prog64{text, noBSS}, nil},
	} {
		path := writeELF(t, c.segments...)
		regions := []mapping{
			{start: 0x108000, end: 0x10a000, perms: "r-xp", file: &openFile{path: path}, name: path},
			{start: 0x10b000, end: 0x10c000, perms: "rw-p", offset: 0x2000, file: &openFile{path: path}, name: path},
			{start: 0x10c000, end: 0x10d000, perms: "rw-p"},
		}
		if got := clearedTails(regions); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#x, want %#x", c.name, got, c.want)
		}
	}
}

// The layout is valgrind's on amd64, as /proc/PID/maps showed it.
func TestClientRegions(t *testing.T) {
	image := []mapping{
		{start: 0x108000, end: 0x10a000, perms: "r--p", file: &openFile{path: "/usr/bin/true"}},
		{start: 0x4001000, end: 0x4027000, perms: "r-xp", file: &openFile{path: "/lib/ld.so"}},
	}
	stack := mapping{start: 0x1ffeffd000, end: 0x1fff001000, perms: "rw-p"}
	all := append(append([]mapping{}, image...),
		mapping{start: 0x4035000, end: 0x4036000, perms: "rwxp"},                                     // the heap to come
		mapping{start: 0x58000000, end: 0x581a0000, perms: "r-xp", file: &openFile{path: "/lackey"}}, // valgrind
		mapping{start: 0x1002001000, end: 0x1002c00000, perms: "rwxp"},                               // its memory
		stack,
		mapping{start: 0x7fff00000000, end: 0x7fff00021000, perms: "rw-p", name: "[stack]"})
	regions, got := clientRegions(all)
	if !reflect.DeepEqual(regions, image) {
		t.Errorf("regions %+v, want %+v", regions, image)
	}
	if got == nil || got.start != stack.start || got.end != stack.end {
		t.Errorf("stack %+v, want %+v", got, stack)
	}
}

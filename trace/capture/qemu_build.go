package capture

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmtrace/vmtrace/trace"
)

//go:embed plugin/*.c plugin/*.h
var pluginSource embed.FS

// emulator is QEMU's user-mode emulator for one kind of program.
type emulator struct {
	path    string
	version string // "7.2.22"
	api     int    // plugin API version to build for
	mixed   bool   // maps programs among its own memory, see mixedGuest
}

// emulators names the emulator of each ABI.
var emulators = map[trace.ABI]string{
	trace.ABIX8664:   "qemu-x86_64",
	trace.ABII386:    "qemu-i386",
	trace.ABIAArch64: "qemu-aarch64",
}

func findEmulator(abi trace.ABI) (*emulator, error) {
	path, err := exec.LookPath(emulators[abi])
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: apt-get install qemu-user", emulators[abi])
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", path, err)
	}
	q := &emulator{path: path, api: 1}
	_, after, _ := strings.Cut(string(out), "version ")
	if words := strings.Fields(after); len(words) > 0 {
		q.version = words[0]
	}
	var major, minor int
	if n, _ := fmt.Sscanf(q.version, "%d.%d", &major, &minor); n == 2 {
		// QEMU 9.0 takes plugins for version 2 and later only (plugins/plugin.h:
		// QEMU_PLUGIN_MIN_VERSION); 8.1 moved TASK_UNMAPPED_BASE and ELF_ET_DYN_BASE to
		// where Linux has them.
		if major >= 9 {
			q.api = 2
		}
		q.mixed = major > 8 || major == 8 && minor >= 1
	}
	// Those that are linked statically, as Debian's are from 13 on, cannot load any.
	if help, _ := exec.Command(path, "-h").Output(); !bytes.Contains(help, []byte("-plugin")) {
		return nil, fmt.Errorf("%s %s cannot load plugins: one that is built with --enable-plugins, such as qemu-user of Debian 12, has to stand first in PATH", path, q.version)
	}
	return q, nil
}

// program is what is to be recorded, as the emulator has to be told.
type program struct {
	path string
	argv []string
	abi  trace.ABI
}

// machines says which ABI a program of an ELF machine has.
var machines = map[elf.Machine]trace.ABI{
	elf.EM_X86_64:  trace.ABIX8664,
	elf.EM_386:     trace.ABII386,
	elf.EM_AARCH64: trace.ABIAArch64,
}

// inspectProgram finds the file that a command runs. A script runs its
// interpreter, as fs/binfmt_script.c has it.
func inspectProgram(command []string) (*program, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return nil, err
	}
	p := &program{path: path, argv: command}
	for range 5 { // BINPRM_MAX_RECURSION
		info, err := os.Stat(p.path)
		if err != nil {
			return nil, err
		}
		if info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
			return nil, fmt.Errorf("%w: %s runs with the rights of its owner (setuid): copy it without that bit", ErrProgram, p.path)
		}
		interpreter, arg, err := shebang(p.path)
		if err != nil {
			return nil, err
		}
		if interpreter == "" {
			break
		}
		argv := []string{interpreter}
		if arg != "" {
			argv = append(argv, arg)
		}
		p.argv = append(append(argv, p.path), p.argv[1:]...)
		p.path = interpreter
	}
	f, err := elf.Open(p.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no ELF program: %w", ErrProgram, p.path, err)
	}
	defer f.Close()
	abi, ok := machines[f.Machine]
	if !ok || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%w: %s is a program for %v; known are x86-64, i386 and aarch64", ErrProgram, p.path, f.Machine)
	}
	p.abi = abi
	return p, nil
}

// shebang reads the first line of a script; interpreter is "" for other files.
func shebang(path string) (interpreter, arg string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	b := make([]byte, 256) // BINPRM_BUF_SIZE
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", "", err
	}
	line, _, _ := bytes.Cut(b[:n], []byte("\n"))
	text, ok := strings.CutPrefix(string(line), "#!")
	if !ok {
		return "", "", nil
	}
	interpreter, arg, _ = strings.Cut(strings.TrimSpace(text), " ")
	return interpreter, strings.TrimSpace(arg), nil
}

// arguments is the command line of the emulator.
func (q *emulator) arguments(plugin, memory string, p *program) []string {
	option := fmt.Sprintf("%s,memory=%s,abi=%d,words=64", plugin, memory, p.abi)
	if p.abi == trace.ABII386 {
		option = strings.TrimSuffix(option, "64") + "32"
	}
	args := []string{"-s", strconv.FormatUint(stackSize(), 10), "-plugin", option, "-0", p.argv[0]}
	if base := guestBase(p.abi); base != 0 {
		args = append(args, "-B", fmt.Sprintf("%#x", base))
	}
	return append(append(args, p.path), p.argv[1:]...)
}

// guestBase is where address 0 of a program lies in its emulator
// (plugin/ring.h: BASE32).
func guestBase(abi trace.ABI) uint64 {
	if abi == trace.ABII386 {
		return 1 << 32
	}
	return 0
}

// stackSize is the size of the main stack in bytes: the limit that programs run
// with, where there is one, and a few pages, which tell it from stacks of the emulator.
func stackSize() uint64 {
	const most, mine = 64 << 20, 5 << 12 // a guest of 32 bits has to have room beside it
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &l); err == nil && l.Cur >= 8<<20 && l.Cur <= most {
		return l.Cur + mine
	}
	return 8<<20 + mine
}

// buildPlugin compiles the plugin for an emulator, once: it is kept in the user's
// cache under the hash of its source.
func buildPlugin(q *emulator) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, "api", q.api)
	dir, err := os.MkdirTemp("", "vmtrace-plugin-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	err = fs.WalkDir(pluginSource, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := pluginSource.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(hash, path, len(data))
		hash.Write(data)
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), data, 0o600)
	})
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	plugin := filepath.Join(cache, fmt.Sprintf("plugin-%x.so", hash.Sum(nil)[:16]))
	if _, err := os.Stat(plugin); err == nil {
		return plugin, nil
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", errors.New("no C compiler (cc) for the plugin of the qemu recorder: apt-get install gcc libc6-dev")
	}
	made := filepath.Join(dir, "plugin.so")
	cmd := exec.Command(cc, "-O2", "-shared", "-fPIC", "-fvisibility=hidden", fmt.Sprintf("-DAPI_VERSION=%d", q.api), "-o", made, filepath.Join(dir, "plugin.c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return "", fmt.Errorf("compiling the plugin of the qemu recorder: %w: %s (apt-get install gcc libc6-dev)", err, first)
	}
	return plugin, install(made, plugin)
}

// install puts a file into its place at once, so that others see it whole or not
// at all.
func install(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(to), "new-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when it has been renamed
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}

// cacheDir is where compiled plugins are kept: only the user may write there.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a place for the compiled plugin: %w", err)
	}
	dir := filepath.Join(cache, "vmtrace")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("a place for the compiled plugin: %w", err)
	}
	return dir, nil
}

// emulatorPrefix begins the paths of all emulators.
func emulatorPrefix() string {
	path, err := exec.LookPath(emulators[trace.ABIX8664])
	if err != nil {
		return "\x00"
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return strings.TrimSuffix(path, "x86_64")
}

// guestArgs cuts the command line of an emulator (see arguments): the name of the
// program, its file, and its arguments.
func guestArgs(cmdline []byte) (name, file string, args []string, ok bool) {
	all := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	const at = 6 // emulator -s N -plugin P -0 NAME [-B BASE] FILE
	if len(all) < at+2 {
		return strings.Join(all, " "), "", nil, false
	}
	rest := all[at+1:]
	if rest[0] == "-B" && len(rest) >= 3 {
		rest = rest[2:]
	}
	return all[at], rest[0], rest[1:], true
}

// guestCommand is the command line of the program, from that of its emulator.
func guestCommand(cmdline []byte) string {
	name, _, args, _ := guestArgs(cmdline)
	return strings.Join(append([]string{name}, args...), " ")
}

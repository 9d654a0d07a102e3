package convert

import (
	"encoding/binary"
	"strings"

	"github.com/vmtrace/vmtrace/trace"
)

// whole takes a call with its result.
func (s *strace) whole(b *builder, c *straceCall) error {
	_, list, _ := strings.Cut(c.text, "(")
	args, rest, closed := straceSplit(list)
	_, result, ok := strings.Cut(rest, "= ")
	if !closed || !ok {
		return s.lines.badf("%s: expected a call and its result", quote([]byte(c.text)))
	}
	ret, ok := straceResult(result)
	if strings.HasPrefix(result, "?") {
		b.tally("%d calls did not come back and are left out")
		return nil
	}
	if !ok {
		return s.lines.badf("%s: the result %s is not known", c.name, quote([]byte(result)))
	}
	if isBirth(c.name) && !failed(ret) {
		return s.birth(b, c, uint32(ret))
	}
	call, text, ok := s.record(c, args)
	if !ok {
		if straceCalls[c.name] {
			return s.lines.badf("%s: an argument is not known in %s", c.name, quote([]byte(c.text)))
		}
		b.tally("%d calls that change no mapping have arguments that are not known, and are left out")
		return nil
	}
	call.Ret = ret
	if strings.HasPrefix(c.name, "execve") && ret == 0 {
		b.found++
		b.event(trace.NewSyscall(c.th.tid, call))
		b.exec(c.th, straceCommand(c.text))
		return nil
	}
	return b.completed(c.th, call, text)
}

// straceResult parses "0x7f...", "-1 ENOENT (...)", "3</path>", with or without
// the time that -T adds.
func straceResult(s string) (ret uint64, ok bool) {
	word, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	if word == "-1" {
		name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, ok := straceErrnos[name]
		return -n, ok
	}
	if i := strings.IndexByte(word, '<'); i > 0 {
		word = word[:i]
	}
	v, ok := straceWord(word)
	return v, ok
}

// record makes a raw call of the printed one.
func (s *strace) record(c *straceCall, args []string) (call trace.Syscall, text []string, ok bool) {
	call.ABI = trace.ABIX8664
	if abi, ok := s.abi[c.th.tid]; ok {
		call.ABI = abi
	}
	call.Nr, ok = trace.SyscallNumber(call.ABI, c.name)
	if !ok {
		call.ABI = trace.ABII386
		if call.Nr, ok = trace.SyscallNumber(call.ABI, c.name); !ok {
			return call, nil, false
		}
	}
	if c.name == "clone" {
		list := strings.Join(args, ", ")
		names := []string{"flags", "child_stack", "parent_tid", "child_tidptr", "tls"}
		if call.ABI == trace.ABII386 {
			names[3], names[4] = names[4], names[3]
		}
		for i, name := range names {
			call.Args[i], _, _ = straceValue(straceField(list, name))
		}
		return call, nil, true
	}
	for i := range min(len(args), len(call.Args)) {
		v, t, ok := straceValue(args[i])
		if !ok {
			return call, nil, false
		}
		call.Args[i] = v
		text = append(text, t)
	}
	switch c.name {
	case "mmap2":
		call.Args[5] >>= pageShift // strace prints bytes, the call takes pages
	case "old_mmap": // takes them in a block in memory
		var block []byte
		for _, a := range call.Args {
			block = binary.LittleEndian.AppendUint32(block, uint32(a))
		}
		call.Args, call.Data = [6]uint64{}, string(block)
	}
	return call, text, true
}

// birth records the call that made a thread or process, and that it is there.
func (s *strace) birth(b *builder, c *straceCall, child uint32) error {
	if th := b.threads[child]; th != nil && th != c.th {
		return nil // the child was seen before the result
	}
	_, list, _ := strings.Cut(c.text, "(")
	args, _, _ := straceSplit(list)
	call, _, ok := s.record(c, args)
	if !ok {
		call.ABI = trace.ABIX8664
		call.Nr, _ = trace.SyscallNumber(call.ABI, c.name)
	}
	call.Ret = uint64(child)
	flags, _, _ := straceValue(straceField(c.text, "flags"))
	b.found++
	b.event(trace.NewSyscall(c.th.tid, call))
	switch {
	case flags&cloneThread != 0:
		_, err := b.clone(c.th, child, flags)
		return err
	case c.name == "vfork" || flags&(cloneVM|cloneVFork) == cloneVM|cloneVFork:
		return b.fork(c.th, child, child, trace.OpVFork, flags)
	}
	return b.fork(c.th, child, child, trace.OpFork, flags)
}

// straceCommand is the command line of execve("/bin/ls", ["ls", "-l"], ...).
func straceCommand(text string) string {
	_, list, ok := strings.Cut(text, ", [")
	list, _, closed := strings.Cut(list, "]")
	if !ok || !closed {
		return ""
	}
	args, _, _ := straceSplit(list)
	for i, a := range args {
		_, args[i], _ = straceValue(a)
	}
	return strings.Join(args, " ")
}

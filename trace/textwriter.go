package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// textMagic is the first line of the text twin.
const textMagic = "# vmtrace text 1"

// TextWriter writes the text twin, one record per line. One goroutine uses it;
// give it a buffered writer.
//
//	R 0x7f0012345010                           one read (W: write, X: fetch)
//	ref 0x7f0012345010 r=3 w=1 x=0 first=r     a run on one page
//	syscall mmap(0x0, 0x2000, 0x3, 0x22, -1, 0x0) = 0x4835000
//	map start=0x10000 end=0x12000 prot=rw- name="[heap]"
//
// Fields that are zero are left out, except in calls.
type TextWriter struct {
	w      io.Writer
	thread uint32
	line   []byte
}

// NewTextWriter writes the first line and the header.
func NewTextWriter(w io.Writer, h Header) (*TextWriter, error) {
	h.Version = Version
	body, err := json.Marshal(&h)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(w, "%s\nheader %s\n", textMagic, body)
	return &TextWriter{w: w}, err
}

// Refs writes references of one thread.
func (t *TextWriter) Refs(thread uint32, refs []Ref, ips []uint64) error {
	if len(refs) == 0 {
		return nil
	}
	if err := t.switchTo(thread); err != nil {
		return err
	}
	for i := range refs {
		if err := checkRef(&refs[i]); err != nil {
			return err
		}
		t.line = appendRef(t.line[:0], &refs[i])
		if ips != nil {
			t.line = append(t.line, " ip=0x"...)
			t.line = strconv.AppendUint(t.line, ips[i], 16)
		}
		if _, err := t.w.Write(append(t.line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (t *TextWriter) switchTo(thread uint32) error {
	if thread == t.thread {
		return nil
	}
	e := NewSched(Sched{Thread: thread})
	return t.Event(&e)
}

func appendRef(b []byte, r *Ref) []byte {
	addr := r.VPN<<12 | uint64(r.Offset)
	counts := [4]uint32{Read: r.Reads, Write: r.Writes, Exec: r.Execs}
	if counts[r.First] == 1 && r.Accesses() == 1 {
		b = append(b, " RWX"[r.First], ' ')
		return appendHex(b, addr)
	}
	b = append(b, "ref "...)
	b = appendHex(b, addr)
	for a := Read; a <= Exec; a++ {
		if counts[a] != 0 {
			b = append(b, ' ')
			b = append(b, accessNames[a]...)
			b = append(b, '=')
			b = strconv.AppendUint(b, uint64(counts[a]), 10)
		}
	}
	b = append(b, " first="...)
	return append(b, accessNames[r.First]...)
}

func appendHex(b []byte, v uint64) []byte {
	return strconv.AppendUint(append(b, "0x"...), v, 16)
}

// Event writes an event.
func (t *TextWriter) Event(e *Event) error {
	if e.Kind <= KindRef || e.Kind >= numKinds {
		return fmt.Errorf("event of kind %d", e.Kind)
	}
	if e.Kind == KindSched {
		t.thread = uint32(e.Args[0])
	} else if err := t.switchTo(e.Thread); err != nil {
		return err
	}
	if e.Kind == KindSyscall {
		t.line = appendCall(t.line[:0], e)
	} else {
		t.line = appendFields(t.line[:0], e)
	}
	_, err := t.w.Write(append(t.line, '\n'))
	return err
}

func appendFields(b []byte, e *Event) []byte {
	spec := &Specs[e.Kind]
	b = append(b, spec.Name...)
	for i := range spec.Fields {
		if e.Args[i] == 0 {
			continue
		}
		b = append(b, ' ')
		b = append(b, spec.Fields[i].Name...)
		b = append(b, '=')
		b = spec.Fields[i].append(b, e.Args[i])
	}
	if e.Text != "" {
		b = append(b, ' ')
		b = append(b, spec.Text...)
		b = append(b, '=')
		b = strconv.AppendQuoteToASCII(b, e.Text)
	}
	return b
}

// append prints a value of the field; what has no name is printed as a number.
func (f *Field) append(b []byte, v uint64) []byte {
	switch f.Format {
	case Hex:
		return appendHex(b, v)
	case Enum:
		if v < uint64(len(f.Names)) && f.Names[v] != "" {
			return append(b, f.Names[v]...)
		}
	case Bits:
		if v>>len(f.Names) == 0 {
			for i, sep := 0, ""; i < len(f.Names); i++ {
				if v>>i&1 != 0 {
					b = append(append(b, sep...), f.Names[i]...)
					sep = ","
				}
			}
			return b
		}
		return appendHex(b, v)
	case Rwx:
		if v < 8 {
			for i, c := range "rwx" {
				if v>>i&1 == 0 {
					c = '-'
				}
				b = append(b, byte(c))
			}
			return b
		}
	}
	return strconv.AppendUint(b, v, 10)
}

// appendCall prints a system call as people write it. Values that are small
// and negative are printed so.
func appendCall(b []byte, e *Event) []byte {
	abi, nr := ABI(e.Args[0]), e.Args[1]
	b = append(b, "syscall "...)
	if abi != ABIX8664 {
		if abi == 0 || int(abi) >= len(abiNames) {
			b = strconv.AppendUint(b, uint64(abi), 10)
		} else {
			b = append(b, abi.String()...)
		}
		b = append(b, ':')
	}
	if nr <= 1<<32-1 {
		b = append(b, SyscallName(abi, uint32(nr))...)
	} else {
		b = strconv.AppendUint(append(b, "nr_"...), nr, 10)
	}
	b = append(b, '(')
	for i, a := range e.Args[2:8] {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendSigned(b, a)
	}
	b = appendSigned(append(b, ") = "...), e.Args[8])
	if e.Text != "" {
		b = strconv.AppendQuoteToASCII(append(b, " data="...), e.Text)
	}
	return b
}

func appendSigned(b []byte, v uint64) []byte {
	if v > ^uint64(4095) {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return appendHex(b, v)
}

// Close ends the text; it does not close the io.Writer.
func (t *TextWriter) Close() error { return nil }

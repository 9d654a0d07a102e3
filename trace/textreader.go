package trace

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// TextReader reads the text twin. One goroutine uses it. Errors name the line
// and what was expected there.
type TextReader struct {
	sc     *bufio.Scanner
	header *Header
	line   int
	thread uint32
	batch  Batch
	refs   []Ref
	ips    []uint64
	ev     Event
	hasEv  bool // ev was read ahead and comes next
	seq    uint64
	done   error
	window window
	closer io.Closer // nil for none
	warned []string
}

// NewTextReader reads the first line and the header, which may be missing: the
// trace then has origin "text".
func NewTextReader(r io.Reader) (*TextReader, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<16), 8*maxTextBytes)
	t := &TextReader{sc: sc, window: newWindow(Selection{}), header: &Header{Version: Version, Origin: "text", ABI: ABIX8664}}
	if !sc.Scan() || strings.TrimRight(sc.Text(), " \r") != textMagic {
		if err := sc.Err(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: a text trace begins with the line %q", ErrNotTrace, textMagic)
	}
	t.line = 1
	return t, nil
}

// readHeader takes a header line; it must come before every record.
func (t *TextReader) readHeader(rest string) error {
	if t.seq != 0 || len(t.refs) > 0 {
		return errors.New("the header comes before the first record")
	}
	h := &Header{Version: Version, Origin: "text", ABI: ABIX8664} // what a line by hand leaves out
	if err := json.Unmarshal([]byte(rest), h); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if h.Version < 1 || h.Version > Version {
		return fmt.Errorf("%w: format version %d, this program reads 1 to %d", ErrVersion, h.Version, Version)
	}
	t.header = h
	return nil
}

// Header returns the header. A header line is read with the first batch.
func (t *TextReader) Header() *Header {
	if t.seq == 0 && t.done == nil && !t.hasEv && len(t.refs) == 0 {
		t.ahead()
	}
	return t.header
}

// Warnings says what a selection means; text has no recovery.
func (t *TextReader) Warnings() []string { return t.warned }

// Close ends reading.
func (t *TextReader) Close() error {
	if t.done == nil {
		t.done = errors.New("reader is closed")
	}
	if t.closer == nil {
		return nil
	}
	return t.closer.Close()
}

// Next returns the next batch, valid until the next call.
func (t *TextReader) Next() (*Batch, error) {
	for {
		b, err := t.read()
		if err != nil {
			if err == io.EOF && t.warned == nil {
				t.warned = t.window.warnings()
			}
			return nil, err
		}
		switch t.window.admit(b) {
		case inside:
			return b, nil
		case after:
			t.done, t.hasEv, t.refs = io.EOF, false, nil
		}
	}
}

// read returns the next batch of the whole text.
func (t *TextReader) read() (*Batch, error) {
	if !t.hasEv && len(t.refs) == 0 {
		t.ahead()
	}
	switch {
	case len(t.refs) > 0:
		t.batch = Batch{Thread: t.thread, Refs: t.refs, Seq: t.seq}
		if len(t.ips) > 0 {
			t.batch.IPs = t.ips
		}
		t.seq += uint64(len(t.refs))
		t.refs, t.ips = t.refs[len(t.refs):], nil
	case t.hasEv:
		t.hasEv = false
		if t.ev.Kind == KindSched {
			t.thread = uint32(t.ev.Args[0])
		}
		t.ev.Thread = t.thread
		t.batch = Batch{Thread: t.thread, Event: &t.ev, Seq: t.seq}
		t.seq++
	default:
		return nil, t.done
	}
	return &t.batch, nil
}

// ahead reads lines until it has an event or a chunk of references.
func (t *TextReader) ahead() {
	t.refs, t.ips = t.refs[:0:0], nil
	for t.done == nil && !t.hasEv && len(t.refs) < chunkRefs {
		if !t.sc.Scan() {
			t.done = io.EOF
			if err := t.sc.Err(); err != nil {
				t.done = fmt.Errorf("line %d: %w", t.line+1, err)
			}
			return
		}
		t.line++
		if err := t.parse(t.sc.Text()); err != nil {
			t.done = fmt.Errorf("line %d: %w", t.line, err)
		}
	}
}

// parse reads one line.
func (t *TextReader) parse(line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "":
		return nil
	case "header":
		return t.readHeader(rest)
	case "R", "W", "X", "ref":
		return t.parseRef(word, rest)
	case "syscall":
		t.hasEv = true
		return parseCall(&t.ev, rest)
	}
	if word[0] == '#' {
		return nil
	}
	for k := KindUserCopy; k < numKinds; k++ {
		if Specs[k].Name == word {
			return t.parseEvent(k, rest)
		}
	}
	return fmt.Errorf("%q is not a record kind; expected R, W, X, ref, syscall, map, process, ... (see package trace)", word)
}

func (t *TextReader) parseEvent(k Kind, rest string) error {
	t.ev = Event{Kind: k}
	if err := parseFields(&t.ev, rest); err != nil {
		return fmt.Errorf("%s: %w", Specs[k].Name, err)
	}
	t.hasEv = true
	// The first record of a process belongs to the thread that starts.
	if k == KindProcess && t.ev.Process().Op == OpStart && t.ev.Process().Tid != t.thread {
		if len(t.refs) > 0 {
			return errors.New("process op=start inside references: put a sched line before it")
		}
		t.thread = t.ev.Process().Tid
	}
	return nil
}

var shortAccess = map[string]Access{"R": Read, "W": Write, "X": Exec}

func (t *TextReader) parseRef(word, rest string) error {
	addr, rest, _ := strings.Cut(rest, " ")
	a, err := number(addr)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	r := Ref{VPN: a >> 12, Offset: uint16(a & 0xfff), First: shortAccess[word]}
	counts := [4]*uint32{Read: &r.Reads, Write: &r.Writes, Exec: &r.Execs}
	if word != "ref" {
		*counts[r.First] = 1
	}
	var ip uint64
	hasIP := false
	for _, kv := range strings.Fields(rest) {
		key, value, ok := strings.Cut(kv, "=")
		which := slices.Index(accessNames, key)
		switch {
		case !ok:
			return fmt.Errorf("%q: expected name=value", kv)
		case key == "ip":
			ip, err = number(value)
			hasIP = true
		case key == "first" && word == "ref":
			r.First = Access(max(0, slices.Index(accessNames, value)))
		case which > 0 && word == "ref":
			var n uint64
			if n, err = strconv.ParseUint(value, 10, 32); err == nil {
				*counts[which] = uint32(n)
			}
		default:
			return fmt.Errorf("%q: expected r=, w=, x=, first= or ip=", kv)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if r.First == 0 || *counts[r.First] == 0 {
		return errors.New("first= must name a kind (r, w or x) that is counted")
	}
	if len(t.refs) > 0 && hasIP != (t.ips != nil) {
		return errors.New("either all references of a run have ip= or none: put a sched line between")
	}
	t.refs = append(t.refs, r)
	if hasIP {
		t.ips = append(t.ips, ip)
	}
	return nil
}

// parseFields reads name=value fields by the spec of the event's kind.
func parseFields(e *Event, s string) error {
	spec := &Specs[e.Kind]
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("%q: expected name=value", s)
		}
		if spec.Text != "" && key == spec.Text {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return fmt.Errorf("%s: expected a quoted string", key)
			}
			if e.Text, err = strconv.Unquote(q); err != nil || len(e.Text) > maxTextBytes {
				return fmt.Errorf("%s: string of at most %d bytes expected", key, maxTextBytes)
			}
			s = rest[len(q):]
			continue
		}
		i := slices.IndexFunc(spec.Fields, func(f Field) bool { return f.Name == key })
		if i < 0 {
			return fmt.Errorf("%q is not a field; expected %s", key, fieldNames(spec))
		}
		value, after, _ := strings.Cut(rest, " ")
		v, err := spec.Fields[i].parse(value)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		e.Args[i], s = v, after
	}
	return nil
}

func fieldNames(spec *Spec) string {
	var names []string
	for _, f := range spec.Fields {
		names = append(names, f.Name)
	}
	if spec.Text != "" {
		names = append(names, spec.Text)
	}
	return strings.Join(names, ", ")
}

// parse is the inverse of append.
func (f *Field) parse(s string) (uint64, error) {
	if v, err := number(s); err == nil {
		return v, nil
	}
	switch f.Format {
	case Enum:
		if i := slices.Index(f.Names, s); i > 0 {
			return uint64(i), nil
		}
		return 0, fmt.Errorf("%q: expected one of %s", s, strings.Join(f.Names[1:], ", "))
	case Bits:
		var v uint64
		for name := range strings.SplitSeq(s, ",") {
			i := slices.Index(f.Names, name)
			if i < 0 {
				return 0, fmt.Errorf("%q: expected some of %s", name, strings.Join(f.Names, ","))
			}
			v |= 1 << i
		}
		return v, nil
	case Rwx:
		var v uint64
		for i, c := range "rwx" {
			if len(s) != 3 || s[i] != '-' && s[i] != byte(c) {
				return 0, fmt.Errorf("%q: expected a protection such as rw-", s)
			}
			if s[i] != '-' {
				v |= 1 << i
			}
		}
		return v, nil
	}
	return 0, fmt.Errorf("%q: expected a number such as 12 or 0xc", s)
}

// number reads 12, 0xc or -1.
func number(s string) (uint64, error) {
	if strings.HasPrefix(s, "-") {
		v, err := strconv.ParseInt(s, 0, 64)
		if err == nil {
			return uint64(v), nil
		}
	}
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: expected a number such as 12 or 0xc", s)
	}
	return v, nil
}

// parseCall reads "abi:name(a, b, ...) = ret data="..."".
func parseCall(e *Event, s string) error {
	*e = Event{Kind: KindSyscall}
	name, rest, ok := strings.Cut(s, "(")
	if !ok {
		return fmt.Errorf("syscall: %q: expected name(arguments) = result", s)
	}
	abi := ABIX8664
	if prefix, after, ok := strings.Cut(name, ":"); ok {
		v, err := Specs[KindSyscall].Fields[0].parse(prefix)
		if err != nil || v > 255 {
			return fmt.Errorf("syscall: %q: expected an ABI such as i386", prefix)
		}
		abi, name = ABI(v), after
	}
	nr, ok := syscallNumber(abi, name)
	if !ok {
		return fmt.Errorf("syscall: %q is not a call of %s; nr_NUMBER always is", name, abi)
	}
	e.Args[0], e.Args[1] = uint64(abi), nr
	args, rest, ok := strings.Cut(rest, ")")
	if !ok {
		return fmt.Errorf("syscall: the arguments of %s have no closing parenthesis", name)
	}
	if args = strings.TrimSpace(args); args != "" {
		parts := strings.Split(args, ",")
		if len(parts) > 6 {
			return fmt.Errorf("syscall: %d arguments, at most 6 are expected", len(parts))
		}
		for i, p := range parts {
			v, err := number(strings.TrimSpace(p))
			if err != nil {
				return fmt.Errorf("syscall: argument %d: %w", i+1, err)
			}
			e.Args[2+i] = v
		}
	}
	rest, ok = strings.CutPrefix(strings.TrimSpace(rest), "=")
	if !ok {
		return errors.New("syscall: the result is missing: expected = and a number")
	}
	ret, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
	v, err := number(ret)
	if err != nil {
		return fmt.Errorf("syscall: result: %w", err)
	}
	e.Args[8] = v
	if rest = strings.TrimSpace(rest); rest != "" {
		if !strings.HasPrefix(rest, "data=") {
			return fmt.Errorf("syscall: %q: expected data=\"...\" or nothing", rest)
		}
		return parseFields(e, rest)
	}
	return nil
}

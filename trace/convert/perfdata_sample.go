package convert

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/vmtrace/vmtrace/trace"
)

// perfAttr is what perf_event_attr says of an event.
type perfAttr struct {
	typ, config uint64
	sample      uint64 // bits of what a sample holds
	read        uint64 // bits of the values in a sample
	idAll       bool   // records that are no samples have a trailer
}

const perfAttrMin = 64 // PERF_ATTR_SIZE_VER0

// Bits of sample_type, in the order in which the fields stand in a sample, but
// for the identifier, which stands first.
const (
	psIP         = 1 << 0
	psTID        = 1 << 1
	psTime       = 1 << 2
	psAddr       = 1 << 3
	psRead       = 1 << 4
	psCallchain  = 1 << 5
	psID         = 1 << 6
	psCPU        = 1 << 7
	psPeriod     = 1 << 8
	psStreamID   = 1 << 9
	psRaw        = 1 << 10
	psIdentifier = 1 << 16
)

// Types and numbers of events (perf_type_id, perf_sw_ids).
const (
	perfTypeSoftware   = 1
	perfTypeTracepoint = 2
	perfPageFaults     = 2
	perfMinorFaults    = 5
	perfMajorFaults    = 6
)

// attr takes an event and the ids of its counters.
func (p *perfData) attr(a, ids []byte) error {
	if len(p.attrs) >= perfMaxAttrs || len(p.byID)+len(ids)/8 > perfMaxIDs {
		return fmt.Errorf("%w: more than %d events or %d ids", trace.ErrCorrupt, perfMaxAttrs, perfMaxIDs)
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(a[at:]) }
	at := &perfAttr{typ: u(0) & 0xffffffff, config: u(8), sample: u(24), read: u(32), idAll: u(40)&(1<<18) != 0}
	if at.sample&psTID == 0 {
		return fmt.Errorf("%w: samples do not tell their thread (perf record does unless told otherwise)", ErrFormat)
	}
	p.attrs = append(p.attrs, at)
	for ; len(ids) >= 8; ids = ids[8:] {
		p.byID[binary.LittleEndian.Uint64(ids)] = at
	}
	return nil
}

// fields reads the fields of a record one after the other.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) u64() uint64 {
	if len(f.b) < 8 {
		f.bad = true
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

// pair reads two numbers of 32 bits.
func (f *fields) pair() (uint32, uint32) {
	v := f.u64()
	return uint32(v), uint32(v >> 32)
}

// words passes over n numbers.
func (f *fields) words(n uint64) {
	if n > uint64(len(f.b)/8) {
		f.bad = true
		return
	}
	f.b = f.b[8*n:]
}

// str reads a string that a zero ends.
func (f *fields) str() string {
	s, _, _ := bytes.Cut(f.b, []byte{0})
	return string(s)
}

// perfSampleFields is what a sample holds that is of use here.
type perfSampleFields struct {
	ip, time, addr uint64
	pid, tid       uint32
	cpu            uint32
	hasCPU         bool
	raw            []byte
}

// sampleFields reads a sample by its attr.
func (a *perfAttr) sampleFields(body []byte) (s perfSampleFields, ok bool) {
	f := fields{b: body}
	has := func(bit uint64) bool { return a.sample&bit != 0 }
	if has(psIdentifier) {
		f.u64()
	}
	if has(psIP) {
		s.ip = f.u64()
	}
	if has(psTID) {
		s.pid, s.tid = f.pair()
	}
	if has(psTime) {
		s.time = f.u64()
	}
	if has(psAddr) {
		s.addr = f.u64()
	}
	for _, bit := range []uint64{psID, psStreamID} {
		if has(bit) {
			f.u64()
		}
	}
	if has(psCPU) {
		s.cpu, _ = f.pair()
		s.hasCPU = true
	}
	if has(psPeriod) {
		f.u64()
	}
	if has(psRead) {
		a.values(&f)
	}
	if has(psCallchain) {
		f.words(f.u64())
	}
	if has(psRaw) && len(f.b) >= 4 {
		n := binary.LittleEndian.Uint32(f.b)
		if int64(n) > int64(len(f.b)-4) {
			return s, false
		}
		s.raw = f.b[4 : 4+n]
	}
	return s, !f.bad
}

// values passes over the values of counters (PERF_SAMPLE_READ).
func (a *perfAttr) values(f *fields) {
	const enabled, running, id, group, lost = 1, 2, 4, 8, 16
	count := func(bits uint64) (n uint64) {
		for _, bit := range []uint64{enabled, running, id, lost} {
			if a.read&bits&bit != 0 {
				n++
			}
		}
		return n
	}
	if a.read&group == 0 {
		f.words(1 + count(enabled|running|id|lost))
		return
	}
	n := f.u64()
	f.words(count(enabled | running))
	if n > uint64(len(f.b)) {
		f.bad = true
		return
	}
	f.words(n * (1 + count(id|lost)))
}

// trailer reads what stands at the end of a record that is no sample: thread,
// time, id, stream, processor, identifier, those that are there.
func (a *perfAttr) trailer(body []byte) (time uint64, tid uint32, size int) {
	at := func(bit uint64) int {
		if a.sample&bit == 0 {
			return 0
		}
		return 8
	}
	size = at(psTID) + at(psTime) + at(psID) + at(psStreamID) + at(psCPU) + at(psIdentifier)
	if !a.idAll || size > len(body) {
		return 0, 0, 0
	}
	f := fields{b: body[len(body)-size:]}
	if at(psTID) > 0 {
		_, tid = f.pair()
	}
	if at(psTime) > 0 {
		time = f.u64()
	}
	return time, tid, size
}

// attrOf finds the event that a record is of.
func (p *perfData) attrOf(typ uint32, body []byte) *perfAttr {
	if len(p.attrs) == 0 {
		return nil
	}
	first := p.attrs[0]
	if len(p.attrs) == 1 || len(body) < 8 {
		return first
	}
	at := -1
	switch {
	case first.sample&psIdentifier != 0 && typ == perfSample:
		at = 0
	case first.sample&psIdentifier != 0 && first.idAll:
		at = len(body) - 8
	case first.sample&psID != 0 && typ == perfSample:
		at = 0
		for _, bit := range []uint64{psIP, psTID, psTime, psAddr} {
			if first.sample&bit != 0 {
				at += 8
			}
		}
	}
	if at >= 0 && at+8 <= len(body) {
		if a := p.byID[binary.LittleEndian.Uint64(body[at:])]; a != nil {
			return a
		}
	}
	return first
}

// sort puts a record of the kernel in order; one without a time is worked on at
// once.
func (p *perfData) sort(b *builder, rec []byte) error {
	typ := binary.LittleEndian.Uint32(rec)
	switch typ {
	case perfMmap, perfLost, perfComm, perfExit, perfFork, perfSample, perfMmap2, perfLostSamples:
	default:
		return nil
	}
	body := rec[8:]
	e := perfEvent{attr: p.attrOf(typ, body), rec: rec, place: p.place}
	if e.attr == nil {
		return p.badf("a record before the first event is described")
	}
	if typ == perfSample {
		s, ok := e.attr.sampleFields(body)
		if !ok {
			return p.badf("a sample of %d bytes, which is less than its event needs", len(body))
		}
		e.time = s.time
	} else {
		e.time, _, _ = e.attr.trailer(body)
	}
	if e.time == 0 || e.time == ^uint64(0) {
		return p.event(b, &e)
	}
	e.rec = bytes.Clone(rec)
	p.order.push(e)
	return nil
}

// event works on a record of the kernel.
func (p *perfData) event(b *builder, e *perfEvent) error {
	typ, misc := binary.LittleEndian.Uint32(e.rec), binary.LittleEndian.Uint16(e.rec[4:])
	body := e.rec[8:]
	if typ == perfSample {
		return p.sample(b, e.attr, body)
	}
	_, _, size := e.attr.trailer(body)
	f := fields{b: body[:len(body)-size]}
	var err error
	switch typ {
	case perfComm:
		pid, tid := f.pair()
		err = p.state.comm(b, pid, tid, f.str(), misc&perfMiscCommExec != 0)
	case perfFork, perfExit:
		pid, ppid := f.pair()
		tid, ptid := f.pair()
		switch {
		case f.bad:
		case typ == perfExit:
			p.state.exit(b, tid)
		default:
			err = p.state.fork(b, pid, tid, ppid, ptid)
		}
	case perfMmap, perfMmap2:
		err = p.mmap(b, typ, misc, &f)
	case perfLost:
		f.u64()
		p.state.lost(b, f.u64())
	case perfLostSamples:
		p.state.lost(b, f.u64())
	}
	if f.bad {
		return p.badf("a record of type %d of %d bytes", typ, len(body))
	}
	return err
}

// mmap is an MMAP or MMAP2 record: 4 pid, 4 tid, 8 address, 8 length, 8 offset,
// and with MMAP2 4 major, 4 minor, 8 inode, 8 generation (or a build id), 4
// protection, 4 flags; then the name.
func (p *perfData) mmap(b *builder, typ uint32, misc uint16, f *fields) error {
	pid, tid := f.pair()
	m := perfMapping{start: f.u64(), length: f.u64(), offset: f.u64(), prot: trace.ProtRead | trace.ProtExec}
	if typ == perfMmap2 {
		major, minor := f.pair()
		ino := f.u64()
		f.u64()
		if misc&perfMiscMmapBuild == 0 {
			m.dev, m.ino = uint64(major)<<8|uint64(minor), ino
		}
		prot, flags := f.pair()
		m.prot, m.shared = prot&7, flags&1 != 0
	}
	if f.bad {
		return nil
	}
	m.name = f.str()
	return p.state.mapping(b, pid, tid, &m)
}

// sample is a sample of one of the events of interest.
func (p *perfData) sample(b *builder, a *perfAttr, body []byte) error {
	s, _ := a.sampleFields(body)
	if !perfUser(s.pid, s.tid) {
		return nil
	}
	var do func() error
	switch {
	case a.typ == perfTypeSoftware && (a.config == perfPageFaults || a.config == perfMinorFaults || a.config == perfMajorFaults):
		if a.sample&psAddr == 0 {
			return fmt.Errorf("%w: the faults do not tell their addresses: record with perf record -d", ErrFormat)
		}
		do = func() error {
			return p.state.fault(b, s.pid, s.tid, &perfFault{addr: s.addr, ip: s.ip, major: a.config == perfMajorFaults})
		}
	case a.typ == perfTypeTracepoint && p.points[a.config] != nil:
		t := p.points[a.config]
		do = func() error { return t.sample(b, &p.state, &s) }
	default:
		b.tally("%d samples of other events are left out")
		return nil
	}
	th, err := b.thread(s.pid, s.tid)
	if err != nil {
		return err
	}
	p.state.clock(b, th, s.time)
	if s.hasCPU {
		b.onCPU(th, s.cpu)
	}
	return do()
}

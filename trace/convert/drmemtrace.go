package convert

import (
	"encoding/binary"
	"fmt"

	"github.com/vmtrace/vmtrace/trace"
)

// The offline traces of DynamoRIO's drmemtrace, as raw2trace leaves them
// (clients/drcachesim/common/trace_entry.h, versions 1 to 5): packed records of
// 12 bytes, little-endian,
//
//	0 2 type    2 2 size    4 8 address, or a value
//
// beginning with a header and ending with a footer. There is one file for each
// thread, or one for each core in which thread records say whose accesses
// follow. A zip archive holds the same in pieces.
var drmemtraceFormat = Format{
	Name:   "drmemtrace",
	Help:   "offline trace of DynamoRIO's drmemtrace (.trace.zip, .gz, .lz4 or plain), one file",
	Detect: detectDrmemtrace,
	open: func(in *input) (decoder, error) {
		return &drmemtrace{records: recordReader{r: in.body, size: drSize}}, nil
	},
}

const drSize = 12

// Types of records (trace_type_t).
const (
	drRead          = 0
	drWrite         = 1
	drPrefetch      = 2
	drPrefetchLast  = 9
	drInstr         = 10
	drInstrLast     = 16
	drBundle        = 17
	drFlush         = 18
	drFlushLast     = 21
	drThread        = 22
	drThreadExit    = 23
	drPID           = 24
	drHeader        = 25
	drFooter        = 26
	drHWPrefetch    = 27
	drMarker        = 28
	drNoFetch       = 29
	drMaybeFetch    = 30
	drSysenter      = 31
	drPrefetch2     = 32
	drPrefetch2Last = 46
	drEncoding      = 47
	drTakenJump     = 48
	drUntakenJump   = 49
)

// Markers (trace_marker_type_t), in the size of a marker record.
const (
	drTimestamp    = 2
	drCPU          = 3
	drFileType     = 9
	drVersion      = 12
	drWindow       = 14
	drNoCPU        = ^uint64(0)
	drCPUBits      = 1<<12 - 1
	drMaxVersion   = 64 // of which no trace is known
	drInstrOnly    = 0x04
	drArchNot64    = 0x08 | 0x10 | 0x20 // aarch64, arm, i386
	drArchAArch64  = 0x08
	drFiltered     = 0x01 | 0x80 | 0x100
	drBundleLength = 8
)

type drmemtrace struct {
	records recordReader
	pid     uint64
	tid     uint64
	th      *thread
	pc      uint64 // after the last instruction: where a bundle goes on
	began   uint64 // first timestamp, in us
	window  uint64
	ended   bool
}

func drEntry(rec []byte) (typ, size uint16, value uint64) {
	return binary.LittleEndian.Uint16(rec), binary.LittleEndian.Uint16(rec[2:]), binary.LittleEndian.Uint64(rec[4:])
}

func detectDrmemtrace(head []byte) bool {
	if len(head) < drSize {
		return false
	}
	typ, size, version := drEntry(head)
	if typ != drHeader || size != 0 || version > drMaxVersion {
		return false
	}
	for head = head[drSize:]; len(head) >= drSize; head = head[drSize:] {
		if typ, _, _ := drEntry(head); typ > drUntakenJump {
			return false
		}
	}
	return true
}

// isRawDrmemtrace says whether a file is one that raw2trace has yet to convert:
// its first 8 bytes are an offline_entry_t of the extended type, a header.
func isRawDrmemtrace(head []byte) bool {
	return len(head) >= 16 && (head[7] == 6<<5|4 || head[7] == 6<<5) && !isText(head[:16])
}

func (d *drmemtrace) step(b *builder) error {
	rec, err := d.records.next()
	if err != nil {
		if !d.ended && b.found > 0 {
			b.tally("the footer is missing: the recording was cut off")
		}
		return err
	}
	typ, size, value := drEntry(rec)
	switch {
	case d.ended:
		return d.records.badf("a record after the footer")
	case typ == drRead || typ == drWrite:
		return d.access(b, value, uint64(size), trace.Read+trace.Access(typ))
	case typ >= drInstr && typ <= drInstrLast || typ == drSysenter || typ == drTakenJump || typ == drUntakenJump:
		d.pc = value + uint64(size)
		return d.access(b, value, uint64(size), trace.Exec)
	case typ == drBundle:
		return d.bundle(b, int(size), rec[4:])
	case typ == drNoFetch || typ == drMaybeFetch || typ == drEncoding || typ == drHWPrefetch,
		typ >= drPrefetch && typ <= drPrefetchLast || typ >= drPrefetch2 && typ <= drPrefetch2Last:
		return nil // prefetches never fault
	case typ >= drFlush && typ <= drFlushLast:
		b.tally("%d records of cache flushes are left out")
		return nil
	case typ == drMarker:
		return d.marker(b, size, value)
	}
	return d.structure(b, typ, value)
}

// structure takes the records that are no accesses.
func (d *drmemtrace) structure(b *builder, typ uint16, value uint64) error {
	switch typ {
	case drHeader:
		if value > drMaxVersion {
			return d.records.badf("a trace of version %d", value)
		}
	case drFooter:
		d.ended = true
	case drThread:
		d.tid, d.th = value, nil
	case drPID:
		d.pid, d.th = value, nil
	case drThreadExit:
		if th := b.threads[uint32(value)]; th != nil {
			b.exit(th, 0)
			d.th = nil
		}
	default:
		return d.records.badf("records have no type %d: this is no trace of drmemtrace, or of a later version", typ)
	}
	return nil
}

// current is the thread whose records follow.
func (d *drmemtrace) current(b *builder) (*thread, error) {
	if d.th != nil {
		return d.th, nil
	}
	if d.tid>>32 != 0 || d.pid>>32 != 0 {
		return nil, d.records.badf("thread %d of process %d: ids have 32 bits", d.tid, d.pid)
	}
	if d.tid == 0 {
		return nil, d.records.badf("an access before the first thread record")
	}
	pid := d.pid
	if pid == 0 {
		pid = d.tid
	}
	th, err := b.thread(uint32(pid), uint32(d.tid))
	d.th = th
	return th, d.records.at(err)
}

func (d *drmemtrace) access(b *builder, addr, size uint64, a trace.Access) error {
	th, err := d.current(b)
	if err != nil {
		return err
	}
	return d.records.at(b.access(th, addr, size, a))
}

// bundle is up to 8 more instructions, one after the other: a byte for the
// length of each.
func (d *drmemtrace) bundle(b *builder, n int, lengths []byte) error {
	if n > drBundleLength {
		return d.records.badf("a bundle of %d instructions", n)
	}
	for _, length := range lengths[:n] {
		if err := d.access(b, d.pc, uint64(length), trace.Exec); err != nil {
			return err
		}
		d.pc += uint64(length)
	}
	return nil
}

func (d *drmemtrace) marker(b *builder, kind uint16, value uint64) error {
	switch kind {
	case drTimestamp:
		if d.tid == 0 {
			return nil
		}
		if d.began == 0 {
			d.began = value
		}
		th, err := d.current(b)
		if err != nil {
			return err
		}
		if value > d.began {
			b.at(th, (value-d.began)*1000)
		}
	case drCPU:
		if value == drNoCPU || d.tid == 0 {
			return nil
		}
		th, err := d.current(b)
		if err != nil {
			return err
		}
		b.onCPU(th, uint32(value&drCPUBits))
	case drFileType:
		return d.fileType(b, value)
	case drVersion:
		if value > drMaxVersion {
			return d.records.badf("a trace of version %d", value)
		}
	case drWindow:
		if value != d.window {
			d.window = value
			if th, err := d.current(b); err == nil {
				b.event(trace.NewLost(th.tid, 0, fmt.Sprintf("between the windows of the recording (now window %d)", value)))
			}
		}
	}
	return nil
}

func (d *drmemtrace) fileType(b *builder, value uint64) error {
	if value&drArchNot64&^drArchAArch64 != 0 {
		b.tally("the trace is of a 32-bit program: it is taken for one in the address space of x86-64")
	}
	if value&drArchAArch64 != 0 {
		b.tally("the trace is of an aarch64 program: its pages are taken for those of x86-64")
	}
	if value&drInstrOnly != 0 {
		b.tally("the trace holds no data accesses (-instr_only_trace)")
	}
	if value&drFiltered != 0 {
		b.tally("the trace was filtered while it was recorded (-L0_filter): accesses are missing, counts are too low")
	}
	return nil
}

package convert

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/vmtrace/vmtrace/trace"
)

// The file of perf record (tools/perf/Documentation/perf.data-file-format.txt and
// include/uapi/linux/perf_event.h of Linux 6.1), little-endian:
//
//	file   8 "PERFILE2" | 8 header size | 8 attr size | attrs | data | event types (each 8 offset, 8 size) | 32 feature bits
//	pipe   8 "PERFILE2" | 8 16, then records; attributes and features are records too
//	record 4 type | 2 misc | 2 size | body
//
// With -z records stand inside COMPRESSED records, as one zstd stream. Samples of
// page-faults, minor-faults and major-faults, of the tracepoints
// exceptions:page_fault_user and _kernel, raw_syscalls:* and syscalls:* are used,
// and the side band: COMM, FORK, EXIT, MMAP, MMAP2, LOST. Record data mappings with
// perf record -d; without it only those of code are known.
var perfDataFormat = Format{
	Name:    "perf-data",
	Help:    "file of perf record -d -e page-faults (perf.data, also -z and pipe mode)",
	Detect:  func(head []byte) bool { return bytes.HasPrefix(head, perfMagic) || bytes.HasPrefix(head, perfSwapped) },
	regions: byPage,
	labels:  perfLabels,
	open:    openPerfData,
}

var (
	perfMagic   = []byte("PERFILE2")
	perfSwapped = []byte("2ELIFREP")
)

// Types of records.
const (
	perfMmap          = 1
	perfLost          = 2
	perfComm          = 3
	perfExit          = 4
	perfFork          = 7
	perfSample        = 9
	perfMmap2         = 10
	perfLostSamples   = 13
	perfUserType      = 64 // from here on records of perf itself
	perfHeaderAttr    = 64
	perfTracingData   = 66
	perfFinishedRound = 68
	perfAuxtrace      = 71
	perfCompressed    = 81
	perfCompressed2   = 83
)

const (
	perfHeaderSize    = 104
	perfPipeSize      = 16
	perfTracing       = 1       // bit of the feature
	perfMaxAttrs      = 1 << 12 // events
	perfMaxIDs        = 1 << 20
	perfMaxTracing    = 16 << 20 // bytes
	perfMaxWindow     = 32 << 20
	perfMiscCommExec  = 1 << 13
	perfMiscMmapBuild = 1 << 14
)

type perfData struct {
	state  perfState
	r      *bufio.Reader // records as they stand in the file
	offset int64         // of the next record of r
	place  int64         // of the record that is worked on
	attrs  []*perfAttr
	byID   map[uint64]*perfAttr
	points map[uint64]*perfTracepoint
	order  perfOrder
	zip    *bufio.Reader // records inside COMPRESSED records, nil until there is one
	packed []byte        // of the COMPRESSED record, not decompressed yet
	bufs   [2][]byte     // a record of r, and one of zip
	b      *builder      // of the step
	ended  bool
	cut    bool // the recorder was killed before it wrote the size of its data
}

func openPerfData(in *input) (decoder, error) {
	p := &perfData{state: newPerfState(), byID: map[uint64]*perfAttr{}, points: map[uint64]*perfTracepoint{}, bufs: [2][]byte{make([]byte, 1<<16), make([]byte, 1<<16)}}
	head, err := in.body.Peek(perfPipeSize)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it ends in the header of perf.data", trace.ErrTruncated)
	case bytes.HasPrefix(head, perfSwapped):
		return nil, fmt.Errorf("%w: it was recorded on a big-endian machine", ErrFormat)
	case !bytes.HasPrefix(head, perfMagic):
		return nil, fmt.Errorf("%w: a perf.data file begins with PERFILE2", ErrFormat)
	case binary.LittleEndian.Uint64(head[8:]) == perfPipeSize:
		in.body.Discard(perfPipeSize)
		p.r, p.offset = in.body, perfPipeSize
		return p, nil
	case in.file == nil || in.packed != "":
		return nil, fmt.Errorf("%w: parts of a perf.data file stand behind others: save or decompress it to a file first, or record in pipe mode (perf record -o -)", ErrFormat)
	}
	return p, p.fileHeader(in)
}

// fileHeader reads the header of a file, and the features behind its data.
func (p *perfData) fileHeader(in *input) error {
	var h [perfHeaderSize]byte
	if _, err := in.file.ReadAt(h[:], 0); err != nil {
		return fmt.Errorf("%w: it ends in the header of perf.data", trace.ErrTruncated)
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(h[at:]) }
	attrSize, attrs, attrsLen, data, dataLen := u(16), u(24), u(32), u(40), u(48)
	size := uint64(in.size)
	if u(8) != perfHeaderSize || attrSize < perfAttrMin+16 || attrSize > 1<<12 || attrsLen%attrSize != 0 || attrsLen/attrSize > perfMaxAttrs ||
		attrs > size || attrsLen > size-attrs || data > size {
		return fmt.Errorf("%w: the header of perf.data has impossible sizes", trace.ErrCorrupt)
	}
	list := make([]byte, attrsLen)
	if _, err := in.file.ReadAt(list, int64(attrs)); err != nil {
		return err
	}
	for ; len(list) > 0; list = list[attrSize:] {
		ids := list[attrSize-16 : attrSize]
		off, n := binary.LittleEndian.Uint64(ids), binary.LittleEndian.Uint64(ids[8:])
		if n > 8*perfMaxIDs || off > size || n > size-off {
			return fmt.Errorf("%w: the ids of an event have impossible sizes", trace.ErrCorrupt)
		}
		body := make([]byte, n)
		if _, err := in.file.ReadAt(body, int64(off)); err != nil && n > 0 {
			return err
		}
		if err := p.attr(list[:attrSize-16], body); err != nil {
			return err
		}
	}
	p.cut = dataLen == 0
	if p.cut || dataLen > size-data {
		dataLen = size - data
	}
	p.r, p.offset = bufio.NewReaderSize(io.NewSectionReader(in.file, int64(data), int64(dataLen)), bufferSize), int64(data)
	if !p.cut && h[72]&(1<<perfTracing) != 0 {
		return p.tracingFeature(in, data+dataLen, h[72]&1 != 0)
	}
	return nil
}

// tracingFeature reads the description of tracepoints: features stand in a table
// of offsets and sizes behind the data, by their bits; bit 0 is reserved.
func (p *perfData) tracingFeature(in *input, table uint64, reserved bool) error {
	if reserved {
		table += 16
	}
	var entry [16]byte
	if _, err := in.file.ReadAt(entry[:], int64(table)); err != nil {
		return fmt.Errorf("%w: it ends in the table of features", trace.ErrTruncated)
	}
	off, n := binary.LittleEndian.Uint64(entry[:]), binary.LittleEndian.Uint64(entry[8:])
	if n > perfMaxTracing || off > uint64(in.size) || n > uint64(in.size)-off {
		return fmt.Errorf("%w: the description of tracepoints has an impossible size", trace.ErrCorrupt)
	}
	body := make([]byte, n)
	if _, err := in.file.ReadAt(body, int64(off)); err != nil {
		return err
	}
	return p.tracepoints(body)
}

func (p *perfData) badf(format string, args ...any) error {
	return p.located(fmt.Errorf("%w: %s", trace.ErrCorrupt, fmt.Sprintf(format, args...)))
}

// step hands on one event that is due, or reads one record.
func (p *perfData) step(b *builder) error {
	p.b = b
	if e, ok := p.order.due(); ok {
		p.place = e.place
		return p.located(p.event(b, &e))
	}
	if p.ended {
		p.state.finish(b)
		return io.EOF
	}
	src := p.r
	if p.zip != nil {
		src = p.zip
	}
	rec, err := p.read(src)
	if err == io.EOF {
		p.ended = true
		p.order.finish()
		if p.cut {
			b.tally("perf was ended before it wrote the size of its data: what it wrote last may be missing")
		}
		return nil
	}
	if err != nil {
		return err
	}
	return p.located(p.record(b, rec))
}

// located adds the place of the record that is worked on to an error.
func (p *perfData) located(err error) error { return placed("offset", p.place, err) }

// read reads one record whole, valid until the next call; it returns io.EOF at
// the end.
func (p *perfData) read(r *bufio.Reader) ([]byte, error) {
	buf := p.bufs[1]
	if r == p.r {
		buf, p.place = p.bufs[0], p.offset
	}
	head := buf[:8]
	if n, err := io.ReadFull(r, head); err != nil {
		if err == io.ErrUnexpectedEOF || n > 0 {
			err = p.located(fmt.Errorf("%w: it ends inside a record", trace.ErrTruncated))
		}
		return nil, err
	}
	size := int(binary.LittleEndian.Uint16(head[6:]))
	if size < 8 {
		return nil, p.badf("a record of %d bytes", size)
	}
	if _, err := io.ReadFull(r, buf[8:size]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = p.located(fmt.Errorf("%w: it ends inside a record", trace.ErrTruncated))
		}
		return nil, err
	}
	if r == p.r {
		p.offset += int64(size)
	}
	return buf[:size], nil
}

// record takes a record of perf itself, or puts one of the kernel in order.
func (p *perfData) record(b *builder, rec []byte) error {
	typ := binary.LittleEndian.Uint32(rec)
	body := rec[8:]
	switch {
	case typ < perfUserType:
		return p.sort(b, rec)
	case typ == perfHeaderAttr:
		if len(body) < perfAttrMin {
			return p.badf("an attribute of %d bytes", len(body))
		}
		size := int(binary.LittleEndian.Uint32(body[4:]))
		if size < perfAttrMin || size > len(body) {
			return p.badf("an attribute of %d bytes", size)
		}
		return p.attr(body[:size], body[size:])
	case typ == perfTracingData || typ == perfAuxtrace:
		return p.trailer(typ, body)
	case typ == perfFinishedRound:
		p.order.round()
	case typ == perfCompressed:
		return p.unpack(body)
	case typ == perfCompressed2:
		if len(body) < 8 || binary.LittleEndian.Uint64(body) > uint64(len(body)-8) {
			return p.badf("a compressed record of an impossible size")
		}
		return p.unpack(body[8 : 8+binary.LittleEndian.Uint64(body)])
	}
	return nil
}

// trailer takes the records behind which more stands that their size does not
// count.
func (p *perfData) trailer(typ uint32, body []byte) error {
	if p.zip != nil {
		return p.badf("a record of type %d among compressed ones", typ)
	}
	if typ == perfAuxtrace {
		if len(body) < 8 {
			return p.badf("a record of trace data of %d bytes", len(body))
		}
		n := binary.LittleEndian.Uint64(body)
		if n > 1<<40 {
			return p.badf("trace data of %d bytes", n)
		}
		k, err := io.CopyN(io.Discard, p.r, int64(n))
		p.offset += k
		return err
	}
	if len(body) < 4 || binary.LittleEndian.Uint32(body) > perfMaxTracing {
		return p.badf("a description of tracepoints of an impossible size")
	}
	n := int64(binary.LittleEndian.Uint32(body)+7) &^ 7
	var data bytes.Buffer
	k, err := io.CopyN(&data, p.r, n)
	p.offset += k
	if err != nil {
		return fmt.Errorf("%w: it ends in the description of tracepoints", trace.ErrTruncated)
	}
	return p.tracepoints(data.Bytes())
}

// unpack begins to read compressed records, or goes on with it.
func (p *perfData) unpack(data []byte) error {
	p.packed = append(p.packed[:0], data...)
	if p.zip != nil {
		return nil
	}
	u := &perfUnpacker{p: p}
	z, err := zstd.NewReader(readFunc(u.packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(perfMaxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	u.z = z
	p.zip = bufio.NewReaderSize(u, bufferSize)
	return nil
}

// perfUnpacker gives the decompressor the data of one COMPRESSED record after
// the other, and reads what comes of it. The other records between are worked on
// when they are met, which may be a little before the end of what was compressed
// before them: a round that ends early is flushed late.
type perfUnpacker struct {
	p   *perfData
	z   *zstd.Decoder
	end bool // of the file
}

func (u *perfUnpacker) Read(b []byte) (int, error) {
	n, err := u.z.Read(b)
	if u.end && errors.Is(err, io.ErrUnexpectedEOF) {
		return n, io.EOF // perf does not end its frame
	}
	if err != nil && err != io.EOF && !told(err) {
		err = u.p.located(fmt.Errorf("%w: compressed records: %w", trace.ErrCorrupt, err))
	}
	return n, err
}

// packed is the side of the decompressor.
func (u *perfUnpacker) packed(b []byte) (int, error) {
	p := u.p
	for len(p.packed) == 0 {
		rec, err := p.read(p.r)
		if err != nil {
			u.end = err == io.EOF
			return 0, err
		}
		if err := p.record(p.b, rec); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.packed)
	p.packed = p.packed[n:]
	return n, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// Package trace holds the records of vmtrace, the .vmt file format that keeps
// them, and its text twin. It knows nothing of the model that replays them.
//
//	src, err := trace.Open("gzip.vmt") // or its text twin; "-" is standard input
//	if err != nil { ... }
//	defer src.Close()
//	for {
//		b, err := src.Next()
//		if err == io.EOF { break }
//		...
//		for i := range b.Refs { ... } // or b.Event
//	}
//
// Recording is the business of package capture, generating of package synth.
//
// # Records
//
// A stream is a sequence of records, numbered from 0. Most are references
// ([Ref]): runs of accesses of one thread to one page. Everything else is an
// [Event]. [Specs] describes every kind: encoder, decoder, text twin and this
// format read that one table. Kinds are frozen; a new one takes the next
// number, and an old reader answers ErrVersion and names it.
//
// The thread of a record is the one that the last sched record named; the
// writers insert a sched record where the thread changes.
//
// # Rules of a stream
//
// [Checker] holds a stream against them:
//
//   - The first record of a process is process op=start (thread = the starting
//     thread), or the fork, vfork or clone that made it. No record of a thread
//     comes before it starts or after it ends.
//   - op=start and op=exec are followed by the file and map records of the
//     image, and by usercopy records of what the kernel itself wrote while it
//     built it (arguments, cleared tails of .bss).
//   - A syscall record carries the final result and stands where the call
//     completed. Its usercopy records follow it. The process record of a fork,
//     vfork or clone follows the syscall record of the parent.
//   - A file record precedes the first use of its id. A file-backed mmap finds
//     its file by descriptor: the last file record of the process with fd = 1 +
//     descriptor.
//   - The first brk of a captured process tells where its heap starts.
//
// # The file, version 1
//
// All numbers are little-endian; uvarint is the unsigned LEB128 of
// encoding/binary. Everything but blocks stands in skippable frames (RFC 8878,
// section 3.1.2), so stock zstd tools accept the file.
//
//	header  block*  index  seek-table
//
//	header      4 magic 0x184D2A5B | 4 length | 8 "vmtrace\0" | 4 version | 4 CRC-32C of the JSON | JSON of Header
//	block       one zstd frame with content size and checksum, holding one raw block
//	index       4 magic 0x184D2A5B | 4 length | 8 "vmtindex" | 4 version | 4 CRC-32C of the body | body
//	seek-table  4 magic 0x184D2A5E | 4 length | frames x (4 compressed, 4 raw) | 4 frames | 1 zero | 4 magic 0x8F92EAB1
//
// The body of the index is a uvarint count of blocks, then for each block the
// uvarints: offset of its frame in the file, compressed bytes, raw bytes,
// records, references, accesses, first and last time in ns (0: none), number of
// threads and their ids. The seek table is that of the zstd seekable format
// 0.1.0; it lists every frame before it, skippable ones with 0 raw bytes.
//
// # A raw block
//
// A block can be decoded alone: it names its first record and thread, and no
// state reaches over from the block before.
//
//	 0  4  CRC-32C (Castagnoli) of all that follows
//	 4  4  length of the raw block, these 8 bytes included
//	 8  8  number of the first record
//	16  4  references          20  4  events
//	24  4  thread at the beginning
//	28  1  flags: 1 = instruction pointers are recorded      29  3  zero
//	32 36  lengths of the nine columns, 4 bytes each
//	68     the columns, one after the other:
//
//	runs      before each event: uvarint, references since the event before it
//	pages     one byte a reference: 1..127 = the same page as so many references
//	          ago in this block; 128+n = the page before plus a delta of n bytes
//	deltas    the deltas: zigzag, n bytes each
//	meta      one byte a reference: bits 0-1 first access (1 read, 2 write, 3 fetch);
//	          bits 2, 3, 4: has reads, writes, fetches; bit 5: each of those counts is 1
//	counts    where bit 5 is not set: uvarint reads, writes, fetches, those that are there
//	low       low 8 bits of the offset in the page, minus that of the reference that
//	          the page token points to (0 for a delta), modulo 4096
//	high      high 4 bits of the same difference
//	events    kind (1 byte), the fields of Specs as uvarints, and the string field, if
//	          the kind has one, as uvarint length and bytes
//	ips       with flag 1: uvarint zigzag delta to the instruction pointer before
//
// A worked example to the last byte stands in golden_test.go. Recent-page
// tokens and byte planes are what makes the general compressor behind them
// effective: programs repeat themselves in patterns of a few pages.
//
// # Limits
//
// Checked before memory is taken: raw block 8 MiB (written at about 1 MiB),
// compressed frame 9 MiB, records of a block 2^21, string 1 MiB, header 1 MiB,
// index 256 MiB (read only as bytes arrive), living threads and files 2^20
// each, pages 2^52. A reader holds one frame, one raw block and one chunk of
// 4096 references: below 96 MiB whatever the bytes (FuzzReader), about 12 MiB
// for a file of this package.
//
// # Damage
//
// A file without index, or that ends in the middle of a frame, was cut off: it
// is read to its last whole block and Warnings says so. Any other damage is an
// error with offset, block and record that wraps ErrCorrupt.
//
// # Text twin
//
// [TextWriter] and [TextReader]: one record per line, lossless, made for reading
// and for writing tests by hand. Its first line is "# vmtrace text 1".
package trace

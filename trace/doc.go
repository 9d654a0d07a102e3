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
//   - Time does not go back.
//   - The first brk of a captured process tells where its heap starts.
//
// # The file, version 1
//
// All numbers are little-endian; uvarint is the unsigned LEB128 of
// encoding/binary, zigzag the sign folding of protocol buffers. Everything but
// blocks stands in skippable frames (RFC 8878, section 3.1.2), so stock zstd
// tools accept the file.
//
//	header  block*  index  seek-table
//
//	header      4 magic 0x184D2A5B | 4 length | 8 "vmtrace\0" | 4 version | 4 CRC-32C of the JSON | JSON of Header
//	block       one zstd frame with content size and checksum, holding one raw block
//	index       4 magic 0x184D2A5B | 4 length | 8 "vmtindex" | 4 version | 4 CRC-32C of the body | body
//	seek-table  4 magic 0x184D2A5E | 4 length | frames x (4 compressed, 4 raw) | 4 frames | 1 zero | 4 magic 0x8F92EAB1
//
// Frames follow one another without gaps. The body of the index is a uvarint
// count of blocks, then for each block the uvarints: compressed bytes, raw bytes,
// records, references, accesses, time records, first and latest time in ns (0
// where there is none), and two lists, each a count and then the differences of
// the ascending ids: threads with records in the block, and their processes
// together with those that start. The seek table is that of the zstd seekable
// format 0.1.0; it lists every frame before it, skippable ones with 0 raw bytes.
//
// To find a record from the end: the last 9 bytes tell the length of the seek
// table, its last entry the length of the index before it, and sums over the
// index give offset and first record of every block.
//
// # A raw block
//
// A block can be decoded alone: it names its first record and thread, and no
// state reaches over from the block before.
//
//	 0  8  number of the first record
//	 8  4  references          12  4  events
//	16  4  thread at the beginning
//	20  1  flags: 1 = instruction pointers, 2 = offsets, else all 0      21  3  zero
//	24 36  lengths of the nine columns, 4 bytes each
//	60     the columns, one after the other:
//
//	runs      before each event: uvarint, references since the event before it
//	tokens    of each reference: 0..191 = symbol of that number; 192+h and a byte l,
//	          h below 63 = symbol 192 + 256 h + l; 255 = the next of the definitions,
//	          whose symbol the reference also is
//	symbols   definitions, a byte and counts each: bits 0-1 first access (1 read, 2
//	          write, 3 fetch), bits 2, 3, 4 has reads, writes, fetches, bit 5 open;
//	          unless open: uvarint reads, writes, fetches, those that it has. They
//	          are numbered from 0; after 16319 they begin again at 0 and replace
//	pages     of each definition: uvarint zigzag delta to the page of the definition
//	          before it, at first page 0
//	counts    of each reference with an open symbol: uvarint reads, writes, fetches,
//	          those that it has
//	offsets   with flag 2, of each reference whose first access is no fetch: 2 bytes,
//	          offset minus that of the last reference to a page of the same hash, at
//	          first 0, modulo 4096; the hash is the high 12 bits of the low 64 of
//	          page times 0x9E3779B97F4A7C15
//	fetches   the same of references whose first access is a fetch
//	events    kind (1 byte), the fields of Specs as uvarints, and the string field, if
//	          the kind has one, as uvarint length and bytes
//	ips       with flag 1, of each reference: uvarint zigzag delta to the instruction
//	          pointer before, at first 0
//
// A worked example to the last byte stands in golden_test.go. Programs walk the
// same pages in the same patterns, so a reference costs mostly one byte, always
// the same one in a block, and the general compressor behind finds the patterns.
// Which counts belong to a symbol and which stay open is up to the writer.
// ENCODINGS.md compares the layouts that were tried.
//
// # Limits
//
// Checked before memory is taken: raw block 8 MiB (written at about 1 MiB),
// compressed frame 9 MiB, 2^15 raw bytes for a compressed one, records of a block
// 2^20, string 1 MiB, header 1 MiB, index 256 MiB (read only as bytes arrive),
// blocks 2^22, living threads and files 2^20 each (so also processes), regions
// with a map record 2^20 in a process image, pages 2^52. A reader
// holds one frame, one raw block and one chunk of 4096 references: below 96 MiB
// whatever the bytes (FuzzReader), about 12 MiB for a file of this package.
// WithWorkers takes more.
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

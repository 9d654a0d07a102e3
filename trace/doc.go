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
//	20  1  flags: 1 = instruction pointers, 2 = offsets, 4 = tokens are packed, else all 0
//	21  3  zero
//	24 36  lengths of the nine columns, 4 bytes each
//	60     the columns, one after the other:
//
//	runs      before each event: uvarint, references since the event before it
//	tokens    of each reference: 0..191 = symbol of that number; 192+h and a byte l,
//	          h below 63 = symbol 192 + 256 h + l; 255 = the next of the definitions,
//	          whose symbol the reference also is; with flag 4 they are packed, see below
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
// # Packed tokens
//
// With flag 4 the column of tokens is the same sequence of symbols behind a binary
// arithmetic coder, whose probabilities come from the symbols before in the block:
// for keeping and sending ([WithPacking]). Such a block has references. Everything is in
// integers, with the precedence of Go: / drops the remainder, >> rounds down, also below
// 0, hashes are modulo 2^64.
//
// The coder keeps low = 0 and high = 2^32-1. A bit that is 1 in p of 2^16 cases cuts at
// mid = low + ((high-low)*p >> 16): 1 sets high = mid, 0 sets low = mid+1. While the
// first bytes of both agree this byte is written, low becomes low<<8 and high
// high<<8|255. At the end the four bytes of low are written, the first one first.
// (high-low)*p takes 64 bits. A reader has taken four bytes as value before the first
// bit, which is 1 where value <= mid, and takes one more into the low end of value for
// each that is shifted out: it uses just those that were written.
//
// An estimate is a P, at first 2^21, and a count n, at first 0. As a probability it
// is max(P>>6, 1), stretched it is st(P>>10). It learns a bit: P += ((2^22-1 for a 1,
// 0 for a 0) - P) * (2^17/(2n+3)) >> 16, then n = min(n+1, limit).
//
// sq(x), of x from -2048 to 2047 with k = (x+2048)>>7 and w = (x+2048)&127, is
// (knot[k]*(128-w) + knot[k+1]*w + 64) >> 7; the 33 knots are 4096/(1+exp(-z)),
// rounded, at least 1 and at most 4095, for z = -8, -7.5 to 8. st(v) is the least x
// with sq(x) >= v, but at least -2047.
//
// A symbol stands for its number plus 1, a definition for that of the symbol it
// defines. There are five contexts: the last 1, 2, 4, 8 and 16 symbols (all, where
// there are fewer), hashed to H, the sum of symbol * M^j, where M is
// 0x9E3779B97F4A7C15 and j counts from 0 for the last. With h = (H ^ H>>32) *
// 0xD6E8FEB86659FD93 the slot of a context is number h>>48 of the table of its
// length; where the slot has another check than (h>>16)&0xFFFF it becomes an empty one
// with this check (at first all have 0). A slot lists up to seven symbols with a count
// each.
//
// A match is a place in the block whose symbol it predicts, the run of its predictions
// that were right last, and the eight latest of them, of which e were wrong (those that
// there have not been count as right); at first there is none, and its run is 0. After
// each symbol the place moves on by one, whether it was right or not; a wrong one makes
// the run 0, and the match stays. Then, if the run is below 16, a second place comes in:
// the one after the symbol at which the top 16 bits of h of the context of length 4 (of
// fewer symbols where there are not more), with that symbol in it, were last what they
// are now. If it is another one than that of the match, and of the symbols before it and
// of those before the next one to code more are the same, counted back from the end up
// to 32, than the run is long, the match goes there, with that number for a run, and all
// eight predictions are forgotten. Where these bits were last what they are is noted
// after every symbol, whatever the run.
//
// To code a symbol, a bit says whether it is the symbol s that the match predicts, if
// there is one; then for each place in the lists from the first to the last and for
// each length from 16 to 1 whether it is the symbol s at that place, if there is one
// that was not asked for yet, what the match predicted among them. A 1 ends it. t is how
// many were asked for before, at most 3. Here s is the number plus 1. The bit comes from
// a mixer:
//
//	input    of each length the stretched estimate of s in its slot, in which f is
//	         the first count; each length has estimates of its own. s is first: one
//	         for each f and t; it stands at place r (from 0) with count c: one for
//	         each min(r, 3), number of bits of f, and min(c, 7); it is absent: one for
//	         each min(f, 31) and t. An empty slot gives 0. Then that of the match, one
//	         for whether it predicts s, min(run, 31), e and t; 0 where there is none.
//	         Then 77, as it is. The limit of these estimates is 60
//	weights  of the seven inputs, at first 19660; a set for each s%1024 and min(t, 1)
//	x        the sum of input*weight, >> 16, from -2047 to 2047
//	curve    33 values for each s%1024, at first knot[k]*16; with k and w of x it gives
//	         (curve[k]*(128-w) + curve[k+1]*w) >> 7
//	p        (sq(x)*16 + what the curve gives) / 2, from 16 to 65520
//
// Then all that was used learns the bit: curve[k] += (v - curve[k])*(128-w) >> 13 and
// curve[k+1] += (v - curve[k+1])*w >> 13, where v is 65535 for a 1 and 0 for a 0;
// weight += (input*d*20 + 2^15) >> 16, where d = (4095 or 0) - sq(x); estimates.
//
// After a 0 for all of them a bit says whether the symbol is a definition, with an
// estimate of its own, and if not 14 bits are its number (without the 1), the highest
// first, each with an estimate for the bits before it; limit 30 for both. Numbers from
// 16320 on are damage.
//
// Last, the symbol goes to the front of the list of each of the five slots: if it
// stands there, its count grows by 1 up to 60. Else it is taken out of its place, or
// where it is absent and the list is full the last one is; in both cases it begins with
// count 0, and the count of the one that was first becomes count/4.
//
// # Limits
//
// Checked before memory is taken: raw block 8 MiB (written at about 1 MiB, packed 4),
// compressed frame 9 MiB, 2^15 raw bytes for a compressed one, records of a block
// 2^20, string 1 MiB, header 1 MiB, index 256 MiB (read only as bytes arrive),
// blocks 2^22, living threads and files 2^20 each (so also processes), regions
// with a map record 2^20 in a process image, pages 2^52. A reader
// holds one frame, one raw block and one chunk of 4096 references: below 96 MiB
// whatever the bytes (FuzzReader), about 12 MiB for a file of this package, 30 where
// tokens are packed. WithWorkers takes more.
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

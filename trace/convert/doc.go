// Package convert reads the traces of other tools: a table of formats
// (Formats), each a decoder in a file of its own that becomes a trace.Source.
//
//	src, err := convert.Open("app.trace.gz", "") // or a format by name: "champsim"
//	if err != nil { ... }
//	defer src.Close()
//	err = trace.Copy(sink, src)
//
// The format is found by content, inside gzip, xz, lz4, zstd and zip too; a file
// that is of none, or may be of two, is refused. Our own forms are opened as
// trace.Open does.
//
// # What is inferred
//
// A model needs to know what is mapped, and most foreign traces do not tell.
// Regions are inferred where a page is first touched that nothing has mapped: a
// map record with flag "inferred" and all permissions stands before that
// reference, in the middle of the stream, so that one pass is enough. Formats
// without mappings get the aligned 2 MiB around the access; their header says
// regions=inferred. Formats that record calls (lackey, strace, perf) get only the
// page, or the range that a successful mprotect, madvise or mremap shows to be
// there, so that later calls find their place free; their header says
// regions=partly inferred.
//
// Sizes of files are not in any of the formats: a file is as long as its mappings
// reach. What cannot be told is counted and becomes a warning of the source.
//
// # What is not covered
//
// Instruction pointers of references, memory that the kernel touches for a call
// (usercopy records), directories of drmemtrace with a file for each thread: they
// are converted one by one.
//
// # Limits
//
// One pass, and memory bounded by the state of the living processes: a line of 1
// MiB, an access of 64 KiB, 2^15 threads, 2^20 inferred pieces of 2 MiB or 2^17
// regions a process, 2^18 files, 2^23 objects of a cache trace that have names
// instead of numbers, windows and dictionaries of compressors of 64 MiB, 32 MiB of
// perf events that wait for their order. Whatever the bytes, a decoder ends with
// an error that names line or offset and wraps trace.ErrCorrupt,
// trace.ErrTruncated or ErrFormat (the fuzz targets).
//
// # How to add a format
//
// A file with a Format and a decoder, a row in Formats, samples in testdata with
// the tool's name or the source of the format, and rows in the tables of
// convert_test.go: what is expected of each sample, and with it detection, round
// trip, damage and fuzzing are tested.
package convert

package convert

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// samples are the files of testdata and the formats that they are of. make.sh
// and make.py there made them.
var samples = []struct{ file, format string }{
	{"lackey.txt", "lackey"}, {"lackey-child.txt", "lackey"},
	{"strace.txt", "strace"}, {"strace-stderr.txt", "strace"},
	{"perf.data", "perf-data"}, {"perf-z.data", "perf-data"}, {"perf-pipe.data", "perf-data"},
	{"perf-calls.data", "perf-data"}, {"perf-points.data", "perf-data"}, {"perf-points-pipe.data", "perf-data"},
	{"perf-script.txt", "perf-script"}, {"perf-points-script.txt", "perf-script"},
	{"sample.trace", "drmemtrace"}, {"sample.trace.gz", "drmemtrace"}, {"sample.trace.lz4", "drmemtrace"}, {"sample.trace.zip", "drmemtrace"},
	{"threads.trace", "drmemtrace"},
	{"champsim", "champsim"}, {"champsim.gz", "champsim"}, {"champsim.xz", "champsim"},
	{"pinatrace.out", "pinatrace"},
	{"oracleGeneral", "oracleGeneral"}, {"oracleGeneral.zst", "oracleGeneral"},
	{"pages.csv", "csv"}, {"pages.txt", "csv"},
	{"sample.plain.txt", "plain"}, {"plain-swapped.txt", "plain"},
}

func sampleData(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// openBytes opens what stands in memory, as a file.
func openBytes(data []byte, from string) (trace.Source, error) {
	in, err := newInput("input", bytes.NewReader(data), int64(len(data)), bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return in.source(from)
}

// toText is the text twin of a source, and the warnings.
func toText(t testing.TB, src trace.Source) (string, []string) {
	t.Helper()
	defer src.Close()
	var out bytes.Buffer
	w, err := trace.NewTextWriter(&out, *src.Header())
	if err == nil {
		err = trace.Copy(w, src)
	}
	if err != nil {
		t.Fatalf("%v after\n%s", err, out.String())
	}
	return out.String(), src.Warnings()
}

func sampleText(t testing.TB, name string) string {
	t.Helper()
	src, err := Open(filepath.Join("testdata", name), "")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := toText(t, src)
	return text
}

// TestDetect: every sample is known for what it is, and every other format
// refuses it: by content, and when it is forced.
func TestDetect(t *testing.T) {
	for _, s := range samples {
		data := sampleData(t, s.file)
		src, err := openBytes(data, "")
		if err != nil {
			t.Errorf("%s: %v", s.file, err)
			continue
		}
		if got := src.Header().Tool; got != s.format {
			t.Errorf("%s is taken for %s", s.file, got)
		}
		src.Close()
		in, err := newInput(s.file, bytes.NewReader(data), int64(len(data)), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		head, err := in.head()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Formats {
			if f.Detect(head) != (f.Name == s.format) {
				t.Errorf("%s: %s says %v", s.file, f.Name, f.Name != s.format)
			}
			if f.Name != s.format {
				if err := drain(openBytes(data, f.Name)); err == nil {
					t.Errorf("%s read as %s: no error", s.file, f.Name)
				}
			}
		}
		in.close()
	}
}

// drain reads a source to its end.
func drain(src trace.Source, err error) error {
	if err != nil {
		return err
	}
	defer src.Close()
	c := trace.NewChecker()
	for {
		b, err := src.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = c.Batch(b)
		}
		if err != nil {
			return err
		}
	}
}

// TestRoundTrip: import -> text -> .vmt -> text is identical, and the stream
// keeps the rules of package trace.
func TestRoundTrip(t *testing.T) {
	for _, s := range samples {
		text := sampleText(t, s.file)
		src, err := trace.NewTextReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var vmt bytes.Buffer
		w, err := trace.NewWriter(&vmt, *src.Header())
		if err == nil {
			err = trace.Copy(w, src)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatalf("%s: %v", s.file, err)
		}
		back, err := openBytes(vmt.Bytes(), "")
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := toText(t, back); again != text {
			t.Errorf("%s: text -> .vmt -> text differs", s.file)
		}
		if err := drain(Open(filepath.Join("testdata", s.file), "")); err != nil {
			t.Errorf("%s: %v", s.file, err)
		}
	}
}

// TestSequence: the numbers of the records are those that a writer gives them.
func TestSequence(t *testing.T) {
	for _, s := range samples {
		src, err := Open(filepath.Join("testdata", s.file), "")
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		for {
			b, err := src.Next()
			if err != nil {
				break
			}
			if b.Seq != n {
				t.Fatalf("%s: record %d is numbered %d", s.file, n, b.Seq)
			}
			n += max(1, uint64(len(b.Refs)))
		}
		src.Close()
		lines := strings.Count(sampleText(t, s.file), "\n")
		if want := uint64(lines - 2); n != want { // the first two are magic and header
			t.Errorf("%s: %d records, %d lines of text", s.file, n, want)
		}
	}
}

// pages are the distinct pages of a trace, each of them as data or code.
func pages(text string) []string {
	seen := map[string]bool{}
	src, err := trace.NewTextReader(strings.NewReader(text))
	if err != nil {
		panic(err)
	}
	for {
		b, err := src.Next()
		if err != nil {
			break
		}
		for i := range b.Refs {
			r := &b.Refs[i]
			seen[string(appendHex(nil, r.VPN))] = true
		}
	}
	var out []string
	for p := range seen {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}

// TestSamePages: the same program, recorded by lackey, and the same accesses as
// drmemtrace and as plain text, which make.py wrote, have the same pages and the
// same references.
func TestSamePages(t *testing.T) {
	refs := func(text string) string {
		var out []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "R ") || strings.HasPrefix(line, "W ") || strings.HasPrefix(line, "X ") || strings.HasPrefix(line, "ref ") {
				out = append(out, line)
			}
		}
		return strings.Join(out, "")
	}
	want := sampleText(t, "lackey.txt")
	if n := len(pages(want)); n != 22 {
		t.Errorf("lackey: %d pages; a regular expression over the log (as in make.py) counts 22", n)
	}
	dr := sampleText(t, "sample.trace")
	for _, name := range []string{"sample.trace", "sample.trace.gz", "sample.trace.lz4", "sample.trace.zip", "sample.plain.txt"} {
		got := sampleText(t, name)
		if !slices.Equal(pages(got), pages(want)) {
			t.Errorf("%s: pages %v, lackey has %v", name, pages(got), pages(want))
		}
		if strings.HasPrefix(name, "sample.trace") && got != dr {
			t.Errorf("%s differs from sample.trace", name)
		}
		// A call between two runs on one page parts them in lackey's trace.
		if got, dr := refs(got), refs(dr); got != dr {
			t.Errorf("%s: other references than sample.trace", name)
		}
	}
}

// TestPacked: what is compressed reads as what is not.
func TestPacked(t *testing.T) {
	for _, pair := range [][2]string{{"champsim", "champsim.gz"}, {"champsim", "champsim.xz"}, {"oracleGeneral", "oracleGeneral.zst"}} {
		if sampleText(t, pair[0]) != sampleText(t, pair[1]) {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
}

// TestTruncated: every sample, cut off anywhere, gives an error that names its
// kind, or is read as what was there, and never panics.
func TestTruncated(t *testing.T) {
	for _, s := range samples {
		data := sampleData(t, s.file)
		step := max(1, len(data)/100)
		for n := 0; n < len(data); n += step {
			err := drain(openBytes(data[:n], s.format))
			if err != nil && !told(err) {
				t.Errorf("%s cut to %d bytes: %v", s.file, n, err)
			}
		}
	}
}

// TestGarbage: what is of no format is told so, and what is forced is an error
// with its place.
func TestGarbage(t *testing.T) {
	for _, junk := range []string{"", "\x00", "hello, world\n", "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100), strings.Repeat("\xff", 5000), "GIF89a..........", "# only a comment\n"} {
		if err := drain(openBytes([]byte(junk), "")); !errors.Is(err, ErrFormat) {
			t.Errorf("%.20q: %v", junk, err)
		}
		for _, f := range Formats {
			if err := drain(openBytes([]byte(junk), f.Name)); !told(err) {
				t.Errorf("%.20q as %s: %v", junk, f.Name, err)
			}
		}
	}
}

// TestErrors: the place and the next thing to try.
func TestErrors(t *testing.T) {
	long := "R 0x" + strings.Repeat("1", maxLine+1)
	for _, c := range []struct{ data, from, want string }{
		{"R 0x1000\nW zzz\n", "plain", `line 2: corrupt trace: "W zzz": expected an access such as R 0x1000`},
		{long, "plain", "line 1 is longer than"},
		{"==12== Lackey, an example Valgrind tool\nI  1000,2\n==13== x\n", "", "--log-file=NAME.%p"},
		{"I  1000,99999999\n", "lackey", "line 1: corrupt trace: an access of 99999999 bytes"},
		{"1  mmap(NULL, 4096, PROT_BOGUS, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000\n", "strace", "line 1: corrupt trace: mmap: an argument is not known"},
		{"0x1000: R 0x2000\n0x1000 R 0x2000\n", "pinatrace", "line 2"},
		{"1,2\n3\n", "csv", "expected a page in column 2"},
		{string(sampleHead(t, "champsim", 100)), "champsim", "offset 64: truncated trace: 36 bytes are left of a record of 64"},
		{string(sampleHead(t, "sample.trace", 24)) + "\xf0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "drmemtrace", "offset 24: corrupt trace: records have no type 240"},
		{string(sampleHead(t, "perf.data", 60)), "", "header of perf.data"},
		{"2ELIFREP\x00\x00\x00\x00\x00\x00\x00\x68" + strings.Repeat("\x00", 100), "", "big-endian"},
		{"\x05\x00\x00\x00\x00\x00\x00\xc4\x00\x00\x00\x00\x00\x00\x00\x00", "", "drrun -t drmemtrace -indir"},
		{"\xff\x06\x00\x00sNaPpY", "", "snappy"},
		{"PK\x03\x04 not a zip", "", "zip"},
	} {
		err := drain(openBytes([]byte(c.data), c.from))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: error %v, want %q", c.data, err, c.want)
		}
	}
	if _, err := Open("testdata/champsim", "bogus"); err == nil || !strings.Contains(err.Error(), "champsim") {
		t.Errorf("an unknown format: %v", err)
	}
	if _, err := Open("testdata", ""); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
}

func sampleHead(t testing.TB, name string, n int) []byte {
	data := sampleData(t, name)
	return data[:min(n, len(data))]
}

// TestStream: a pipe reads as the file does, but for what needs to seek.
func TestStream(t *testing.T) {
	for _, s := range samples {
		data := sampleData(t, s.file)
		in, err := newInput("pipe", nil, 0, bytes.NewReader(data))
		if err == nil {
			var src trace.Source
			if src, err = in.source(""); err == nil {
				if got, _ := toText(t, src); got != sampleText(t, s.file) {
					t.Errorf("%s differs over a pipe", s.file)
				}
			}
		}
		seeks := s.format == "perf-data" && !strings.Contains(s.file, "pipe") || strings.HasSuffix(s.file, ".zip")
		if (err != nil) != seeks || seeks && !strings.Contains(err.Error(), "file first") {
			t.Errorf("%s over a pipe: %v", s.file, err)
		}
	}
}

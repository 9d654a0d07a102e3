package report

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmtrace/vmtrace/replay/result"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files again; read the difference")

// sample is a made-up run whose figures can be worked out by hand: resident
// memory is 1 MiB anonymous and 3 MiB of files in the first half, 2 MiB and 2 MiB
// in the second.
func sample(t *testing.T) *result.Run {
	t.Helper()
	run, err := result.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// underPressure gives a run a limit and what came of it, so that every figure has
// something to show.
func underPressure(run *result.Run) *result.Run {
	run.Config.MemoryBytes, run.Config.Reclaim, run.Config.SwapBytes, run.Config.SwapDevice = 1<<20, "linux", 1<<30, "zram"
	run.Totals.Reclaim = result.Reclaim{Outcome: result.PressureThrash, Evictions: 300, Refaults: 200, PeakBytes: 1 << 20}
	run.Totals.Swap = result.Swap{InBytes: 200 << 12, OutBytes: 300 << 12, CacheHits: 1}
	n := len(run.Timeline.EndsAccesses)
	for _, s := range []result.Series{{Name: "memory.charged", Unit: "bytes", Kind: result.Gauge}, {Name: "reclaim.evictions", Unit: "pages", Kind: result.Count},
		{Name: "working_set", Unit: "bytes", Kind: result.Gauge}, {Name: "swap.out", Unit: "bytes", Kind: result.Count}} {
		s.Values = make([]uint64, n)
		for i := range s.Values {
			s.Values[i] = uint64(i) << 12
		}
		run.Series = append(run.Series, s)
	}
	return run
}

// TestMemoryInWords: a limit is told of in the summary, the table and the feet of
// the figures, and not without one.
func TestMemoryInWords(t *testing.T) {
	plain := strings.Join(Summary(sample(t)), " ") + foot(sample(t))
	if strings.Contains(plain, "limit") || strings.Contains(plain, "swap") {
		t.Errorf("a run without a limit speaks of one: %s", plain)
	}
	run := underPressure(sample(t))
	var b bytes.Buffer
	if err := Text(&b, run); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(Summary(run), " ") + foot(run) + b.String()
	for _, want := range []string{
		"Under a limit of 1.00 MiB (linux, by accessed bits, 1.00 GiB of swap (zram)) it thrashed: 300 pages left memory and 200 came back; 800 KiB were read from swap and 1.17 MiB written to it.",
		"Memory 1.00 MiB, reclaim linux, by accessed bits.",
		"memory limit  1.00 MiB",
		"1 fault found in memory still",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in:\n%s", want, text)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{SI(0), "0"}, {SI(999), "999"}, {SI(1000), "1.00 k"}, {SI(12_345), "12.3 k"}, {SI(999_499), "999 k"},
		{SI(999_600), "1.00 M"}, {SI(4_560_000), "4.56 M"}, {SI(1 << 63), "9.22 E"},
		{Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(1536), "1.50 KiB"}, {Bytes(1 << 30), "1.00 GiB"}, {Bytes(1<<64 - 1), "16.0 EiB"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(1234567), "1,234,567"},
		{percent(0, 0), "0 %"}, {percent(1, 3), "33.3 %"}, {percent(1, 1_000_000), "<0.1 %"},
		{plural(1, "flush", "flushes"), "1 flush"}, {plural(2000, "flush", "flushes"), "2,000 flushes"},
		{bytesLabel(1 << 20), "1 MiB"}, {bytesLabel(1536), "1.5 KiB"}, {bytesLabel(0), "0 B"},
		{countLabel(0), "0"}, {countLabel(0.05), "0.05"}, {countLabel(20), "20"}, {countLabel(250e6), "250 M"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// TestTicks: steps are 1, 2, 5 times a power of ten, or powers of two for bytes.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		high float64
		t    ticks
		want string
	}{
		{100, ticks{5, 10, countLabel}, "0 20 40 60 80 100"},
		{253e6, ticks{8, 10, countLabel}, "0 50 M 100 M 150 M 200 M 250 M"},
		{1.7, ticks{2, 10, countLabel}, "0 1.00"},
		{2.2 * (1 << 20), ticks{5, 2, bytesLabel}, "0 B 512 KiB 1 MiB 1.5 MiB 2 MiB"},
	} {
		var labels []string
		for _, k := range c.t.Ticks(0, c.high) {
			labels = append(labels, k.Label)
		}
		want := strings.ReplaceAll(c.want, "1.00", "1")
		if got := strings.Join(labels, " "); got != want {
			t.Errorf("up to %v: %q, want %q", c.high, got, want)
		}
	}
}

// TestTopTick: the largest of 1, 2, 5 times a power of ten that is not above.
func TestTopTick(t *testing.T) {
	for _, c := range []struct{ high, want float64 }{{1, 1}, {1.9, 1}, {2, 2}, {4.9, 2}, {5, 5}, {9.9, 5}, {10, 10}, {420, 200}, {0.07, 0.05}, {1499, 1000}} {
		if got := (topTick{}).Ticks(0, c.high)[1].Value; got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("up to %v: %v, want %v", c.high, got, c.want)
		}
	}
}

// TestColumns: whatever the number of buckets, columns add up to the whole, cover
// the time line without gap, and the last is not a sliver.
func TestColumns(t *testing.T) {
	for n := 1; n < 1200; n += 7 {
		run := &result.Run{}
		var values []uint64
		var total float64
		for i := range n {
			run.Timeline.EndsAccesses = append(run.Timeline.EndsAccesses, uint64(i+1)*1000)
			values = append(values, uint64(i%5))
			total += float64(i % 5)
		}
		run.Timeline.EndsAccesses[n-1] -= 990 // the last bucket is cut short
		c := newColumns(run)
		sum, high := 0.0, 0.0
		for i, v := range c.sum(values) {
			sum += v
			high = max(high, c.peak(values)[i])
		}
		if sum != total || n >= 5 && high != 4 {
			t.Fatalf("%d buckets: columns add up to %v and reach %v, want %v and 4", n, sum, high, total)
		}
		if len(c.last) > maxColumns || len(c.edges) != len(c.last)+1 || c.edges[len(c.edges)-1] != float64(n*1000-990) {
			t.Fatalf("%d buckets: %d columns to %v", n, len(c.last), c.edges[len(c.edges)-1])
		}
		if k := len(c.last); k > 1 && c.width(k-1) < c.width(k-2)/2 {
			t.Fatalf("%d buckets: the last column has %v of %v accesses", n, c.width(k-1), c.width(k-2))
		}
	}
}

// TestRate: 5 faults in 1000 accesses are 5000 in a million.
func TestRate(t *testing.T) {
	run := &result.Run{Timeline: result.Timeline{EndsAccesses: []uint64{1000, 3000}}}
	c := newColumns(run)
	got := c.rate([]uint64{5, 5}, 1e6)
	if len(got) != 2 || got[0] != 5000 || got[1] != 2500 {
		t.Errorf("rates %v, want 5000 and 2500", got)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, sample(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "sample.txt", b.Bytes())
}

func TestSummary(t *testing.T) {
	golden(t, "summary.txt", []byte(strings.Join(Summary(sample(t)), "\n")+"\n"))
}

// golden compares with a file of testdata that was written by -rewrite and read
// by a person.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

func renderPNG(t *testing.T, run *result.Run, name string) image.Image {
	t.Helper()
	for i := range Figures {
		if Figures[i].Name != name {
			continue
		}
		data, err := Figures[i].drawing(run).render("png")
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	t.Fatalf("no figure %s", name)
	return nil
}

// TestRSSPicture reads the picture back: at every place the coloured heights
// stand in the ratio of the data, 1 : 3 in the first half and 2 : 2 in the second.
func TestRSSPicture(t *testing.T) {
	img := renderPNG(t, sample(t), "rss")
	left, right := span(img, shades[0])
	for _, c := range []struct{ at, anon, file float64 }{{0.25, 1, 3}, {0.75, 2, 2}} {
		x := left + int(c.at*float64(right-left))
		anon, file := float64(height(img, x, shades[0])), float64(height(img, x, shades[1]))
		if got, want := anon/file, c.anon/c.file; got < want*0.95 || got > want*1.05 {
			t.Errorf("at %v of the time line: anonymous to file memory is drawn %.2f, want %.2f", c.at, got, want)
		}
	}
	// The key stands right of the data.
	for x := right + 10; x < img.Bounds().Max.X; x++ {
		if height(img, x, shades[0]) > 40 {
			t.Fatalf("data are drawn at %d, right of their end at %d", x, right)
		}
	}
}

// TestBlackAndWhite: neighbouring layers differ by 40 of 255 in brightness.
func TestBlackAndWhite(t *testing.T) {
	for i := 1; i < len(shades); i++ {
		a := color.GrayModel.Convert(shades[i-1]).(color.Gray).Y
		b := color.GrayModel.Convert(shades[i]).(color.Gray).Y
		if max(a, b)-min(a, b) < 40 {
			t.Errorf("shades %d and %d have brightness %d and %d", i-1, i, a, b)
		}
	}
}

// height counts the pixels of a colour in column x.
func height(img image.Image, x int, c color.Color) int {
	n := 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		if color.RGBAModel.Convert(img.At(x, y)) == color.RGBAModel.Convert(c) {
			n++
		}
	}
	return n
}

// span is the range of columns with more of a colour than a key has.
func span(img image.Image, c color.Color) (left, right int) {
	left = -1
	for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
		if height(img, x, c) > 40 {
			if left < 0 {
				left = x
			}
			right = x
		}
	}
	return left, right
}

// TestRowsPicture: faults happen only in the first half, so nothing is drawn in
// the second.
func TestRowsPicture(t *testing.T) {
	img := renderPNG(t, sample(t), "faults")
	left, right := span(img, shades[2])
	middle := img.Bounds().Dx() / 2
	if left < 0 || right > middle+40 || right < middle-80 {
		t.Errorf("faults are drawn from %d to %d of %d, want the first half", left, right, img.Bounds().Dx())
	}
}

// TestHostileNames: what a trace says about itself is text on the page, never
// markup, however long.
func TestHostileNames(t *testing.T) {
	run := sample(t)
	run.Trace.Command = []string{"<script>alert(1)</script>", strings.Repeat("x", 100_000)}
	run.Mappings[0].Name = "/tmp/<img src=x onerror=alert(1)>" + strings.Repeat("y", 10_000)
	run.Warnings = []string{"<b>bold</b>"}
	dir := t.TempDir()
	if _, err := WriteAll(dir, run, Formats); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, PageName))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>", "<img src=x", "<b>bold"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

// TestPrepareDir: a folder that cannot be made is an error that names it.
func TestPrepareDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if err := PrepareDir(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("PrepareDir(%s): %v", dir, err)
		}
	}
	good := filepath.Join(t.TempDir(), "a", "b")
	if err := PrepareDir(good); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(good); len(left) != 0 {
		t.Errorf("PrepareDir left %v", left)
	}
}

// An estimate is always called one, and its parts are shares of it.
func TestEstimate(t *testing.T) {
	run := sample(t)
	run.Totals.Estimate = result.Estimate{Costs: "built in", Total: 2_000_000, Faults: 1_500_000, Walks: 500_000, Unpriced: []string{"fault.oom"}}
	var b bytes.Buffer
	if err := Text(&b, run); err != nil {
		t.Fatal(err)
	}
	const parts = "faults 75.0 %, page-table walks 25.0 %, without a cost: fault.oom"
	for _, text := range []string{b.String(), strings.Join(Summary(run), "\n")} {
		if !strings.Contains(text, "estimated") || !strings.Contains(text, "2.00 ms") || !strings.Contains(text, parts) {
			t.Errorf("no estimate in:\n%s", text)
		}
	}
	for ns, want := range map[uint64]string{0: "0 ns", 999: "999 ns", 1500: "1.50 us", 2_345_000: "2.35 ms", 90_000_000_000: "90.0 s"} {
		if got := Nanoseconds(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
}

// Every setting of the model is told, in words for what is unlimited; a result of
// an earlier version has fewer rows and says nothing false.
func TestSettings(t *testing.T) {
	const none = 1<<64 - 1
	run := &result.Run{Config: result.Config{Profile: "linux-6.1", Levels: 4, CPUs: 2, TLB: "l1i=64x4", FaultAroundBytes: 65536, PageCache: "cold",
		Locking: "mm", ZeroPage: true, Compat: true, BottomUp: true, Vsyscall: "none", Overcommit: "2", OvercommitRatio: 80, RAMBytes: 1 << 30,
		AddressLimitBytes: none, DataLimitBytes: 1 << 20, StackLimitBytes: 8 << 20, LockedLimitBytes: 64 << 10}}
	text := fmt.Sprint(settings(run))
	for _, want := range []string{"linux-6.1, locks of faults: mm", "{processors 2}", "4 levels, addresses of 32-bit processes", "mappings upwards",
		"64.0 KiB", "cold at the start", "the shared zero page", "{vsyscall page none}", "mode 2, promises up to 80 % of 1.00 GiB of memory",
		"{address space of a process at most what it asks for}", "{data of a process at most 1.00 MiB}", "{stack at most 8.00 MiB}",
		"{locked memory of a process at most 64.0 KiB}"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if text := fmt.Sprint(settings(sample(t))); strings.Contains(text, "at most") || strings.Contains(text, "overcommit") {
		t.Errorf("a result that does not tell its limits: %s", text)
	}
}

package curve

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
	"github.com/vmtrace/vmtrace/trace/synth"
)

// TestManyPages: with so many pages that uses are measured a step for all at once
// (paging: measureTogether), some of them of the zero page, which is in no memory.
func TestManyPages(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.vmt")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = synth.Generate("random", synth.Params{Pages: 60000, Refs: 80000, Seed: 1, Writes: 60, Threads: 2}, func(h trace.Header) (trace.Sink, error) {
		return trace.NewWriter(f, h)
	})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, opens(t, file), func(footprint uint64) []uint64 {
		if footprint < 2<<14 {
			t.Errorf("%d pages are not many", footprint)
		}
		return []uint64{100, 5000, footprint / 2, footprint - 1, footprint}
	})
}

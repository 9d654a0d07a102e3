package convert

import (
	"io"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// fuzzFormat: whatever the bytes, a decoder ends, with an error of a known kind
// or without one, in a stream that keeps the rules and can be written.
func fuzzFormat(f *testing.F, name string) {
	for _, s := range samples {
		if s.format == name {
			// The fuzzer is slow with long inputs.
			f.Add(sampleHead(f, s.file, 4096))
			f.Add(sampleHead(f, s.file, 256))
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		src, err := openBytes(data, name)
		if err != nil {
			if !told(err) {
				t.Fatal(err)
			}
			return
		}
		defer src.Close()
		w, err := trace.NewWriter(io.Discard, *src.Header())
		if err != nil {
			t.Fatal(err)
		}
		c := trace.NewChecker()
		for {
			b, err := src.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if !told(err) {
					t.Fatal(err)
				}
				break
			}
			if err := c.Batch(b); err != nil {
				t.Fatal(err)
			}
			if b.Event != nil {
				err = w.Event(b.Event)
			} else {
				err = w.Refs(b.Thread, b.Refs, b.IPs)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		src.Warnings()
	})
}

func FuzzLackey(f *testing.F)        { fuzzFormat(f, "lackey") }
func FuzzStrace(f *testing.F)        { fuzzFormat(f, "strace") }
func FuzzPerfData(f *testing.F)      { fuzzFormat(f, "perf-data") }
func FuzzPerfScript(f *testing.F)    { fuzzFormat(f, "perf-script") }
func FuzzDrmemtrace(f *testing.F)    { fuzzFormat(f, "drmemtrace") }
func FuzzChampSim(f *testing.F)      { fuzzFormat(f, "champsim") }
func FuzzPinatrace(f *testing.F)     { fuzzFormat(f, "pinatrace") }
func FuzzOracleGeneral(f *testing.F) { fuzzFormat(f, "oracleGeneral") }
func FuzzCSV(f *testing.F)           { fuzzFormat(f, "csv") }
func FuzzPlain(f *testing.F)         { fuzzFormat(f, "plain") }

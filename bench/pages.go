package bench

import (
	"errors"
	"io"
	"testing"

	"github.com/vmtrace/vmtrace/trace"
)

// Pages are references to pages, numbered from 0 as they appear.
type Pages struct {
	Page   []uint64
	Write  []bool // whether a reference stands for a write
	Number int    // pages there are
}

// PagesOf reads the references of a trace.
func PagesOf(b *testing.B, path string) (p Pages) {
	b.Helper()
	src, err := trace.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	known := map[uint64]uint64{}
	for {
		batch, err := src.Next()
		if errors.Is(err, io.EOF) {
			p.Number = len(known)
			return p
		}
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range batch.Refs {
			page, ok := known[r.VPN]
			if !ok {
				page = uint64(len(known))
				known[r.VPN] = page
			}
			p.Page, p.Write = append(p.Page, page), append(p.Write, r.Writes > 0)
		}
	}
}

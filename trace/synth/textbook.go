package synth

import (
	"fmt"
	"strconv"
	"strings"
)

// Reference strings of textbooks and papers, one write to a page for each number:
// the books count pages that are loaded, and a read of fresh anonymous memory
// loads none, it maps the zero page.
var (
	// Belady, Nelson, Shedler: An Anomaly in Space-Time Characteristics of
	// Certain Programs Running in a Paging Machine, CACM 1969.
	belady = []uint64{1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5}
	// Silberschatz, Galvin, Gagne: Operating System Concepts, the chapter on
	// virtual memory. With 3 frames: FIFO 15 faults, LRU 12, OPT 9.
	silberschatz = []uint64{7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1}
	// Tanenbaum: Modern Operating Systems, the section on stack algorithms,
	// which gives the stack distance of each.
	tanenbaum = []uint64{0, 2, 1, 3, 5, 4, 6, 3, 7, 4, 7, 3, 3, 5, 5, 3, 1, 1, 1, 7, 2, 3, 4, 1}
)

func textbook(pages []uint64) func(Params) program {
	return func(Params) program { return writeString(pages) }
}

// ownString writes to the pages of Params.String.
func ownString(p Params) program {
	pages, err := parseString(p.String)
	if err != nil {
		panic(err) // stringFits has parsed it
	}
	return writeString(pages)
}

// writeString maps pages 0 to the highest of the string and writes to them one by
// one.
func writeString(pages []uint64) program {
	return program{body: func(t *thread) {
		highest := uint64(0)
		for _, page := range pages {
			highest = max(highest, page)
		}
		t.mapAnon(base, highest+1)
		for _, page := range pages {
			t.write(base + page<<pageShift)
		}
	}}
}

func stringFits(p Params) error {
	_, err := parseString(p.String)
	return err
}

// parseString reads page numbers that are separated by blanks or commas.
func parseString(s string) ([]uint64, error) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	if len(words) == 0 {
		return nil, fmt.Errorf("--string is missing: give page numbers, as in --string 1,2,3,1,2,4")
	}
	pages := make([]uint64, len(words))
	for i, w := range words {
		v, err := strconv.ParseUint(w, 10, 64)
		if err != nil || v >= maxPages {
			return nil, fmt.Errorf("--string: %q: must be page numbers from 0 to %d", w, maxPages-1)
		}
		pages[i] = v
	}
	return pages, nil
}

package report

import (
	"fmt"
	"io"
	"strings"
)

// frameColumns is how many references stand side by side in a table of frames.
const frameColumns = 40

// FrameTable writes the table of frames of textbooks: a column for each
// reference, a row for each frame, and a mark under each fault. It wraps after 40
// references and holds no more than those.
type FrameTable struct {
	w      io.Writer
	rows   [][]string // the references, then a row for each frame, then the marks
	refs   uint64
	faults uint64
	err    error
}

// NewFrameTable begins a table of n frames.
func NewFrameTable(w io.Writer, n int) *FrameTable {
	return &FrameTable{w: w, rows: make([][]string, n+2)}
}

// Add adds a column: the page that is referenced, what the frames hold then, and
// whether it was a fault.
func (t *FrameTable) Add(page string, frames []string, fault bool) {
	t.refs++
	mark := ""
	if fault {
		mark = "*"
		t.faults++
	}
	last := len(t.rows) - 1
	t.rows[0] = append(t.rows[0], page)
	for i, p := range frames {
		t.rows[i+1] = append(t.rows[i+1], p)
	}
	if t.rows[last] = append(t.rows[last], mark); len(t.rows[last]) == frameColumns {
		t.flush()
	}
}

// flush writes the columns there are.
func (t *FrameTable) flush() {
	if len(t.rows[0]) == 0 {
		return
	}
	width := 0
	for _, row := range t.rows {
		for _, p := range row {
			width = max(width, len(p))
		}
	}
	var b strings.Builder
	last := len(t.rows) - 1
	for i, row := range t.rows {
		name := fmt.Sprintf("frame %d", i)
		switch i {
		case 0:
			name = "page"
		case last:
			name = "fault"
		}
		line := fmt.Sprintf("%-8s", name)
		for _, p := range row {
			line += fmt.Sprintf(" %*s", width, p)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		t.rows[i] = row[:0]
	}
	b.WriteByte('\n')
	if t.err == nil {
		_, t.err = io.WriteString(t.w, b.String())
	}
}

// Close writes the rest and the number of faults. It returns the first error of
// the writer.
func (t *FrameTable) Close(policy string) error {
	t.flush()
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, "%s in %s with %s (%s)\n", plural(t.faults, "fault", "faults"), plural(t.refs, "reference", "references"),
			plural(uint64(len(t.rows)-2), "frame", "frames"), policy)
	}
	return t.err
}

package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// statusLine is one line on a terminal that is overwritten in place. Anywhere
// else it prints nothing.
type statusLine struct {
	w     io.Writer // nil: not a terminal
	shown bool
}

func newStatusLine(w io.Writer) *statusLine {
	f, ok := w.(*os.File)
	if !ok {
		return &statusLine{}
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return &statusLine{}
	}
	return &statusLine{w: w}
}

func (l *statusLine) printf(format string, args ...any) {
	if l.w == nil {
		return
	}
	l.shown = true
	fmt.Fprintf(l.w, "\r\x1b[K"+format, args...)
}

// clear takes the line away, so that what follows stands at the margin.
func (l *statusLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}

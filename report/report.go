package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmtrace/vmtrace/replay/result"
)

// Figure is one picture of a run.
type Figure struct {
	Name string // of its file
	Help string // one line

	// draw returns nil where the run has nothing to show.
	draw func(run *result.Run) *drawing
}

// Figures is the table of figures, in the order of the page.
var Figures = []Figure{
	{"faults", "page faults over time, by kind", faultsFigure},
	{"rss", "resident memory over time, by kind", rssFigure},
	{"memory", "memory charged against the limit over time", memoryFigure},
	{"working_set", "working set against the limit over time", workingFigure},
	{"reclaim", "evictions and refaults over time", reclaimFigure},
	{"swap", "traffic of swap and files over time", swapFigure},
	{"mappings", "the mappings with the most faults", mappingsFigure},
	{"flushes", "TLB flushes over time, by cause", flushesFigure},
	{"tlb", "TLB miss rate over time", tlbFigure},
}

// Formats are the formats of figures beside the page.
var Formats = []string{"png", "svg"}

// CheckFormats returns an error that names the first format that is unknown.
func CheckFormats(list []string) error {
	for _, f := range list {
		if !slices.Contains(Formats, f) {
			return fmt.Errorf("format %q: there are %s", f, strings.Join(Formats, ", "))
		}
	}
	return nil
}

// PrepareDir makes the folder and proves that it can be written to, so that a
// long replay does not end in an error of the file system.
func PrepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	f, err := os.CreateTemp(dir, ".vmtrace-*")
	if err != nil {
		return fmt.Errorf("output folder %s cannot be written to: %w; name another with -o", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// WriteAll writes report.html and every figure in the formats to the folder and
// returns the names of the files.
func WriteAll(dir string, run *result.Run, formats []string) ([]string, error) {
	var files []string
	write := func(name string, data []byte) error {
		path := filepath.Join(dir, name)
		files = append(files, path)
		return os.WriteFile(path, data, 0o644)
	}
	var pictures []picture
	for i := range Figures {
		d := Figures[i].drawing(run)
		if d == nil {
			continue
		}
		png, err := d.render("png")
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, picture{Name: Figures[i].Name, Title: d.title, Sentence: d.sentence, png: png})
		for _, format := range formats {
			data := png
			if format != "png" {
				if data, err = d.render(format); err != nil {
					return nil, err
				}
			}
			if err := write(Figures[i].Name+"."+format, data); err != nil {
				return nil, err
			}
		}
	}
	page, err := htmlPage(run, pictures)
	if err != nil {
		return nil, err
	}
	return files, write(PageName, page)
}

// PageName is the file name of the page.
const PageName = "report.html"

// drawing makes the figure and puts the foot of the run under it.
func (f *Figure) drawing(run *result.Run) *drawing {
	if len(run.Timeline.EndsAccesses) == 0 {
		return nil
	}
	d := f.draw(run)
	if d != nil {
		d.foot = foot(run)
	}
	return d
}

func (d *drawing) render(format string) ([]byte, error) {
	var b bytes.Buffer
	err := d.write(&b, format)
	return b.Bytes(), err
}

// Package report shows a finished run to people: a page with pictures, the
// pictures alone, and a table for the terminal. It sees only result values, so a
// saved run is drawn without being replayed.
//
//	run, err := result.ReadFile("run.json")
//	if err != nil { ... }
//	files, err := report.WriteAll("out", run, []string{"png"})
//
// # Figures
//
// [Figures] is the table; each row is one file, fig_NAME.go, with a function that
// makes a drawing of a run, or nil where the run has nothing to show. Every
// drawing has a title, one sentence that says how to read it, axes with units,
// and a foot that names the run; where the run carries warnings the foot says so.
//
// Kinds and causes are drawn one below the other, each with its own scale, or in
// shades with a key beside the data: a figure can be read in black and white, and
// no legend covers data.
//
// The time axis counts accesses of the program. A series with more buckets than
// the picture has room for is summed into equal columns (state such as resident
// memory keeps its maximum); nothing is left out.
//
// # Files
//
// WriteAll writes report.html, which holds its pictures itself and needs no
// network, and each figure beside it. Functions of this package keep no state
// and are safe for concurrent use.
package report

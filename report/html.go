package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"html/template"

	"github.com/vmtrace/vmtrace/replay/result"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": Count, "bytes": Bytes, "si": SI, "byCount": func(m map[string]uint64) []kindRow {
		var rows []kindRow
		for _, k := range byCount(m) {
			rows = append(rows, kindRow{k.name, words[k.name], k.n})
		}
		return rows
	},
}).Parse(pageSource))

// kindRow is a row of a table of kinds or causes.
type kindRow struct {
	Name, Meaning string
	N             uint64
}

// picture is a figure on the page.
type picture struct {
	Name, Title, Sentence string
	png                   []byte
}

// Data is the picture as an address that needs no file.
func (p picture) Data() template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(p.png))
}

// htmlPage is the whole page.
func htmlPage(run *result.Run, pictures []picture) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		Program  string
		Summary  []string
		Run      *result.Run
		Pictures []picture
		Settings []setting
	}{programName(run), Summary(run), run, pictures, settings(run)})
	return b.Bytes(), err
}

package convert

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/vmtrace/vmtrace/trace"
)

// Page streams as comma-separated values, such as libCacheSim and spreadsheets
// write them. A first line with names tells the columns:
//
//	page, vpn, obj_id, obj, object, id, key, lbn, lba    the page: a number, decimal or 0x..., or a name
//	addr, address                                        a byte address, decimal or 0x...
//	op, rw, type, access                                 r or w (read, write, get, set, ...)
//
// Without names a line of one column is a page, and of more the second is, behind
// a time (time, object, size, ...: the order of libCacheSim's own files). Where
// nothing says write, requests are reads.
var csvFormat = Format{
	Name:   "csv",
	Help:   "page stream as comma-separated values, with or without names of columns",
	Detect: detectCSV,
	labels: map[string]string{"pages": "objects of a cache trace"},
	open: func(in *input) (decoder, error) {
		return &csv{lines: lineReader{r: in.body}, objects: newObjects(), col: csvColumns{page: -1, addr: -1, op: -1}}, nil
	},
}

type csv struct {
	lines   lineReader
	objects objects
	col     csvColumns
	known   bool // the columns are
}

// csvColumns are the numbers of the columns, -1 for one that is not there.
type csvColumns struct{ page, addr, op int }

var (
	csvPage  = []string{"page", "vpn", "obj_id", "obj", "object", "id", "key", "lbn", "lba"}
	csvAddr  = []string{"addr", "address"}
	csvOp    = []string{"op", "rw", "type", "access"}
	csvWrite = []string{"w", "write", "set", "put", "store"}
	csvRead  = []string{"r", "read", "get", "load"}
)

func csvFields(line []byte) []string {
	var out []string
	for f := range bytes.SplitSeq(line, []byte(",")) {
		out = append(out, string(bytes.Trim(bytes.TrimSpace(f), `"`)))
	}
	return out
}

// csvNames reads a line with names.
func csvNames(fields []string) (csvColumns, bool) {
	find := func(names []string) int {
		return slices.IndexFunc(fields, func(f string) bool { return slices.Contains(names, string(bytes.ToLower([]byte(f)))) })
	}
	c := csvColumns{find(csvPage), find(csvAddr), find(csvOp)}
	return c, c.page >= 0 || c.addr >= 0
}

// csvNumber parses 12 or 0xc.
func csvNumber(f string) (uint64, bool) {
	if len(f) > 2 && f[0] == '0' && (f[1] == 'x' || f[1] == 'X') {
		return hexNumber([]byte(f[2:]))
	}
	return decNumber([]byte(f))
}

// csvUnnamed says which columns a first line without names has: its page and its
// time are numbers.
func csvUnnamed(fields []string) (csvColumns, bool) {
	c := csvColumns{page: min(len(fields)-1, 1), addr: -1, op: -1}
	_, ok := csvNumber(fields[c.page])
	_, err := strconv.ParseFloat(fields[0], 64)
	return c, ok && (len(fields) == 1 || err == nil)
}

func detectCSV(head []byte) bool {
	if !isText(head) {
		return false
	}
	var col csvColumns
	width, n := 0, 0
	for line := range headLines(head) {
		if comment(line) {
			continue
		}
		fields := csvFields(line)
		if width == 0 {
			width = len(fields)
			var named, ok bool
			if col, named = csvNames(fields); named {
				continue
			}
			if col, ok = csvUnnamed(fields); !ok {
				return false
			}
		}
		if len(fields) != width {
			return false
		}
		number := col.addr
		if width == 1 {
			number = 0
		}
		if number >= 0 {
			if _, ok := csvNumber(fields[number]); !ok {
				return false
			}
		}
		n++
	}
	return n > 0
}

func (c *csv) step(b *builder) error {
	line, _, err := c.lines.next()
	if err != nil || comment(line) {
		return err
	}
	fields := csvFields(line)
	if !c.known {
		c.known = true
		var ok bool
		if c.col, ok = csvNames(fields); ok {
			return nil
		}
		if c.col, ok = csvUnnamed(fields); !ok {
			return c.lines.badf("%s: expected the names of the columns, one of them page or address, or a number in column %d", quote(line), c.col.page+1)
		}
	}
	a := trace.Read
	if c.col.op >= 0 && c.col.op < len(fields) {
		op := string(bytes.ToLower([]byte(fields[c.col.op])))
		switch {
		case slices.Contains(csvWrite, op):
			a = trace.Write
		case !slices.Contains(csvRead, op):
			b.tally("%d requests of other kinds than read and write are taken for reads")
		}
	}
	if c.col.addr >= 0 {
		addr, ok := uint64(0), false
		if c.col.addr < len(fields) {
			addr, ok = csvNumber(fields[c.col.addr])
		}
		if !ok {
			return c.lines.badf("%s: expected an address in column %d", quote(line), c.col.addr+1)
		}
		return c.lines.at(c.objects.access(b, addr, a))
	}
	if c.col.page >= len(fields) || fields[c.col.page] == "" {
		return c.lines.badf("%s: expected a page in column %d", quote(line), c.col.page+1)
	}
	if id, ok := csvNumber(fields[c.col.page]); ok {
		return c.lines.at(c.objects.number(b, id, a))
	}
	return c.lines.at(c.objects.name(b, []byte(fields[c.col.page]), a))
}

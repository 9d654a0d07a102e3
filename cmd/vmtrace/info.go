package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"github.com/vmtrace/vmtrace/report"
	"github.com/vmtrace/vmtrace/trace"
)

var infoCommand = &command{
	name: "info", args: "[flags] TRACE", minArgs: 1, maxArgs: 1,
	short: "what is in a trace",
	long: `
Reads the whole trace and says what was recorded, how, how much of each kind there is, and
what to be careful about. Exit status 1 when the trace is damaged or breaks a rule.

Examples:
  vmtrace info traces/gzip.vmt
  vmtrace info --verify x.vmt                    every checksum, the index, every rule
  vmtrace info --json x.vmt | jq .records`,
	setup: func(fs *pflag.FlagSet) action {
		part := partFlags(fs, false)
		asJSON := fs.Bool("json", false, "print as JSON")
		verify := fs.Bool("verify", false, "also count every block again and hold the whole index against it")
		return func(ctx context.Context, args []string, std stdio) error {
			sel, err := part()
			if err != nil {
				return err
			}
			how := []trace.ReaderOption{trace.WithSelection(sel)}
			if *verify {
				how = append(how, trace.WithVerify())
			}
			in, err := inspect(ctx, args[0], how...)
			if err != nil {
				return err
			}
			if *asJSON {
				enc := json.NewEncoder(std.out)
				enc.SetIndent("", "  ")
				err = enc.Encode(in)
			} else {
				err = in.print(std.out)
			}
			if err == nil && *verify && len(in.Warnings)+len(in.Problems) == 0 && !*asJSON {
				fmt.Fprintln(std.out, "verified    every checksum, the index, and the rules of a stream hold")
			}
			if err == nil && len(in.Problems) > 0 {
				err = fmt.Errorf("%s: %s", args[0], in.Problems[0])
			}
			return err
		}
	},
}

// inspection is what info tells of a trace.
type inspection struct {
	Path      string            `json:"path"`
	Bytes     int64             `json:"bytes"`
	Header    *trace.Header     `json:"header"`
	Accesses  uint64            `json:"accesses"`
	Reads     uint64            `json:"reads"`
	Writes    uint64            `json:"writes"`
	Execs     uint64            `json:"execs"`
	Records   map[string]uint64 `json:"records"`
	Processes uint64            `json:"processes"`
	Threads   uint64            `json:"threads"`
	Pages     int               `json:"pages"` // distinct (process images not told apart)
	Warnings  []string          `json:"warnings"`
	Problems  []string          `json:"problems"`
}

// maxProblems bounds how many broken rules info lists.
const maxProblems = 20

func inspect(ctx context.Context, path string, how ...trace.ReaderOption) (*inspection, error) {
	src, err := trace.Open(path, how...)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	in := &inspection{Path: path, Header: src.Header(), Records: map[string]uint64{}, Warnings: []string{}, Problems: []string{}}
	if info, err := os.Stat(path); err == nil {
		in.Bytes = info.Size()
	}
	check := trace.NewChecker()
	pages := map[uint64]struct{}{}
	for {
		b, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if err := check.Batch(b); err != nil && len(in.Problems) < maxProblems {
			in.Problems = append(in.Problems, err.Error())
		}
		in.count(b, pages)
	}
	in.Pages = len(pages)
	in.Warnings = append(in.Warnings, src.Warnings()...)
	return in, nil
}

func (in *inspection) count(b *trace.Batch, pages map[uint64]struct{}) {
	if b.Event != nil {
		in.Records[b.Event.Kind.String()]++
		if b.Event.Kind == trace.KindProcess {
			switch b.Event.Process().Op {
			case trace.OpStart, trace.OpFork, trace.OpVFork:
				in.Processes++
				in.Threads++
			case trace.OpClone:
				in.Threads++
			}
		}
		return
	}
	in.Records[trace.KindRef.String()] += uint64(len(b.Refs))
	var last uint64
	for i := range b.Refs {
		r := &b.Refs[i]
		in.Reads += uint64(r.Reads)
		in.Writes += uint64(r.Writes)
		in.Execs += uint64(r.Execs)
		in.Accesses += r.Accesses()
		if r.VPN != last || i == 0 {
			pages[r.VPN] = struct{}{}
			last = r.VPN
		}
	}
}

func (in *inspection) print(w io.Writer) error {
	h := in.Header
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("trace", "%s, format version %d", in.Path, h.Version)
	if in.Bytes > 0 && in.Accesses > 0 {
		row("size", "%s, %.3g bytes per access", report.Bytes(uint64(in.Bytes)), float64(in.Bytes)/float64(in.Accesses))
	}
	row("origin", "%s by %s", h.Origin, orUnknown(h.Tool))
	row("command", "%s", orUnknown(strings.Join(h.Command, " ")))
	if h.Reduce > 0 {
		row("reduced", "K = %d: exact for every memory of %d frames or more and every LRU TLB of %d ways or more", h.Reduce, h.Reduce, h.Reduce)
	}
	if h.Labels["offsets"] == "none" {
		row("offsets", "not recorded: addresses of references are those of their pages")
	}
	row("accesses", "%s: %s reads, %s writes, %s instruction fetches", report.SI(in.Accesses), report.SI(in.Reads), report.SI(in.Writes), report.SI(in.Execs))
	row("pages", "%d distinct, %s", in.Pages, report.Bytes(uint64(in.Pages)<<12))
	row("processes", "%d, threads %d", in.Processes, in.Threads)
	for k := trace.KindRef; k <= trace.KindLost; k++ {
		if n := in.Records[k.String()]; n > 0 {
			row(k.String(), "%d records", n)
		}
	}
	for _, s := range in.Warnings {
		row("warning", "%s", s)
	}
	for _, s := range in.Problems {
		row("problem", "%s", s)
	}
	_, err := io.WriteString(w, "")
	return err
}

func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return s
}

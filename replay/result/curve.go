package result

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Curve is faults against memory: one document of "vmtrace curve".
type Curve struct {
	Schema         int           `json:"schema"`
	Trace          Trace         `json:"trace"`
	Config         Config        `json:"config"`
	FootprintBytes uint64        `json:"footprint_bytes"` // memory from which on nothing leaves
	Points         []CurvePoint  `json:"points"`          // in order of memory
	Knees          []CurvePoint  `json:"knees"`           // where more memory begins to pay little
	Budget         *Budget       `json:"budget,omitempty"`
	Sample         *Sample       `json:"sample,omitempty"`   // nil: every page was looked at, and nothing is estimated
	Policies       []PolicyCurve `json:"policies,omitempty"` // side by side, at the same sizes
	Reuse          []Bucket      `json:"reuse_distance_pages"`
	WorkingSet     []WorkingSet  `json:"working_set"`
	Timing         Timing        `json:"run"`
	Warnings       []string      `json:"warnings"`
}

// CurvePoint is what a run takes in so much memory.
type CurvePoint struct {
	Bytes          uint64 `json:"bytes"`
	Minor          uint64 `json:"minor"`
	Major          uint64 `json:"major"`
	WriteBackBytes uint64 `json:"write_back_bytes"`    // dirty pages written to swap and files
	OOMKills       uint64 `json:"oom_kills,omitempty"` // processes killed for lack of memory: what they would have done is missing
	*Band                 // nil where nothing is estimated
}

// Sample says that the counts of a curve are estimates, from a share of the pages.
type Sample struct {
	Rate  float64 `json:"rate"`
	Seeds int     `json:"seeds"` // independent samples
	Pages uint64  `json:"pages"` // in a sample, on average, at the most at one time
}

// Band is the lowest and the highest estimate of a point among the seeds.
type Band struct {
	MinorLow      uint64 `json:"minor_low"`
	MinorHigh     uint64 `json:"minor_high"`
	MajorLow      uint64 `json:"major_low"`
	MajorHigh     uint64 `json:"major_high"`
	WriteBackLow  uint64 `json:"write_back_bytes_low"`
	WriteBackHigh uint64 `json:"write_back_bytes_high"`
}

// PolicyCurve is the faults with a reclaim policy, which was simulated at each of
// the sizes.
type PolicyCurve struct {
	Policy string       `json:"policy"`
	Points []CurvePoint `json:"points"` // in order of memory
}

// Budget is the least memory with no more than so many major faults; 0 bytes when
// no memory is enough.
type Budget struct {
	Major uint64 `json:"major"`
	Bytes uint64 `json:"bytes"`
}

// Bucket is a row of a histogram: what is above half of UpTo, and up to it.
type Bucket struct {
	UpTo  uint64 `json:"up_to"`
	Count uint64 `json:"count"`
}

// WorkingSet is the mean number of pages used within so many references.
type WorkingSet struct {
	Refs  uint64  `json:"refs"`
	Pages float64 `json:"pages"`
}

// ReadCurveFile reads a curve from a file; nil for a document that is none.
func ReadCurveFile(path string) (*Curve, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var c Curve
	if json.NewDecoder(io.LimitReader(f, maxDocument)).Decode(&c) != nil || len(c.Points) == 0 {
		return nil, nil
	}
	if c.Schema < 1 || c.Schema > Schema {
		return nil, fmt.Errorf("%s: %w: schema %d, this program reads 1 to %d", path, ErrSchema, c.Schema, Schema)
	}
	for _, p := range c.Policies {
		if len(p.Points) == 0 || len(p.Points) != len(c.Policies[0].Points) {
			return nil, fmt.Errorf("%s: %w: policy %q has %d points", path, ErrSchema, p.Policy, len(p.Points))
		}
	}
	for i := range c.Points {
		if c.Sample != nil && c.Points[i].Band == nil {
			return nil, fmt.Errorf("%s: %w: point %d of a sampled curve has no band", path, ErrSchema, i)
		}
	}
	return &c, nil
}

// Write writes the curve as JSON.
func (c *Curve) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

package result

import (
	"encoding/json"
	"io"
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

// Write writes the curve as JSON.
func (c *Curve) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

package result

import "io"

// Scale is a prediction of how faults scale with CPUs: one document of "vmtrace
// scale".
type Scale struct {
	Schema   int           `json:"schema"`
	Trace    Trace         `json:"trace"`
	Costs    string        `json:"costs"` // name of the table of costs
	Threads  int           `json:"threads"`
	Faults   uint64        `json:"faults"`   // simulated
	LeftOut  uint64        `json:"left_out"` // faults and calls that were not
	CPUs     []int         `json:"cpus"`
	Designs  []ScaleDesign `json:"designs"`
	Warnings []string      `json:"warnings"`
}

// ScaleDesign is the prediction for one design of locks.
type ScaleDesign struct {
	Name            string    `json:"name"`
	Meaning         string    `json:"meaning"`
	FaultsPerSecond []float64 `json:"faults_per_second"` // by number of CPUs, an estimate
}

// Write writes the prediction as an indented JSON document.
func (s *Scale) Write(w io.Writer) error { return write(w, s) }

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
	// Efficiency, by number of CPUs, is the faults a second of n CPUs over n times those
	// of one.
	Efficiency []float64   `json:"efficiency"`
	Waits      []ScaleWait `json:"waits"` // by number of CPUs
}

// ScaleWait is what threads wait for longest.
type ScaleWait struct {
	For   string  `json:"for"`   // "the word of the address space's lock"; empty if they never wait
	Share float64 `json:"share"` // of the time that they spend, but for waiting for a CPU
}

// Write writes the prediction as an indented JSON document.
func (s *Scale) Write(w io.Writer) error { return write(w, s) }

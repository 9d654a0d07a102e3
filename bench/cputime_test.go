package bench

import (
	"syscall"
	"testing"
)

// processor measures the processor time of a benchmark: on a machine that is
// shared it is steadier than the clock. It counts all threads of the process, so
// run with GOMAXPROCS=1.
type processor struct{ began int64 }

func startProcessor() processor { return processor{processorNS()} }

func (p processor) report(b *testing.B, refs int) {
	b.ReportMetric(float64(refs)*float64(b.N)*1e9/float64(processorNS()-p.began), "refs/cpu-s")
}

func processorNS() int64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

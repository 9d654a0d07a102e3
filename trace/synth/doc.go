// Package synth generates traces: workloads whose faults can be worked out by
// hand, and shapes that stress one part of a memory manager.
//
//	err := synth.Generate("zipf", synth.Params{Pages: 1000, Refs: 1e6, Seed: 7},
//		func(h trace.Header) (trace.Sink, error) { return trace.NewWriter(f, h) })
//
// A generated trace is the same, byte for byte, for the same parameters on every
// machine: random numbers come from PCG-DXSM of math/rand/v2, whose sequence is
// part of its documented promise, and from integer arithmetic only.
//
// Each generator is one file and one row of the table in synth.go.
package synth

// Package vmtrace is the root of a trace-driven paging performance analyzer:
// the command is cmd/vmtrace, the shape of the whole stands in
// ARCHITECTURE.md. The package itself holds only the test of the import graph.
package vmtrace

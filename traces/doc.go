// Package traces holds small recordings of real programs; README.md says what
// they are, how they were made, and what the live kernel counted. There is no
// code here but the test that holds the files against README.md.
package traces

package paging

import (
	"sync/atomic"

	features "golang.org/x/sys/cpu"
)

// wideWords says that the processor compares four words at a time (AVX2), and has the
// instructions that are used with that (BMI1 and 2).
var wideWords = features.X86.HasAVX2 && features.X86.HasBMI1 && features.X86.HasBMI2

// translateWords is what translate does, for a TLB that fits (tlb.fits). Its loop is
// bound by instructions, of which this takes half as many.
//
//go:noescape
func translateWords(b *tlb, asid uint64, refs []Ref, entries []*uint64, walks bool, stop *atomic.Bool) int

// holdsWords says that a TLB that fits has a page in a level where data is looked for.
//
//go:noescape
func holdsWords(b *tlb, key uint64) bool
